//! Thumbnails: bytes of a picture in, bytes of many small ones out. A pure library: no network, no
//! clock, no files but the fonts of the folders it is given.
//!
//! One decode serves all outputs. JPEG, the common case, is decoded by libjpeg-turbo straight to its
//! Y, Cb and Cr planes at a power-of-two scale; the planes are halved into a pyramid, resampled with
//! Lanczos-3 and encoded again without ever becoming RGB; `fast_image_resize` does the same for what is
//! not grey or YCbCr of eight bits. Formats are decided by content; every bound of [`Limits`] is held
//! against the header before a pixel is decoded; orientation and colour profile are applied to the
//! small results.
//!
//! The path of a call: [`sniff`](SourceFormat) → header (`jpeg.rs`, `png.rs`, `webp.rs`,
//! `avif.rs`, `tiff.rs`, `others.rs`) → limits → `geometry.rs` → decode to `plane.rs` or `pixels.rs` → `render.rs` for each
//! output.

mod animation;
mod av1;
mod avif;
mod avx2;
mod colour;
mod decode;
mod error;
mod focus;
mod geometry;
mod jpeg;
mod kernel;
mod libavif;
mod libwebp;
mod libwebp_animation;
mod limits;
mod metadata;
mod orientation;
mod others;
mod overlay;
mod pixels;
mod placeholder;
mod plane;
mod png;
mod pool;
mod quality;
mod render;
mod request;
mod resize;
mod sharpen;
mod sniff;
pub mod text;
mod thumbnails;
mod tiff;
mod tiff_colour;
mod turbo;
mod webp;

pub use error::ImageError;
pub use limits::Limits;
pub use metadata::Keep;
pub use overlay::{
    Badge, BadgeShape, Gravity, Outline, Overlay, Panel, Text as OverlayText, TextAlign,
};
pub use request::{Colour, Fit, Focus, MAX_SIDE, Output, OutputFormat, Request};
pub use sniff::SourceFormat;
pub use thumbnails::{Encoded, SourceInfo, Thumbnails, Workshop, thumbnails};
