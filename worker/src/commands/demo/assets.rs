//! What the demo works on: bundled photos and captions, or the caller's own.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::Demo;
use crate::exit::Failure;

macro_rules! photos {
    ($($name:literal),* $(,)?) => {
        /// The bundled photos; `tests/fixtures/demo/LICENCES.md` says whose they are.
        const PHOTOS: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../../../tests/fixtures/demo/", $name)))),*];
    };
}

photos!(
    "badge.png",
    "broken.jpg",
    "brushes.jpg",
    "dandelion.jpg",
    "dogs-rotated.jpg",
    "fig.jpg",
    "peaks.webp",
    "stream.jpg",
    "sunset.jpg",
);

const CAPTIONS: &str = include_str!("../../../../tests/fixtures/demo/captions.jsonl");
const LICENCES: &str = include_str!("../../../../tests/fixtures/demo/LICENCES.md");

/// More than this many photos or captions are not a demo any more.
const MOST: usize = 100_000;

/// Input of one demo.
pub(super) struct Material {
    /// The folder that holds `files`.
    pub(super) photos: PathBuf,
    /// Where the bundled photos were written.
    pub(super) bundled: PathBuf,
    /// The photos to make thumbnails of.
    pub(super) files: Vec<PathBuf>,
    /// Payloads of `caption.parse`.
    pub(super) captions: Vec<Value>,
}

/// The bytes of a bundled photo.
pub(super) fn bundled(name: &str) -> &'static [u8] {
    PHOTOS.iter().find(|(n, _)| *n == name).map_or(&[], |(_, bytes)| bytes)
}

impl Material {
    /// Writes the bundled photos into the folder, and finds the caller's own where given.
    pub(super) fn gather(args: &Demo, dir: &Path) -> Result<Self, Failure> {
        let bundled = dir.join("photos");
        std::fs::create_dir_all(&bundled)?;
        for (name, bytes) in PHOTOS {
            std::fs::write(bundled.join(name), bytes)?;
        }
        std::fs::write(bundled.join("LICENCES.md"), LICENCES)?;
        let (photos, files) = match &args.photos {
            Some(own) => own_photos(own)?,
            None => {
                let names = PHOTOS.iter().map(|(name, _)| *name).filter(|n| *n != "broken.jpg");
                (bundled.clone(), names.map(|name| bundled.join(name)).collect())
            }
        };
        let captions = match &args.captions {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
                captions(&text)
            }
            None => captions(CAPTIONS),
        };
        Ok(Self { photos, bundled, files, captions })
    }
}

fn own_photos(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    let cannot = |e| Failure::usage(format!("cannot read the folder {}: {e}", dir.display()));
    let dir = dir.canonicalize().map_err(cannot)?;
    let picture = |path: &PathBuf| {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        matches!(ending.as_str(), "jpg" | "jpeg" | "png" | "webp")
    };
    let entries = std::fs::read_dir(&dir).map_err(cannot)?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(picture).take(MOST).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("no .jpg, .jpeg, .png or .webp in {}", dir.display())));
    }
    Ok((dir, files))
}

/// One caption a line: a payload object, or plain text.
fn captions(text: &str) -> Vec<Value> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(MOST)
        .map(|line| match serde_json::from_str::<Value>(line) {
            Ok(value) if value.is_object() => value,
            _ => json!({"text": line}),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_payloads_or_plain_text() {
        let read = captions("{\"text\":\"a\"}\n\nplain {text\n17\n");
        assert_eq!(
            read,
            [json!({"text": "a"}), json!({"text": "plain {text"}), json!({"text": "17"})]
        );
    }

    #[test]
    fn the_bundle_holds_photos_and_captions() {
        assert!(PHOTOS.iter().all(|(_, bytes)| bytes.len() > 10_000));
        assert!(captions(CAPTIONS).len() >= 30);
        assert!(!bundled("fig.jpg").is_empty());
    }
}
