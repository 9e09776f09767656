//! Speech and videos with the real programs: what was made once is kept, what is stopped leaves
//! nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use flotilla_core::clock::{Clock, SystemClock};
use flotilla_core::job::Job;
use flotilla_core::{CpuPool, Handler, JobContext, JobError, JobId, SeededRng};
use flotilla_jobs::{
    Services, SpeechHandler, SpeechSynthesize, VideoHandler, VideoRender, VideoResult,
};
use serde_json::{Value, json};
use support::{Kept, services};

/// `None`, said twice: a program is missing.
fn ready(roots: &Path) -> Option<(Arc<Kept>, Services)> {
    let kept = Arc::new(Kept::default());
    let services = services(Arc::clone(&kept), vec![roots.to_owned()]);
    let tools = &services.media.tools;
    let Err(missing) = tools.probe_ffmpeg().and(tools.probe_espeak()) else {
        return Some((kept, services));
    };
    println!("skipped: {missing}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG") {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        writeln!(file, "{test}: {missing}").unwrap();
    }
    None
}

fn context<J: Job>() -> JobContext {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let id = JobId::new(clock.now(), &SeededRng::new(7));
    JobContext::detached(id, J::KIND, clock, CpuPool::new(2))
}

/// A picture in two colours, so that a move can be seen.
fn picture(file: &Path) {
    let mut encoder = png::Encoder::new(std::fs::File::create(file).unwrap(), 300, 400);
    encoder.set_color(png::ColorType::Rgb);
    let pixel =
        |n: usize| if (n % 300 / 40).is_multiple_of(2) { [220, 120, 40] } else { [30, 60, 140] };
    let pixels: Vec<u8> = (0..300 * 400).flat_map(pixel).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

fn video(second: &str) -> VideoRender {
    serde_json::from_value(json!({
        "shape": {"width": 180, "height": 320}, "fps": 20, "quality": "draft",
        "transition": {"kind": "fade", "seconds": 0.2},
        "captions": {"max_words": 2},
        "logo": {"source": {"path": "a.png"}, "width": 0.1},
        "intro": {"colour": "#102030", "seconds": 0.4},
        "scenes": [
            {"text": "Hello there.", "image": {"path": "a.png"}},
            {"text": second, "image": {"path": "a.png"}, "motion": "pan_left"},
            {"text": "Bye.", "colour": "#203010"},
        ],
    }))
    .unwrap()
}

async fn render(services: &Services, job: VideoRender) -> Result<VideoResult, JobError> {
    VideoHandler::new(services).run(job, &context::<VideoRender>()).await
}

fn kept(result: &VideoResult) -> Vec<bool> {
    result.scenes.iter().map(|scene| scene.kept).collect()
}

#[tokio::test]
async fn speech_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some((blobs, services)) = ready(dir.path()) else { return };
    let job = json!({"text": "It costs $3.50. Take two!", "format": "mp3", "captions": true});
    let job: SpeechSynthesize = serde_json::from_value(job).unwrap();
    let handler = SpeechHandler::new(&services);
    let first = handler.run(job.clone(), &context::<SpeechSynthesize>()).await.unwrap();
    let again = handler.run(job, &context::<SpeechSynthesize>()).await.unwrap();
    assert_eq!((first.kept, again.kept, again.parts), (0, 1, 1));
    assert_eq!(first.audio, again.audio);
    let words: Vec<_> = first.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words, ["It", "costs", "$3.50.", "Take", "two!"]);
    assert!((first.loudness.lufs + 16.0).abs() < 0.5, "{:?}", first.loudness);
    let blobs = blobs.0.lock().unwrap();
    assert!(blobs[first.audio.as_str()].len() as u64 == first.bytes);
    let srt = String::from_utf8(blobs[first.srt.unwrap().as_str()].to_vec()).unwrap();
    assert!(srt.contains("It costs $3.50."), "{srt}");
}

#[tokio::test]
async fn one_changed_scene_renders_that_scene_alone() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("a.png"));
    let Some((blobs, services)) = ready(dir.path()) else { return };
    let first = render(&services, video("One two three.")).await.unwrap();
    assert_eq!(kept(&first), [false; 4]);
    assert_eq!((first.width, first.height, first.fps), (180, 320, 20));
    assert!((first.seconds - f64::from(first.frames) / 20.0).abs() < 1e-9);
    assert!((first.loudness.unwrap().lufs + 14.0).abs() < 0.5, "{:?}", first.loudness);
    let same = render(&services, video("One two three.")).await.unwrap();
    assert_eq!((kept(&same), &same.video), (vec![true; 4], &first.video));
    // As long as before, to the frame: the scene after it draws the same tail.
    let job = video("One two three.");
    let mut changed = job.clone();
    changed.scenes[2].colour = Some(flotilla_media::video::Rgb([200, 0, 0]));
    let changed = render(&services, changed).await.unwrap();
    assert_eq!(kept(&changed), [true, true, true, false]);
    assert_ne!(changed.video, first.video);
    assert!(blobs.0.lock().unwrap().contains_key(changed.poster.as_str()));
}

#[tokio::test]
async fn a_dropped_attempt_leaves_its_finished_scenes_and_no_program() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("a.png"));
    let Some((_, services)) = ready(dir.path()) else { return };
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut cx = context::<VideoRender>();
    cx.sink = Arc::new(move |progress| drop(tell.send(progress.message)));
    let handler = VideoHandler::new(&services);
    {
        let attempt = handler.run(video("One two three."), &cx);
        let third =
            async { while !told.recv().await.unwrap().starts_with("scene 3 of 4, frame") {} };
        tokio::select! {
            _ = attempt => panic!("it ended before its third scene"),
            () = third => {}
        }
    }
    // Dropped, as after a timeout or with a lost lease; then the next attempt.
    let next = render(&services, video("One two three.")).await.unwrap();
    assert_eq!(kept(&next), [true, true, false, false]);
    assert_eq!(children(), 0);
}

#[tokio::test]
async fn a_cancelled_attempt_ends_with_its_programs() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("a.png"));
    let Some((_, services)) = ready(dir.path()) else { return };
    let mut cx = context::<VideoRender>();
    let cancellation = cx.cancellation.clone();
    cx.sink = Arc::new(move |progress| {
        if progress.message.starts_with("scene 2 of 4, frame") {
            cancellation.cancel();
        }
    });
    let ended = VideoHandler::new(&services).run(video("One two three."), &cx).await;
    assert!(matches!(ended, Err(JobError::Retry { .. })), "the engine decides what becomes of it");
    assert_eq!(children(), 0);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_field() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.png"), "no picture").unwrap();
    let Some((_, mut services)) = ready(dir.path()) else { return };
    let mut job = video("One.");
    job.logo = None;
    let error = render(&services, job.clone()).await.unwrap_err();
    assert!(
        matches!(error, JobError::Fail { .. }) && error.text(300).contains("scenes[0].image"),
        "{}",
        error.text(300)
    );
    services.media.max_scenes = 2;
    assert!(
        render(&services, job.clone()).await.unwrap_err().text(300).contains("video.max_scenes")
    );
    services.media.max_scenes = 100;
    services.media.tools.ffmpeg.name = "no-such-ffmpeg".into();
    job.scenes.truncate(1);
    job.scenes[0].image = None;
    let error = render(&services, job).await.unwrap_err();
    assert!(error.text(300).contains("apt-get install ffmpeg"), "{}", error.text(300));
}

/// Programs that this process runs.
fn children() -> usize {
    let own = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let parent = |stat: String| Some(stat.rsplit_once(')')?.1.split_whitespace().nth(1)? == own);
    stats.filter_map(parent).filter(|is| *is).count()
}

#[test]
fn payloads_name_what_they_do_not_know() {
    let odd: Result<VideoRender, _> =
        serde_json::from_value(json!({"scenes": [{"txt": "a"}]}) as Value);
    assert!(odd.unwrap_err().to_string().contains("txt"));
}
