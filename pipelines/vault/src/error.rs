//! What can go wrong with the vault itself, and what becomes of a job that meets it.

use flotilla_core::outcome::{Classify, FailureClass};
use flotilla_core::queue::QueueError;

/// A failure of the vault. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The cells cannot be read or written.
    #[error(transparent)]
    Store(#[from] QueueError),
    /// The wrapping key is not there, not readable or not private.
    #[error("{0}")]
    Key(String),
    /// No account of that name.
    #[error(
        "no account \"{id}\" of tenant \"{tenant}\": `flotilla accounts list` shows those there are"
    )]
    Unknown {
        /// Whose.
        tenant: String,
        /// Which.
        id: String,
    },
    /// What was given does not hold.
    #[error("{0}")]
    Invalid(String),
    /// What is stored was changed by somebody else than the vault, or its key is gone.
    #[error("the secrets of {what} cannot be opened: {why}; connect the account again")]
    Sealed {
        /// Whose.
        what: String,
        /// Why.
        why: &'static str,
    },
    /// Others changed it all the time.
    #[error("account \"{0}\" is being changed by others all the time: try again")]
    Busy(String),
}

impl Classify for VaultError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Store(error) => error.class(),
            Self::Key(_) | Self::Busy(_) => FailureClass::Transient,
            Self::Unknown { .. } | Self::Invalid(_) => FailureClass::Invalid,
            Self::Sealed { .. } => FailureClass::Unauthorised,
        }
    }
}
