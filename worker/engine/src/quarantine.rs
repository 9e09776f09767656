//! A job whose worker fell while it ran is a suspect: where one more fall would make it poison, it
//! is run where its end takes nobody along, in a process of its own.
//!
//! The worker starts its own program once more, with a hidden command. The child gets the job as a
//! line on its standard input ([`inside`]), runs its handler with the same configuration, cells and
//! blobs, and says line by line what the handler says ([`words`]). Limits, leases, timeouts and the
//! outcome stay with the worker. When the child falls (abort, a full stack, its memory), the job is
//! dead as `poison` and nothing else has happened.

pub mod inside;
mod words;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::clock::after;
use flotilla_core::{DeadClass, JobContext, JobError, Payload};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Take};
use tokio::process::{Child, ChildStdin, Command};

use words::{End, Suspect, Word};

/// Bytes a child may say in all; more is not read.
const MAX_SAID: u64 = 64 << 20;
/// Last lines of a fallen child that are kept with the dead letter, and bytes of each.
const TAIL: (usize, usize) = (5, 300);
/// How long what a child said last may be on its way when it has ended.
const REST: Duration = Duration::from_millis(200);
/// How long a job waits when no process can be started for it.
const NOT_NOW: Duration = Duration::from_secs(10);

/// Where suspects are run.
pub trait Isolation: Send + Sync + std::fmt::Debug {
    /// Runs the handler as the worker would. Whatever happens in it, the worker goes on; once the
    /// future is dropped, nothing of it does. A suspect that falls is `Fail` with class `poison`.
    fn run(
        &self,
        version: u16,
        payload: Payload,
        cx: JobContext,
    ) -> BoxFuture<'_, Result<Bytes, JobError>>;
}

/// Processes of this or another program that call [`inside`].
#[derive(Clone, Debug)]
pub struct Processes {
    /// What to start.
    pub program: PathBuf,
    /// With which arguments.
    pub args: Vec<OsString>,
    /// Bytes of data a suspect may have; 0: no bound.
    pub memory: u64,
}

impl Isolation for Processes {
    fn run(
        &self,
        version: u16,
        payload: Payload,
        cx: JobContext,
    ) -> BoxFuture<'_, Result<Bytes, JobError>> {
        let suspect = Suspect::new(version, &payload, &cx, self.memory);
        Box::pin(self.attend(suspect, cx))
    }
}

impl Processes {
    async fn attend(&self, suspect: Suspect, cx: JobContext) -> Result<Bytes, JobError> {
        tracing::info!("its worker fell the last time: it is run in a process of its own");
        let not_now = |error: std::io::Error| JobError::Snooze {
            until: after(cx.clock.now(), NOT_NOW),
            reason: format!("no process of its own can be started for it: {error}"),
        };
        let mut line = serde_json::to_vec(&suspect).map_err(JobError::invalid)?;
        line.push(b'\n');
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .env("RUST_BACKTRACE", "0") // its last words say why, not where
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_now)?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(JobError::retry("a child process has no pipes"));
        };
        // One that has fallen by now says so below.
        let _ = stdin.write_all(&line).await;
        let mut ear = Ear { cx: &cx, begun: false, end: None, tail: VecDeque::new() };
        let status = ear.listen(&mut child, stdin, lines(stdout), lines(stderr)).await;
        let status = status.map_err(not_now)?;
        match ear.end {
            Some(end) => end.into_result(),
            None if cx.is_cancelled() => Err(JobError::retry("stopped in its own process")),
            None if !ear.begun => Err(not_now(std::io::Error::other(ear.fallen(status)))),
            None => Err(JobError::Fail {
                class: DeadClass::Poison,
                source: format!("it took down a process of its own too: {}", ear.fallen(status))
                    .into(),
            }),
        }
    }
}

fn lines<T: AsyncRead + Unpin>(pipe: T) -> Lines<BufReader<Take<T>>> {
    BufReader::new(pipe.take(MAX_SAID)).lines()
}

/// Hears what a child says.
struct Ear<'a> {
    cx: &'a JobContext,
    /// Its handler has begun: what happens now is the job's.
    begun: bool,
    end: Option<End>,
    tail: VecDeque<String>,
}

impl Ear<'_> {
    /// Until the child has ended. It is told to stop by the end of its input.
    async fn listen(
        &mut self,
        child: &mut Child,
        stdin: ChildStdin,
        mut out: Lines<BufReader<Take<impl AsyncRead + Unpin>>>,
        mut err: Lines<BufReader<Take<impl AsyncRead + Unpin>>>,
    ) -> std::io::Result<ExitStatus> {
        let (mut stdin, mut talks, mut complains) = (Some(stdin), true, true);
        let status = loop {
            tokio::select! {
                biased;
                line = out.next_line(), if talks => match line {
                    Ok(Some(line)) => self.heard(&line),
                    _ => talks = false,
                },
                line = err.next_line(), if complains => match line {
                    Ok(Some(line)) => self.complained(line),
                    _ => complains = false,
                },
                status = child.wait() => break status?,
                () = self.cx.cancellation.cancelled(), if stdin.is_some() => stdin = None,
            }
        };
        // A child of the child may hold the pipes open, so their end is not waited for.
        while let Ok(Ok(Some(line))) = tokio::time::timeout(REST, out.next_line()).await {
            self.heard(&line);
        }
        while let Ok(Ok(Some(line))) = tokio::time::timeout(REST, err.next_line()).await {
            self.complained(line);
        }
        Ok(status)
    }

    /// A line that is no word is something a library printed.
    fn heard(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Word::Begun) => self.begun = true,
            Ok(Word::Progress(progress)) => (self.cx.sink)(progress),
            Ok(Word::Called(call)) => self.cx.called(call),
            Ok(Word::End(end)) => self.end = Some(end),
            Err(_) => {}
        }
    }

    fn complained(&mut self, line: String) {
        tracing::warn!(line, "a suspect in its own process");
        if self.tail.len() == TAIL.0 {
            self.tail.pop_front();
        }
        self.tail.push_back(line.chars().take(TAIL.1).collect());
    }

    fn fallen(&self, status: ExitStatus) -> String {
        let tail: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        format!("{status}; its last words: {}", tail.join(" / "))
    }
}
