//! Which encoder makes the H.264, and why.

use std::ffi::OsString;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Canvas;
use crate::child::{Stop, run};
use crate::tools::Tools;

/// An encoder of ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// x264, on the CPU.
    X264,
    /// NVIDIA's.
    Nvenc,
    /// Intel's.
    Qsv,
}

/// How much care is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Faster, for a look.
    Draft,
    /// For publication.
    #[default]
    Standard,
}

/// The encoder that is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// Which.
    pub encoder: Encoder,
    /// Why this one.
    pub why: String,
}

/// Takes the first hardware encoder that encodes a trial frame here, else x264.
#[must_use]
pub fn choose(hardware: bool, tools: &Tools, stop: &Stop) -> Choice {
    if !hardware {
        let why = "hardware encoders are off (video.hardware)".to_owned();
        return Choice { encoder: Encoder::X264, why };
    }
    for encoder in [Encoder::Nvenc, Encoder::Qsv] {
        let mut args = tools.ffmpeg_args();
        let source = "color=black:size=256x256:rate=25:duration=0.2";
        args.extend(["-f", "lavfi", "-i", source, "-c:v", encoder.name()].map(Into::into));
        args.extend(["-f", "null", "-"].map(Into::into));
        if run(&tools.ffmpeg, &args, Vec::new(), 1 << 16, stop).is_ok() {
            return Choice { encoder, why: format!("{} encoded a trial frame", encoder.name()) };
        }
    }
    let why = "no hardware encoder works here".to_owned();
    Choice { encoder: Encoder::X264, why }
}

impl Encoder {
    /// What ffmpeg calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Nvenc => "h264_nvenc",
            Self::Qsv => "h264_qsv",
        }
    }

    /// Arguments that every segment shares, so that segments can be joined as they are.
    pub(crate) fn args(self, canvas: Canvas, quality: Quality, threads: usize) -> Vec<OsString> {
        let mut args: Vec<String> = vec!["-c:v".into(), self.name().into()];
        let quality: &[&str] = match (self, quality) {
            // measured on slow moves: an eighth less CPU than the preset alone, at its size and SSIM
            (Self::X264, Quality::Standard) => {
                let less = "me=dia:partitions=i8x8,i4x4";
                &["-preset", "veryfast", "-crf", "21", "-x264-params", less]
            }
            (Self::X264, Quality::Draft) => {
                &["-preset", "superfast", "-crf", "23", "-x264-params", "mbtree=1:rc-lookahead=10"]
            }
            (Self::Nvenc, Quality::Standard) => {
                &["-preset", "p5", "-rc", "vbr", "-cq", "22", "-b:v", "0"]
            }
            (Self::Nvenc, Quality::Draft) => {
                &["-preset", "p2", "-rc", "vbr", "-cq", "26", "-b:v", "0"]
            }
            (Self::Qsv, Quality::Standard) => &["-global_quality", "22"],
            (Self::Qsv, Quality::Draft) => &["-global_quality", "27"],
        };
        args.extend(quality.iter().map(|word| (*word).to_owned()));
        args.extend(["-profile:v", "high", "-pix_fmt", "yuv420p"].map(str::to_owned));
        args.extend(["-g".to_owned(), (canvas.fps * 2).to_string()]);
        if threads > 0 {
            args.extend(["-threads".to_owned(), threads.to_string()]);
        }
        for tag in ["-color_primaries", "-color_trc", "-colorspace"] {
            args.extend([tag.to_owned(), "bt709".to_owned()]);
        }
        args.extend(["-color_range", "tv", "-fflags", "+bitexact"].map(str::to_owned));
        args.extend(["-video_track_timescale".to_owned(), (canvas.fps * 512).to_string()]);
        args.into_iter().map(Into::into).collect()
    }
}
