//! Facts read out of a caption: entities, prices and its language, offline and without I/O.
//!
//! Everything here is a pure function of its arguments: no clock, no randomness, no files. Every
//! finder works on byte ranges and is linear in the length of the text; [`caption::parse`] puts
//! them together and turns byte ranges into [`span::Span`]s.

pub mod caption;
pub mod classifier;
pub mod cta;
pub mod entities;
mod hash;
pub mod keyphrases;
pub mod language;
pub mod names;
pub mod platform;
pub mod prices;
pub mod products;
mod props;
pub mod sentiment;
pub mod seo;
pub mod span;
pub mod tags;
pub mod taxonomy;
pub mod trends;
mod words;
