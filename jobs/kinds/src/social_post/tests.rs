//! Payloads, dry runs and keys; what happens on the platforms is tested beside their clients.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey, Blobs};
use flotilla_core::{CpuPool, JobId, ManualClock};
use flotilla_platforms::{Fetcher, GuardSettings};
use serde_json::json;

use super::*;

/// A store with one picture.
#[derive(Debug)]
struct OnePicture;

/// The beginning of a PNG of 640 × 480 pixels.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";

#[async_trait]
impl Blobs for OnePicture {
    async fn put(&self, _: &BlobKey, _: Bytes, _: &str) -> Result<(), BlobError> {
        Ok(())
    }

    async fn get(&self, _: &BlobKey, _: u64) -> Result<Bytes, BlobError> {
        Ok(Bytes::from_static(PICTURE))
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        Ok((key.as_str() == "a.png").then_some(PICTURE.len() as u64))
    }

    async fn delete(&self, _: &BlobKey) -> Result<(), BlobError> {
        Ok(())
    }

    async fn list(&self, _: &str, _: usize) -> Result<Vec<BlobKey>, BlobError> {
        Ok(Vec::new())
    }

    fn locate(&self, key: &BlobKey) -> String {
        key.to_string()
    }
}

fn job(payload: serde_json::Value) -> SocialPost {
    serde_json::from_value(payload).unwrap()
}

async fn run(payload: serde_json::Value) -> Result<PostResult, String> {
    let platforms = Arc::new(Platforms::built_in().unwrap());
    let fetcher = Arc::new(Fetcher::new(GuardSettings::default()).unwrap());
    let blobs: Arc<dyn Blobs> = Arc::new(OnePicture);
    let media = Media::new(fetcher, Arc::clone(&blobs));
    let fitter = Fitter::new(blobs, flotilla_images::Limits::default());
    let social = Social { platforms, bounds: Bounds::default(), webhooks: BTreeSet::new() };
    let handler = PostHandler::with(social, None, media, fitter);
    let clock = Arc::new(ManualClock::default());
    let cx = JobContext::detached(JobId::derived("p"), SocialPost::KIND, clock, CpuPool::new(1));
    handler.run(job(payload), &cx).await.map_err(|error| error.text(2000))
}

#[tokio::test]
async fn a_dry_run_needs_no_accounts_and_sends_nothing() {
    let result = run(json!({
        "platform": "facebook", "account": "page", "dry_run": true,
        "post": {"text": "hello", "media": [{"source": {"blob": "a.png"}}]},
        "publish_at": "2026-03-29T02:30", "time_zone": "Europe/Berlin",
    }))
    .await
    .unwrap();
    assert!(result.dry_run && result.id.is_none());
    assert!(result.notes[0].contains("clocks in Europe/Berlin skip"), "{:?}", result.notes);
    assert_eq!(result.notes[1], "it fits Facebook Pages; nothing was sent");
    let said = run(json!({"platform": "x", "account": "a", "post": {"text": "b"}})).await;
    assert!(said.unwrap_err().contains("has no accounts: only a dry run works"));
}

#[tokio::test]
async fn all_faults_are_told_at_once_under_the_authors_fields() {
    let said = run(json!({
        "platform": "instagram", "account": "shop", "dry_run": true,
        "post": {
            "text": "a", "link": "https://a.example", "visibility": "private",
            "media": [{"source": {"blob": "a.png"}}],
        },
    }))
    .await
    .unwrap_err();
    for part in [
        "field \"post.link\": Instagram has no posts about links",
        "post.media[0]: Instagram takes image/jpeg; this is image/png",
        "post.visibility: Instagram cannot show a post to such a circle",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = run(json!({"platform": "myspace", "account": "a", "post": {"text": "b"}})).await;
    assert!(said.unwrap_err().contains("no platform \"myspace\""));
    let missing = json!({
        "platform": "x", "account": "a", "dry_run": true,
        "post": {"media": [{"source": {"blob": "b.png"}}]},
    });
    assert!(run(missing).await.unwrap_err().contains("no blob \"b.png\""));
}

#[test]
fn the_same_post_in_the_same_slot_is_the_same_job() {
    let key = |payload| job(payload).unique().unwrap().key;
    let post = json!({"platform": "x", "account": "a", "post": {"text": "b"}});
    assert_eq!(key(post.clone()), key(post.clone()));
    for (field, value) in
        [("slot", "two"), ("account", "c"), ("publish_at", "2027-01-01T00:00:00Z")]
    {
        let mut other = post.clone();
        other[field] = json!(value);
        assert_ne!(key(post.clone()), key(other), "{field}");
    }
    let mut dry = post;
    dry["dry_run"] = json!(true);
    assert!(job(dry).unique().is_none());
}

#[test]
fn what_cannot_be_is_refused_at_the_enqueue() {
    let faults = job(json!({
        "platform": "x", "account": "", "post": {"text": "b"}, "time_zone": "Europe/Berlin",
    }))
    .faults();
    let fields: Vec<_> = faults.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["account", "time_zone"]);
}
