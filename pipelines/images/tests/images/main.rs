//! The tests of the library from outside, in one binary: pictures made here (`thumbnails`,
//! `formats`, `hostile`) and, where it is present, the shared data.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the configured exception does not reach"
)]

mod fixtures;
mod formats;
mod hostile;
mod kept;
mod overlays;
mod shared_data;
mod thumbnails;
mod tiffs;
