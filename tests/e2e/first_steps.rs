//! The demo, as the first thing a newcomer runs.

use std::path::Path;

use crate::support::{Place, bare, photo};

fn files(dir: &Path) -> usize {
    let entries =
        std::fs::read_dir(dir).map(|d| d.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().map(|e| if e.path().is_dir() { files(&e.path()) } else { 1 }).sum()
}

#[test]
fn the_demo_runs_real_work_and_ends_by_itself() {
    let place = Place::new();
    let dir = place.path().join("demo");
    let output = bare(&["demo", "--dir", dir.to_str().unwrap()]).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains(dir.to_str().unwrap()), "it says where the outputs lie: {out}");
    assert!(files(&dir.join("blobs")) >= 10, "thumbnails are there");
    for promised in ["retried", "dead letter", "Try next", "flotilla"] {
        assert!(out.contains(promised), "\"{promised}\" in: {out}");
    }
    // The three commands it offers work as printed.
    let (_, next) = out.split_once("Try next").unwrap();
    let offered: Vec<&str> = next.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(offered.len(), 3, "{out}");
    for command in offered {
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        let output = bare(&args).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|c| c <= 1), "{command}: {err}");
        assert!(!output.stdout.is_empty(), "{command} printed nothing");
    }
}

#[test]
fn the_demo_takes_photos_and_captions_of_ones_own() {
    let place = Place::new();
    let photos = place.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    std::fs::copy(photo("dogs-rotated.jpg"), photos.join("mine.jpg")).unwrap();
    let captions = place.file("captions.txt", "Sale! 20 % off #shoes\n{\"text\":\"@me\"}\n");
    let dir = place.path().join("demo");
    let args = [
        "demo",
        "--dir",
        dir.to_str().unwrap(),
        "--photos",
        photos.to_str().unwrap(),
        "--captions",
        captions.to_str().unwrap(),
    ];
    let output = bare(&args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wrong = bare(&["demo", "--photos", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
