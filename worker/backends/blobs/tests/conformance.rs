//! Holds the folder of blobs, and its stand-in in memory, to the contract of blob stores.

use std::sync::Arc;

use flotilla_blobs::LocalBlobs;
use flotilla_conformance::{BlobHarness, blob_suite};
use flotilla_core::blob::Blobs;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder is made"))
    }
}

#[async_trait::async_trait]
impl BlobHarness for Folder {
    async fn fresh(&self, max_bytes: u64) -> Arc<dyn Blobs> {
        let dir = self.0.path().join("made/for/it");
        Arc::new(LocalBlobs::open(&dir, max_bytes).expect("a folder of blobs opens"))
    }
}

struct Memory;

#[async_trait::async_trait]
impl BlobHarness for Memory {
    async fn fresh(&self, max_bytes: u64) -> Arc<dyn Blobs> {
        Arc::new(LocalBlobs::in_memory(max_bytes))
    }
}

mod folder {
    use super::*;

    blob_suite!(Folder::new());
}

mod memory {
    use super::*;

    blob_suite!(Memory);
}
