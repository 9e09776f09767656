//! Holds the embedded backend to what every backend promises, on a real file.

use std::path::PathBuf;
use std::sync::Mutex;

use flotilla_conformance::{Harness, Ports, queue_suite};
use flotilla_sqlite::{Settings, Sqlite};
use tempfile::TempDir;

/// The folders of one case; the last one is the one that is opened again.
#[derive(Default)]
struct Files(Mutex<Vec<TempDir>>);

impl Files {
    fn last(&self) -> PathBuf {
        let folders = self.0.lock().expect("no case panicked");
        folders.last().expect("a case begins with `fresh`").path().join("jobs.db")
    }

    fn open(&self) -> Ports {
        Ports::of(Sqlite::open(self.last(), Settings::default()).expect("the file opens"))
    }
}

#[async_trait::async_trait]
impl Harness for Files {
    async fn fresh(&self) -> Ports {
        let folder = tempfile::tempdir().expect("a folder is made");
        self.0.lock().expect("no case panicked").push(folder);
        self.open()
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
