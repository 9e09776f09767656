//! `flotilla try`: run a kind here and now, without a queue.
//!
//! One JSON line out per line in, in the same order, in constant memory. Whoever calls it may
//! read the files the payload names: local paths are the caller's own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flotilla_config::Config;
use flotilla_core::clock::{Clock, SystemClock};
use flotilla_core::outcome::JobError;
use flotilla_core::registry::{PayloadError, Registered};
use flotilla_core::{CpuPool, JobContext, JobId, Payload, SeededRng};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::Try;
use crate::exit::{Exit, Failure};
use crate::wire::input::{self, Lines};
use crate::wire::{self, Access};

/// Aim for this much work between two hand-overs, so that tiny jobs are not lost in them.
const CHUNK_MICROS: u64 = 4_000;
const CHUNK_MAX: u64 = 512;

pub(super) async fn run(args: &Try, config: &Config) -> Result<Exit, Failure> {
    let out = args.out.clone().unwrap_or_else(|| std::env::temp_dir().join("flotilla-try"));
    let registry = wire::kinds(config, Access::Caller { blobs: out }).await?;
    let kind = Arc::new(registry.get(args.kind.as_str())?.clone());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_once = args.concurrency.unwrap_or(cores).max(1);
    let runner = Arc::new(Runner {
        kind,
        pool: CpuPool::new(at_once),
        rng: SeededRng::from_os(),
        cancellation: CancellationToken::new(),
        micros: AtomicU64::new(CHUNK_MICROS),
    });
    let source = match (&args.jsonl, &args.payload) {
        (Some(file), _) => Source::Lines(file.clone()),
        (None, Some(given)) => Source::One(input::payload(given, config.queue.max_payload)?),
        (None, None) => {
            return Err(Failure::usage("give --payload JSON, --payload @FILE or --jsonl FILE"));
        }
    };
    stream(source, config.queue.max_payload, at_once, runner).await
}

enum Source {
    One(Payload),
    Lines(String),
}

struct Runner {
    kind: Arc<Registered>,
    pool: CpuPool,
    rng: SeededRng,
    cancellation: CancellationToken,
    /// What a job takes, about.
    micros: AtomicU64,
}

/// Reader thread → chunks run side by side, in order → writer.
async fn stream(
    source: Source,
    max: usize,
    at_once: usize,
    runner: Arc<Runner>,
) -> Result<Exit, Failure> {
    let (send, receive) = mpsc::channel::<Vec<Result<Payload, String>>>(at_once * 2);
    let for_reader = Arc::clone(&runner);
    let reader = tokio::task::spawn_blocking(move || read(source, max, &send, &for_reader.micros));
    let done = futures_util::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|chunk| (chunk, receive))
    })
    .map(|chunk| tokio::spawn(Arc::clone(&runner).run(chunk)))
    .buffered(at_once + 1);
    let mut done = pin!(done);
    let mut exit = Exit::Ok;
    while let Some(chunk) = done.next().await {
        let (bytes, failed) = chunk.map_err(Failure::bug)?;
        std::io::Write::write_all(&mut std::io::stdout().lock(), &bytes)?;
        if failed {
            exit = Exit::JobFailed;
        }
    }
    reader.await.map_err(Failure::bug)??;
    Ok(exit)
}

fn read(
    source: Source,
    max: usize,
    send: &mpsc::Sender<Vec<Result<Payload, String>>>,
    micros: &AtomicU64,
) -> Result<(), Failure> {
    let file = match source {
        Source::One(payload) => {
            let _ = send.blocking_send(vec![Ok(payload)]);
            return Ok(());
        }
        Source::Lines(file) => file,
    };
    let mut lines = Lines::new(input::reader(&file)?, max);
    let mut chunk = Vec::new();
    while let Some(line) = lines.next_line()? {
        chunk.push(line.map(Payload::from_bytes));
        let size = (CHUNK_MICROS / micros.load(Ordering::Relaxed).max(1)).clamp(1, CHUNK_MAX);
        if chunk.len() as u64 >= size && send.blocking_send(std::mem::take(&mut chunk)).is_err() {
            return Ok(()); // the writer gave up and says why
        }
    }
    if !chunk.is_empty() {
        let _ = send.blocking_send(chunk);
    }
    Ok(())
}

impl Runner {
    async fn run(self: Arc<Self>, chunk: Vec<Result<Payload, String>>) -> (Vec<u8>, bool) {
        let started = Instant::now();
        let jobs = chunk.len() as u64;
        let mut out = Vec::with_capacity(chunk.len() * 512);
        let mut failed = false;
        for payload in chunk {
            match self.one(payload).await {
                Ok(result) => {
                    out.extend_from_slice(b"{\"ok\":true,\"result\":");
                    out.extend_from_slice(&result);
                    out.extend_from_slice(b"}\n");
                }
                Err(error) => {
                    failed = true;
                    out.extend_from_slice(
                        json!({"ok": false, "error": error}).to_string().as_bytes(),
                    );
                    out.push(b'\n');
                }
            }
        }
        let each = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX) / jobs.max(1);
        self.micros.store(each, Ordering::Relaxed);
        (out, failed)
    }

    async fn one(&self, payload: Result<Payload, String>) -> Result<bytes::Bytes, Value> {
        let payload = payload.map_err(|message| json!({"kind": "invalid", "message": message}))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let id = JobId::new(clock.now(), &self.rng);
        let mut cx = JobContext::detached(id, self.kind.kind.clone(), clock, self.pool.clone());
        cx.cancellation = self.cancellation.clone();
        self.kind.run(self.kind.version, payload, cx).await.map_err(|error| explain(&error))
    }
}

/// `{kind, message, field?}`: the dead class, or what else would have become of the job.
fn explain(error: &JobError) -> Value {
    let message = error.text(4096);
    match error {
        JobError::Fail { class, source } => match source.downcast_ref::<PayloadError>() {
            Some(fault) => json!({"kind": class, "message": message, "field": fault.field}),
            None => json!({"kind": class, "message": message}),
        },
        JobError::Retry { .. } => json!({"kind": "retry", "message": message}),
        JobError::Snooze { .. } => json!({"kind": "snooze", "message": message}),
        JobError::Park { key, .. } => json!({"kind": "park", "message": message, "key": key}),
        JobError::Await { children, .. } => {
            let names: Vec<_> = children.iter().map(|child| child.name.as_str()).collect();
            json!({"kind": "await", "message": message, "children": names})
        }
        JobError::Cancel { .. } => json!({"kind": "cancel", "message": message}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::Kind;

    #[test]
    fn errors_name_their_field() {
        let kind = Kind::from_static("caption.parse");
        let fault = PayloadError { kind, field: "text".into(), message: "missing".into() };
        let said = explain(&JobError::invalid(fault));
        assert_eq!(
            (said["kind"].as_str(), said["field"].as_str()),
            (Some("invalid"), Some("text"))
        );
    }
}
