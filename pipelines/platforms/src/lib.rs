//! flotilla-platforms: what the fleet says to the outside world over HTTP.
//!
//! Everything outgoing passes one guarded client, so that a URL in a payload can never reach the
//! inside of the network the worker stands in (server-side request forgery). [`Guard`] decides
//! which URLs may be asked at all, [`Fetcher`] asks them within bounds.

pub mod guard;
pub mod http;
pub mod ranges;
pub mod retry_after;

mod resolve;

pub use guard::{BadException, Guard, GuardSettings, Passage, Refusal};
pub use http::{FetchError, Fetched, Fetcher, install_crypto};
pub use retry_after::RetryAfter;
