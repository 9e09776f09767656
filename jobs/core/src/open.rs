//! Kinds that are known only when the program runs: what they take and give is data, not types.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde_json::Value;

use crate::envelope::Payload;
use crate::handler::JobContext;
use crate::ids::Kind;
use crate::job::Policy;
use crate::limit::LimitKey;
use crate::outcome::JobError;

/// A kind without a type of its own. Its payload has one version, 1.
#[derive(Clone, Debug)]
pub struct OpenKind {
    /// Its name.
    pub kind: Kind,
    /// How it is run, before the configuration has its say.
    pub policy: Policy,
    /// What its jobs count against; none: it calls nobody.
    pub keys: Vec<LimitKey>,
    /// JSON Schema of the payload.
    pub payload: Value,
    /// JSON Schema of the result.
    pub result: Value,
}

/// One attempt of an open kind, as it runs.
pub type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Bytes, JobError>> + Send + 'a>>;

/// Code that runs jobs of an open kind; it sees JSON.
pub trait OpenHandler: Send + Sync + 'static {
    /// What keeps a job of this payload from being run: each fault as (field, what would be right).
    fn faults(&self, payload: &Value) -> Vec<(String, String)>;

    /// One attempt, dropped as [`Handler::run`](crate::Handler::run) is. Answers JSON.
    fn run<'a>(&'a self, payload: Payload, cx: &'a JobContext) -> Attempt<'a>;
}
