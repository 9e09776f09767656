//! flotilla-media: what turns words into speech, and words, pictures and speech into short videos.
//!
//! From text to sound: [`text::utterances`] → a [`Voice`] → [`speech::timed`] →
//! [`speech::assemble`]. From scenes to a video: [`video::segment::render`] for each,
//! [`video::soundtrack`], [`video::finish`]. What is coded goes through ffmpeg, what is spoken locally through espeak-ng
//! or flite; each runs as a process of its own group, under a [`Stop`].

mod align;
mod audio;
mod child;
mod error;
pub mod speech;
pub mod text;
mod tools;
pub mod video;
pub mod voice;

pub use audio::{AudioFormat, Loudness, Mono, read_sound, read_wav, write_wav};
pub use child::{Program, Stop, StopOnDrop};
pub use error::MediaError;
pub use tools::Tools;
pub use voice::{Spoken, Timing, Voice};
