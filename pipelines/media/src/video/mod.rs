//! Short videos: stills and clips that move, speech, captions word by word.
//!
//! Frames are composed here, in yuv420p, and piped to one ffmpeg per segment. A segment is one
//! scene with the transition into it; it depends on nothing but its own [`segment::Job`], so segments
//! can be kept, made again one by one, and joined without encoding anew.

pub mod caption;
mod clip;
mod encoder;
mod finish;
pub mod fit;
mod frame;
mod motion;
mod overlay;
mod raster;
mod sampler;
pub mod segment;
mod soundtrack;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use encoder::{Choice, Encoder, Quality, choose};
pub use finish::{Finished, finish};
pub use flotilla_images::text::Fonts;
pub use frame::{Picture, Rgb};
pub use motion::Motion;
pub use overlay::Overlay;
pub use raster::{CaptionStyle, Emphasis, missing};
pub use soundtrack::{Music, Part, soundtrack};

/// What is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Canvas {
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
}

impl Canvas {
    /// Seconds as frames.
    #[must_use]
    pub fn frames(&self, seconds: f64) -> u32 {
        (seconds * f64::from(self.fps)).round().max(0.0) as u32
    }
}

/// How one scene follows another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    /// At once.
    Cut,
    /// One shines through the other.
    #[default]
    Fade,
    /// Through black.
    Dip,
    /// The new scene pushes in from the right.
    Slide,
}
