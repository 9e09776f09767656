//! Holds the embedded backend to what every backend promises, on a real file.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use flotilla_conformance::{Harness, Ports, queue_suite};
use flotilla_sqlite::{Settings, Sqlite};
use tempfile::TempDir;

/// The folders of one case; the last one is the one that is opened again.
#[derive(Default)]
struct Files {
    folders: Mutex<Vec<TempDir>>,
    telling: AtomicBool,
}

impl Files {
    fn last(&self) -> PathBuf {
        let folders = self.folders.lock().expect("no case panicked");
        folders.last().expect("a case begins with `fresh`").path().join("jobs.db")
    }

    fn open(&self) -> Ports {
        let events = self.telling.load(Ordering::Relaxed);
        let settings = Settings { events, ..Settings::default() };
        Ports::of(Sqlite::open(self.last(), settings).expect("the file opens"))
    }

    fn open_new(&self, events: bool) -> Ports {
        let folder = tempfile::tempdir().expect("a folder is made");
        self.folders.lock().expect("no case panicked").push(folder);
        self.telling.store(events, Ordering::Relaxed);
        self.open()
    }
}

#[async_trait::async_trait]
impl Harness for Files {
    async fn fresh(&self) -> Ports {
        self.open_new(false)
    }

    async fn fresh_telling(&self) -> Ports {
        self.open_new(true)
    }

    async fn reopen(&self, ports: Ports) -> Ports {
        drop(ports); // the last handle closes the file
        self.open()
    }

    async fn second(&self) -> Ports {
        self.open()
    }
}

queue_suite!(Files::default());
