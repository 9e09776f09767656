//! The bounds of the vault.

use std::time::Duration;

use flotilla_core::retry::Backoff;

/// How renewals are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long one exchange may take, whatever the client thinks.
    pub call: Duration,
    /// How long a renewal belongs to one worker; longer than two exchanges.
    pub lease: Duration,
    /// How long somebody waits for another's renewal before their job is put off.
    pub wait: Duration,
    /// Renewals of one platform that one process makes at once.
    pub concurrency: usize,
    /// Between renewals that failed for reasons that may pass.
    pub backoff: Backoff,
    /// How long a platform that refused our app is left alone.
    pub stop: Duration,
    /// How long a store that fails is asked to take a new token: it exists nowhere else.
    pub keep_trying: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(20),
            lease: Duration::from_secs(60),
            wait: Duration::from_secs(30),
            concurrency: 4,
            backoff: Backoff {
                base: Duration::from_secs(5),
                factor: 3.0,
                max: Duration::from_secs(900),
            },
            stop: Duration::from_secs(900),
            keep_trying: Duration::from_secs(120),
        }
    }
}
