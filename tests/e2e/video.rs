//! `video.render` and `speech.synthesize` with the real binary, ffmpeg and espeak-ng: what comes out is
//! looked at with ffprobe and ffmpeg's own meter, frame by frame where it matters.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Place, photo, skipped};

/// Small, so that a debug build renders it soon.
const SHAPE: (u64, u64) = (180, 320);

fn programs(test: &str) -> bool {
    let there = |program: &str| Command::new(program).arg("-version").output().is_ok();
    let all = ["ffmpeg", "ffprobe", "espeak-ng"].iter().all(|program| there(program));
    if !all {
        skipped(test, "ffmpeg, ffprobe and espeak-ng are not all here");
    }
    all
}

/// Runs a payload with `try` and gives its result; blobs go to `out`.
fn rendered(place: &Place, kind: &str, payload: &Value) -> Value {
    let out = place.path().join("out");
    let payload = place.file("payload.json", payload.to_string());
    let payload = format!("@{}", payload.display());
    let said = place.json(&["try", kind, "--payload", &payload, "--out", out.to_str().unwrap()]);
    assert_eq!(said["ok"], true, "{said}");
    said["result"].clone()
}

fn blob(place: &Place, key: &Value) -> PathBuf {
    place.path().join("out").join(key.as_str().unwrap())
}

fn place() -> Place {
    Place::new().set("video.hardware=off").set("video.threads=1")
}

fn shape() -> Value {
    json!({"width": SHAPE.0, "height": SHAPE.1})
}

fn probe(file: &Path, more: &[&str]) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json"]).args(more).arg(file);
    serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
}

/// Integrated loudness and true peak, as ffmpeg's own meter has them.
fn loudness(file: &Path) -> (f64, f64) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-i"]).arg(file);
    let out = command.args(["-af", "ebur128=peak=true", "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let summary = &said[said.rfind("Summary:").unwrap()..];
    let value = |label: &str| -> f64 {
        let line = summary.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (value("I:"), value("Peak:"))
}

/// One frame as rows of RGB.
fn frame(file: &Path, second: f64) -> Vec<Vec<[u8; 3]>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-ss", &second.to_string()]);
    command.arg("-i").arg(file);
    command.args(["-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]);
    let raw = command.output().unwrap().stdout;
    let rows = raw.chunks_exact(SHAPE.0 as usize * 3);
    rows.map(|row| row.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()).collect()
}

/// The first and last column with a pixel of that sort.
fn columns(rows: &[Vec<[u8; 3]>], is: impl Fn([u8; 3]) -> bool) -> Option<(usize, usize)> {
    let found = |column: &usize| rows.iter().any(|row| is(row[*column]));
    let first = (0..SHAPE.0 as usize).find(found)?;
    Some((first, (0..SHAPE.0 as usize).rfind(found)?))
}

#[test]
fn a_narrated_video_is_what_platforms_take() {
    if !programs("a_narrated_video_is_what_platforms_take") {
        return;
    }
    let place = place();
    let tone = place.path().join("music.wav");
    let mut make = Command::new("ffmpeg");
    make.args(["-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "sine=220:duration=3"]);
    assert!(make.arg(&tone).status().unwrap().success());
    let (photos, tone) = ([photo("fig.jpg"), photo("peaks.webp"), photo("badge.png")], &tone);
    let scene = |n: usize, text: &str, kind: &str| {
        json!({"text": text, "image": {"path": photos[n]},
               "transition": {"kind": kind, "seconds": 0.3}})
    };
    let job = json!({
        "shape": shape(), "fps": 25, "music": {"source": {"path": tone}},
        "logo": {"source": {"path": photo("badge.png")}},
        "captions": {"emphasis": "box", "background": "#202020"},
        "intro": {"colour": "#204060", "seconds": 0.6},
        "scenes": [scene(0, "Fresh figs for $3.50.", "fade"), scene(1, "High peaks.", "slide"),
                   scene(2, "Good price.", "dip")],
    });
    let result = rendered(&place, "video.render", &job);
    let file = blob(&place, &result["video"]);
    let about = probe(&file, &["-count_frames", "-show_streams"]);
    let (video, audio) = (&about["streams"][0], &about["streams"][1]);
    for (field, wanted) in [
        ("codec_name", json!("h264")),
        ("pix_fmt", json!("yuv420p")),
        ("color_space", json!("bt709")),
        ("color_range", json!("tv")),
        ("r_frame_rate", json!("25/1")),
        ("avg_frame_rate", json!("25/1")),
        ("width", json!(SHAPE.0)),
        ("height", json!(SHAPE.1)),
        ("nb_read_frames", json!(result["frames"].to_string())),
    ] {
        assert_eq!(video[field], wanted, "{field}");
    }
    let length = |stream: &Value| -> f64 { stream["duration"].as_str().unwrap().parse().unwrap() };
    assert!((length(video) - length(audio)).abs() <= 1.0 / 25.0, "{about}");
    assert!((length(video) - result["seconds"].as_f64().unwrap()).abs() < 0.001);

    // A constant rate: every frame lasts as long as every other; a key frame begins each scene.
    let frames = probe(&file, &["-select_streams", "v", "-show_entries", "frame=pts,key_frame"]);
    let frames = frames["frames"].as_array().unwrap();
    let times: Vec<i64> = frames.iter().map(|f| f["pts"].as_i64().unwrap()).collect();
    assert!(times.windows(2).all(|w| w[1] - w[0] == times[1] - times[0]), "{times:?}");
    for scene in result["scenes"].as_array().unwrap() {
        let first = (scene["start"].as_f64().unwrap() * 25.0).round() as usize;
        assert_eq!(frames[first]["key_frame"], 1, "{scene}");
    }
    let bytes = std::fs::read(&file).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|w| w == name).unwrap();
    assert!(at(b"moov") < at(b"mdat"), "it can be played before it is loaded whole");
    let (lufs, peak) = loudness(&file);
    assert!((lufs + 14.0).abs() <= 0.5 && peak <= -1.0, "{lufs} LUFS, {peak} dBTP");
    let scenes = result["scenes"].as_array().unwrap();
    assert!(scenes.iter().skip(1).all(|scene| scene["timing"] == "events"), "{result}");
    assert_eq!((scenes.len(), result["encoder"]["encoder"].as_str()), (4, Some("x264")));
    assert_eq!(result.get("warnings"), None);
    let srt = std::fs::read_to_string(blob(&place, &result["srt"])).unwrap();
    assert!(srt.contains("Fresh figs for $3.50."), "{srt}");
    assert_eq!(&std::fs::read(blob(&place, &result["poster"])).unwrap()[..3], b"\xff\xd8\xff");

    // Another text in the last scene: the others are there already.
    let mut changed = job;
    changed["scenes"][2]["text"] = json!("Best price.");
    let again = rendered(&place, "video.render", &changed);
    let kept: Vec<bool> =
        again["scenes"].as_array().unwrap().iter().map(|s| s["kept"] == true).collect();
    assert_eq!(kept, [true, true, true, false]);
}

#[test]
fn the_spoken_word_is_lit_where_it_stands_in_every_direction() {
    if !programs("the_spoken_word_is_lit_where_it_stands_in_every_direction") {
        return;
    }
    for (language, text, leftwards) in [
        ("en-us", "Open the door", false),
        (
            "he",
            "\u{5d1}\u{5d5}\u{5d0}\u{5d5} \u{5d0}\u{5dc} \u{5d4}\u{5d7}\u{5e0}\u{5d5}\u{5ea}",
            true,
        ),
        (
            "ar",
            "\u{645}\u{631}\u{62d}\u{628}\u{627} \u{628}\u{643}\u{645} \u{647}\u{646}\u{627}",
            true,
        ),
    ] {
        let place = place();
        let job = json!({"shape": shape(), "fps": 25,
            "captions": {"highlight": "#ff0000", "outline_width": 0.0, "size": 0.1},
            "scenes": [{"text": text, "voice": {"language": language}, "colour": "#000000"}]});
        let result = rendered(&place, "video.render", &job);
        let file = blob(&place, &result["video"]);
        let seconds = result["seconds"].as_f64().unwrap();
        let lit = |[r, g, b]: [u8; 3]| r > 110 && g < 80 && b < 80;
        let words = |[r, g, b]: [u8; 3]| r.max(g).max(b) > 100;
        let places: Vec<(usize, usize)> = [0.16, seconds - 0.4]
            .iter()
            .map(|second| {
                let rows = frame(&file, *second);
                let (left, right) = columns(&rows, words).expect("a caption");
                assert!(left > 4 && right < 175, "{language}: nothing is cut off: {left} {right}");
                assert!((left + right).abs_diff(180) <= 12, "{language}: {left} {right}");
                columns(&rows, lit).unwrap_or_else(|| panic!("{language}: no lit word"))
            })
            .collect();
        let (first, last) = (places[0], places[1]);
        let moved = if leftwards { last.1 <= first.0 + 2 } else { first.1 <= last.0 + 2 };
        assert!(moved, "{language}: {places:?}");
    }
}

#[test]
fn speech_tells_when_each_word_begins() {
    if !programs("speech_tells_when_each_word_begins") {
        return;
    }
    let place = Place::new();
    let job = json!({"text": "It costs $3.50 today. Buy two!", "captions": true, "format": "mp3"});
    let result = rendered(&place, "speech.synthesize", &job);
    assert_eq!(result["timing"], "events", "the binary is its own helper: {result}");
    let words = result["words"].as_array().unwrap();
    assert_eq!(words.len(), 6);
    let start = |word: &Value| word["start"].as_f64().unwrap();
    assert!(words.windows(2).all(|pair| start(&pair[0]) < start(&pair[1])), "{result}");
    let about = probe(&blob(&place, &result["audio"]), &["-show_format"]);
    let length: f64 = about["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((length - result["seconds"].as_f64().unwrap()).abs() < 0.1, "{about}");
    let (lufs, peak) = loudness(&blob(&place, &result["audio"]));
    assert!(peak <= -1.0 && (-21.0..-15.0).contains(&lufs), "{lufs} LUFS, {peak} dBTP");
}

#[test]
fn photos_and_videos_at_once_starve_nobody_and_lose_no_lease() {
    if !programs("photos_and_videos_at_once_starve_nobody_and_lose_no_lease") {
        return;
    }
    let roots = format!("sources.roots=[\"{}\"]", photo("fig.jpg").parent().unwrap().display());
    let place = place().set("worker.concurrency=4").set(&roots);
    let videos = (0..3).map(|n| {
        json!({"shape": shape(), "fps": 25, "scenes": [
            {"text": format!("Video {n}."), "image": {"path": photo("fig.jpg")}}]})
    });
    let photos = (0..40).map(|n| {
        let name = ["fig.jpg", "peaks.webp", "stream.jpg", "badge.png"][n % 4];
        json!({"source": {"path": photo(name)}, "outputs": [
            {"name": "small", "width": 60 + n, "fit": "width", "format": "jpeg"}]})
    });
    let lines = |payloads: &mut dyn Iterator<Item = Value>| {
        payloads.map(|payload| payload.to_string() + "\n").collect::<String>()
    };
    for (kind, mut payloads) in [
        ("video.render", Box::new(videos) as Box<dyn Iterator<Item = Value>>),
        ("thumbnail.generate", Box::new(photos) as Box<dyn Iterator<Item = Value>>),
    ] {
        let file = place.file("jobs.jsonl", lines(&mut payloads));
        place.ok(&["enqueue", kind, "--jsonl", file.to_str().unwrap()]);
    }
    place.ok(&["worker", "--until-idle"]);
    let jobs = place.records();
    assert_eq!(jobs.len(), 43);
    for job in &jobs {
        assert_eq!(job["state"], "completed", "{job}");
        assert_eq!(job["attempt"], 1, "no lease was lost: {job}");
    }
    let ends = |kind: &str| {
        let own = jobs.iter().filter(move |job| job["kind"] == kind);
        own.map(|job| job["finished_at"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (videos, photos) = (ends("video.render"), ends("thumbnail.generate"));
    assert!(photos.iter().min() < videos.iter().max(), "photos did not wait for all videos");
}

#[test]
fn what_cannot_be_rendered_is_said_and_what_is_missing_too() {
    if !programs("what_cannot_be_rendered_is_said_and_what_is_missing_too") {
        return;
    }
    let place = place();
    for (payload, words) in [
        (json!({"scenes": []}), "scenes"),
        (json!({"scenes": [{"text": "Hi.", "image": {"path": "/no/such.jpg"}}]}), "such.jpg"),
        (json!({"fps": 90, "scenes": [{"text": "Hi."}]}), "video.max_fps"),
        (json!({"scenes": [{"text": "Hi.", "voice": {"name": "-f /etc/passwd"}}]}), "voice"),
    ] {
        let ran = place.run(&["try", "video.render", "--payload", &payload.to_string()]).code(1);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{payload}: {said}");
    }
    let missing = place.set("video.ffmpeg=no-such-ffmpeg");
    let payload = json!({"scenes": [{"colour": "#102030", "seconds": 0.2}]}).to_string();
    let ran = missing.run(&["try", "video.render", "--payload", &payload]).code(1);
    assert!(ran.out.contains("apt-get install ffmpeg"), "{}", ran.out);
    let said = missing.run(&["doctor"]);
    assert!(said.out.contains("no-such-ffmpeg"), "{}", said.out);
}
