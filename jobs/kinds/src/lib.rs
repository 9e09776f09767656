//! The kinds of this build: one file each, registered here.
//!
//! To add a kind: write `<noun>_<verb>.rs` with payload, [`Job`](flotilla_core::Job) and
//! [`Handler`](flotilla_core::Handler); add its line to [`register`]; put a golden payload into
//! `tests/fixtures/payloads/`. `.github/CONTRIBUTING.md` walks through it.

mod caption_parse;
mod content_generate;
mod event_deliver;
mod link_process;
mod media;
mod models;
mod services;
mod social_campaign;
mod social_post;
mod social_status;
mod source;
mod speech_synthesize;
mod tags_generate;
mod thumbnail_generate;
mod token_exchange;
mod token_refresh;
mod video_render;
mod voice_server;

use std::sync::Arc;

use flotilla_core::Registry;
use flotilla_core::registry::RegistryError;

pub use caption_parse::{CaptionHandler, CaptionParse};
pub use content_generate::{ContentGenerate, ContentHandler, ContentResult, Draft};
pub use event_deliver::{Delivered, EventDeliver, EventHandler, GuardedPost};
pub use link_process::{
    Author, FailedPart, LinkHandler, LinkMetadata, LinkProcess, LinkResult, OnFailure,
};
pub use media::{Media, Provider, VoiceChoice};
pub use models::{GuardedAsk, Models};
pub use services::{Services, SourceRules};
pub use social_campaign::{CampaignHandler, CampaignResult, Ended, SocialCampaign, Target};
pub use social_post::{
    Content, Films, Fitter, MediaItem, PostHandler, PostResult, ScheduledBy, Social, SocialPost,
};
pub use social_status::{STATUS, SocialStatus, StatusHandler, StatusResult};
pub use source::Source;
pub use speech_synthesize::{SpeechHandler, SpeechResult, SpeechSynthesize};
pub use tags_generate::{Label, PastPost, TagsGenerate, TagsHandler, TagsResult, classifier_key};
pub use thumbnail_generate::{Made, SrcSet, ThumbnailGenerate, ThumbnailHandler, ThumbnailResult};
pub use token_exchange::{CLIENT_ID, CLIENT_SECRET, PlatformTokens};
pub use token_refresh::{REFRESH, RefreshHandler, RefreshResult, TokenRefresh};
pub use video_render::{
    Corner, LogoSpec, MusicSpec, SceneResult, SceneSpec, Shape, TransitionSpec, VideoHandler,
    VideoRender, VideoResult,
};
pub use voice_server::{Server, ServerVoice};

/// Registers every kind: one line each.
///
/// # Errors
/// When two kinds claim one name: a bug of this build.
pub fn register(registry: &mut Registry, services: &Services) -> Result<(), RegistryError> {
    registry.register::<CaptionParse, _>(CaptionHandler::new(services))?;
    registry.register::<ContentGenerate, _>(ContentHandler::new(services))?;
    registry.register::<EventDeliver, _>(EventHandler::new(services))?;
    registry.register::<TagsGenerate, _>(TagsHandler::new(services))?;
    registry.register::<ThumbnailGenerate, _>(ThumbnailHandler::new(services))?;
    registry.register::<SocialPost, _>(PostHandler::new(services))?;
    let platforms = Arc::clone(&services.social.platforms);
    registry.register::<SocialCampaign, _>(CampaignHandler::new(platforms))?;
    registry.register::<SocialStatus, _>(StatusHandler)?;
    registry.register::<LinkProcess, _>(LinkHandler)?;
    registry.register::<TokenRefresh, _>(RefreshHandler::new(services))?;
    registry.register::<SpeechSynthesize, _>(SpeechHandler::new(services))?;
    registry.register::<VideoRender, _>(VideoHandler::new(services))?;
    Ok(())
}
