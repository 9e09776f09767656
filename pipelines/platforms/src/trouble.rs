//! What an answer that is no success means, the same for every platform: the class decides what
//! becomes of the job. Each platform reads its own codes into these.

use std::time::Duration;

/// What a refusal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// A failure on their side that may pass. After a publishing call nobody knows what it did.
    Transient,
    /// Certainly not done; may be done later.
    Later(Duration),
    /// Certainly not done; worth one more try after so long, and then refused for good.
    Once(Duration),
    /// Certainly not done; may be done after 4^n seconds, n being the attempts before this one.
    Growing,
    /// Called too fast.
    TooFast {
        /// Whose calls.
        scope: Scope,
        /// For how long, where the body said it.
        wait: Option<Duration>,
    },
    /// As much as a day allows.
    Spent(Scope),
    /// Not processed yet: ask again.
    NotReady,
    /// The token has expired: renew it.
    Expired,
    /// The token is dead: the owner has to connect the account again.
    Revoked,
    /// The account was not granted this.
    NotGranted,
    /// What was sent is refused for good.
    Rejected,
    /// The account may not post for a while.
    Restricted,
    /// The same was posted before; perhaps by us. The id, where the answer named it.
    Duplicate(Option<String>),
    /// What was named is not there, or is said not to be: Graph says so of objects that are well.
    Missing,
    /// What was made before is not there any more: make it anew.
    Gone,
    /// Our own settings are wrong (a version that is switched off, a wrong app): all jobs wait.
    Misconfigured,
}

/// Whose quota is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole app's.
    App,
    /// One account's.
    Account,
}

/// A refusal, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it means.
    pub class: Class,
    /// The platform's own code, as in `190/463`.
    pub code: String,
    /// What it said, at most 2,000 bytes.
    pub message: String,
}

/// Longest message of a platform that is kept, in bytes.
const MAX_MESSAGE: usize = 2000;

impl Trouble {
    /// A refusal with its code and its words.
    #[must_use]
    pub fn new(class: Class, code: impl Into<String>, message: &str) -> Self {
        let end = (0..=MAX_MESSAGE.min(message.len())).rev().find(|i| message.is_char_boundary(*i));
        let message = message[..end.unwrap_or(0)].to_owned();
        Self { class, code: code.into(), message }
    }

    /// What a status means where the body says nothing that is known.
    #[must_use]
    pub fn of_status(status: u16, body: &[u8]) -> Self {
        let class = match status {
            401 => Class::Expired,
            403 => Class::NotGranted,
            408 | 425 => Class::Transient,
            429 => Class::TooFast { scope: Scope::Account, wait: None },
            400..=499 => Class::Rejected,
            // A redirect in the place of an answer says nothing of what was done.
            _ => Class::Transient,
        };
        Self::new(
            class,
            format!("http {status}"),
            &String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]),
        )
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.message.is_empty() {
            return write!(f, "{}", self.code);
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_statuses_have_a_meaning() {
        let long = "é".repeat(2000);
        assert_eq!(Trouble::new(Class::Rejected, "1", &long).message.len(), 2000);
        assert_eq!(Trouble::of_status(500, b"oops").class, Class::Transient);
        assert_eq!(Trouble::of_status(404, b"").to_string(), "http 404");
    }
}
