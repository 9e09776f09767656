//! How to reach the server and how to use it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flotilla_core::queue::{QueueError, QueueErrorKind};

/// A connection string; shows as `***`, since it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// `postgres://user:password@host:port/database?sslmode=require`, or the `key=value` form.
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

/// How the server's database is used. Settings are each process's own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the server is. `sslmode=disable` talks in the clear; `prefer` (the default of
    /// PostgreSQL) uses TLS with servers on other machines that offer it; `require`, `verify-ca` and
    /// `verify-full` insist. A server's certificate and its name are always checked.
    pub url: Url,
    /// The schema that holds the tables: 1 to 48 lower-case letters, digits and `_`.
    pub schema: String,
    /// Connections for claims, outcomes and enqueues; the desk has half as many of its own, and
    /// one more listens. At least 2.
    pub pool_size: usize,
    /// The server ends a statement that takes longer.
    pub statement_timeout: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// Largest payload, in bytes; larger ones are answered `Rejected`.
    pub max_payload: usize,
    /// Largest number of jobs in one enqueue.
    pub max_batch: usize,
    /// Every end is marked as not yet told, for `Outbox`.
    pub events: bool,
    /// A broker carries the jobs: those it was not told about are kept apart, for `Store`.
    pub brokered: bool,
    /// Certificate authorities for the server (PEM); `None`: those of this machine.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// The schema `flotilla`, 8 connections, 30 s for a statement, 5 s to connect, 1 MiB, 1000 jobs.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Url::new(url),
            schema: "flotilla".into(),
            pool_size: 8,
            statement_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            max_payload: 1024 * 1024,
            max_batch: 1000,
            events: false,
            brokered: false,
            ca_file: None,
        }
    }

    /// The schema's name, if it is one: it is written into statements.
    pub(crate) fn schema(&self) -> Result<&str, QueueError> {
        let name = self.schema.as_str();
        let ok = (1..=48).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            && !name.starts_with("pg_");
        if ok {
            return Ok(name);
        }
        let message = format!(
            "\"{name}\" is not a schema name: 1 to 48 lower-case letters, digits and '_', \
             beginning with a letter, not with pg_"
        );
        Err(QueueError::plain(QueueErrorKind::Invalid, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows() {
        let settings = Settings::new("postgres://u:hunter2@h/db");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn schema_names_cannot_carry_statements() {
        let named = |name: &str| Settings { schema: name.into(), ..Settings::new("") };
        assert!(named("flotilla").schema().is_ok() && named("_t1").schema().is_ok());
        for bad in ["", "A", "a\"b", "a;b", "1a", "pg_x", &"a".repeat(49)] {
            assert!(named(bad).schema().is_err(), "{bad}");
        }
    }
}
