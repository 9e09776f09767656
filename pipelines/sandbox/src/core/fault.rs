//! Fault scripts: which calls go wrong, and how.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use flotilla_core::clock::after;
use flotilla_core::{Rng, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Platform;

/// A way to go wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The connection ends; nothing was done.
    DropBefore,
    /// All is done; the connection ends without an answer.
    DropAfter,
    /// All is done; the answer breaks off after so many bytes.
    Truncate {
        /// Of status line, headers and body together.
        bytes: u32,
    },
    /// All is done; the answer comes late.
    Slow {
        /// How late.
        millis: u64,
    },
    /// It is done late, and so answered, even when the caller has gone away.
    Late {
        /// How late.
        millis: u64,
    },
    /// Too many calls, in the platform's words. Nothing was done.
    RateLimit {
        /// Which of the platform's codes: 4, 17, 32, 613, 80001, 80002 (Meta); 131056, 130429
        /// (WhatsApp); or a name: `rate_limit_exceeded`, `quotaExceeded`, `slow_down`, …
        #[serde(default)]
        code: Option<Value>,
        /// How long to wait, said in the platform's own header.
        #[serde(default)]
        wait_s: Option<u64>,
        /// Calls of the same account within that time are refused too, and counted.
        #[serde(default)]
        hold: bool,
    },
    /// 500, 502, 503 or 504 in the platform's words.
    ServerError {
        /// Which.
        status: u16,
        /// It was done all the same.
        #[serde(default)]
        after_work: bool,
    },
    /// 200 with something that is not what was promised.
    Malformed {
        /// It was done all the same.
        #[serde(default)]
        after_work: bool,
    },
    /// The account's tokens are revoked before the call is looked at.
    RevokeToken,
    /// Its access token ends before the call is looked at.
    ExpireToken,
    /// The API version is no more (§6, §14).
    Sunset,
    /// Any answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Its body; a text is sent as it is.
        #[serde(default)]
        body: Value,
        /// It was done all the same.
        #[serde(default)]
        after_work: bool,
    },
}

/// Which calls a fault meets. All that is given must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Of this platform.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Of this endpoint, as `/_sandbox/calls` names it (`media_publish`); `*` at the end: any rest.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Of this account, by external id.
    #[serde(default)]
    pub account: Option<String>,
    /// With this method.
    #[serde(default)]
    pub method: Option<String>,
    /// From 0 to 1: how likely each of them is met.
    #[serde(default = "always")]
    pub probability: f64,
    /// Only the nth of them (1: the first); of each account on its own with `per_account`.
    #[serde(default)]
    pub nth: Option<u64>,
    /// Every nth of them.
    #[serde(default)]
    pub every: Option<u64>,
    /// `nth` and `every` count per account.
    #[serde(default)]
    pub per_account: bool,
    /// At most so many.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    pub fault: Fault,
}

fn always() -> f64 {
    1.0
}

impl Rule {
    /// A fault that meets every call.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            platform: None,
            endpoint: None,
            account: None,
            method: None,
            probability: 1.0,
            nth: None,
            every: None,
            per_account: false,
            times: None,
            fault,
        }
    }
}

/// A script: rules, the first that fits decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A script that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// As TOML.
    #[error("the fault script is not right: {0}")]
    Toml(#[from] toml::de::Error),
    /// As JSON.
    #[error("the fault script is not right: {0}")]
    Json(#[from] serde_json::Error),
}

impl Rules {
    /// Reads a script: JSON when it begins with a brace, else TOML with `[[rules]]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        if text.trim_start().starts_with('{') {
            Ok(serde_json::from_str(text)?)
        } else {
            Ok(toml::from_str(text)?)
        }
    }
}

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) platform: Platform,
    pub(crate) endpoint: &'a str,
    pub(crate) account: Option<&'a str>,
    pub(crate) method: &'a str,
}

/// The rules in force, with how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    seen: HashMap<(usize, String), u64>,
    met: Vec<u64>,
    holds: HashMap<(Platform, String), (Timestamp, Fault)>,
    pub(crate) calls_while_held: u64,
}

impl Faults {
    pub(crate) fn set(&mut self, rules: Vec<Rule>) {
        self.met = vec![0; rules.len()];
        self.rules = rules;
        self.seen.clear();
        self.holds.clear();
    }

    /// The rules and how often each was met.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Rule, u64)> {
        self.rules.iter().zip(self.met.iter().copied())
    }

    /// What happens to a call.
    pub(crate) fn decide(
        &mut self,
        asked: Asked<'_>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Option<Fault> {
        if let Some(fault) = self.held(asked, now) {
            self.calls_while_held += 1;
            return Some(fault);
        }
        for index in 0..self.rules.len() {
            if !self.rules[index].fits(asked) {
                continue;
            }
            let rule = &self.rules[index];
            let of = if rule.per_account { asked.account.unwrap_or_default() } else { "" };
            let seen = self.seen.entry((index, of.to_owned())).or_default();
            *seen += 1;
            let due = rule.nth.is_none_or(|nth| nth == *seen)
                && rule.every.is_none_or(|every| every > 0 && seen.is_multiple_of(every))
                && rule.times.is_none_or(|times| self.met[index] < times)
                && (rule.probability >= 1.0 || rng.unit() < rule.probability);
            if due {
                self.met[index] += 1;
                let fault = rule.fault.clone();
                self.hold(asked, &fault, now);
                return Some(fault);
            }
        }
        None
    }

    fn hold(&mut self, asked: Asked<'_>, fault: &Fault, now: Timestamp) {
        if let (Fault::RateLimit { wait_s: Some(wait), hold: true, .. }, Some(account)) =
            (fault, asked.account)
        {
            let until = after(now, Duration::from_secs(*wait));
            self.holds.insert((asked.platform, account.to_owned()), (until, fault.clone()));
        }
    }

    /// §2.3: "calls while throttled extend the wait" is left out; what is left of it is told.
    fn held(&mut self, asked: Asked<'_>, now: Timestamp) -> Option<Fault> {
        let key = (asked.platform, asked.account?.to_owned());
        let (until, fault) = self.holds.get(&key)?;
        if *until <= now {
            self.holds.remove(&key);
            return None;
        }
        let left = until.as_microsecond() - now.as_microsecond();
        let mut fault = fault.clone();
        if let Fault::RateLimit { wait_s, .. } = &mut fault {
            *wait_s = u64::try_from(left).ok().map(|micros| micros.div_ceil(1_000_000));
        }
        Some(fault)
    }
}

impl Rule {
    fn fits(&self, asked: Asked<'_>) -> bool {
        let named = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => asked.endpoint.starts_with(start),
            None => pattern == asked.endpoint,
        };
        self.platform.is_none_or(|platform| platform == asked.platform)
            && self.endpoint.as_ref().is_none_or(named)
            && self.account.as_deref().is_none_or(|account| asked.account == Some(account))
            && self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::SeededRng;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn asked(account: &str) -> Asked<'_> {
        Asked {
            platform: Platform::Instagram,
            endpoint: "media_publish",
            account: Some(account),
            method: "POST",
        }
    }

    #[test]
    fn a_script_is_read_as_toml_and_as_json() {
        let toml = "[[rules]]\nplatform = \"instagram\"\nendpoint = \"media*\"\nnth = 2\n\
                    per_account = true\nfault = { kind = \"drop_after\" }\n";
        let rules = Rules::parse(toml).unwrap();
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(Rules::parse(&json).unwrap(), rules);
        assert!(Rules::parse("[[rules]]\nfault = { kind = \"explode\" }").is_err());

        let mut faults = Faults::default();
        faults.set(rules.rules);
        let rng = SeededRng::new(1);
        assert_eq!(faults.decide(asked("a"), &rng, NOW), None);
        assert_eq!(faults.decide(asked("b"), &rng, NOW), None);
        assert_eq!(faults.decide(asked("a"), &rng, NOW), Some(Fault::DropAfter));
        assert_eq!(faults.decide(asked("a"), &rng, NOW), None);
    }

    #[test]
    fn a_seed_replays_which_calls_are_met() {
        let met = |seed| {
            let mut faults = Faults::default();
            faults.set(vec![Rule { probability: 0.1, ..Rule::new(Fault::DropBefore) }]);
            let rng = SeededRng::new(seed);
            (0..1000).map(|_| faults.decide(asked("a"), &rng, NOW).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(met(3), met(3));
        let often = met(3).into_iter().filter(|met| *met).count();
        assert!((60..140).contains(&often), "about a tenth: {often}");
    }

    #[test]
    fn who_calls_while_told_to_wait_is_counted() {
        let mut faults = Faults::default();
        let fault = Fault::RateLimit { code: None, wait_s: Some(10), hold: true };
        faults.set(vec![Rule { nth: Some(1), ..Rule::new(fault) }]);
        let rng = SeededRng::new(1);
        assert!(faults.decide(asked("a"), &rng, NOW).is_some());
        let later = after(NOW, Duration::from_secs(4));
        let Some(Fault::RateLimit { wait_s, .. }) = faults.decide(asked("a"), &rng, later) else {
            panic!("still held")
        };
        assert_eq!((wait_s, faults.calls_while_held), (Some(6), 1));
        assert_eq!(faults.decide(asked("b"), &rng, later), None);
        let over = after(NOW, Duration::from_secs(10));
        assert_eq!(faults.decide(asked("a"), &rng, over), None);
    }
}
