//! The kinds of this build: one file each, registered here.
//!
//! To add a kind: write `<noun>_<verb>.rs` with payload, [`Job`](flotilla_core::Job) and
//! [`Handler`](flotilla_core::Handler); add its line to [`register`]; put a golden payload into
//! `tests/fixtures/payloads/`. `.github/CONTRIBUTING.md` walks through it.

mod caption_parse;
mod services;
mod source;
mod thumbnail_generate;

use flotilla_core::Registry;
use flotilla_core::registry::RegistryError;

pub use caption_parse::{CaptionHandler, CaptionParse};
pub use services::{Services, SourceRules};
pub use source::Source;
pub use thumbnail_generate::{Made, ThumbnailGenerate, ThumbnailHandler, ThumbnailResult};

/// Registers every kind: one line each.
///
/// # Errors
/// When two kinds claim one name: a bug of this build.
pub fn register(registry: &mut Registry, services: &Services) -> Result<(), RegistryError> {
    registry.register::<CaptionParse, _>(CaptionHandler::new(services))?;
    registry.register::<ThumbnailGenerate, _>(ThumbnailHandler::new(services))?;
    Ok(())
}
