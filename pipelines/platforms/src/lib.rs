//! flotilla-platforms: what the fleet says to the outside world over HTTP.
//!
//! Everything outgoing passes one guarded client, so that a URL in a payload can never reach the
//! inside of the network the worker stands in (server-side request forgery). [`Guard`] decides
//! which URLs may be asked at all, [`Fetcher`] asks them within bounds. On it stand the clients of
//! the social platforms: what each can do is in the [registry], a [`Post`] is checked
//! against it, and a platform publishes it step by step, never twice.

#![expect(
    clippy::result_large_err,
    reason = "the error of a call holds what the platform said; calls are slow and few"
)]

pub mod check;
pub mod guard;
pub mod http;
pub mod media;
pub mod platform;
pub mod post;
pub mod quota;
pub mod ranges;
pub mod registry;
pub mod request;
pub mod retry_after;
pub mod rules;
pub mod session;
pub mod text;
pub mod tokens;
pub mod trouble;
pub mod webhooks;

mod resolve;

pub use guard::{BadException, Guard, GuardSettings, Passage, Refusal};
pub use http::{FetchError, Fetched, Fetcher, install_crypto};
pub use media::Media;
pub use platform::Platform;
pub use post::{Form, Medium, Origin, Post, Published, Sort, Visibility};
pub use registry::{Endpoint, Platforms, Spec};
pub use retry_after::RetryAfter;
pub use rules::Capability;
pub use session::{Bounds, Session};
