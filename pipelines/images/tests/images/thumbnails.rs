//! The library as its callers use it, on pictures made here: every fit and format, orientation,
//! alpha, errors, limits.

use crate::fixtures::{Rgb, gradient, jpeg, pixels, png, rotate, with_exif};
use flotilla_images::{
    Fit, ImageError, Limits, Output, OutputFormat, Request, Thumbnails, Workshop, thumbnails,
};
use serde_json::json;

fn run(source: &[u8], request: serde_json::Value) -> Result<Thumbnails, ImageError> {
    let request: Request = serde_json::from_value(request).unwrap();
    thumbnails(source, &request, &Limits::default(), &|| false)
}

fn one(source: &[u8], output: serde_json::Value) -> Vec<u8> {
    let made = run(source, json!({"outputs": [output]})).unwrap();
    made.outputs.into_iter().next().unwrap().bytes
}

/// The largest and the mean difference of two pictures of one size.
fn difference(a: &Rgb, b: &Rgb) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let differences = a.data.iter().zip(&b.data).map(|(&a, &b)| a.abs_diff(b));
    let sum: f64 = differences.clone().map(f64::from).sum();
    (differences.max().unwrap(), sum / a.data.len() as f64)
}

#[test]
fn every_format_in_and_out_keeps_the_picture() {
    let truth = gradient(200, 120);
    for from in ["png", "jpeg", "webp", "avif"] {
        let source = match from {
            "png" => png(&truth),
            _ => one(
                &png(&truth),
                json!({"name": "a", "width": 200, "fit": "width", "format": from, "quality": 95}),
            ),
        };
        let formats = ["jpeg", "webp", "avif", "png"];
        let outputs: Vec<_> = formats
            .iter()
            .map(|format| json!({"name": format, "width": 100, "height": 60, "fit": "cover", "format": format}))
            .collect();
        let made = run(&source, json!({"outputs": outputs})).unwrap();
        assert_eq!(made.source.format, from);
        assert_eq!((made.source.width, made.source.height), (200, 120));
        for (output, format) in made.outputs.iter().zip(formats) {
            assert_eq!((output.format.as_str(), output.width, output.height), (format, 100, 60));
            let (worst, mean) = difference(&pixels(&output.bytes), &gradient(100, 60));
            assert!(worst <= 24 && mean < 3.0, "{from} to {format}: {worst} {mean}");
        }
    }
}

#[test]
fn odd_sizes_and_small_sources_work_in_every_fit() {
    let mut made = 0;
    for (width, height) in [(1, 1), (2, 3), (7, 5), (33, 17), (64, 1), (129, 255)] {
        let truth = gradient(width, height);
        for source in [png(&truth), jpeg(&truth)] {
            for format in ["jpeg", "webp", "avif", "png"] {
                let request = json!({"placeholder": true, "outputs": [
                    {"name": "cover", "width": 31, "height": 9, "fit": "cover", "format": format},
                    {"name": "contain", "width": 13, "height": 13, "fit": "contain", "format": format},
                    {"name": "pad", "width": 15, "height": 21, "fit": "pad", "format": format},
                    {"name": "width", "width": 11, "fit": "width", "format": format},
                    {"name": "height", "height": 3, "fit": "height", "format": format},
                ]});
                for output in run(&source, request).unwrap().outputs {
                    let found = pixels(&output.bytes);
                    assert_eq!(
                        (found.width, found.height),
                        (output.width as usize, output.height as usize)
                    );
                    let exact = match output.name.as_str() {
                        "cover" => Some((31, 9)),
                        "pad" => Some((15, 21)),
                        _ => None,
                    };
                    assert!(exact.is_none_or(|size| size == (found.width, found.height)));
                    assert!(exact.is_some() || found.width <= width && found.height <= height);
                    made += 1;
                }
            }
        }
    }
    assert_eq!(made, 6 * 2 * 4 * 5);
}

#[test]
fn all_orientations_show_the_same_picture() {
    let upright = gradient(160, 97);
    let truth = pixels(&one(
        &png(&gradient(160, 97)),
        json!({"name": "a", "width": 63, "height": 41, "fit": "cover", "format": "png"}),
    ));
    for orientation in 1..=8 {
        let stored = rotate(&upright, orientation);
        let source = with_exif(&jpeg(&stored), orientation);
        for format in ["jpeg", "webp", "png"] {
            let made = run(
                &source,
                json!({"outputs": [
                    {"name": "a", "width": 63, "height": 41, "fit": "cover", "format": format, },
                ]}),
            )
            .unwrap();
            assert_eq!(made.source.orientation, orientation);
            let (worst, mean) = difference(&pixels(&made.outputs[0].bytes), &truth);
            assert!(worst <= 26 && mean < 3.0, "{orientation} {format}: {worst} {mean}");
        }
    }
}

#[test]
fn transparent_pixels_do_not_bleed() {
    // left half opaque blue, right half transparent with red hidden in it
    let (width, height) = (64, 8);
    let mut rgba = Vec::new();
    for index in 0..width * height {
        rgba.extend(if index % width < 32 { [0, 0, 255, 255] } else { [255, 0, 0, 0] });
    }
    let source = crate::fixtures::png_of(&rgba, width, height, png::ColorType::Rgba);
    let output = |format| json!({"name": "a", "width": 21, "fit": "width", "format": format});
    let (small, channels) = crate::fixtures::decode_png(&one(&source, output("png")));
    assert_eq!(channels, 4);
    for pixel in small.data.chunks_exact(4).filter(|pixel| pixel[3] > 8) {
        assert!(pixel[0] < 12 && pixel[2] > 240, "{pixel:?}");
    }
    let flat = pixels(&one(&source, output("jpeg")));
    let last = &flat.data[20 * 3..21 * 3];
    assert!(last.iter().all(|&value| value > 245), "white behind: {last:?}");
    let webp = one(&source, output("webp"));
    let again = one(&webp, output("png"));
    assert_eq!(crate::fixtures::decode_png(&again).1, 4, "webp keeps alpha");
    let green = run(&source, json!({"background": "#0f0", "outputs": [output("png")]})).unwrap();
    let (flat, channels) = crate::fixtures::decode_png(&green.outputs[0].bytes);
    assert_eq!((channels, &flat.data[60..63]), (3, &[0, 255, 0][..]));
}

#[test]
fn pad_centres_on_the_background() {
    let source = jpeg(&gradient(100, 50));
    let made = run(
        &source,
        json!({"background": "#102030", "outputs": [
            {"name": "a", "width": 60, "height": 60, "fit": "pad", "format": "png"},
        ]}),
    )
    .unwrap();
    let found = pixels(&made.outputs[0].bytes);
    let at = |x: usize, y: usize| &found.data[(y * 60 + x) * 3..][..3];
    assert_eq!(at(30, 14), [0x10, 0x20, 0x30]);
    assert_ne!(at(30, 15), [0x10, 0x20, 0x30]);
    assert_ne!(at(30, 44), [0x10, 0x20, 0x30]);
    assert_eq!(at(30, 45), [0x10, 0x20, 0x30]);
}

#[test]
fn grey_stays_grey() {
    let grey: Vec<u8> = (0..64 * 64).map(|index| (index % 64 * 4) as u8).collect();
    let source = crate::fixtures::png_of(&grey, 64, 64, png::ColorType::Grayscale);
    let stored = one(&source, json!({"name": "a", "width": 64, "fit": "width", "format": "jpeg"}));
    let small = one(&stored, json!({"name": "a", "width": 32, "fit": "width", "format": "png"}));
    let (small, channels) = crate::fixtures::decode_png(&small);
    assert_eq!(channels, 1);
    for x in 2..30 {
        assert!(small.data[16 * 32 + x].abs_diff((x * 8 + 2) as u8) <= 3);
    }
    let webp =
        pixels(&one(&stored, json!({"name": "a", "width": 32, "fit": "width", "format": "webp"})));
    for pixel in webp.data.chunks_exact(3) {
        assert!(pixel[0].abs_diff(pixel[1]) <= 2 && pixel[1].abs_diff(pixel[2]) <= 2);
    }
}

#[test]
fn placeholder_and_colours_come_when_asked_for() {
    let mut truth = gradient(300, 200);
    truth.data.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&[10, 200, 60]));
    let made = run(&png(&truth), json!({"placeholder": true})).unwrap();
    assert_eq!(made.colours.unwrap()[0].to_string(), "#0ac83c");
    assert!(made.placeholder.unwrap().len() >= 20);
    let without = run(
        &png(&truth),
        json!({"outputs": [{"name": "a", "width": 3, "fit": "width", "format": "png"}]}),
    );
    assert_eq!(without.unwrap().placeholder, None);
}

#[test]
fn a_reused_workshop_gives_the_bytes_of_a_fresh_one() {
    let mut workshop = Workshop::default();
    let request = Request {
        outputs: ["jpeg", "webp"]
            .map(|name| {
                let format = if name == "jpeg" { OutputFormat::Jpeg } else { OutputFormat::Webp };
                let (width, height) = (Some(50), Some(40));
                Output { width, height, ..Output::new(name, Fit::Cover, format) }
            })
            .to_vec(),
        ..Request::default()
    };
    for source in [jpeg(&gradient(300, 200)), png(&gradient(90, 400)), jpeg(&gradient(61, 60))] {
        let fresh = thumbnails(&source, &request, &Limits::default(), &|| false).unwrap();
        let reused = workshop.thumbnails(&source, &request, &Limits::default(), &|| false).unwrap();
        assert_eq!(fresh, reused);
    }
}

#[test]
fn cancelling_stops_before_the_next_output() {
    let source = jpeg(&gradient(100, 100));
    let request: Request = serde_json::from_value(json!({"outputs": [
        {"name": "a", "width": 10, "fit": "width", "format": "jpeg"},
        {"name": "b", "width": 10, "fit": "width", "format": "jpeg"},
    ]}))
    .unwrap();
    let asked = std::cell::Cell::new(0);
    let made = thumbnails(&source, &request, &Limits::default(), &|| {
        asked.set(asked.get() + 1);
        asked.get() == 3
    });
    assert_eq!(made.unwrap_err(), ImageError::Cancelled);
    assert_eq!(asked.get(), 3);
}
