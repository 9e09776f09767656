//! Learns of the commits of other processes: the log file changes when anybody appends to it.
//!
//! An event only says "look": the writer then asks SQLite whether another connection committed.
//! The last bytes of a commit are written a moment before it becomes visible, so a few more looks
//! follow each event. Where the system has no inotify, or it fails, looking often replaces it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::bell::Bell;
use crate::writer::Order;

/// Looks after an event, the moment a commit needs to become visible.
const FOLLOW: [Duration; 3] =
    [Duration::from_micros(300), Duration::from_millis(3), Duration::from_millis(30)];

/// While this process commits by itself, its writer looks anyway: no need to hurry.
const OWN: Duration = Duration::from_millis(5);

/// Between looks without an event: with inotify, and without.
const RARELY: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_millis(100);

/// The thread that asks the writer to look. Ends when `stop` says so.
pub(crate) struct Watcher {
    pub(crate) orders: Sender<Order>,
    pub(crate) bell: Arc<Bell>,
}

impl Watcher {
    /// Looks at a steady pace; the way without inotify.
    pub(crate) fn run_by_polling(self, stop: &Receiver<()>) {
        while stop.recv_timeout(OFTEN) == Err(RecvTimeoutError::Timeout) {
            if self.orders.send(Order::Peek).is_err() {
                return;
            }
        }
    }

    /// Looks whenever `events` says that the log was written.
    #[cfg(target_os = "linux")]
    pub(crate) fn run(self, events: &linux::Events) {
        let mut commits = self.bell.commits();
        let mut follow = FOLLOW.len();
        loop {
            let patience = FOLLOW.get(follow).copied().unwrap_or(RARELY);
            match events.wait(patience) {
                linux::Event::Stop => return,
                linux::Event::Quiet => follow += 1,
                linux::Event::Written => {
                    thread::sleep(FOLLOW[0]);
                    if self.bell.commits() != commits {
                        thread::sleep(OWN);
                    }
                    events.forget();
                    commits = self.bell.commits();
                    follow = 1;
                }
            }
            if self.orders.send(Order::Peek).is_err() {
                return;
            }
        }
    }
}

/// inotify and the way to end a wait on it.
#[cfg(target_os = "linux")]
pub(crate) mod linux {
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fs::inotify;
    use rustix::io::{Errno, read, write};

    /// What a wait ended with.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) enum Event {
        Written,
        Quiet,
        Stop,
    }

    /// Writes to one file.
    #[derive(Debug)]
    pub(crate) struct Events {
        notify: OwnedFd,
        stop: Arc<OwnedFd>,
    }

    /// Ends the wait when dropped.
    #[derive(Debug)]
    pub(crate) struct Stop(Arc<OwnedFd>);

    impl Drop for Stop {
        fn drop(&mut self) {
            if let Err(error) = write(&*self.0, &1u64.to_ne_bytes()) {
                tracing::error!(%error, "the watcher of the log could not be told to end");
            }
        }
    }

    impl Events {
        /// Watches `file`, which must exist.
        pub(crate) fn of(file: &Path) -> Result<(Self, Stop), Errno> {
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let notify = inotify::init(flags)?;
            inotify::add_watch(&notify, file, inotify::WatchFlags::MODIFY)?;
            let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let stop = Arc::new(stop);
            Ok((Self { notify, stop: Arc::clone(&stop) }, Stop(stop)))
        }

        /// Waits for a write, at most `patience`.
        pub(crate) fn wait(&self, patience: Duration) -> Event {
            let timeout = Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(1),
                tv_nsec: i64::from(patience.subsec_nanos()),
            };
            let mut fds =
                [PollFd::new(&self.notify, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) if !fds[1].revents().is_empty() => Event::Stop,
                Ok(_) if !fds[0].revents().is_empty() => Event::Written,
                _ => Event::Quiet,
            }
        }

        /// Forgets the events that have come so far.
        pub(crate) fn forget(&self) {
            let mut events = [0u8; 4096];
            while read(&self.notify, &mut events).is_ok_and(|n| n > 0) {}
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_write_ends_the_wait_and_so_does_the_end() {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("log");
            std::fs::write(&file, "a").unwrap();
            let (events, stop) = Events::of(&file).unwrap();
            assert_eq!(events.wait(Duration::ZERO), Event::Quiet);
            std::fs::write(&file, "b").unwrap();
            assert_eq!(events.wait(Duration::from_secs(9)), Event::Written);
            events.forget();
            assert_eq!(events.wait(Duration::ZERO), Event::Quiet);
            drop(stop);
            assert_eq!(events.wait(Duration::from_secs(9)), Event::Stop);
        }
    }
}
