//! Holds a bucket to the contract of blob stores, on an emulator of S3.
//!
//! What the emulator cannot show: rights, encryption at rest (it keeps the header only), that a
//! presigned URL lapses, throttling of a prefix.

mod support;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_blobs::{Encryption, S3Blobs, S3Settings};
use flotilla_conformance::{BlobHarness, blob_suite};
use flotilla_core::blob::{BlobKey, Blobs};

/// Sends one plain request to the emulator; answers status line, headers and body.
fn request(method: &str, path: &str) -> String {
    let endpoint = support::endpoint();
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the emulator listens");
    let asked = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer comes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A bucket that is there.
fn bucket(encryption: Encryption, max_bytes: u64) -> S3Blobs {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // reqwest takes the process's provider, which the binary installs first of all.
    let _was_there = rustls::crypto::ring::default_provider().install_default();
    // Not the number of the process: an emulator outlives many, and numbers come again.
    let random = RandomState::new().build_hasher().finish();
    let bucket = format!("test-{random:016x}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let made = request("PUT", &format!("/{bucket}"));
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let settings = S3Settings { bucket, encryption, max_bytes, ..S3Settings::default() };
    S3Blobs::open(&support::config("us-east-1".into()), settings).expect("the bucket opens")
}

struct Bucket;

#[async_trait::async_trait]
impl BlobHarness for Bucket {
    async fn fresh(&self, max_bytes: u64) -> Arc<dyn Blobs> {
        Arc::new(bucket(Encryption::Bucket, max_bytes))
    }
}

blob_suite!(Bucket);

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_signed_and_leads_to_the_bytes_and_their_type() {
    let blobs = bucket(Encryption::Bucket, 100);
    let key = BlobKey::new("content/acme/a.txt").unwrap();
    blobs.put(&key, "hello".into(), "text/plain").await.unwrap();
    let link = blobs.link(&key, Duration::from_secs(60)).await.unwrap();
    assert!(link.contains("X-Amz-Signature=") && link.contains("X-Amz-Expires=60"), "{link}");
    let path = link.trim_start_matches(&support::endpoint()).to_owned();
    let read = tokio::task::spawn_blocking(move || request("GET", &path)).await.unwrap();
    assert!(read.contains("text/plain") && read.ends_with("hello"), "{read}");
    assert!(blobs.locate(&key).starts_with("s3://test-"));
    let year = Duration::from_secs(365 * 86_400);
    let longest = blobs.link(&key, year).await.unwrap();
    assert!(longest.contains("X-Amz-Expires=604800"), "{longest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_is_told_how_to_encrypt() {
    for (encryption, told) in [
        (Encryption::Aes256, "AES256"),
        (Encryption::Kms(None), "aws:kms"),
        (Encryption::Kms(Some("alias/flotilla".into())), "alias/flotilla"),
    ] {
        let blobs = bucket(encryption, 100);
        let key = BlobKey::new("a").unwrap();
        blobs.put(&key, "x".into(), "text/plain").await.unwrap();
        let link = blobs.link(&key, Duration::from_secs(60)).await.unwrap();
        let path = link.trim_start_matches(&support::endpoint()).to_owned();
        let read = tokio::task::spawn_blocking(move || request("GET", &path)).await.unwrap();
        let headers = read.to_lowercase();
        assert!(headers.contains("x-amz-server-side-encryption"), "{read}");
        assert!(headers.contains(&told.to_lowercase()), "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_named() {
    let _was_there = rustls::crypto::ring::default_provider().install_default();
    let settings = S3Settings { bucket: "nobody-made-this".into(), ..S3Settings::default() };
    let blobs = S3Blobs::open(&support::config("us-east-1".into()), settings).unwrap();
    let error = blobs.list("", 1).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("nobody-made-this") || cause.contains("NoSuchBucket"), "{cause}");
}
