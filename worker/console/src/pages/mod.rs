//! The pages, one file each, and the writes that begin on them.

mod accounts;
mod audit;
mod dead;
mod edit;
mod flows;
mod job;
mod jobs;
mod lanes;
mod login;
pub(crate) mod overview;
mod platforms;
mod replays;
mod schedules;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use crate::Shared;
use crate::trouble::Trouble;

/// A page, or why there is none.
pub(crate) type Answer = Result<Response, Trouble>;

/// Every path of the console but streams, blobs and files.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/login", get(login::page).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/theme", post(login::theme))
        .route("/jobs", get(jobs::page))
        .route("/jobs/cancel", post(jobs::cancel))
        .route("/jobs/{id}", get(job::page))
        .route("/jobs/{id}/run-now", post(job::run_now))
        .route("/lanes", get(lanes::page))
        .route("/lanes/{lane}/pause", post(lanes::pause))
        .route("/lanes/{lane}/resume", post(lanes::resume))
        .route("/dead", get(dead::page))
        .route("/dead/discard", get(dead::confirm).post(dead::discard))
        .route("/dead/{id}/edit", get(edit::page).post(edit::submit))
        .route("/dead/{id}/found", post(dead::found))
        .merge(replays::routes())
        .route("/platforms", get(platforms::page))
        .route("/platforms/limit", post(platforms::limit))
        .route("/platforms/breaker", post(platforms::breaker))
        .route("/accounts", get(accounts::page))
        .route("/accounts/{tenant}/{id}/refresh", post(accounts::refresh))
        .route("/schedules", get(schedules::page))
        .route("/flows", get(flows::page))
        .route("/flows/{id}", get(flows::tree))
        .route("/workers", get(workers::page))
        .route("/workers/drain", post(workers::drain))
        .route("/audit", get(audit::page))
}
