//! flotilla-sandbox: a stand-in for the social platforms and for a model endpoint, over HTTP.
//!
//! What it does follows the platforms' own documents as collected in the facts sheet; each rule
//! names its section (`§4.4`) and source (`IG-ERR`). Where the sheet is silent, the rule says so.
//! It shares no code with our clients, so that it is no mirror of what they assume.
//!
//! Paths: `{base}/{platform}/{host}/documented-path`, where the host is its real name
//! (`graph.facebook.com`) or one of the short ones in [`hosts`](crate::Platform), and may be left
//! out for the platform's main host. `{base}/_sandbox/…` inspects and directs it.
//!
//! All state is one value behind one lock: a call is read whole, works on the state, and is
//! answered; what happens to the answer (lost, late, mutilated) is the business of fault rules.

mod core;
mod fetch;
mod inspect;
mod linkedin;
mod meta;
mod openai;
mod pinterest;
mod route;
mod server;
mod tiktok;
mod tokens;
mod x;
mod youtube;

pub use crate::core::account::{Connected, NewAccount, Platform};
pub use crate::core::fault::{Fault, Rule, Rules, RulesError};
pub use crate::core::limits::Overshoot;
pub use crate::core::media::Media;
pub use crate::core::post::{Comment, Post, PostState};
pub use crate::core::settings::Settings;
pub use crate::inspect::{Counts, DoubledContent};
pub use crate::server::Sandbox;
