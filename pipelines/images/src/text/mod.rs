//! Text to pixels: fonts found by family and by character, right-to-left and joined scripts, line
//! breaking, outlines and colour emoji. It knows nothing of thumbnails; captions of videos use it too.
//!
//! [`Fonts`] once for each process; [`lay_out`] gives a [`Block`], whose [`Block::words`] say where
//! each word stands; [`Block::draw`] paints it, each part in its own [`Ink`].

mod face;
mod fonts;
mod layout;
mod raster;
mod shape;

pub use fonts::Fonts;
pub use layout::{Align, Block, TextStyle, Word, lay_out};
pub use raster::{Bitmap, Ink};

#[cfg(test)]
mod tests;
