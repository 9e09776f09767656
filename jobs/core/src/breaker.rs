//! When to stop calling somebody who does not answer well, and how to begin again. Pure; the
//! engine keeps one cell for each key that had trouble.
//!
//! | state | jobs of the key | leaves it |
//! | --- | --- | --- |
//! | closed | run | opens when too many of the window failed or were slow, or at too many refused credentials in a row |
//! | open | are parked | half-open once its pause is over |
//! | half-open | a few run as probes, fleet-wide | closed after enough good probes, open again at a bad one |
//! | ramping | run, more each second | closed when the ramp is over; opens as when closed |

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, after, between};
use crate::ids::JobId;
use crate::sabotage::{self, Bug};

/// Parts of the window: what is older than the window leaves it part by part.
const PARTS: u32 = 6;
/// Turns that are remembered.
const TURNS: usize = 20;
/// And for how long.
pub const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);
/// How much of a reason is, in characters.
const LONGEST_WHY: usize = 300;

/// When it opens and how it closes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// How far back it looks.
    pub window: Duration,
    /// Fewer answers than this say nothing.
    pub least: u32,
    /// Opens when this part of the answers was bad; 0 to 1.
    pub ratio: f64,
    /// An answer that took longer is bad.
    pub slow: Duration,
    /// Opens after so many refused credentials in a row.
    pub refusals: u32,
    /// How long it stays open; doubled each time a probe fails, up to `longest`.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// Probes at the same time, and good ones before it closes.
    pub probes: u32,
    /// How long after closing until jobs run at full rate again.
    pub ramp: Duration,
}

impl Default for Policy {
    /// Half of at least 20 answers within a minute; open for 30 s to 10 min; 3 probes; 60 s ramp.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            least: 20,
            ratio: 0.5,
            slow: Duration::from_secs(30),
            refusals: 5,
            pause: Duration::from_secs(30),
            longest: Duration::from_secs(600),
            probes: 3,
            ramp: Duration::from_secs(60),
        }
    }
}

/// How a call went, as far as whoever was called is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It answered, be it with a clear no.
    Good,
    /// It did not answer, or answered that it is broken.
    Bad,
    /// It does not take the credential.
    Refused,
}

/// Where a breaker stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Stand {
    /// Jobs run.
    #[default]
    Closed,
    /// Jobs are parked.
    Open {
        /// Since when.
        since: Timestamp,
        /// Probes may run from then on; `None`: not before a person closes it.
        until: Option<Timestamp>,
        /// Who opened it: `fleet`, or a person.
        by: String,
        /// Why.
        why: String,
    },
    /// A few jobs run to see.
    HalfOpen {
        /// Which, and until when each may take.
        probes: BTreeMap<JobId, Timestamp>,
        /// Good ones so far.
        good: u32,
    },
    /// Jobs run, more each second.
    Ramping {
        /// Since when.
        since: Timestamp,
        /// Who closed it: `fleet`, or a person.
        by: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed, after trouble"),
            Self::Open { since, until: Some(until), by, why } => {
                write!(f, "open since {since} by {by}: {why}; a few jobs try from {until}")
            }
            Self::Open { since, until: None, by, why } => {
                write!(f, "open since {since} by {by}: {why}; until a person closes it")
            }
            Self::HalfOpen { probes, good } => {
                write!(f, "half-open: {} jobs try, {good} have succeeded", probes.len())
            }
            Self::Ramping { since, by, why } => {
                write!(f, "closed since {since} by {by}: {why}; its jobs are woken bit by bit")
            }
        }
    }
}

/// What the fleet knows of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    /// Where it stands.
    pub stand: Stand,
    /// Pauses that ended with a bad probe, in a row.
    #[serde(default)]
    again: u32,
    /// Refused credentials in a row.
    #[serde(default)]
    refusals: u32,
    /// Answers by part of the window.
    #[serde(default)]
    parts: BTreeMap<i64, Part>,
    /// How it was turned, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<Past>,
}

/// A time it was turned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// `open`, `half_open` or `closed`.
    pub to: String,
    /// Who: `fleet`, or a person.
    pub by: String,
    /// Why.
    pub why: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    good: u32,
    bad: u32,
}

/// Whether a job of the key may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Yes.
    Run,
    /// Yes, as a probe; the state has noted it.
    Probe,
    /// No: park it.
    Park,
}

impl Breaker {
    /// Whether it holds up no job and counts no trouble: jobs need not ask it.
    pub fn is_idle(&self) -> bool {
        self.stand == Stand::Closed
            && self.refusals == 0
            && self.parts.values().all(|part| part.bad == 0)
    }

    /// Whether it has nothing to remember either: one that has not needs no cell.
    pub fn is_blank(&self) -> bool {
        self.is_idle() && self.history.is_empty()
    }

    /// Takes the answers of some calls in: good, bad and refused ones. Whether it has just opened.
    pub fn hear(&mut self, policy: &Policy, answers: &[Answer], now: Timestamp) -> bool {
        let width = i64::try_from((policy.window / PARTS).as_micros()).unwrap_or(i64::MAX).max(1);
        let part = now.as_microsecond().div_euclid(width);
        self.parts.retain(|at, _| part - *at < i64::from(PARTS));
        self.history.retain(|past| between(past.at, now) < REMEMBERED);
        let counts = self.parts.entry(part).or_default();
        for answer in answers {
            match answer {
                Answer::Good => {
                    counts.good = counts.good.saturating_add(1);
                    self.refusals = 0;
                }
                Answer::Bad => counts.bad = counts.bad.saturating_add(1),
                Answer::Refused => self.refusals = self.refusals.saturating_add(1),
            }
        }
        if !matches!(self.stand, Stand::Closed | Stand::Ramping { .. }) {
            return false;
        }
        let (good, bad) = self.parts.values().fold((0_u64, 0_u64), |(good, bad), part| {
            (good + u64::from(part.good), bad + u64::from(part.bad))
        });
        let all = good + bad;
        let why = if self.refusals >= policy.refusals.max(1) {
            format!("{} credentials in a row were refused", self.refusals)
        } else if all >= u64::from(policy.least.max(1)) && bad as f64 >= policy.ratio * all as f64 {
            format!("{bad} of the last {all} calls failed or were slow")
        } else {
            return false;
        };
        self.open("fleet", &why, Some(after(now, self.pause(policy))), now);
        true
    }

    /// Whether this job may begin now.
    pub fn pass(&mut self, policy: &Policy, probe: (JobId, Timestamp), now: Timestamp) -> Pass {
        if let Stand::Open { until: Some(until), .. } = &self.stand
            && *until <= now
        {
            self.stand = Stand::HalfOpen { probes: BTreeMap::new(), good: 0 };
            self.note("half_open", "fleet", "its pause is over: a few jobs try", now);
        }
        match &mut self.stand {
            Stand::Closed | Stand::Ramping { .. } => Pass::Run,
            Stand::Open { .. } => Pass::Park,
            Stand::HalfOpen { probes, good } => {
                probes.retain(|_, until| *until > now);
                if sabotage::committed(Bug::SkipProbes) {
                    return Pass::Run;
                }
                if probes.len() as u64 + u64::from(*good) >= u64::from(policy.probes.max(1)) {
                    return Pass::Park;
                }
                probes.insert(probe.0, probe.1);
                Pass::Probe
            }
        }
    }

    /// A probe has ended. `None`: it said nothing of whoever is called.
    pub fn probed(&mut self, policy: &Policy, job: JobId, answer: Option<Answer>, now: Timestamp) {
        let Stand::HalfOpen { probes, good } = &mut self.stand else { return };
        if probes.remove(&job).is_none() {
            return;
        }
        match answer {
            None => {}
            Some(Answer::Good) => {
                *good += 1;
                if *good >= policy.probes.max(1) {
                    self.close("fleet", "its probes were answered well", now);
                }
            }
            Some(Answer::Bad | Answer::Refused) => {
                self.again = self.again.saturating_add(1);
                let pause = self.pause(policy);
                self.open("fleet", "a probe has failed", Some(after(now, pause)), now);
            }
        }
    }

    /// Opens it, whatever it was.
    pub fn open(&mut self, by: &str, why: &str, until: Option<Timestamp>, now: Timestamp) {
        let stand = Stand::Open { since: now, until, by: by.to_owned(), why: why.to_owned() };
        let history = std::mem::take(&mut self.history);
        *self = Self { stand, again: self.again, history, ..Self::default() };
        self.note("open", by, why, now);
    }

    /// Closes it; the ramp begins.
    pub fn close(&mut self, by: &str, why: &str, now: Timestamp) {
        let stand = Stand::Ramping { since: now, by: by.to_owned(), why: why.to_owned() };
        let history = std::mem::take(&mut self.history);
        *self = Self { stand, history, ..Self::default() };
        self.note("closed", by, why, now);
    }

    /// How it was turned lately, oldest first.
    pub fn history(&self) -> &[Past] {
        &self.history
    }

    fn note(&mut self, to: &str, by: &str, why: &str, now: Timestamp) {
        if self.history.len() >= TURNS {
            self.history.remove(0);
        }
        let why = why.chars().take(LONGEST_WHY).collect();
        self.history.push(Past { at: now, to: to.to_owned(), by: by.to_owned(), why });
    }

    /// How many parked jobs to wake in this second: none while it is open, as many as may probe,
    /// then ever more until the end of the ramp.
    pub fn wake(&mut self, policy: &Policy, now: Timestamp) -> usize {
        let probes = policy.probes.max(1) as usize;
        match &self.stand {
            Stand::Closed => usize::MAX,
            Stand::Open { until: Some(until), .. } if *until <= now => probes,
            Stand::Open { .. } => 0,
            Stand::HalfOpen { probes: under_way, good } => {
                let live = under_way.values().filter(|until| **until > now).count();
                probes.saturating_sub(live + *good as usize)
            }
            Stand::Ramping { since, .. } => {
                let (gone, ramp) = (between(*since, now), policy.ramp);
                if gone >= ramp {
                    self.stand = Stand::Closed;
                    return usize::MAX;
                }
                ramp_at(probes, gone, ramp)
            }
        }
    }

    fn pause(&self, policy: &Policy) -> Duration {
        policy.pause.saturating_mul(1 << self.again.min(16)).min(policy.longest)
    }
}

/// Jobs to wake in one second of the ramp: from twice the probes to 512 times as many, growing by
/// the same factor each second.
pub fn ramp_at(probes: usize, gone: Duration, ramp: Duration) -> usize {
    let along = gone.as_secs_f64() / ramp.as_secs_f64().max(1e-3);
    (2.0 * probes as f64 * 512_f64.powf(along.clamp(0.0, 1.0))) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Timestamp {
        ManualClock::default().now()
    }

    fn at(seconds: u64) -> Timestamp {
        after(start(), SECOND * u32::try_from(seconds).unwrap())
    }

    fn job(n: u64) -> (JobId, Timestamp) {
        (JobId::derived(&n.to_string()), at(10_000))
    }

    fn opened(policy: &Policy) -> Breaker {
        let mut breaker = Breaker::default();
        assert!(breaker.hear(policy, &[Answer::Bad; 20], at(0)));
        breaker
    }

    #[test]
    fn it_opens_at_the_ratio_and_not_below_the_least_count() {
        let policy = Policy::default();
        let mut breaker = Breaker::default();
        assert!(!breaker.hear(&policy, &[Answer::Bad; 19], at(0)));
        assert!(breaker.hear(&policy, &[Answer::Good], at(1)), "19 of 20");
        let mut breaker = Breaker::default();
        breaker.hear(&policy, &[Answer::Good; 30], at(0));
        assert!(!breaker.hear(&policy, &[Answer::Bad; 29], at(1)));
        assert!(breaker.hear(&policy, &[Answer::Bad], at(2)));
        let mut breaker = Breaker::default();
        breaker.hear(&policy, &[Answer::Bad; 19], at(0));
        assert!(!breaker.hear(&policy, &[Answer::Bad; 19], at(70)), "the first left the window");
    }

    #[test]
    fn refused_credentials_count_in_a_row_and_apart() {
        let policy = Policy::default();
        let mut breaker = Breaker::default();
        assert!(!breaker.hear(&policy, &[Answer::Refused; 4], at(0)));
        assert!(!breaker.hear(&policy, &[Answer::Good, Answer::Refused], at(1)));
        assert!(breaker.hear(&policy, &[Answer::Refused; 4], at(2)));
        assert!(matches!(breaker.stand, Stand::Open { .. }));
    }

    #[test]
    fn half_open_lets_only_its_probes_pass_and_closes_after_good_ones() {
        let policy = Policy::default();
        let mut breaker = opened(&policy);
        assert_eq!(breaker.pass(&policy, job(0), at(29)), Pass::Park);
        assert_eq!((breaker.wake(&policy, at(29)), breaker.wake(&policy, at(30))), (0, 3));
        for n in 0..3 {
            assert_eq!(breaker.pass(&policy, job(n), at(30)), Pass::Probe);
        }
        assert_eq!(breaker.pass(&policy, job(3), at(30)), Pass::Park);
        assert_eq!(breaker.wake(&policy, at(30)), 0);
        breaker.probed(&policy, job(0).0, None, at(31));
        assert_eq!(breaker.pass(&policy, job(4), at(31)), Pass::Probe, "in the place of one");
        for n in [1, 2, 4] {
            breaker.probed(&policy, job(n).0, Some(Answer::Good), at(32));
        }
        assert_eq!(breaker.pass(&policy, job(5), at(32)), Pass::Run);
        let woken: Vec<usize> = (0..=60).map(|s| breaker.wake(&policy, at(32 + s))).collect();
        assert_eq!((woken[0], woken[60]), (6, usize::MAX));
        assert!(woken.is_sorted() && woken[59] < 3072);
        assert!(breaker.is_idle() && !breaker.is_blank());
        let turns: Vec<&str> = breaker.history().iter().map(|past| past.to.as_str()).collect();
        assert_eq!(turns, ["open", "half_open", "closed"]);
    }

    #[test]
    fn a_bad_probe_opens_it_for_twice_as_long() {
        let policy = Policy::default();
        let mut breaker = opened(&policy);
        let mut now = 30;
        for pause in [60, 120, 240, 480, 600, 600] {
            assert_eq!(breaker.pass(&policy, job(0), at(now)), Pass::Probe);
            breaker.probed(&policy, job(0).0, Some(Answer::Bad), at(now));
            assert_eq!(breaker.pass(&policy, job(0), at(now + pause - 1)), Pass::Park);
            now += pause;
        }
    }

    #[test]
    fn a_probe_that_never_ends_does_not_hold_its_place_for_ever() {
        let policy = Policy { probes: 1, ..Policy::default() };
        let mut breaker = opened(&policy);
        let lost = (JobId::derived("lost"), at(40));
        assert_eq!(breaker.pass(&policy, lost, at(30)), Pass::Probe);
        assert_eq!(breaker.pass(&policy, job(1), at(39)), Pass::Park);
        assert_eq!(breaker.pass(&policy, job(1), at(40)), Pass::Probe);
        breaker.probed(&policy, lost.0, Some(Answer::Bad), at(41));
        assert!(matches!(breaker.stand, Stand::HalfOpen { .. }), "too late to count");
    }

    #[test]
    fn a_person_opens_it_until_a_person_closes_it() {
        let policy = Policy::default();
        let mut breaker = Breaker::default();
        breaker.open("ada", "maintenance", None, at(0));
        assert_eq!(breaker.pass(&policy, job(0), at(9000)), Pass::Park);
        assert_eq!(breaker.wake(&policy, at(9000)), 0);
        breaker.close("ada", "it is over", at(9000));
        assert_eq!(breaker.pass(&policy, job(0), at(9000)), Pass::Run);
        assert_eq!(breaker.wake(&policy, at(9000)), 6);
    }
}
