//! Newtypes for everything that is a name or a number in a port, so that they cannot be swapped.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::rng::Rng;

/// Names the job for ever. A version 7 UUID (RFC 9562): sorts by time of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id from the two things it is made of.
    pub fn new(now: Timestamp, rng: &dyn Rng) -> Self {
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
        random[8..].copy_from_slice(&rng.next_u64().to_le_bytes()[..2]);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The id that follows from `name` alone (version 8): who derives it twice means the same job.
    pub fn derived(name: &str) -> Self {
        let hash = blake3::hash(name.as_bytes());
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The sixteen bytes a backend stores.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id stored as these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Uuid::parse_str(text.trim()).map(Self).map_err(|_| InvalidName {
            what: "job id",
            given: bounded(text),
            rule: "36 characters like 019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11",
        })
    }
}

/// A name that does not follow its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not a {what}: {rule}")]
pub struct InvalidName {
    /// What it should have been: "lane", "kind", …
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The rule, in words.
    pub rule: &'static str,
}

fn bounded(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Longest kind, lane and tenant, in bytes.
pub const MAX_NAME: usize = 64;

const NAME_RULE: &str =
    "1 to 64 lower-case letters, digits, '.', '_' or '-', beginning with a letter or digit";

fn check(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let ok = !text.is_empty()
        && text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    if ok { Ok(()) } else { Err(InvalidName { what, given: bounded(text), rule: NAME_RULE }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// A name known at compile time. Its rule is checked where it is registered.
            pub const fn from_static(name: &'static str) -> Self {
                Self(Cow::Borrowed(name))
            }

            /// Checks the rule: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                check($what, &name)?;
                Ok(Self(Cow::Owned(name)))
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(d)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The stable name of a type of job, `noun.verb`; never derived from a Rust name.
    Kind,
    "kind"
);
name!(
    /// A named stream of jobs with its own concurrency.
    Lane,
    "lane"
);
name!(
    /// On whose behalf a job runs. Lanes are shared fairly between tenants.
    Tenant,
    "tenant"
);

impl Default for Tenant {
    /// Jobs that name no tenant belong to `default`.
    fn default() -> Self {
        Self::from_static("default")
    }
}

/// One process of the fleet: `host-pid-random`. Free text, bounded to 128 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Cut to 128 bytes at a character.
    pub fn new(name: &str) -> Self {
        let end = (0..=name.len().min(128)).rev().find(|i| name.is_char_boundary(*i)).unwrap_or(0);
        Self(Arc::from(&name[..end]))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The number of a job's current lease. Each claim raises it; a settle or extend that carries
/// an older one is answered `Lost` and changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// What the backend needs to find the job of a lease again; opaque to everyone else.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Receipt {
    /// The job's id is enough.
    None,
    /// A row number or delivery tag.
    Number(u64),
    /// A broker's receipt handle.
    Handle(Arc<str>),
}

/// How urgent: 0 (last) to 9 (first), 5 when nothing is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Priority(#[schemars(range(min = 0, max = 9))] u8);

impl Priority {
    /// Refuses what is above 9.
    pub fn new(level: u8) -> Result<Self, InvalidName> {
        if level <= 9 {
            Ok(Self(level))
        } else {
            Err(InvalidName {
                what: "priority",
                given: level.to_string(),
                rule: "0 (last) to 9 (first)",
            })
        }
    }

    /// 0 to 9.
    pub fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl FromStr for Priority {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text.parse().unwrap_or(u8::MAX))
            .map_err(|e| InvalidName { given: bounded(text), ..e })
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::rng::SeededRng;
    use std::time::Duration;

    #[test]
    fn ids_sort_by_time_and_follow_from_their_seed() {
        let clock = ManualClock::default();
        let first = JobId::new(clock.now(), &SeededRng::new(1));
        assert_eq!(first, JobId::new(clock.now(), &SeededRng::new(1)));
        clock.advance(Duration::from_millis(1));
        assert!(first < JobId::new(clock.now(), &SeededRng::new(0)));
        assert_eq!(first.to_string().parse(), Ok(first));
        assert_eq!(JobId::derived("cron:a@1"), JobId::derived("cron:a@1"));
        assert_ne!(JobId::derived("cron:a@1"), JobId::derived("cron:a@2"));
    }

    #[test]
    fn names_are_held_to_their_rule() {
        for good in ["a", "thumbnail.generate", "9-lives_x"] {
            assert!(Lane::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", ".a", "a b", "é", &"a".repeat(65)] {
            assert!(Lane::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Kind>("\"No\"").is_err());
        assert_eq!("12".parse::<Priority>().unwrap_err().given, "12");
        assert_eq!(WorkerId::new(&"é".repeat(100)).as_str().len(), 128);
    }
}
