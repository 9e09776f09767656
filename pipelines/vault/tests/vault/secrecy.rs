//! Nothing secret in a cell, a log, an error, a notice or a `Debug`, whatever happens.

use std::io::Write;
use std::sync::{Arc, Mutex};

use flotilla_core::account::Accounts;
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{DAY, Fault, HOUR, MARK, Scene, acme};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().map_err(|_| std::io::ErrorKind::Other)?;
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_shows_in_cells_logs_errors_notices_or_debug_output() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // For the whole process: other tests may run beside this one, and must not show any either.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let scene = Scene::with(|platform| platform.single_use = false);
    let vault = scene.replica(1);
    let mut shown = Vec::new();
    let new = scene.account("a");
    shown.push(format!("{new:?}"));
    shown.push(format!("{:?}", vault.add(new).await.unwrap()));
    sleep(2 * DAY).await;
    scene.platform.script([
        Fault::NotSent,
        Fault::Unwell,
        Fault::LostAnswer,
        Fault::LostRequest,
        Fault::BadApp,
    ]);
    for _ in 0..4 {
        shown.push(format!("{:?}", vault.credential(&acme(), "a").await.unwrap_err()));
        sleep(HOUR).await;
    }
    shown.push(format!("{:?}", vault.credential(&acme(), "a").await.unwrap()));
    scene.platform.script([Fault::Grant]);
    sleep(2 * DAY).await;
    shown.push(format!("{:?}", vault.credential(&acme(), "a").await.unwrap_err()));
    shown.push(format!("{:?}", vault.add(scene.account("a")).await.unwrap()));
    let listed = vault.list(None, None, 10).await.unwrap();
    shown.push(serde_json::to_string(&listed).unwrap());
    shown.push(format!("{listed:?} {vault:?} {:?}", vault.stops().await.unwrap()));
    shown.push(format!("{:?}", vault.revoke(&acme(), "a").await.unwrap()));
    shown.push(format!("{:?}", scene.heard.told.lock().unwrap()));
    for (_, cell) in scene.cells.list("", None, 1000, scene.now()).await.unwrap() {
        shown.push(String::from_utf8_lossy(&cell.value).into_owned());
    }
    shown.push(String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(shown.last().unwrap().contains("token renewed"), "the log was written");
    // The ring's own key is as secret as what it wraps.
    let key = scene.ring.split(' ').nth(1).unwrap();
    for text in shown {
        assert!(!text.contains(MARK) && !text.contains(key), "{text}");
    }
}
