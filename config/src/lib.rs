//! flotilla-config: every setting of Flotilla, typed, with where it came from.
//!
//! Layers, later ones win: the embedded `default.toml` (every key, its default, a comment), one
//! file, `FLOTILLA__SECTION__KEY` in the environment, the command line. Nothing here reads the
//! environment or the clock by itself; the only input and output is reading files.
//!
//! In the environment a kind's dots are underscores: `FLOTILLA__KINDS__CAPTION_PARSE__TIMEOUT`.

mod admin;
mod api;
mod aws;
mod blobs;
mod captions;
mod checked;
mod choice;
mod data;
mod docs;
mod duration;
mod error;
mod events;
mod external;
mod flows;
mod images;
mod keys;
mod kinds;
mod layers;
mod limits;
mod load;
mod log;
mod models;
mod oidc;
mod path;
mod platforms;
mod queue;
mod reader;
mod retention;
mod route;
mod schedule;
mod secret;
mod setting;
mod size;
mod sources;
mod speech;
mod telemetry;
mod token;
mod validate;
mod vault;
mod video;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use admin::{Admin, Cookies, TokenError};
pub use api::{Api, TokensError};
pub use aws::Aws;
pub use blobs::{BlobBackend, Blobs, Encryption};
pub use captions::Captions;
pub use data::Data;
pub use duration::{format_duration, parse_duration};
pub use error::{LoadError, Origin, Problem};
pub use events::{Events, HeardInOrder, Sink, Subscriber, Told};
pub use external::{External, ExternalWay};
pub use flows::Flows;
pub use images::Images;
pub use keys::KeyInfo;
pub use kinds::{BackoffChange, KindChange, RETRY_CLASSES, RetryChange};
pub use limits::{Breakers, Limit, Limits};
pub use load::LoadOptions;
pub use log::{Log, LogFormat};
pub use models::{Models, Unpaid};
pub use oidc::Oidc;
pub use platforms::Platforms;
pub use queue::{Backend, Queue, Synchronous};
pub use retention::Retention;
pub use route::{Adopt, Route};
pub use schedule::{Missed, Schedule};
pub use secret::Secret;
pub use size::{format_size, parse_size};
pub use sources::Sources;
pub use speech::{Speech, SpeechProvider};
pub use telemetry::Telemetry;
pub use token::{Token, TokenRole};
pub use vault::{App, Vault};
pub use video::{Hardware, Video};
pub use worker::Worker;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[data]`
    pub data: Data,
    /// `[queue]`
    pub queue: Queue,
    /// `[worker]`
    pub worker: Worker,
    /// `[retention]`
    pub retention: Retention,
    /// `[blobs]`
    pub blobs: Blobs,
    /// `[aws]`
    pub aws: Aws,
    /// `[flows]`
    pub flows: Flows,
    /// `[adopt]`
    pub adopt: Adopt,
    /// `[limits]`
    pub limits: Limits,
    /// `[breakers]`
    pub breakers: Breakers,
    /// `[events]`
    pub events: Events,
    /// `[sources]`
    pub sources: Sources,
    /// `[images]`
    pub images: Images,
    /// `[speech]`
    pub speech: Speech,
    /// `[video]`
    pub video: Video,
    /// `[captions]`
    pub captions: Captions,
    /// `[models]`
    pub models: Models,
    /// `[platforms]`
    pub platforms: Platforms,
    /// `[vault]`
    pub vault: Vault,
    /// `[admin]`
    pub admin: Admin,
    /// `[api]`
    pub api: Api,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[log]`
    pub log: Log,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[kinds."<kind>"]`: what differs from the kinds' own policies.
    pub kinds: BTreeMap<String, KindChange>,
    /// `[[external]]`, in the order of the file.
    pub externals: Vec<External>,
    /// `[[schedule]]`, in the order of the file.
    pub schedules: Vec<Schedule>,
    /// `[[subscriber]]`, in the order of the file.
    pub subscribers: Vec<Subscriber>,
    /// `[[limit]]`, in the order of the file.
    pub quotas: Vec<Limit>,
    /// `[[route]]`, in the order of the file.
    pub routes: Vec<Route>,
    /// `[[app]]`, in the order of the file.
    pub apps: Vec<App>,
    /// `[[token]]`, in the order of the file.
    pub tokens: Vec<Token>,
    keys: Vec<KeyInfo>,
}

impl Config {
    /// The SQLite file: `queue.path`, or `queue.db` in `data.dir`.
    #[must_use]
    pub fn queue_path(&self) -> PathBuf {
        self.queue.path.clone().unwrap_or_else(|| self.data.dir.join("queue.db"))
    }

    /// The folder of the blobs: `blobs.dir`, or `blobs` in `data.dir`.
    #[must_use]
    pub fn blobs_dir(&self) -> PathBuf {
        self.blobs.dir.clone().unwrap_or_else(|| self.data.dir.join("blobs"))
    }

    /// The file with the wrapping keys of the vault: `vault.key_file`, or `vault.key` in `data.dir`.
    #[must_use]
    pub fn vault_key_file(&self) -> PathBuf {
        self.vault.key_file.clone().unwrap_or_else(|| self.data.dir.join("vault.key"))
    }

    /// Every key that has a value, in the order of `default.toml`, then kinds and entries
    /// of lists. Secrets are masked.
    #[must_use]
    pub fn keys(&self) -> &[KeyInfo] {
        &self.keys
    }
}
