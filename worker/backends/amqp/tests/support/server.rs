//! A broker of a test's own, for tests that stop it, starve it or configure it.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;

use flotilla_conformance::servers::{first_line, script};

/// A broker that ends with the test.
pub(crate) struct Server {
    folder: PathBuf,
    pub(crate) port: u16,
    holder: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts one with these lines in its configuration, `name=value`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let port = flotilla_conformance::free_ports(3);
        let folder =
            std::env::temp_dir().join(format!("flotilla-mq-{}-{port}", std::process::id()));
        let mut holder = script("rabbitmq")
            .args(["hold", &folder.to_string_lossy(), &port.to_string()])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("worker/scripts/rabbitmq.sh runs");
        let url = first_line(&mut holder).expect("it says its address");
        assert!(url.starts_with("amqp://"), "the broker did not start");
        Self { folder, port, holder, url }
    }

    /// Runs the script on it: `stop`, `start`, `ctl`.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let folder = self.folder.to_string_lossy().into_owned();
        let done = script("rabbitmq").args([arguments[0], &folder]).args(&arguments[1..]).output();
        let done = done.expect("worker/scripts/rabbitmq.sh runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// One command of its control program.
    pub(crate) async fn control(self: &Arc<Self>, words: &[&str]) {
        let (server, words) = (Arc::clone(self), words.iter().map(ToString::to_string));
        let words: Vec<String> = std::iter::once("ctl".into()).chain(words).collect();
        let run = move || server.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.expect("the command works");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _stopped = self.holder.wait();
    }
}
