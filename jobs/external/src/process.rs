//! One child process: started in a group of its own, greeted, listened to, ended as a group.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::Kind;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::desk::{Desk, Over};
use crate::lines::{Line, Lines};
use crate::words::{PROTOCOL, Said, Told};

/// Longest line of stderr in the log.
const MAX_COMPLAINT: usize = 4096;
/// Lines that may wait to be written to a process that does not read.
const UNREAD: usize = 64;
/// How long pipes may stay open after a group was killed.
const REST: Duration = Duration::from_secs(5);

/// A program that serves a kind.
#[derive(Clone, Debug)]
pub struct Program {
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Where it is started; `None`: here.
    pub dir: Option<PathBuf>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// How many of it there are; at least 1.
    pub processes: usize,
    /// Jobs one of it may hold at once; at least 1.
    pub concurrency: usize,
    /// How long it may take to say hello.
    pub start_timeout: Duration,
    /// How long it has to stop, or to end a job that was cancelled.
    pub stop_grace: Duration,
    /// Last bytes of its stderr that are kept.
    pub stderr_tail: usize,
}

/// A process at work.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) desk: Arc<Desk>,
    /// Lines for its stdin; when the last sender is gone, its stdin ends.
    pub(crate) told: mpsc::Sender<Vec<u8>>,
    /// Jobs it may hold at once.
    pub(crate) room: usize,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl Process {
    /// Starts the program and waits for its hello. `freed` hears of every job it has ended.
    ///
    /// # Errors
    /// Why it does not run, with the last it said.
    pub(crate) async fn start(
        program: &Program,
        kind: &Kind,
        max_line: usize,
        freed: Arc<Notify>,
    ) -> Result<Self, String> {
        let shown = program.command.first().cloned().unwrap_or_default();
        let mut command = Command::new(&shown);
        command.args(program.command.iter().skip(1)).env_clear().envs(program.env.clone());
        if let Some(dir) = &program.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| format!("cannot start {shown}: {e}"))?;
        let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).map(Group);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("{shown} has no pipes"));
        };
        let tail = Tail::new(program.stderr_tail);
        let listener = tokio::spawn(complaints(stderr, tail.clone(), kind.clone()));
        let (told, lines) = mpsc::channel(UNREAD);
        tokio::spawn(write(stdin, lines));
        let mut keeper = Keeper {
            kind: kind.clone(),
            shown,
            desk: Arc::new(Desk::default()),
            lines: Lines::new(stdout, max_line),
            listener,
            tail,
            freed,
            stop_grace: program.stop_grace,
            max_line,
            group,
            child,
        };
        let hello = Told::Hello { protocol: PROTOCOL, kind: kind.as_str() }.line();
        let _ = told.send(hello.map_err(|e| e.text(200))?).await;
        let said = match timeout(program.start_timeout, keeper.hello()).await {
            Ok(said) => said,
            Err(_) => Err(format!("said no hello within {:?}", program.start_timeout)),
        };
        let room = match said {
            Ok(concurrency) => concurrency.unwrap_or(1).clamp(1, program.concurrency),
            Err(why) => return Err(keeper.fallen(&why).await),
        };
        tracing::info!(kind = %kind, program = keeper.shown, room, "its process is ready");
        let desk = Arc::clone(&keeper.desk);
        tokio::spawn(keeper.keep());
        Ok(Self { desk, told, room })
    }
}

/// A process group that does not outlive this.
#[derive(Debug)]
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL); // it may have ended by itself
    }
}

/// Keeps one process: hears it, sees it end, ends it.
struct Keeper {
    kind: Kind,
    shown: String,
    desk: Arc<Desk>,
    lines: Lines<ChildStdout>,
    listener: JoinHandle<()>,
    tail: Tail,
    freed: Arc<Notify>,
    stop_grace: Duration,
    max_line: usize,
    group: Option<Group>,
    child: Child,
}

impl Keeper {
    async fn hello(&mut self) -> Result<Option<usize>, String> {
        let line = match self.lines.next().await {
            Ok(Line::Whole(line)) => line,
            Ok(Line::TooLong(_)) => return Err(self.too_long()),
            Ok(Line::End) => return Err("ended before it said hello".to_owned()),
            Err(error) => return Err(format!("cannot be heard: {error}")),
        };
        match serde_json::from_slice(&line) {
            Ok(Said::Hello { protocol: PROTOCOL, concurrency }) => Ok(concurrency),
            Ok(Said::Hello { protocol, .. }) => {
                Err(format!("speaks protocol {protocol}; this worker speaks {PROTOCOL}"))
            }
            Ok(_) => Err("did not say hello first".to_owned()),
            Err(error) => Err(no_word(&line, &error)),
        }
    }

    async fn keep(mut self) {
        let over = self.listen().await;
        let over = match over {
            Over::Ended(why) => Over::Ended(self.fallen(&why).await),
            Over::Broke(why) => Over::Broke(self.fallen(&why).await),
        };
        match (&over, self.desk.is_closing()) {
            (_, true) => tracing::debug!(kind = %self.kind, "its process has ended"),
            (Over::Ended(why) | Over::Broke(why), false) => {
                tracing::warn!(kind = %self.kind, "{why}");
            }
        }
        self.desk.end(over);
        self.freed.notify_waiters();
    }

    /// Until it ends or has to be ended.
    async fn listen(&mut self) -> Over {
        let desk = Arc::clone(&self.desk);
        let mut exited = None;
        let mut closed: Option<Instant> = None;
        loop {
            if closed.is_none() && desk.is_closing() {
                closed = Some(Instant::now() + self.stop_grace);
            }
            let patience = desk.patience().into_iter().chain(closed).min();
            tokio::select! {
                biased;
                line = self.lines.next() => match line {
                    Ok(Line::Whole(line)) => {
                        if let Err(why) = self.heard(&line) {
                            return Over::Broke(why);
                        }
                    }
                    Ok(Line::TooLong(_)) => return Over::Broke(self.too_long()),
                    Ok(Line::End) | Err(_) => {
                        let status = match exited {
                            Some(status) => Ok(Ok(status)),
                            None => timeout(REST, self.child.wait()).await,
                        };
                        return Over::Ended(match status {
                            Ok(Ok(status)) => format!("ended with {status}"),
                            _ => "closed its stdout".to_owned(),
                        });
                    }
                },
                status = self.child.wait(), if exited.is_none() => {
                    exited = status.ok();
                    self.group = None; // what it started may hold the pipe open
                    closed = Some(Instant::now() + REST);
                }
                () = desk.changed.notified() => {}
                () = sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() => {
                    return Over::Ended("did not end in time what it was told to end: killed".to_owned());
                }
            }
        }
    }

    fn heard(&self, line: &[u8]) -> Result<(), String> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let said = serde_json::from_slice(line).map_err(|error| no_word(line, &error))?;
        if self.desk.hear(self.kind.as_str(), said)? {
            self.freed.notify_waiters();
        }
        Ok(())
    }

    fn too_long(&self) -> String {
        let max = self.max_line;
        format!(
            "wrote a line of more than {max} bytes; put large data in a file, or raise max_line"
        )
    }

    /// Ends its group; why it is no more, with the last it said.
    async fn fallen(&mut self, why: &str) -> String {
        self.group = None;
        let _ = timeout(REST, self.child.wait()).await;
        let _ = timeout(REST, &mut self.listener).await;
        let (shown, tail) = (&self.shown, self.tail.text());
        if tail.is_empty() {
            return format!("the program {shown} {why}");
        }
        format!("the program {shown} {why}; its last words: {tail}")
    }
}

fn no_word(line: &[u8], error: &serde_json::Error) -> String {
    let head: String = String::from_utf8_lossy(line).chars().take(80).collect();
    format!(
        "wrote a line on stdout that is not of the protocol ({error}): {head:?}; everything else \
         belongs on stderr"
    )
}

/// Writes to its stdin until nobody has anything to say, or it does not listen.
async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return; // its end is told by its keeper
        }
    }
}

async fn complaints(pipe: impl AsyncRead + Unpin, tail: Tail, kind: Kind) {
    let mut lines = Lines::new(pipe, MAX_COMPLAINT);
    while let Ok(Line::Whole(line) | Line::TooLong(line)) = lines.next().await {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            tracing::info!(kind = %kind, "{}", text.trim_end());
            tail.add(text.trim());
        }
    }
}

/// The last of what it said on stderr.
#[derive(Clone, Debug)]
struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    max: usize,
}

impl Tail {
    fn new(max: usize) -> Self {
        Self { lines: Arc::default(), max }
    }

    fn add(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cut = line.len().min(self.max);
        while !line.is_char_boundary(cut) {
            cut -= 1;
        }
        lines.push_back(line[..cut].to_owned());
        while lines.iter().map(|line| line.len() + 3).sum::<usize>() > self.max.max(cut + 3) {
            lines.pop_front();
        }
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}
