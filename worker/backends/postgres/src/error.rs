//! What goes wrong inside a statement, and how it is told at the port. No message holds a
//! connection string: the driver's errors name neither user nor password.

use deadpool_postgres::{HookError, PoolError};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use tokio_postgres::error::SqlState;

/// A failure below the port.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(tokio_postgres::Error),
    Pool(PoolError),
    Invalid(String),
    Corrupt(String),
}

pub(crate) type Done<T> = Result<T, Fault>;

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Sql(error)
            }
            error => Self::Pool(error),
        }
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::plain(QueueErrorKind::Invalid, message),
            Fault::Corrupt(message) => Self::plain(QueueErrorKind::Corrupt, message),
            Fault::Pool(error) => Self::new(
                QueueErrorKind::Unavailable,
                "no connection to PostgreSQL in time: it does not answer, is slow, or the pool is too small",
                error,
            ),
            Fault::Sql(error) => {
                let (kind, message) = judge(&error);
                Self::new(kind, message, error)
            }
        }
    }
}

impl Fault {
    /// Two transactions were in each other's way and this one was undone: worth another try at once.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.code().is_some_and(|code| {
            *code == SqlState::T_R_DEADLOCK_DETECTED
                || *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::UNIQUE_VIOLATION
        })
    }
}

fn judge(error: &tokio_postgres::Error) -> (QueueErrorKind, &'static str) {
    use QueueErrorKind::{Corrupt, Full, Invalid, Unavailable};
    let Some(code) = error.code() else {
        // Without a word from the server: the connection, or a value that cannot be decoded.
        let io = std::error::Error::source(error).is_some_and(|e| e.is::<std::io::Error>());
        if error.to_string().starts_with("error performing TLS handshake") {
            return (
                Unavailable,
                "no encrypted connection to PostgreSQL: check the root certificate, and that the server's \
                 certificate is for the host in the address",
            );
        }
        return if error.is_closed() || io || !is_conversion(error) {
            (
                Unavailable,
                "PostgreSQL cannot be reached: check that it runs and the address is right",
            )
        } else {
            (Corrupt, "what PostgreSQL holds has another type than expected")
        };
    };
    if *code == SqlState::DISK_FULL {
        return (
            Full,
            "no room left for PostgreSQL: free disk space; nothing of this call was done",
        );
    }
    if *code == SqlState::UNDEFINED_TABLE
        || *code == SqlState::UNDEFINED_FUNCTION
        || *code == SqlState::UNDEFINED_COLUMN
        || *code == SqlState::INVALID_SCHEMA_NAME
    {
        return (Unavailable, "the tables of Flotilla are missing or older; run: flotilla migrate");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return (
            Unavailable,
            "the database user may not do this: grant it the schema and its tables",
        );
    }
    if *code == SqlState::QUERY_CANCELED {
        return (Unavailable, "PostgreSQL took longer than the statement timeout; try again");
    }
    if *code == SqlState::TOO_MANY_CONNECTIONS {
        return (
            Unavailable,
            "PostgreSQL has no connection left: lower the pool size or raise max_connections",
        );
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return (Unavailable, "this PostgreSQL server is read-only: connect to the primary");
    }
    match &code.code()[..2] {
        "08" | "40" | "53" | "55" | "57" => {
            (Unavailable, "PostgreSQL is busy or going down; try again")
        }
        "28" | "3D" => (
            Unavailable,
            "PostgreSQL refuses the connection: check user, password and database, and pg_hba.conf",
        ),
        "22" | "23" => (Invalid, "PostgreSQL does not take this value"),
        "XX" => (Corrupt, "PostgreSQL reports damaged data: stop all workers and look at its log"),
        _ => (Unavailable, "PostgreSQL gave an error"),
    }
}

/// The driver has no accessor for this, nor for a failed handshake; its texts for them are fixed.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    text.starts_with("error deserializing") || text.starts_with("error serializing")
}
