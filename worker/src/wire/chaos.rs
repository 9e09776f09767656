//! A kind that breaks its worker in the way it is told to: for tests of what becomes of the others.
//! Only in builds with the feature `chaos`, which no release has.

use std::process::abort;

use flotilla_core::handler::{Handler, JobContext};
use flotilla_core::registry::RegistryError;
use flotilla_core::{Job, JobError, Kind, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to break.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum How {
    /// Abort the process.
    Abort,
    /// Abort on the first attempt, then ask for so many bytes, without using them.
    Memory(usize),
    /// Call oneself until the stack is full.
    Stack,
    /// Do not break: wait so long, in milliseconds.
    Wait(u64),
}

/// Breaks its worker.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Chaos {
    how: How,
}

impl Job for Chaos {
    const KIND: Kind = Kind::from_static("chaos.break");
    type Output = ();
}

struct Breaker;

impl Handler<Chaos> for Breaker {
    async fn run(&self, job: Chaos, cx: &JobContext) -> Result<(), JobError> {
        match job.how {
            How::Abort => abort(),
            How::Memory(_) if cx.attempt == 1 => abort(),
            How::Memory(bytes) => {
                let more = std::hint::black_box(vec![0_u8; bytes]);
                Err(JobError::retry(format!("{} bytes were there", more.len())))
            }
            How::Stack => Err(JobError::retry(format!("{} deep", deep(0)))),
            How::Wait(ms) => {
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                Ok(())
            }
        }
    }
}

fn deep(n: u64) -> u64 {
    let room = std::hint::black_box([n; 512]);
    if n == u64::MAX { 0 } else { deep(n + 1) + room[(n % 512) as usize] }
}

/// Adds the kind.
pub(crate) fn register(registry: &mut Registry) -> Result<(), RegistryError> {
    registry.register::<Chaos, _>(Breaker)
}
