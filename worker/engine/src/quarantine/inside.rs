//! The process of a suspect, seen from within: it takes the job from its standard input, runs the
//! handler and says on its standard output what that says.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::{
    Call, Cells, Clock, CpuPool, JobContext, JobError, Payload, Progress, Registry,
};
use futures_util::FutureExt;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;

use super::words::{End, Ended, Suspect, Word};
use crate::execute::text;

/// How long a handler that was told to stop may go on.
const GRACE: Duration = Duration::from_secs(1);

/// A job that was handed to this process.
pub struct Inside {
    suspect: Suspect,
    worker: BufReader<Receiver>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inside({} {})", self.suspect.kind, self.suspect.id)
    }
}

impl Inside {
    /// Takes the job, and holds this process to the memory it may have.
    ///
    /// # Errors
    /// When the standard input is no pipe, or brings no job.
    pub async fn receive() -> io::Result<Self> {
        let pipe = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let mut worker = BufReader::new(pipe);
        let mut line = String::new();
        worker.read_line(&mut line).await?;
        let suspect: Suspect = serde_json::from_str(&line)?;
        if suspect.memory > 0 {
            let bytes = Some(suspect.memory);
            setrlimit(Resource::Data, Rlimit { current: bytes, maximum: bytes })?;
        }
        Ok(Self { suspect, worker })
    }

    /// Runs it and says how it ended. When the worker closes the pipe, be it by its own death, the
    /// job is told to stop, and soon this process ends.
    ///
    /// # Errors
    /// When the kind is not known here.
    pub async fn run(
        self,
        registry: &Registry,
        cells: Arc<dyn Cells>,
        clock: Arc<dyn Clock>,
        cpu_slots: usize,
    ) -> io::Result<()> {
        let Self { suspect, worker } = self;
        let kind = registry.get(suspect.kind.as_str()).map_err(io::Error::other)?;
        let mut cx = JobContext::detached(suspect.id, suspect.kind, clock, CpuPool::new(cpu_slots));
        cx.lane = suspect.lane;
        cx.tenant = suspect.tenant;
        cx.attempt = suspect.attempt;
        cx.max_attempts = suspect.max_attempts;
        cx.deadline = suspect.deadline;
        cx.trace = suspect.trace;
        cx.children = suspect.children.into_iter().map(Ended::into_end).collect();
        cx.cells = cells;
        cx.sink = Arc::new(|progress: Progress| say(&Word::Progress(progress)));
        cx.calls = Arc::new(|call: Call| say(&Word::Called(call)));
        tokio::spawn(obey(worker, cx.cancellation.clone()));
        say(&Word::Begun);
        let run = kind.run(suspect.version, Payload::from_bytes(suspect.payload), cx);
        let result = AssertUnwindSafe(run).catch_unwind().await;
        let result = result.unwrap_or_else(|panic| {
            Err(JobError::panicked(format!("handler panicked: {}", text(&*panic))))
        });
        say(&Word::End(End::of(result)));
        Ok(())
    }
}

/// Waits for the end of the input, then stops the job, then this process.
async fn obey(mut worker: BufReader<Receiver>, stop: CancellationToken) {
    let mut rest = [0; 64];
    while matches!(worker.read(&mut rest).await, Ok(n) if n > 0) {}
    stop.cancel();
    tokio::time::sleep(GRACE).await;
    // Threads that burn the CPU would hold up every softer end.
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Nobody may be listening any more: then there is nobody to tell.
fn say(word: &Word) {
    if let Ok(mut line) = serde_json::to_vec(word) {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
