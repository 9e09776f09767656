//! Programs run beside this process: each in a group of its own, killed as a group, with bounded
//! output and the end of what it said.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::error::MediaError;

/// How much of what a program says on stderr is kept.
const TAIL: usize = 2000;

/// Tells work in other threads to stop, and kills the programs it runs.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stopped: AtomicBool,
    groups: Mutex<BTreeSet<i32>>,
}

impl Stop {
    /// Stops: every program that runs under it is killed with its group, none is started any more.
    pub fn stop(&self) {
        let groups = self.groups();
        self.0.stopped.store(true, Ordering::SeqCst);
        for group in groups.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            let _ = kill_process_group(group, Signal::KILL); // it may have ended by itself
        }
    }

    /// Whether it was told to stop; cheap.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    /// Stops when the answer is dropped: so an attempt that is dropped leaves no program behind.
    #[must_use]
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// # Errors
    /// [`MediaError::Stopped`] when it was told to stop.
    pub(crate) fn check(&self) -> Result<(), MediaError> {
        if self.is_stopped() { Err(MediaError::Stopped) } else { Ok(()) }
    }

    fn groups(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Stop::on_drop`].
#[derive(Debug)]
pub struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A program that may be run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name or path.
    pub name: OsString,
    /// The first words of every call.
    pub first: Vec<OsString>,
    /// Where names are looked for: the `PATH` it gets; nothing else of the environment is handed on.
    pub path: OsString,
    /// The Debian package that brings it.
    pub package: &'static str,
    /// The setting that names it.
    pub setting: &'static str,
}

impl Program {
    fn shown(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// A program at work.
pub(crate) struct Running {
    child: std::process::Child,
    pid: Pid,
    shown: String,
    stop: Stop,
    stderr: Option<JoinHandle<String>>,
    reaped: bool,
}

impl Running {
    /// Starts `program` with pipes to its input and from its output.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Program,
        args: &[A],
        stop: &Stop,
    ) -> Result<Self, MediaError> {
        let mut command = Command::new(&program.name);
        command
            .args(&program.first)
            .args(args)
            .env_clear()
            .env("PATH", &program.path)
            .env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let mut groups = stop.groups(); // held, so that a stop comes before the start or sees the group
        stop.check()?;
        let mut child = command.spawn().map_err(|source| {
            if source.kind() == std::io::ErrorKind::NotFound {
                let (package, setting) = (program.package, program.setting);
                return MediaError::Missing { program: program.shown(), package, setting };
            }
            MediaError::Io { doing: format!("start {}", program.shown()), source }
        })?;
        let pid = Pid::from_child(&child);
        groups.insert(pid.as_raw_nonzero().get());
        drop(groups);
        let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || tail(pipe)));
        Ok(Self { child, pid, shown: program.shown(), stop: stop.clone(), stderr, reaped: false })
    }

    /// The input of the program; it ends when this is dropped.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its output, to be read piece by piece.
    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Everything it writes, `max` bytes at most.
    pub(crate) fn output(&mut self, max: u64) -> Result<Vec<u8>, MediaError> {
        let mut bytes = Vec::new();
        if let Some(pipe) = self.child.stdout.take() {
            pipe.take(max + 1)
                .read_to_end(&mut bytes)
                .map_err(MediaError::io(format!("read from {}", self.shown)))?;
        }
        if bytes.len() as u64 > max {
            self.kill();
            return Err(MediaError::Child {
                program: self.shown.clone(),
                status: format!("its output has more than {max} bytes"),
                stderr: String::new(),
            });
        }
        Ok(bytes)
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<(), MediaError> {
        drop(self.child.stdin.take());
        let status = self.reap().map_err(MediaError::io(format!("wait for {}", self.shown)))?;
        let stderr = self.stderr.take().and_then(|tail| tail.join().ok()).unwrap_or_default();
        self.stop.check()?;
        if status.success() {
            return Ok(());
        }
        let (program, status) = (self.shown.clone(), status.to_string());
        Err(MediaError::Child { program, status, stderr })
    }

    /// Leaves the register before the pid can become another's.
    fn reap(&mut self) -> std::io::Result<std::process::ExitStatus> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(error) = waitid(WaitId::Pid(self.pid), ended) {
            if error != rustix::io::Errno::INTR {
                break;
            }
        }
        self.stop.groups().remove(&self.pid.as_raw_nonzero().get());
        self.reaped = true;
        self.child.wait()
    }

    fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// Runs a program to its end: `input` in, at most `max_output` bytes out.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &Program,
    args: &[A],
    input: Vec<u8>,
    max_output: u64,
    stop: &Stop,
) -> Result<Vec<u8>, MediaError> {
    let mut running = Running::start(program, args, stop)?;
    let pipe = running.input();
    let feeder = std::thread::spawn(move || {
        // A program that does not read to the end says why itself.
        let _ = pipe.map(|mut pipe| pipe.write_all(&input));
    });
    let output = running.output(max_output);
    if output.is_err() {
        running.kill();
    }
    let finished = running.finish();
    let _ = feeder.join();
    let output = output?;
    finished.map(|()| output)
}

/// The last of what a program says, on one line.
fn tail(mut pipe: impl Read) -> String {
    let mut kept: VecDeque<u8> = VecDeque::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = pipe.read(&mut buffer) {
        if count == 0 {
            break;
        }
        kept.extend(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    let bytes: Vec<u8> = kept.into();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Program {
        let path = "/usr/bin:/bin".into();
        let (name, package) = (name.into(), "coreutils");
        Program { name, first: Vec::new(), path, package, setting: "video.ffmpeg" }
    }

    #[test]
    fn feeds_and_reads_at_once() {
        let input = vec![7; 1 << 20];
        let stop = Stop::default();
        let output = run::<&str>(&program("cat"), &[], input.clone(), 2 << 20, &stop).unwrap();
        assert_eq!(output, input);
        assert!(run::<&str>(&program("cat"), &[], input, 1000, &stop).is_err());
    }

    #[test]
    fn says_what_failed_and_what_is_missing() {
        let stop = Stop::default();
        let failed = run(&program("ls"), &["/no/such"], Vec::new(), 10, &stop).unwrap_err();
        assert!(failed.to_string().contains("/no/such"), "{failed}");
        let missing = run::<&str>(&program("no-such-program"), &[], Vec::new(), 10, &stop);
        assert!(missing.unwrap_err().to_string().contains("apt-get install coreutils"));
    }

    #[test]
    fn a_stop_kills_what_runs_and_starts_nothing_more() {
        let stop = Stop::default();
        let running = Running::start(&program("sleep"), &["1000"], &stop).unwrap();
        let pid = running.pid;
        stop.stop();
        assert!(matches!(running.finish(), Err(MediaError::Stopped)));
        assert!(rustix::process::test_kill_process(pid).is_err(), "it is gone");
        let late = Running::start(&program("sleep"), &["1000"], &stop);
        assert!(matches!(late, Err(MediaError::Stopped)));
    }
}
