//! The sound of the whole video: every scene's speech in its place, music below it.

use crate::audio::codec::decode;
use crate::audio::mix::{Bed, RATE, lay, place};
use crate::child::Stop;
use crate::error::MediaError;
use crate::speech::Speech;
use crate::tools::Tools;

/// Speech before it is mixed: so all voices are alike.
const VOICE_LUFS: f64 = -18.0;

/// Something that is heard from a moment on.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// What is said.
    pub speech: &'a Speech,
    /// When, in seconds.
    pub at: f64,
}

/// Music.
#[derive(Clone, Debug)]
pub struct Music {
    /// A file in a form that ffmpeg reads.
    pub bytes: Vec<u8>,
    /// Its loudness against the speech, in dB.
    pub level: f64,
    /// How far it goes down under speech, in dB.
    pub duck: f64,
}

/// Stereo at 48 kHz, `frames` of video at `fps` long.
///
/// # Errors
/// When the music cannot be decoded.
pub fn soundtrack(
    parts: &[Part<'_>],
    music: Option<&Music>,
    seconds: f64,
    tools: &Tools,
    stop: &Stop,
) -> Result<Vec<f32>, MediaError> {
    let frames = (seconds * f64::from(RATE)).round() as usize;
    let mut sound = vec![0.0; frames * 2];
    for part in parts {
        let mut voice = part.speech.at_rate(RATE);
        crate::audio::loudness::master(&mut voice, 1, RATE, VOICE_LUFS, -2.0);
        place(&mut sound, &voice, part.at);
    }
    if let Some(music) = music {
        let decoded = decode(&music.bytes, seconds, tools, stop)?;
        if decoded.is_empty() {
            return Err(MediaError::invalid("music", "there is no sound in it"));
        }
        let fade = (seconds / 8.0).min(1.2);
        lay(&mut sound, &decoded, Bed { level: music.level, duck: music.duck, fade });
    }
    Ok(sound)
}
