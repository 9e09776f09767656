//! The two backends as one thing. Each call is answered in no time at all: SQLite's threads work
//! while virtual time stands still, so a run is the same every time on both.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use flotilla_core::fleet::Fleet;
use flotilla_core::{Cells, Outbox, Queue, Records};
use flotilla_memory::Memory;
use flotilla_sqlite::{Sqlite, Synchronous};

/// Every port of a backend.
pub(crate) trait Store: Queue + Records + Cells + Outbox + Fleet {}

impl<T: Queue + Records + Cells + Outbox + Fleet> Store for T {}

/// Which backend a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Memory,
    Sqlite,
}

/// A new, empty backend, and the folder that goes away with it.
pub(crate) fn open(over: Over) -> (Arc<dyn Store>, Option<tempfile::TempDir>) {
    match over {
        Over::Memory => {
            let settings = flotilla_memory::Settings { events: true, ..Default::default() };
            (Arc::new(Memory::new(settings)), None)
        }
        Over::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            let settings = flotilla_sqlite::Settings {
                synchronous: Synchronous::Normal,
                events: true,
                ..Default::default()
            };
            (Sqlite::open(folder.path().join("jobs.db"), settings).unwrap(), Some(folder))
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The answer of a call that waits for other threads only, never for virtual time.
pub(crate) fn at_once<T>(call: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut call = pin!(tokio::task::unconstrained(call));
    loop {
        match call.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
