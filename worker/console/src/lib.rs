//! The console: the pages operators and admins live in, served beside the API.
//!
//! Pages are made on the server and read well without a script; what there is of scripts (one
//! module, in the binary) only keeps them fresh. Every text from outside is escaped by the
//! templates; nothing inline is allowed to run ([`SECURITY`]); every write is a form with the
//! session's value, from a page of this server, by somebody whose role reaches that far.
//!
//! | path | shows |
//! | --- | --- |
//! | `/` | what needs somebody, how fast it goes, what waits for what |
//! | `/jobs`, `/jobs/{id}` | search; one job with its attempts, why it waits, what it made |
//! | `/lanes`, `/workers` | pause and resume; drain |
//! | `/dead`, `/replays` | groups of dead letters, putting them back or aside |
//! | `/platforms`, `/accounts` | limits, breakers, versions; the health of tokens |
//! | `/schedules`, `/flows`, `/audit` | what comes by the clock; trees of jobs; who did what |

mod accounts;
mod ask;
mod assets;
mod attention;
mod blobs;
mod filter;
mod forms;
mod glance;
mod live;
mod marks;
mod overview;
mod pages;
mod redact;
mod shell;
mod text;
mod trouble;

use std::sync::Arc;

pub use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use flotilla_admin::acts::Acts;
use flotilla_admin::audit::Audit;
use flotilla_admin::auth::Auth;
use flotilla_core::blob::Blobs;
use flotilla_core::fleet::Fleet;
use flotilla_core::limit::Rule;
use flotilla_core::ops::Ops;
use flotilla_core::{Cells, Records};
use flotilla_engine::ScheduleEntry;
use flotilla_platforms::Platforms;
use tokio_util::sync::CancellationToken;

pub use accounts::Accounts;
pub use attention::Attention;
pub use glance::{Glance, LaneGlance};
pub use marks::Level;
pub use overview::{Dead, LaneView, Overview, Pace, Sources, gather};

/// Nothing but this server's own files; no frame, no other base, no form elsewhere.
const SECURITY: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What the console works on.
#[derive(Clone)]
pub struct Console {
    /// Who may look and who may write.
    pub auth: Auth,
    /// Where every write is put down.
    pub audit: Audit,
    /// Kinds, clock, the one enqueue path.
    pub ops: Ops,
    /// The jobs.
    pub records: Arc<dyn Records>,
    /// The workers.
    pub fleet: Arc<dyn Fleet>,
    /// Limits, breakers, effects.
    pub cells: Arc<dyn Cells>,
    /// What jobs made.
    pub blobs: Arc<dyn Blobs>,
    /// Accounts of platforms.
    pub accounts: Arc<dyn Accounts>,
    /// What each platform can do.
    pub platforms: Arc<Platforms>,
    /// Quotas of the configuration.
    pub rules: Vec<Rule>,
    /// Parts of a limit key that share a breaker.
    pub depth: usize,
    /// What is enqueued by the clock.
    pub schedules: Vec<ScheduleEntry>,
    /// Largest blob that is shown, in bytes.
    pub max_blob: u64,
}

impl Console {
    /// What is done to jobs by hand, as in the API.
    fn acts(&self) -> Acts {
        Acts {
            audit: self.audit.clone(),
            ops: self.ops.clone(),
            records: Arc::clone(&self.records),
            cells: Arc::clone(&self.cells),
            fleet: Arc::clone(&self.fleet),
        }
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            records: &*self.records,
            fleet: &*self.fleet,
            cells: &*self.cells,
            accounts: &*self.accounts,
            rules: &self.rules,
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) console: Console,
    pub(crate) live: live::Live,
}

/// The pages, to be merged with the other routes of the address; streams end with `stop`.
/// Call it on a tokio runtime: it keeps looking at the fleet until then.
pub fn router(console: Console, stop: CancellationToken) -> Router {
    let (shared, routes) = routes(console, stop);
    tokio::spawn(live::keep(shared));
    routes
}

fn routes(console: Console, stop: CancellationToken) -> (Arc<Shared>, Router) {
    let shared = Arc::new(Shared { console, live: live::Live::new(stop) });
    let routes = pages::routes()
        .route("/live", get(live::stream))
        .route("/blobs/{job}/{*key}", get(blobs::serve))
        .route("/assets/{name}", get(assets::serve))
        .layer(middleware::from_fn(guarded))
        .with_state(Arc::clone(&shared));
    (shared, routes)
}

/// Every answer says what a browser may do with it, unless it says so itself.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
