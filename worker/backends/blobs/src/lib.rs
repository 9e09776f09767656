//! Blobs through `object_store`: in a local folder, or, with the feature `s3`, in a bucket.

mod local;
mod objects;
#[cfg(feature = "s3")]
mod s3;

pub use local::LocalBlobs;
#[cfg(feature = "s3")]
pub use s3::{Encryption, S3Blobs, S3Settings};
