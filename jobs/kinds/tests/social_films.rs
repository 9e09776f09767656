//! `social.post` with `fit`: videos that break a platform's bounds are made to fit, once for each
//! content, and what is missing on the machine is said.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use flotilla_core::job::Job;
use flotilla_core::{CpuPool, Handler, JobContext, JobId, ManualClock};
use flotilla_jobs::{PostHandler, PostResult, Services, SocialPost};
use flotilla_media::Tools;
use serde_json::{Value, json};

use support::{Kept, services};

/// A film of moving bars with a tone.
fn film(size: &str, rate: u32, seconds: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("film.mp4");
    let picture = format!("testsrc=size={size}:rate={rate}:duration={seconds}");
    let tone = format!("sine=frequency=440:duration={seconds}");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read(Path::new(&file)).unwrap()
}

async fn dry_run(services: &Services, name: &str, payload: Value) -> Result<PostResult, String> {
    let clock = Arc::new(ManualClock::default());
    let cx = JobContext::detached(JobId::derived(name), SocialPost::KIND, clock, CpuPool::new(1));
    let job: SocialPost = serde_json::from_value(payload).unwrap();
    PostHandler::new(services).run(job, &cx).await.map_err(|error| error.text(2000))
}

fn on(platform: &str, fit: bool, form: &str) -> Value {
    json!({
        "platform": platform, "account": "a", "dry_run": true,
        "post": {
            "text": "film", "form": form, "fit": fit, "to": "+4915112345678",
            "media": [{"source": {"blob": "content/default/film.mp4"}}],
        },
    })
}

#[tokio::test]
async fn a_video_is_made_to_fit_once_for_each_content() {
    let blobs = Arc::new(Kept::default());
    let given = film("640x360", 90, 4);
    blobs.0.lock().unwrap().insert("content/default/film.mp4".to_owned(), given.into());
    let services = services(Arc::clone(&blobs), Vec::new());
    let fitted = |blobs: &Kept| {
        let kept = blobs.0.lock().unwrap();
        kept.keys().filter(|key| key.contains("/fitted/") && key.ends_with(".mp4")).count()
    };

    let result = dry_run(&services, "one", on("facebook", true, "reel")).await.unwrap();
    let note = result.notes.iter().find(|note| note.contains("was made to fit")).unwrap();
    assert!(note.contains("post.media[0] was made to fit Facebook Pages"), "{note}");
    assert_eq!(fitted(&blobs), 1);
    // Another job with the same film finds what was made.
    let again = dry_run(&services, "two", on("facebook", true, "reel")).await.unwrap();
    assert_eq!((again.notes, fitted(&blobs)), (result.notes, 1));
    // Another platform's bounds make another film.
    dry_run(&services, "three", on("x", true, "post")).await.unwrap();
    assert_eq!(fitted(&blobs), 2);
    // What fits is left as it is.
    let fits = dry_run(&services, "four", on("whatsapp", true, "post")).await.unwrap();
    assert!(!fits.notes.iter().any(|note| note.contains("was made to fit")), "{:?}", fits.notes);
    assert_eq!(fitted(&blobs), 2);
}

#[tokio::test]
async fn without_ffmpeg_it_says_what_to_install() {
    let blobs = Arc::new(Kept::default());
    let given = film("320x240", 25, 1);
    blobs.0.lock().unwrap().insert("content/default/film.mp4".to_owned(), given.into());
    let mut services = services(blobs, Vec::new());
    services.media.tools = Tools::along("/nowhere".into());
    let mut short = on("youtube", true, "post");
    short["post"]["title"] = json!("film");
    short["post"]["media"][0]["seconds"] = json!(50_000);
    let error = dry_run(&services, "one", short).await.unwrap_err();
    assert!(error.contains("apt-get install ffmpeg"), "{error}");
    // Nothing that is known speaks against it: it goes out, and that is said.
    let known = dry_run(&services, "two", on("x", true, "post")).await.unwrap();
    let note = known.notes.iter().find(|note| note.contains("was not looked into")).unwrap();
    assert!(note.contains("apt-get install ffmpeg"), "{note}");
}
