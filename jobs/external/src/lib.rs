//! flotilla-external: kinds whose handlers are programs or endpoints of the operator's own, in any
//! language, with the leases, limits, breakers, retries, progress, cancellation and results of every
//! other kind.
//!
//! A program is told jobs as JSON lines on its stdin and answers on its stdout; an endpoint gets
//! each job as a POST. `PROTOCOL.md` beside this crate says what they are told and may answer.
//!
//! | a job, through the files | |
//! | --- | --- |
//! | checked against its schema | `schema.rs` |
//! | a free process, or a new one | `pool.rs`, `process.rs` |
//! | told, heard until its end | `command.rs`, `desk.rs`, `lines.rs` |
//! | or POSTed | `http.rs` |
//! | what was said, as the engine's words | `words.rs`, `steps.rs` |

mod command;
mod desk;
mod http;
mod lines;
mod pool;
mod process;
mod schema;
mod steps;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use flotilla_core::open::Attempt;
use flotilla_core::registry::RegistryError;
use flotilla_core::{JobContext, Kind, LimitKey, OpenHandler, OpenKind, Payload, Policy, Registry};
use serde_json::Value;

pub use http::Endpoint;
pub use process::Program;
pub use schema::{BadSchema, Schema};
pub use words::PROTOCOL;

/// A kind whose handler is not part of the build.
#[derive(Debug)]
pub struct External {
    /// Its name.
    pub kind: Kind,
    /// Who runs it.
    pub way: Way,
    /// How it is run; its concurrency is bounded by what its processes can hold.
    pub policy: Policy,
    /// What payloads are held to.
    pub schema: Schema,
    /// What results look like; they are not held to it.
    pub result: Value,
    /// Longest line or answer, in bytes.
    pub max_line: usize,
}

/// Who runs an external kind.
#[derive(Debug)]
pub enum Way {
    /// Child processes; none is started before there is a job.
    Program(Program),
    /// An HTTP endpoint.
    Endpoint(Endpoint),
}

/// Adds the kind. Its jobs count against the limits and the breaker `external/<kind>`.
///
/// # Errors
/// [`RegistryError::Twice`] when its name is taken.
pub fn register(registry: &mut Registry, external: External) -> Result<(), RegistryError> {
    let External { kind, way, mut policy, schema, result, max_line } = external;
    let key = LimitKey::of(&["external", kind.as_str()]);
    if let Way::Program(program) = &way {
        policy.concurrency = Some(program.processes.saturating_mul(program.concurrency).max(1));
    }
    let open = OpenKind {
        kind: kind.clone(),
        policy,
        keys: vec![key.clone()],
        payload: schema.source().clone(),
        result,
    };
    let server = match way {
        Way::Program(program) => Server::Pool(pool::Pool::new(kind, program, max_line)),
        Way::Endpoint(endpoint) => Server::Endpoint(endpoint, max_line),
    };
    registry.register_open(open, Arc::new(Handler { server, key, schema }))
}

#[derive(Debug)]
enum Server {
    Pool(pool::Pool),
    Endpoint(Endpoint, usize),
}

#[derive(Debug)]
struct Handler {
    server: Server,
    key: LimitKey,
    schema: Schema,
}

impl OpenHandler for Handler {
    fn faults(&self, payload: &Value) -> Vec<(String, String)> {
        self.schema.faults(payload)
    }

    fn run<'a>(&'a self, payload: Payload, cx: &'a JobContext) -> Attempt<'a> {
        Box::pin(async move {
            match &self.server {
                Server::Pool(pool) => command::run(pool, &self.key, payload, cx).await,
                Server::Endpoint(endpoint, max) => endpoint.run(&self.key, *max, payload, cx).await,
            }
        })
    }
}
