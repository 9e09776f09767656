//! Real photos, odd variants, broken files and bombs from the shared data folder; skipped where it is
//! absent.

use std::path::{Path, PathBuf};

use crate::fixtures::{Rgb, pixels};
use flotilla_images::{ImageError, Limits, Request, Thumbnails, thumbnails};
use serde_json::json;

fn folder(name: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("../shared/data/images").join(name))
        .find(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: shared data absent");
    }
    found
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn run(source: &[u8], request: serde_json::Value) -> Result<Thumbnails, ImageError> {
    let request: Request = serde_json::from_value(request).unwrap();
    thumbnails(source, &request, &Limits::default(), &|| false)
}

fn five() -> serde_json::Value {
    json!({"placeholder": true, "outputs": [
        {"name": "story", "width": 1080, "height": 1920, "fit": "cover", "format": "jpeg"},
        {"name": "square", "width": 720, "height": 720, "fit": "cover", "format": "jpeg"},
        {"name": "small", "width": 480, "height": 480, "fit": "cover", "format": "jpeg"},
        {"name": "list", "width": 320, "fit": "width", "format": "jpeg"},
        {"name": "icon", "width": 150, "height": 150, "fit": "cover", "format": "jpeg"},
    ]})
}

fn mean_difference(a: &Rgb, b: &Rgb) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let sum: f64 = a.data.iter().zip(&b.data).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    sum / a.data.len() as f64
}

#[test]
fn every_photo_makes_five_sizes() {
    let Some(folder) = folder("photos") else { return };
    for (name, source) in files(&folder) {
        let made = run(&source, five()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sizes: Vec<_> = made.outputs.iter().map(|o| (o.width, o.height)).collect();
        assert_eq!(sizes[..3], [(1080, 1920), (720, 720), (480, 480)], "{name}");
        assert_eq!((sizes[3].0, sizes[4]), (320, (150, 150)), "{name}");
        for output in &made.outputs {
            let found = pixels(&output.bytes);
            assert_eq!(
                (found.width, found.height),
                (output.width as usize, output.height as usize)
            );
        }
        // the sizes show one picture: the icon is the square made smaller
        let again = run(
            &made.outputs[1].bytes,
            json!({"outputs": [
                {"name": "icon", "width": 150, "height": 150, "fit": "cover", "format": "png"},
            ]}),
        )
        .unwrap();
        let difference =
            mean_difference(&pixels(&again.outputs[0].bytes), &pixels(&made.outputs[4].bytes));
        assert!(difference < 16.0, "{name}: {difference}");
    }
}

#[test]
fn orientations_one_to_eight_are_one_picture() {
    let Some(folder) = folder("variants") else { return };
    let show = |number: u8| {
        let source = std::fs::read(folder.join(format!("exif_landscape_{number}.jpg"))).unwrap();
        let made = run(&source, json!({"outputs": [
            {"name": "a", "width": 301, "height": 207, "fit": "cover", "format": "jpeg", "quality": 95},
        ]}))
        .unwrap();
        assert_eq!(made.source.orientation, number);
        pixels(&made.outputs[0].bytes)
    };
    let truth = show(1);
    for number in 2..=8 {
        let difference = mean_difference(&show(number), &truth);
        assert!(difference < 5.0, "{number}: {difference}");
    }
}

#[test]
fn variants_work() {
    let Some(folder) = folder("variants") else { return };
    for (name, source) in files(&folder) {
        for format in ["jpeg", "webp", "avif", "png"] {
            let made = run(
                &source,
                json!({"placeholder": true, "outputs": [
                    {"name": "a", "width": 100, "height": 60, "fit": "cover", "format": format},
                    {"name": "b", "width": 45, "height": 45, "fit": "pad", "format": format},
                ]}),
            );
            match made {
                Ok(made) => {
                    assert_eq!(pixels(&made.outputs[0].bytes).width, 100);
                }
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}

#[test]
fn animations_give_their_first_frame() {
    let Some(folder) = folder("animated") else { return };
    for (name, source) in files(&folder) {
        let made = run(&source, five());
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(name.ends_with(&made.source.format), "{name}");
    }
}

#[test]
fn broken_files_and_bombs_are_permanent_errors() {
    for name in ["bad", "bomb"] {
        let Some(folder) = folder(name) else { return };
        for (name, source) in files(&folder) {
            let error = run(&source, five()).expect_err(&name);
            assert!(error.is_permanent(), "{name}: {error}");
            println!("{name}: {error}");
        }
    }
}
