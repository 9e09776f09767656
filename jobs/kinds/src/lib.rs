//! The kinds of this build: one file each, registered here.
//!
//! To add a kind: write `<noun>_<verb>.rs` with payload, [`Job`](flotilla_core::Job) and
//! [`Handler`](flotilla_core::Handler); add its line to [`register`]; put a golden payload into
//! `tests/fixtures/payloads/`. `.github/CONTRIBUTING.md` walks through it.

mod caption_parse;
mod event_deliver;
mod link_process;
mod services;
mod source;
mod tags_generate;
mod thumbnail_generate;

use flotilla_core::Registry;
use flotilla_core::registry::RegistryError;

pub use caption_parse::{CaptionHandler, CaptionParse};
pub use event_deliver::{Delivered, EventDeliver, EventHandler, GuardedPost};
pub use link_process::{
    Author, FailedPart, LinkHandler, LinkMetadata, LinkProcess, LinkResult, OnFailure,
};
pub use services::{Services, SourceRules};
pub use source::Source;
pub use tags_generate::{Label, PastPost, TagsGenerate, TagsHandler, TagsResult, classifier_key};
pub use thumbnail_generate::{Made, ThumbnailGenerate, ThumbnailHandler, ThumbnailResult};

/// Registers every kind: one line each.
///
/// # Errors
/// When two kinds claim one name: a bug of this build.
pub fn register(registry: &mut Registry, services: &Services) -> Result<(), RegistryError> {
    registry.register::<CaptionParse, _>(CaptionHandler::new(services))?;
    registry.register::<EventDeliver, _>(EventHandler::new(services))?;
    registry.register::<TagsGenerate, _>(TagsHandler::new(services))?;
    registry.register::<ThumbnailGenerate, _>(ThumbnailHandler::new(services))?;
    registry.register::<LinkProcess, _>(LinkHandler)?;
    Ok(())
}
