//! Exit codes, fixed for scripts, and the errors that lead to them.

use std::fmt;
use std::io;
use std::process::ExitCode;

use flotilla_core::ops::EnqueueError;
use flotilla_core::outcome::{BoxError, chain};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::registry::RegistryError;

/// How a command ended. 64, 69 and 70 are those of BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok = 0,
    /// The command worked; a job did not.
    JobFailed = 1,
    /// The command line or what it names is wrong.
    Usage = 2,
    /// The configuration does not hold.
    Config = 64,
    /// Something the command needs cannot be reached or used.
    Unavailable = 69,
    /// A fault of Flotilla.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work, with the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    error: BoxError,
}

impl Failure {
    pub(crate) fn usage(error: impl Into<BoxError>) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }

    pub(crate) fn config(error: impl Into<BoxError>) -> Self {
        Self { exit: Exit::Config, error: error.into() }
    }

    pub(crate) fn unavailable(error: impl Into<BoxError>) -> Self {
        Self { exit: Exit::Unavailable, error: error.into() }
    }

    pub(crate) fn bug(error: impl Into<BoxError>) -> Self {
        Self { exit: Exit::Bug, error: error.into() }
    }

    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.error
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self.error.as_ref(), 16 * 1024))
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let exit = match error.kind {
            QueueErrorKind::Unavailable | QueueErrorKind::Full => Exit::Unavailable,
            QueueErrorKind::Invalid => Exit::Usage,
            QueueErrorKind::Corrupt => Exit::Bug,
        };
        Self { exit, error: error.into() }
    }
}

impl From<EnqueueError> for Failure {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Queue(error) => error.into(),
            other => Self::usage(other),
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::usage(error)
    }
}

impl From<io::Error> for Failure {
    /// Reading what the user named and writing to the terminal are the only plain I/O there is.
    fn from(error: io::Error) -> Self {
        Self::unavailable(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::bug(error)
    }
}
