//! A job is a payload type with constants: what a producer needs, without the handler.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::Unique;
use crate::ids::{Kind, Lane, Priority};
use crate::limit::LimitKey;
use crate::retry::{Backoff, Retries};

/// A type of job.
///
/// The wire name and the versions are for ever: a rename adds the old name to [`ALIASES`], a
/// changed payload raises [`VERSION`] and teaches [`upcast`] the step from the version before.
///
/// [`ALIASES`]: Job::ALIASES
/// [`VERSION`]: Job::VERSION
/// [`upcast`]: Job::upcast
pub trait Job: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The stable name, `noun.verb`.
    const KIND: Kind;
    /// Names it had before; jobs under them still run.
    const ALIASES: &'static [Kind] = &[];
    /// The present version of the payload.
    const VERSION: u16 = 1;
    /// What the job yields, as JSON.
    type Output: Serialize + JsonSchema + Send;

    /// Lifts a payload of version `from` to version `from + 1`. Called once per missing version.
    ///
    /// # Errors
    /// A sentence, when the payload cannot be lifted; the job is then dead as `invalid`.
    fn upcast(from: u16, payload: serde_json::Value) -> Result<serde_json::Value, String> {
        let _ = payload;
        Err(format!("no upcaster from version {from}"))
    }

    /// How it is run unless the configuration says otherwise.
    fn policy() -> Policy {
        Policy::default()
    }

    /// What the type system cannot say: each fault as (field, what would be right).
    fn faults(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whose limits and breakers a job counts against, narrowest keys only: `web/example.com`
    /// counts against `web` too. `None`: it calls nobody, and pays nothing for limits.
    const LIMITS: Option<fn(&Self) -> Vec<LimitKey>> = None;

    /// Same key, same job. An enqueue may give its own.
    fn unique(&self) -> Option<Unique> {
        None
    }
}

/// How a kind is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Where its jobs wait.
    pub lane: Lane,
    /// Runs that may fail before it is dead; at least 1.
    pub max_attempts: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The delay between attempts.
    pub backoff: Backoff,
    /// What else holds for attempts that failed: by class of failure, and in all.
    pub retries: Retries,
    /// How urgent its jobs are.
    pub priority: Priority,
    /// How many may run at once in one worker; `None`: as many as the worker has slots.
    pub concurrency: Option<usize>,
    /// How long a completed job and its result are kept; `None`: as `[retention]` says.
    pub retention: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lane: Lane::from_static("default"),
            max_attempts: 5,
            timeout: Duration::from_secs(60),
            backoff: Backoff::default(),
            retries: Retries::default(),
            priority: Priority::default(),
            concurrency: None,
            retention: None,
        }
    }
}
