//! Videos that break somebody's bounds, made to fit: looked into with ffprobe, then cut, held,
//! scaled, padded, brought to another pace and written anew as H.264 and AAC until they are small
//! enough.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audio::codec::FORMATS;
use crate::child::{Program, Stop, run};
use crate::error::MediaError;
use crate::tools::Tools;

/// Bumped when the same video would be written in another way.
pub const VERSION: u32 = 1;
/// Longest side of what is written, where nothing else bounds it.
const LONGEST: f64 = 1920.0;
/// Bits per second of the sound.
const SOUND: f64 = 128_000.0;
/// Bits per second of the picture that are enough for anybody.
const ENOUGH: f64 = 8_000_000.0;
/// Fewer are not worth looking at.
const LEAST: f64 = 80_000.0;
/// Bits that a pixel of one frame wants at least.
const PER_PIXEL: f64 = 0.025;
/// How much smaller each try is than the one before.
const TRIES: [f64; 4] = [1.0, 0.75, 0.5, 0.3];
/// How far inside the bounds of time it ends: sound comes in frames of 21 ms.
const INSIDE: f64 = 0.1;

/// What a video is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Pixels across, as it is shown.
    pub width: u32,
    /// Pixels down, as it is shown.
    pub height: u32,
    /// How long it plays.
    pub seconds: f64,
    /// Frames per second.
    pub fps: f64,
    /// How its pictures are coded, as in `h264`.
    pub codec: String,
    /// How its sound is coded; `None`: it has none.
    pub sound: Option<String>,
    /// Its size.
    pub bytes: u64,
}

/// What it has to keep; 0 or `None`: no bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Largest, in bytes.
    pub max_bytes: u64,
    /// Shortest, in seconds.
    pub min_seconds: f64,
    /// Longest, in seconds.
    pub max_seconds: f64,
    /// Narrowest.
    pub min_width: u32,
    /// Widest.
    pub max_width: u32,
    /// Lowest.
    pub min_height: u32,
    /// Highest.
    pub max_height: u32,
    /// Width over height, from and to.
    pub aspect: Option<(f64, f64)>,
    /// Fewest frames per second.
    pub min_fps: f64,
    /// Most frames per second.
    pub max_fps: f64,
    /// Most bits per second.
    pub max_bitrate: u64,
}

/// Looks into a file.
///
/// # Errors
/// ffprobe is not here; the file holds no video that can be read.
pub fn look(file: &Path, tools: &Tools, stop: &Stop) -> Result<Film, MediaError> {
    // It comes with ffmpeg, and lies beside it.
    let name = Path::new(&tools.ffmpeg.name).with_file_name("ffprobe").into_os_string();
    let ffprobe = Program { name, ..tools.ffmpeg.clone() };
    let mut args: Vec<OsString> =
        ["-v", "error", "-protocol_whitelist", "file"].map(OsString::from).to_vec();
    args.extend(["-format_whitelist", FORMATS, "-print_format", "json"].map(Into::into));
    args.extend(["-show_format", "-show_streams"].map(Into::into));
    args.push(file.into());
    let said = run(&ffprobe, &args, Vec::new(), 1 << 20, stop)?;
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    let bytes = std::fs::metadata(file).map_err(MediaError::io("look at a video"))?.len();
    read(&said, bytes).ok_or_else(|| MediaError::invalid("video", "ffprobe finds no picture in it"))
}

fn read(said: &Value, bytes: u64) -> Option<Film> {
    let streams = said["streams"].as_array()?;
    let of = |sort: &str| streams.iter().find(|stream| stream["codec_type"] == sort);
    let picture = of("video")?;
    let number = |value: &Value| value.as_str()?.parse::<f64>().ok();
    let side = |name: &str| u32::try_from(picture[name].as_u64()?).ok();
    let (width, height) = (side("width")?, side("height")?);
    let turned = picture["side_data_list"].as_array().into_iter().flatten();
    let turned = turned.filter_map(|data| data["rotation"].as_i64()).any(|angle| angle % 180 != 0);
    let rate = |name: &str| {
        let (count, per) = picture[name].as_str()?.split_once('/')?;
        let fps = count.parse::<f64>().ok()? / per.parse::<f64>().ok()?;
        (fps.is_finite() && fps > 0.0).then_some(fps)
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Film {
        width: if turned { height } else { width },
        height: if turned { width } else { height },
        seconds: number(&said["format"]["duration"]).or_else(|| number(&picture["duration"]))?,
        fps: rate("avg_frame_rate").or_else(|| rate("r_frame_rate"))?,
        codec: text(&picture["codec_name"]).unwrap_or_default(),
        sound: of("audio").and_then(|sound| text(&sound["codec_name"])),
        bytes,
    })
}

/// Writes `file`, which is `film`, anew within `bounds`, as an MP4 at `into`.
///
/// # Errors
/// ffmpeg is not here or fails; it does not get small enough.
pub fn fit(
    file: &Path,
    film: &Film,
    bounds: &Bounds,
    into: &Path,
    tools: &Tools,
    stop: &Stop,
) -> Result<Film, MediaError> {
    let plan = Plan::of(film, bounds);
    for part in TRIES {
        let Some(bits) = plan.bits(film, bounds, part) else { break };
        let args = plan.args(file, film, bits, into, tools);
        run(&tools.ffmpeg, &args, Vec::new(), 1 << 16, stop)?;
        let made = look(into, tools, stop)?;
        if bounds.max_bytes == 0 || made.bytes <= bounds.max_bytes {
            return Ok(made);
        }
    }
    Err(MediaError::invalid("video", "it does not get small enough without becoming ugly"))
}

/// What it becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    width: u32,
    height: u32,
    seconds: f64,
    fps: f64,
}

impl Plan {
    fn of(film: &Film, bounds: &Bounds) -> Self {
        let mut seconds = film.seconds;
        if bounds.max_seconds > 0.0 && seconds > bounds.max_seconds {
            seconds = bounds.max_seconds - INSIDE;
        }
        if seconds < bounds.min_seconds {
            seconds = bounds.min_seconds + INSIDE;
        }
        let most = if bounds.max_fps > 0.0 { bounds.max_fps } else { 60.0 };
        let fps = film.fps.clamp(bounds.min_fps.min(most), most);
        let (width, height) = shape(film, bounds);
        Self { width, height, seconds, fps }
    }

    /// Bits per second of the picture; `None`: there is no room for one.
    fn bits(&self, film: &Film, bounds: &Bounds, part: f64) -> Option<f64> {
        let sound = if film.sound.is_some() { SOUND } else { 0.0 };
        let mut bits = ENOUGH;
        if bounds.max_bitrate > 0 {
            bits = bits.min(bounds.max_bitrate as f64 * 0.9 - sound);
        }
        if bounds.max_bytes > 0 {
            // A little is for the container.
            bits = bits.min(bounds.max_bytes as f64 * 8.0 * 0.96 / self.seconds - sound);
        }
        let bits = bits * part;
        (bits >= LEAST).then_some(bits)
    }

    /// The frame that so many bits are enough for.
    fn frame(&self, bits: f64) -> (u32, u32) {
        let pixels = f64::from(self.width) * f64::from(self.height);
        let part = (bits / (pixels * self.fps * PER_PIXEL)).sqrt().clamp(0.25, 1.0);
        (even(f64::from(self.width) * part), even(f64::from(self.height) * part))
    }

    fn args(
        &self,
        file: &Path,
        film: &Film,
        bits: f64,
        into: &Path,
        tools: &Tools,
    ) -> Vec<OsString> {
        let (w, h) = self.frame(bits);
        let mut filter = format!(
            "scale={w}:{h}:force_original_aspect_ratio=decrease:force_divisible_by=2,\
             pad={w}:{h}:(ow-iw)/2:(oh-ih)/2,setsar=1,fps={:.3}",
            self.fps
        );
        let held = self.seconds - film.seconds;
        if held > 0.0 {
            filter += &format!(",tpad=stop_mode=clone:stop_duration={held:.3}");
        }
        let mut args: Vec<OsString> = tools.ffmpeg_args();
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        add(&["-format_whitelist", FORMATS, "-protocol_whitelist", "file", "-i"]);
        add(&[&file.to_string_lossy(), "-map", "0:v:0", "-map", "0:a:0?", "-vf", &filter]);
        if held > 0.0 && film.sound.is_some() {
            add(&["-af", "apad"]);
        }
        let rate = format!("{bits:.0}");
        add(&["-t", &format!("{:.3}", self.seconds), "-c:v", "libx264", "-preset", "veryfast"]);
        add(&["-crf", "21", "-maxrate", &rate, "-bufsize", &rate]);
        add(&["-profile:v", "high", "-pix_fmt", "yuv420p", "-g", "60"]);
        add(&["-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"]);
        if tools.threads > 0 {
            add(&["-threads", &tools.threads.to_string()]);
        }
        // The index first, and no edit list: some refuse files that have one.
        add(&["-movflags", "+faststart", "-use_editlist", "0", "-map_metadata", "-1"]);
        add(&[
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
            "-f",
            "mp4",
            &into.to_string_lossy(),
        ]);
        args
    }
}

/// The frame: the shape first, then its size.
fn shape(film: &Film, bounds: &Bounds) -> (u32, u32) {
    let (mut wide, mut high) = (f64::from(film.width.max(2)), f64::from(film.height.max(2)));
    if let Some((least, most)) = bounds.aspect {
        // Half a per cent inside, so that whole pixels do not lead out again.
        let (least, most) = (least * 1.005, most * 0.995);
        let ratio = wide / high;
        if ratio > most {
            high = wide / most;
        } else if ratio < least {
            wide = high * least;
        }
    }
    let most = |bound: u32| if bound > 0 { f64::from(bound) } else { LONGEST };
    let part = (most(bounds.max_width) / wide).min(most(bounds.max_height) / high).min(1.0);
    let least = (f64::from(bounds.min_width) / wide).max(f64::from(bounds.min_height) / high);
    if least > part {
        let up = |side: f64| ((side * least / 2.0).ceil() * 2.0) as u32;
        return (up(wide), up(high));
    }
    (even(wide * part), even(high * part))
}

/// The even number at or below it.
fn even(side: f64) -> u32 {
    (((side / 2.0) + 1e-6).floor().max(1.0) * 2.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(width: u32, height: u32, seconds: f64) -> Film {
        let sound = Some("aac".to_owned());
        Film { width, height, seconds, fps: 30.0, codec: "h264".into(), sound, bytes: 1 << 20 }
    }

    fn tools() -> Tools {
        Tools::along("/usr/local/bin:/usr/bin:/bin".into())
    }

    /// A film of moving bars, with a tone.
    fn make(into: &Path, size: &str, rate: u32, seconds: u32) {
        let picture = format!("testsrc=size={size}:rate={rate}:duration={seconds}");
        let tone = format!("sine=frequency=440:duration={seconds}");
        let mut args = tools().ffmpeg_args();
        for source in [&picture, &tone] {
            args.extend(["-f", "lavfi", "-i", source].map(OsString::from));
        }
        args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"].map(OsString::from));
        args.push(into.into());
        run(&tools().ffmpeg, &args, Vec::new(), 1 << 16, &Stop::default()).unwrap();
    }

    #[test]
    fn shape_pace_and_length_are_those_that_are_taken() {
        let upright = Bounds {
            aspect: Some((0.5, 0.6)),
            min_width: 540,
            min_height: 960,
            ..Bounds::default()
        };
        let plan = Plan::of(&film(1920, 1080, 20.0), &upright);
        let ratio = f64::from(plan.width) / f64::from(plan.height);
        assert!(
            plan.height <= 1920 && plan.width >= 540 && (0.5..=0.6).contains(&ratio),
            "{plan:?}"
        );
        let small = Bounds {
            max_width: 1280,
            max_height: 1024,
            max_seconds: 140.0,
            max_fps: 24.0,
            ..Bounds::default()
        };
        let plan = Plan::of(&film(3840, 2160, 300.0), &small);
        assert_eq!((plan.width, plan.height, plan.seconds, plan.fps), (1280, 720, 139.9, 24.0));
        let long = Bounds { min_seconds: 3.0, min_width: 321, ..Bounds::default() };
        let plan = Plan::of(&film(160, 90, 1.0), &long);
        assert_eq!((plan.width, plan.height, plan.seconds), (322, 182, 3.1));
    }

    #[test]
    fn few_bytes_make_a_smaller_frame_and_too_few_make_none() {
        let film = film(1920, 1080, 100.0);
        let of = |max_bytes| {
            let bounds = Bounds { max_bytes, ..Bounds::default() };
            let plan = Plan::of(&film, &bounds);
            plan.bits(&film, &bounds, 1.0).map(|bits| plan.frame(bits))
        };
        assert_eq!(of(200_000_000), Some((1920, 1080)));
        let (width, _) = of(5_000_000).unwrap();
        assert!((480..1280).contains(&width), "{width}");
        assert_eq!(of(1_000_000), None);
    }

    #[test]
    fn a_film_is_cut_padded_and_written_small() {
        let dir = tempfile::tempdir().unwrap();
        let (from, into) = (dir.path().join("a.mp4"), dir.path().join("b.mp4"));
        make(&from, "640x240", 60, 6);
        let stop = Stop::default();
        let film = look(&from, &tools(), &stop).unwrap();
        assert_eq!((film.width, film.height, film.fps.round() as u32), (640, 240, 60));
        let bounds = Bounds {
            max_bytes: 150_000,
            max_seconds: 4.0,
            max_fps: 30.0,
            aspect: Some((0.8, 1.91)),
            ..Bounds::default()
        };
        let made = fit(&from, &film, &bounds, &into, &tools(), &stop).unwrap();
        assert!(made.bytes <= 150_000 && made.seconds <= 4.0 && made.seconds > 3.5, "{made:?}");
        let ratio = f64::from(made.width) / f64::from(made.height);
        assert!((0.8..=1.91).contains(&ratio) && made.fps <= 30.0, "{made:?}");
        assert_eq!((made.codec.as_str(), made.sound.as_deref()), ("h264", Some("aac")));
    }

    #[test]
    fn without_ffmpeg_it_says_what_to_install() {
        let nowhere = Tools::along("/nowhere".into());
        let error = look(Path::new("a.mp4"), &nowhere, &Stop::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ffprobe is not here: install it (Debian: apt-get install ffmpeg) or set video.ffmpeg"
        );
    }
}
