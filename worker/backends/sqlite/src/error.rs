//! What goes wrong inside a statement, and how it is told at the port.

use std::io;

use flotilla_core::queue::{QueueError, QueueErrorKind};
use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;

/// A failure below the port.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Corrupt(String),
}

pub(crate) type Done<T> = Result<T, Fault>;

impl From<FromSqlError> for Fault {
    fn from(error: FromSqlError) -> Self {
        Self::Corrupt(format!("a stored value has another type than expected: {error}"))
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::plain(QueueErrorKind::Invalid, message),
            Fault::Corrupt(message) => Self::plain(QueueErrorKind::Corrupt, message),
            Fault::Sql(error) => {
                let (kind, message) = judge(&error);
                Self::new(kind, message, error)
            }
        }
    }
}

fn judge(error: &rusqlite::Error) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Corrupt, Full, Invalid, Unavailable};
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (Full, FULL),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Unavailable, "the queue file is busy: another process holds its lock; try again")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (Corrupt, "the queue file is damaged: stop all workers and restore it from a backup")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            Unavailable,
            "the queue file cannot be written: check its owner, its permissions and its folder",
        ),
        Some(ErrorCode::SystemIoFailure) => {
            (Unavailable, "the queue file cannot be read or written: check the disk")
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            (Invalid, "the queue file does not take this value")
        }
        None => (Corrupt, "what the queue file holds cannot be read"),
        Some(_) => (Unavailable, "the queue file gave an error"),
    }
}

const FULL: &str =
    "no room left for the queue file: free disk space; nothing of this call was done";

/// A failure of the operating system on one of the files.
pub(crate) fn from_io(what: &str, error: io::Error) -> QueueError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            QueueError::new(QueueErrorKind::Full, FULL, error)
        }
        _ => QueueError::new(QueueErrorKind::Unavailable, format!("{what} failed"), error),
    }
}

/// The same failure for another caller of the same transaction.
pub(crate) fn again(error: &QueueError) -> QueueError {
    let mut message = error.message.clone();
    if let Some(source) = &error.source {
        message.push_str(": ");
        message.push_str(&source.to_string());
    }
    QueueError::plain(error.kind, message)
}

/// The backend was closed, or its threads are gone.
pub(crate) fn closed() -> QueueError {
    QueueError::plain(QueueErrorKind::Unavailable, "the queue file was closed")
}
