//! Keeping bytes: whole or not at all, under their name, within their bound.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};

use crate::harness::BlobHarness;

const MOST: u64 = 1 << 20;

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).expect("cases use proper keys")
}

async fn put(blobs: &dyn Blobs, name: &str, bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    blobs.put(&key(name), bytes, "image/webp").await.expect("put works");
}

async fn names(blobs: &dyn Blobs, prefix: &str, limit: usize) -> Vec<String> {
    let keys = blobs.list(prefix, limit).await.expect("list works");
    keys.iter().map(|key| key.as_str().to_owned()).collect()
}

/// Any bytes, also none, also as many as allowed.
pub async fn a_blob_comes_back_byte_for_byte(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    let all: Vec<u8> = (0..=255).collect();
    let large = vec![0xa5; 1 << 20];
    for (n, bytes) in [&b""[..], b"\0", b"a\0b\r\n", &all, &large].into_iter().enumerate() {
        let name = format!("thumbs/{n}.webp");
        put(&*blobs, &name, bytes).await;
        assert_eq!(blobs.get(&key(&name), MOST).await.expect("get works"), bytes);
        assert_eq!(blobs.size(&key(&name)).await.expect("size works"), Some(bytes.len() as u64));
    }
}

/// The whole new one, nothing of the old one.
pub async fn a_put_replaces_the_blob_of_that_name(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a", b"a longer blob").await;
    put(&*blobs, "a", b"short").await;
    assert_eq!(blobs.get(&key("a"), MOST).await.expect("get works"), "short");
    assert_eq!(blobs.size(&key("a")).await.expect("size works"), Some(5));
}

/// What the configuration does not allow is not stored, and what was there stays.
pub async fn a_blob_over_the_bound_is_refused_before_it_is_written(h: &dyn BlobHarness) {
    let blobs = h.fresh(10).await;
    put(&*blobs, "a", b"0123456789").await;
    let over = blobs.put(&key("a"), Bytes::from_static(b"0123456789a"), "text/plain").await;
    assert!(matches!(over, Err(BlobError::TooLarge { size: 11, max: 10, .. })), "{over:?}");
    assert_eq!(blobs.get(&key("a"), 10).await.expect("get works"), "0123456789");
}

/// The caller's bound counts, before the bytes are read.
pub async fn a_read_refuses_more_than_the_caller_allows(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a", b"12345").await;
    let over = blobs.get(&key("a"), 4).await;
    assert!(matches!(over, Err(BlobError::TooLarge { size: 5, max: 4, .. })), "{over:?}");
    assert_eq!(blobs.get(&key("a"), 5).await.expect("get works"), "12345");
}

/// A blob that is not there is said not to be there.
pub async fn a_missing_blob_is_not_found(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a/b", b"1").await;
    for name in ["c", "a", "a/b/c", "a/c"] {
        let missing = blobs.get(&key(name), MOST).await;
        assert!(matches!(&missing, Err(BlobError::NotFound(k)) if *k == key(name)), "{missing:?}");
        assert_eq!(blobs.size(&key(name)).await.expect("size works"), None, "{name}");
    }
}

/// Gone after the first delete; the second is fine.
pub async fn a_deleted_blob_is_gone(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a/b", b"1").await;
    put(&*blobs, "a/c", b"2").await;
    for _ in 0..2 {
        blobs.delete(&key("a/b")).await.expect("delete works");
        assert_eq!(blobs.size(&key("a/b")).await.expect("size works"), None);
    }
    assert_eq!(names(&*blobs, "", 10).await, ["a/c"]);
    put(&*blobs, "a/b", b"3").await;
    assert_eq!(blobs.get(&key("a/b"), MOST).await.expect("get works"), "3");
}

/// Whole parts, sorted, no more than asked for.
pub async fn a_list_gives_the_keys_below_a_prefix(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    assert!(names(&*blobs, "", 10).await.is_empty());
    for name in ["b/2", "b/10", "b/1/deep", "bb/1", "b-x/1", "b.y", "A", "z"] {
        put(&*blobs, name, b"1").await;
    }
    assert_eq!(names(&*blobs, "b", 10).await, ["b/1/deep", "b/10", "b/2"]);
    assert_eq!(names(&*blobs, "b/", 10).await, ["b/1/deep", "b/10", "b/2"]);
    assert_eq!(names(&*blobs, "b/1", 10).await, ["b/1/deep"]);
    assert_eq!(names(&*blobs, "b.y", 10).await, ["b.y"], "a key begins with itself");
    assert!(names(&*blobs, "nothing/here", 10).await.is_empty());
    let all = ["A", "b-x/1", "b.y", "b/1/deep", "b/10", "b/2", "bb/1", "z"];
    assert_eq!(names(&*blobs, "", 100).await, all);
    assert_eq!(names(&*blobs, "", 3).await, all[..3]);
    assert!(names(&*blobs, "", 0).await.is_empty());
}

/// A list cannot be led out of the store.
pub async fn a_list_stays_inside_the_store(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a", b"1").await;
    for prefix in ["..", "../", "a/../..", "/etc"] {
        match blobs.list(prefix, 10).await {
            Ok(keys) => assert!(keys.is_empty(), "{prefix}: {keys:?}"),
            Err(error) => assert!(matches!(error, BlobError::Store { .. }), "{error}"),
        }
    }
}

/// Names at the edge of the rule work.
pub async fn a_key_may_be_as_long_and_as_odd_as_the_rule_allows(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    let long = [vec!["p".repeat(100); 5].join("/"), "q".repeat(7)].join("/");
    assert_eq!(long.len(), 512);
    for name in [long.as_str(), "...", ".hidden/..a", "-", "_/-._", "UPPER/lower.JPG"] {
        put(&*blobs, name, name.as_bytes()).await;
        assert_eq!(blobs.get(&key(name), MOST).await.expect("get works"), name);
        assert!(names(&*blobs, "", 100).await.contains(&name.to_owned()), "{name} is listed");
    }
}

/// Who reads while others write sees one whole blob, never a mixture or a part.
pub async fn a_reader_sees_one_whole_blob_whatever_is_being_written(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "a", &[0; 100_000]).await;
    let writers: Vec<_> = (1..=4u8)
        .map(|n| {
            let blobs = Arc::clone(&blobs);
            tokio::spawn(async move {
                for _ in 0..10 {
                    put(&*blobs, "a", &vec![n; 100_000 - usize::from(n)]).await;
                }
            })
        })
        .collect();
    for _ in 0..40 {
        let seen = blobs.get(&key("a"), MOST).await.expect("get works");
        let first = seen[0];
        assert_eq!(seen.len(), 100_000 - usize::from(first));
        assert!(seen.iter().all(|byte| *byte == first), "a mixture");
    }
    for writer in writers {
        writer.await.expect("the writer does not panic");
    }
    assert_eq!(names(&*blobs, "", 100).await, ["a"], "no half-written file is listed");
}

/// People are told where to look.
pub async fn a_location_names_the_blob(h: &dyn BlobHarness) {
    let blobs = h.fresh(MOST).await;
    put(&*blobs, "thumbs/a.webp", b"1").await;
    let place = blobs.locate(&key("thumbs/a.webp"));
    assert!(place.ends_with("thumbs/a.webp"), "{place}");
}
