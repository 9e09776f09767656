//! Small videos with the real ffmpeg, looked at with ffprobe.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flotilla_media::speech::{Speech, TimedWord};
use flotilla_media::video::caption::cues;
use flotilla_media::video::segment::{Job, Scene, Shown, render, still_size};
use flotilla_media::video::{
    Canvas, CaptionStyle, Emphasis, Encoder, Fonts, Motion, Overlay, Part, Picture, Quality, Rgb,
    Transition, finish, soundtrack,
};
use flotilla_media::{MediaError, Mono, Stop, Timing, Tools};

const CANVAS: Canvas = Canvas { width: 180, height: 320, fps: 25 };

fn fonts() -> Fonts {
    let folders = ["/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/noto"];
    Fonts::new(folders.map(Into::into).to_vec())
}

fn words(text: &str) -> Vec<TimedWord> {
    let timed = |(n, word): (usize, &str)| {
        let start = n as f64 * 0.2;
        TimedWord { word: word.into(), start, end: start + 0.2, glued: false }
    };
    text.split(' ').enumerate().map(timed).collect()
}

fn still(colour: Rgb) -> Scene {
    let (width, height) = still_size(CANVAS);
    let picture = Arc::new(Picture::plain(colour, width, height));
    Scene { shown: Shown::Still { picture, motion: Motion::ZoomIn }, frames: 30, tail: 8 }
}

fn job(text: &str) -> Job {
    Job {
        canvas: CANVAS,
        scene: still(Rgb([200, 30, 30])),
        before: Some((still(Rgb([20, 20, 220])), Transition::Fade, 8)),
        cues: cues(&words(text), 3, 30),
        style: CaptionStyle { emphasis: Emphasis::Box, ..CaptionStyle::default() },
        logo: Some(Arc::new(Overlay::new(&Picture::plain(Rgb([0, 255, 0]), 20, 20), 150, 10, 0.8))),
        encoder: Encoder::X264,
        quality: Quality::Standard,
    }
}

fn speech() -> Speech {
    let samples = (0..22_050).map(|n| {
        let swell = 0.3 + 0.2 * (n as f32 * 0.0007).sin();
        swell * ((n as f32 * 0.05).sin() + 0.4 * (n as f32 * 0.31).sin())
    });
    let sound = Mono { rate: 22_050, samples: samples.collect() };
    Speech { sound, words: words("one two"), timing: Timing::Events }
}

fn make(tools: &Tools, job: &Job) -> Vec<u8> {
    render(job, &fonts(), tools, &Stop::default(), &|_| {}).unwrap()
}

#[test]
fn a_video_is_what_platforms_take() {
    let Some(tools) = support::tools() else { return };
    let segments =
        [make(&tools, &job("Hello brave new")), make(&tools, &job("world مرحبا 你好 🎉"))];
    let seconds = 60.0 / 25.0;
    let (speech, stop) = (speech(), Stop::default());
    let parts = [Part { speech: &speech, at: 0.2 }, Part { speech: &speech, at: 1.3 }];
    let sound = soundtrack(&parts, None, seconds, &tools, &stop).unwrap();
    let made = finish(&segments, &sound, CANVAS, 0.5, 1 << 30, &tools, &stop).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mp4");
    std::fs::write(&file, &made.video).unwrap();
    let about = probe(&file);
    let (video, audio) = (&about["streams"][0], &about["streams"][1]);
    for (field, wanted) in [
        ("codec_name", "h264"),
        ("profile", "High"),
        ("pix_fmt", "yuv420p"),
        ("color_space", "bt709"),
        ("color_transfer", "bt709"),
        ("color_primaries", "bt709"),
        ("color_range", "tv"),
        ("nb_read_frames", "60"),
        ("r_frame_rate", "25/1"),
    ] {
        assert_eq!(video[field], wanted, "{field}");
    }
    assert_eq!((&video["width"], &video["height"]), (&180.into(), &320.into()));
    assert_eq!((&audio["codec_name"], &audio["sample_rate"]), (&"aac".into(), &"48000".into()));
    let length = |stream: &serde_json::Value| -> f64 {
        stream["duration"].as_str().unwrap().parse().unwrap()
    };
    assert!((length(video) - 2.4).abs() < 0.001 && (length(video) - length(audio)).abs() <= 0.04);
    let place = |name: &[u8]| made.video.windows(4).position(|w| w == name).unwrap();
    assert!(place(b"moov") < place(b"mdat"), "it can be played before it is loaded whole");
    let (lufs, peak) = support::loudness(&file);
    assert!((lufs + 14.0).abs() <= 0.5 && peak <= -1.0, "{lufs} LUFS {peak} dBTP");
    assert!(made.loudness.is_some_and(|said| (said.lufs - lufs).abs() < 0.3));
    assert_eq!(&made.poster[..3], b"\xff\xd8\xff");
}

#[test]
fn the_same_scene_is_the_same_segment() {
    let Some(tools) = support::tools() else { return };
    assert!(make(&tools, &job("Hello")) == make(&tools, &job("Hello")));
}

#[test]
fn a_stop_ends_the_encoder_too() {
    let Some(tools) = support::tools() else { return };
    let stop = Stop::default();
    let seen = AtomicU32::new(0);
    let stopped = render(&job("Hello"), &fonts(), &tools, &stop, &|frame| {
        seen.store(frame, Ordering::Relaxed);
        if frame == 5 {
            stop.stop();
        }
    });
    assert!(matches!(stopped, Err(MediaError::Stopped)), "{stopped:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 5);
    assert_eq!(children(), Vec::<String>::new());
}

#[test]
fn a_clip_is_fitted_and_a_broken_one_is_named() {
    let Some(tools) = support::tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clip.mp4");
    std::fs::write(&file, make(&tools, &job("inside"))).unwrap();
    let clip = Scene { shown: Shown::Clip(file.clone()), frames: 40, tail: 0 };
    let fitted =
        Job { scene: clip.clone(), before: Some((clip, Transition::Slide, 5)), ..job("Hello") };
    let out = dir.path().join("out.mp4");
    std::fs::write(&out, make(&tools, &fitted)).unwrap();
    assert_eq!(probe(&out)["streams"][0]["nb_read_frames"], "40", "its last frame stays");

    std::fs::write(&file, "no clip").unwrap();
    let broken = Job {
        scene: Scene { shown: Shown::Clip(file), frames: 5, tail: 0 },
        before: None,
        ..job("")
    };
    let error = render(&broken, &fonts(), &tools, &Stop::default(), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("clip"), "{error}");
}

/// Everything ffprobe knows, as JSON.
fn probe(file: &Path) -> serde_json::Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json"]);
    serde_json::from_slice(&command.arg(file).output().unwrap().stdout).unwrap()
}

/// Processes whose parent is this one.
fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let child = |stat: &String| {
        let after =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().nth(1).unwrap_or(""));
        after == Some(own.as_str())
    };
    stats.filter(child).collect()
}
