//! How to reach the broker and how to use it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// An address; shows as `***`, since it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS; `%2f` is the vhost `/`.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the broker is used. Settings are each process's own, except those marked as the fleet's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the broker is. A certificate is always checked with `amqps`.
    pub url: Url,
    /// What the names of queues begin with: 1 to 64 of `a-z 0-9 . _ -`. The fleet's.
    pub prefix: String,
    /// Shows in the broker's list of connections.
    pub connection_name: String,
    /// Fewest unacked messages of one lane that the broker hands to this process.
    pub prefetch_least: u16,
    /// Most of them; in between it follows the free slots. Zero: none are handed over ahead, each
    /// is fetched when it is asked for. That is slower, and right where every job must go to the
    /// first free worker.
    pub prefetch_most: u16,
    /// Handed over so often without an ack, a message is given up. The fleet's: other processes'
    /// queues must have the same.
    pub delivery_limit: u32,
    /// Jobs that run longer are acked early under the lease of their record. Must be shorter than
    /// the broker's `consumer_timeout` (30 minutes unless changed).
    pub longest_lease: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for confirmations of one batch, and for any other answer.
    pub answer_timeout: Duration,
    /// Largest body of a message, in bytes.
    pub max_body: usize,
    /// Certificate authorities for the broker (PEM); `None`: those of this machine.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// The prefix `flotilla`, up to 2,000 prefetched, 20 deliveries, 20 minutes, 5 s to connect and
    /// 10 s to answer, 2 MiB.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Url::new(url),
            prefix: "flotilla".into(),
            connection_name: "flotilla".into(),
            prefetch_least: 1,
            prefetch_most: 2000,
            delivery_limit: 20,
            longest_lease: Duration::from_secs(20 * 60),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
            max_body: 2 * 1024 * 1024,
            ca_file: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let settings = Settings::new("amqp://u:hunter2@h/%2f");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
