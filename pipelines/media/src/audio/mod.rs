//! Sound as samples: resampling, silence, WAV, loudness, mixing; coded forms through ffmpeg.

pub(crate) mod codec;
pub(crate) mod loudness;
pub(crate) mod mix;
pub(crate) mod pcm;
mod wav;

pub use codec::{AudioFormat, read_sound};
pub use loudness::Loudness;
pub use wav::{read_wav, write_wav};

/// One channel of sound, -1 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mono {
    /// Samples per second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<f32>,
}

impl Mono {
    /// How long it lasts, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }
}

/// Samples of s16le bytes.
pub(crate) fn pcm_of(bytes: &[u8]) -> Vec<f32> {
    wav::from_i16(bytes)
}
