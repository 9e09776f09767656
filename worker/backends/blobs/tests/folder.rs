//! What holds for a folder only: it may be looked at, and it outlives the process.

use flotilla_blobs::LocalBlobs;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).expect("a proper key")
}

#[tokio::test]
async fn a_location_is_the_path_of_the_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(dir.path(), 100).unwrap();
    blobs.put(&key("a/b.txt"), "hi".into(), "text/plain").await.unwrap();
    assert_eq!(std::fs::read(blobs.locate(&key("a/b.txt"))).unwrap(), b"hi");
    let again = LocalBlobs::open(dir.path(), 100).unwrap();
    assert_eq!(again.get(&key("a/b.txt"), 100).await.unwrap(), "hi");
}

#[tokio::test]
async fn files_that_are_no_blobs_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = LocalBlobs::open(dir.path(), 100).unwrap();
    for name in ["holiday photo.jpg", "half-written#1"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    blobs.put(&key("a"), "1".into(), "text/plain").await.unwrap();
    assert_eq!(blobs.list("", 10).await.unwrap(), [key("a")]);
    assert!(dir.path().join("holiday photo.jpg").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = LocalBlobs::open(&file.join("below"), 100).unwrap_err();
    assert!(
        matches!(&error, BlobError::Store { key, .. } if key.ends_with("file/below")),
        "{error}"
    );
}
