//! Coded sound: through ffmpeg, in and out.

use std::ffi::OsString;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mono;
pub(crate) use super::mix::RATE;
use super::wav::{from_i16, read_wav, write_wav};
use crate::child::{Stop, run};
use crate::error::MediaError;
use crate::tools::Tools;

/// What speech is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// 16-bit samples.
    #[default]
    Wav,
    /// MP3.
    Mp3,
    /// AAC in MP4 (`.m4a`).
    Aac,
    /// Opus in Ogg.
    Opus,
}

impl AudioFormat {
    /// What its files end in.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Aac => "m4a",
            Self::Opus => "opus",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/mp4",
            Self::Opus => "audio/ogg",
        }
    }
}

/// The forms of files that are read; playlists, which may name other files, are not among them.
pub(crate) const FORMATS: &str = "wav,mp3,aac,flac,ogg,mov,mp4,m4a,matroska,webm";

/// Encodes interleaved samples.
pub(crate) fn encode(
    samples: &[f32],
    rate: u32,
    channels: u16,
    format: AudioFormat,
    tools: &Tools,
    stop: &Stop,
) -> Result<Vec<u8>, MediaError> {
    let wav = write_wav(samples, rate, channels);
    let codec: &[&str] = match format {
        AudioFormat::Wav => return Ok(wav),
        AudioFormat::Mp3 => &["-c:a", "libmp3lame", "-q:a", "3"],
        AudioFormat::Aac => {
            &["-c:a", "aac", "-b:a", "96k", "-ar", "48000", "-movflags", "+faststart"]
        }
        AudioFormat::Opus => &["-c:a", "libopus", "-b:a", "48k"],
    };
    let dir = tools.work_folder()?;
    let out = dir.path().join(format!("speech.{}", format.extension()));
    let mut args: Vec<OsString> = tools.ffmpeg_args();
    args.extend(["-f", "wav", "-i", "pipe:0", "-fflags", "+bitexact"].map(Into::into));
    args.extend(["-flags:a", "+bitexact", "-map_metadata", "-1"].map(Into::into));
    args.extend(codec.iter().map(Into::into));
    args.push(out.clone().into());
    run(&tools.ffmpeg, &args, wav, 1 << 16, stop)?;
    std::fs::read(&out).map_err(MediaError::io("read what ffmpeg encoded"))
}

/// Decodes any sound to stereo at 48 kHz, `seconds` at most.
pub(crate) fn decode(
    bytes: &[u8],
    seconds: f64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Vec<f32>, MediaError> {
    let dir = tools.work_folder()?;
    let file = dir.path().join("sound");
    std::fs::write(&file, bytes).map_err(MediaError::io("write a sound for ffmpeg"))?;
    decode_file(file.as_os_str(), seconds, tools, stop)
}

/// Reads a sound in whatever form as one channel, `max_seconds` at most: WAV here, the rest by ffmpeg.
///
/// # Errors
/// When it cannot be read, or ffmpeg is needed and missing.
pub fn read_sound(
    bytes: &[u8],
    max_seconds: f64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Mono, MediaError> {
    if let Some(mut sound) = read_wav(bytes) {
        sound.samples.truncate((max_seconds * f64::from(sound.rate)) as usize);
        return Ok(sound);
    }
    let stereo = decode(bytes, max_seconds, tools, stop)?;
    let samples = stereo.chunks_exact(2).map(|frame| (frame[0] + frame[1]) / 2.0).collect();
    Ok(Mono { rate: RATE, samples })
}

pub(crate) fn decode_file(
    file: &std::ffi::OsStr,
    seconds: f64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Vec<f32>, MediaError> {
    let mut args: Vec<OsString> = tools.ffmpeg_args();
    args.extend(
        ["-format_whitelist", FORMATS, "-protocol_whitelist", "file", "-i"].map(Into::into),
    );
    args.push(file.into());
    args.extend(
        ["-vn", "-t", &format!("{seconds:.3}"), "-ac", "2", "-ar", "48000"].map(Into::into),
    );
    args.extend(["-f", "s16le", "pipe:1"].map(Into::into));
    let max = (seconds * f64::from(RATE)) as u64 * 4 + 8192;
    Ok(from_i16(&run(&tools.ffmpeg, &args, Vec::new(), max, stop)?))
}
