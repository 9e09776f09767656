//! `[video]`: what renders videos, and how large they may be.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::choice::{Choice, choice};
use crate::reader::Section;

choice! {
    /// Which encoders are tried.
    pub enum Hardware ("choice of encoders") {
        /// The graphics card's, when it encodes a trial frame; else the CPU's.
        Probe = "probe",
        /// The CPU's.
        Off = "off",
    }
}

/// What renders videos, and how large they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// The program of ffmpeg.
    pub ffmpeg: String,
    /// Files and folders of fonts, the first ones first.
    pub fonts: Vec<PathBuf>,
    /// Whether the graphics card may encode.
    pub hardware: Hardware,
    /// Threads of an encoder; 0: as it likes.
    pub threads: usize,
    /// Most scenes of a video.
    pub max_scenes: usize,
    /// Most pixels of a frame.
    pub max_pixels: u64,
    /// Most frames per second.
    pub max_fps: u32,
    /// Longest video.
    pub max_length: Duration,
}

impl Video {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            ffmpeg: section.get("ffmpeg"),
            fonts: section.get("fonts"),
            hardware: section.get("hardware"),
            threads: section.get("threads"),
            max_scenes: section.get::<NonZeroUsize>("max_scenes").get(),
            max_pixels: section.get::<NonZeroUsize>("max_pixels").get() as u64,
            max_fps: section.get("max_fps"),
            max_length: section.get("max_length"),
        }
    }
}
