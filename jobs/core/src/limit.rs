//! How fast calls may be made: keys, quotas and rules, as people write them. What a key still has
//! is the arithmetic of [`meter`](crate::meter).
//!
//! # Keys
//!
//! A key is a path, broadest part first: `instagram/42/publish`. A job that names it also counts
//! against `instagram/42` and `instagram`. A rule names keys by a pattern in which `*` stands for
//! one part: `instagram/*` is every account by itself.
//!
//! # Quotas
//!
//! `6/min`, `10/s burst 5`, `15/day@Europe/Berlin` (a count that begins anew at midnight there),
//! `3 at once`. All quotas of a key hold at the same time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest key, in bytes.
pub const MAX_KEY: usize = 200;
/// Most parts of a key.
pub const MAX_PARTS: usize = 6;

/// Why a key, quota or rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLimit(String);

/// What is limited: a path, broadest part first.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct LimitKey(String);

impl LimitKey {
    /// Joins parts; what a part may not hold becomes `_`, and empty parts are left out. Keys come
    /// from payloads, so any text gives one.
    pub fn of(parts: &[&str]) -> Self {
        let clean = |part: &&str| -> String {
            let held = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@');
            part.chars().map(|c| if held(c) { c } else { '_' }).take(MAX_KEY / MAX_PARTS).collect()
        };
        let parts: Vec<String> =
            parts.iter().map(clean).filter(|part| !part.is_empty()).take(MAX_PARTS).collect();
        let mut key = if parts.is_empty() { "_".to_owned() } else { parts.join("/") };
        while key.len() > MAX_KEY {
            key.pop();
        }
        Self(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This key and those above it, broadest first.
    pub fn path(&self) -> impl Iterator<Item = LimitKey> + '_ {
        let ends = self.0.match_indices('/').map(|(i, _)| i).chain([self.0.len()]);
        ends.map(|end| Self(self.0[..end].to_owned()))
    }

    /// Its first parts, at most `depth`.
    pub fn above(&self, depth: usize) -> LimitKey {
        self.path().nth(depth.max(1) - 1).unwrap_or_else(|| self.clone())
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> Self {
        key.0
    }
}

impl TryFrom<String> for LimitKey {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        text.parse()
    }
}

impl FromStr for LimitKey {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let parts: Vec<&str> = text.split('/').collect();
        if Self::of(&parts).0 == text {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidLimit(format!(
            "\"{text}\" is no limit key: give up to {MAX_PARTS} parts of letters, digits and \
             . - _ : @, as in instagram/42/publish"
        )))
    }
}

/// One bound of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quota {
    /// So many in any window of this length, evenly spread but for the burst.
    Rate {
        /// How many; at least 1.
        count: u32,
        /// The window.
        per: Duration,
        /// How many may start together after a pause; at least 1.
        burst: u32,
    },
    /// So many in each day of a time zone.
    Daily {
        /// How many; at least 1.
        count: u32,
        /// IANA name.
        zone: String,
    },
    /// So many at the same time.
    AtOnce(u32),
}

const UNITS: [(&str, u64); 10] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("min", 60),
    ("minute", 60),
    ("h", 3600),
    ("hour", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("week", 604_800),
];

impl FromStr for Quota {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let fault = || {
            InvalidLimit(format!(
                "\"{text}\" is no quota: give one as in 6/min, 10/s burst 5, \
                 15/day@Europe/Berlin or 3 at once"
            ))
        };
        let count = |text: &str| text.trim().parse().ok().filter(|n| *n > 0).ok_or_else(fault);
        if let Some(most) = text.trim().strip_suffix("at once") {
            return Ok(Self::AtOnce(count(most)?));
        }
        let (number, rest) = text.split_once('/').ok_or_else(fault)?;
        if let Some((unit, zone)) = rest.split_once('@') {
            let zone = zone.trim();
            if unit.trim() != "day" || TimeZone::get(zone).is_err() {
                return Err(fault());
            }
            return Ok(Self::Daily { count: count(number)?, zone: zone.to_owned() });
        }
        let (unit, burst) = match rest.split_once("burst") {
            Some((unit, burst)) => (unit, count(burst)?),
            None => (rest, 1),
        };
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(fault)?;
        Ok(Self::Rate { count: count(number)?, per: Duration::from_secs(unit.1), burst })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { count, per, burst } => {
                let unit = UNITS.iter().rfind(|(name, s)| *s == per.as_secs() && name.len() < 5);
                write!(f, "{count}/{}", unit.map_or("s", |(name, _)| name))?;
                if *burst > 1 { write!(f, " burst {burst}") } else { Ok(()) }
            }
            Self::Daily { count, zone } => write!(f, "{count}/day@{zone}"),
            Self::AtOnce(count) => write!(f, "{count} at once"),
        }
    }
}

impl From<Quota> for String {
    fn from(quota: Quota) -> Self {
        quota.to_string()
    }
}

impl TryFrom<String> for Quota {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        text.parse()
    }
}

/// Which quotas hold for which keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// A key in which a part may be `*`.
    pub pattern: String,
    /// All of them hold.
    pub quotas: Vec<Quota>,
}

impl Rule {
    /// A rule from its texts.
    ///
    /// # Errors
    /// Naming the text that is wrong.
    pub fn new(pattern: &str, quotas: &[impl AsRef<str>]) -> Result<Self, InvalidLimit> {
        pattern.replace('*', "_").parse::<LimitKey>()?;
        let quotas = quotas.iter().map(|quota| quota.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { pattern: pattern.to_owned(), quotas })
    }

    /// Whether it is about this key.
    pub fn matches(&self, key: &LimitKey) -> bool {
        let (mut pattern, mut parts) = (self.pattern.split('/'), key.0.split('/'));
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_against_everything_above_it() {
        let key = LimitKey::of(&["instagram", "42", "publish"]);
        let path: Vec<String> = key.path().map(String::from).collect();
        assert_eq!(path, ["instagram", "instagram/42", "instagram/42/publish"]);
        assert_eq!(key.above(2).as_str(), "instagram/42");
        assert_eq!(key.above(9), key);
        assert_eq!(LimitKey::of(&["a b/c", "", "é"]).as_str(), "a_b_c/é");
        assert!("a//b".parse::<LimitKey>().is_err());
        let rule = Rule::new("instagram/*", &["6/min"]).unwrap();
        assert!(rule.matches(&key.above(2)) && !rule.matches(&key) && !rule.matches(&key.above(1)));
    }

    #[test]
    fn quotas_read_as_they_are_written() {
        for text in
            ["6/min", "10/s burst 5", "15/day@Europe/Berlin", "3 at once", "15/day", "9/hour"]
        {
            let quota: Quota = text.parse().unwrap();
            assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota), "{text}");
        }
        for text in ["", "6", "0/min", "6/fortnight", "15/day@Mars", "x at once", "5/h@UTC"] {
            assert!(text.parse::<Quota>().is_err(), "{text}");
        }
    }
}
