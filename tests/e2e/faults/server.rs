//! Servers of a test's own, made by the scripts that `make test` uses, that can be stopped and
//! started again on the same port and folder.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::support::root;

/// A server in a folder of its own; stopped when dropped.
pub(crate) struct Server {
    script: &'static str,
    dir: PathBuf,
    port: u16,
    settings: &'static [&'static str],
    /// The address it printed when it started.
    pub(crate) url: String,
}

impl Server {
    /// A PostgreSQL server that keeps what it has answered.
    pub(crate) fn postgres(name: &str) -> Result<Self, String> {
        Self::start("worker/scripts/postgres.sh", name, &["full_page_writes=off"])
    }

    /// A RabbitMQ server.
    pub(crate) fn rabbitmq(name: &str) -> Result<Self, String> {
        Self::start("worker/scripts/rabbitmq.sh", name, &[])
    }

    /// An emulator of SQS and DynamoDB, which keeps nothing beyond its process.
    pub(crate) fn aws(name: &str) -> Result<Self, String> {
        Self::start("worker/scripts/aws.sh", name, &[])
    }

    fn start(
        script: &'static str,
        name: &str,
        settings: &'static [&'static str],
    ) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("flotilla-{name}-{}", std::process::id()));
        let port = flotilla_conformance::free_ports(3);
        let mut server = Self { script, dir, port, settings, url: String::new() };
        server.url = server.run()?;
        Ok(server)
    }

    fn run(&self) -> Result<String, String> {
        let output = Command::new(root().join(self.script))
            .arg("start")
            .arg(&self.dir)
            .arg(self.port.to_string())
            .args(self.settings)
            .output()
            .map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Stops it at once, as a crash would, and starts it again.
    pub(crate) fn restart(&self) {
        self.stop();
        self.run().expect("a server that ran before runs again");
    }

    fn stop(&self) {
        let _ = Command::new(root().join(self.script)).arg("stop").arg(&self.dir).output();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its address with another port: the one of a proxy before it.
    pub(crate) fn through(&self, port: u16) -> String {
        self.url.replace(&format!(":{}", self.port), &format!(":{port}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
