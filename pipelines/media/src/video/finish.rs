//! Segments and sound become one file: joined as they are, mastered, measured, with a poster.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::Canvas;
use crate::audio::mix::RATE;
use crate::audio::{Loudness, codec, loudness, write_wav};
use crate::child::{Stop, run};
use crate::error::MediaError;
use crate::tools::Tools;

/// Loudness of a video.
const TARGET: f64 = -14.0;
/// The promise is -1; meters differ by a little.
const PEAK: f64 = -1.2;
/// What is aimed at first: coding moves peaks.
const CEILING: f64 = -1.7;

/// A finished video.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The MP4.
    pub video: Vec<u8>,
    /// A JPEG.
    pub poster: Vec<u8>,
    /// What the coded sound measures; none: the video is silent.
    pub loudness: Option<Loudness>,
}

/// Joins `segments`, in order, with stereo `sound` at 48 kHz; the poster is taken at `poster`
/// seconds. Of more than `max_bytes` nothing is made.
///
/// # Errors
/// When ffmpeg is missing or fails, when the video is too large, or it was stopped.
pub fn finish(
    segments: &[impl AsRef<[u8]>],
    sound: &[f32],
    canvas: Canvas,
    poster: f64,
    max_bytes: u64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Finished, MediaError> {
    let dir = tools.work_folder()?;
    let mut list = String::from("ffconcat version 1.0\n");
    for (index, segment) in segments.iter().enumerate() {
        let name = format!("segment{index}.mp4");
        std::fs::write(dir.path().join(&name), segment)
            .map_err(MediaError::io("write a segment"))?;
        let _ = writeln!(list, "file {name}");
    }
    std::fs::write(dir.path().join("list"), list)
        .map_err(MediaError::io("write a list of segments"))?;
    let seconds = sound.len() as f64 / 2.0 / f64::from(RATE);
    let (mut ceiling, mut measured) = (CEILING, None);
    for _ in 0..3 {
        let mut mastered = sound.to_vec();
        loudness::master(&mut mastered, 2, RATE, TARGET, ceiling);
        std::fs::write(dir.path().join("sound.wav"), write_wav(&mastered, RATE, 2))
            .map_err(MediaError::io("write the sound"))?;
        join(dir.path(), canvas, tools, stop)?;
        let coded = codec::decode_file(
            dir.path().join("video.mp4").as_os_str(),
            seconds + 1.0,
            tools,
            stop,
        )?;
        let found = loudness::measure(&coded, 2, RATE);
        measured = (found.lufs > -69.0).then_some(found);
        if found.true_peak <= PEAK {
            break;
        }
        ceiling -= found.true_peak - PEAK + 0.2; // coding raised a peak above the promise
    }
    let file = dir.path().join("video.mp4");
    let size = std::fs::metadata(&file).map_err(MediaError::io("read the video"))?.len();
    if size > max_bytes {
        let what = format!("a video of {size} bytes");
        return Err(MediaError::TooLarge { what, max: max_bytes, setting: "blobs.max_bytes" });
    }
    let picture = dir.path().join("poster.jpg");
    let mut args: Vec<OsString> = tools.ffmpeg_args();
    args.extend(["-ss", &format!("{poster:.3}"), "-i"].map(Into::into));
    args.extend([
        file.clone().into_os_string(),
        "-frames:v".into(),
        "1".into(),
        "-q:v".into(),
        "3".into(),
    ]);
    args.push(picture.clone().into());
    run(&tools.ffmpeg, &args, Vec::new(), 1 << 16, stop)?;
    let read = |path: &Path| std::fs::read(path).map_err(MediaError::io("read what ffmpeg made"));
    Ok(Finished { video: read(&file)?, poster: read(&picture)?, loudness: measured })
}

fn join(dir: &Path, canvas: Canvas, tools: &Tools, stop: &Stop) -> Result<(), MediaError> {
    let at = |name: &str| dir.join(name).into_os_string();
    let mut args: Vec<OsString> = tools.ffmpeg_args();
    args.extend(["-f".into(), "concat".into(), "-i".into(), at("list")]);
    args.extend(["-i".into(), at("sound.wav")]);
    args.extend(
        ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-b:a", "160k"]
            .map(Into::into),
    );
    args.extend(["-ar", "48000", "-fflags", "+bitexact", "-flags:a", "+bitexact"].map(Into::into));
    args.extend(["-video_track_timescale".into(), (canvas.fps * 512).to_string().into()]);
    args.extend(["-map_metadata", "-1", "-movflags", "+faststart"].map(Into::into));
    args.push(at("video.mp4"));
    run(&tools.ffmpeg, &args, Vec::new(), 1 << 16, stop).map(|_| ())
}
