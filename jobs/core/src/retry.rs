//! When to try again: exponential backoff with full jitter, by class of failure, within a budget
//! of time. Pure functions.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::Policy;
use crate::rng::Rng;

/// A server that wants to be left alone for longer is asked again after this all the same.
pub const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

/// Who waits for a server's moment does not come back together: each comes up to a tenth of the
/// wait later, and at most this.
const SPREAD: Duration = Duration::from_secs(10);

/// More attempts than this may take for ever, as far as it matters here.
const MANY: u32 = 10_000;

/// How the delay between attempts grows.
///
/// After attempt `n` fails, the delay is drawn evenly from `[floor, base · factor^(n−1)]`, the
/// upper end held at `max` and the floor at a tenth of it ("full jitter", AWS Architecture Blog,
/// 2015, with a floor so that a retry is never at once). A server's hint (`Retry-After`) lifts
/// the result to itself and a little more. The ceilings of the default (base 2 s, factor 3, max
/// 1 h), and the longest time since the first failure:
///
/// | after attempt | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | at most | 2 s | 6 s | 18 s | 54 s | 162 s | 486 s | 1458 s | 3600 s | 3600 s |
/// | in all | 2 s | 8 s | 26 s | 80 s | 242 s | 728 s | 2186 s | 5786 s | 9386 s |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The ceiling after the first attempt.
    pub base: Duration,
    /// What each further attempt multiplies it by; at least 1.
    pub factor: f64,
    /// The highest ceiling.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_secs(2), factor: 3.0, max: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The longest delay after attempt `attempt` (1 is the first).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // `min` first: an infinite product is still a valid ceiling.
        Duration::try_from_secs_f64(seconds.min(self.max.as_secs_f64())).unwrap_or(self.max)
    }

    /// The delay to wait after attempt `attempt` failed.
    pub fn delay(&self, attempt: u32, hint: Option<Duration>, rng: &dyn Rng) -> Duration {
        let ceiling = self.ceiling(attempt);
        let floor = ceiling / 10;
        let own = floor + (ceiling - floor).mul_f64(rng.unit());
        let Some(hint) = hint else { return own };
        let hint = hint.min(LONGEST_HINT);
        own.max(hint + (hint / 10).min(SPREAD).mul_f64(rng.unit()))
    }
}

/// Why an attempt failed that may be made again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RetryClass {
    /// The network, somebody else's failure, whatever a handler says may work later.
    Transient,
    /// Somebody said "too fast".
    Throttled,
    /// The attempt's own time was up.
    Timeout,
    /// The handler panicked, or an invariant of ours broke: a newer build may mend it.
    Panic,
}

impl RetryClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Transient, Self::Throttled, Self::Timeout, Self::Panic];

    /// The name in settings and texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }
}

/// What differs for failures of one class from the kind's attempts and backoff.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassRetry {
    /// Failures of this class a job may have; the kind's attempts bound it too.
    pub attempts: Option<u32>,
    /// The ceiling after the first attempt.
    pub base: Option<Duration>,
    /// What each further attempt multiplies it by; at least 1.
    pub factor: Option<f64>,
    /// The highest ceiling.
    pub max: Option<Duration>,
    /// After a failure of this class no attempt begins later than this after the first one began;
    /// [`Retries::within`] replaces it.
    pub within: Option<Duration>,
}

/// What holds beside a kind's attempts and backoff.
///
/// Unless a kind or the configuration says otherwise, with the longest time since the first
/// failure where all failures are of that class, and the total deadline, which counts where many
/// attempts, long ones or the wishes of a server add up:
///
/// | class | after attempt 1 | 2 | 3 | 4 | in all | the last begins within |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | transient | 2 s | 6 s | 18 s | 54 s | 80 s | 24 h |
/// | throttled | 30 s | 60 s | 120 s | 240 s | 450 s | 48 h |
/// | timeout | 2 s | 6 s | 18 s | 54 s | 80 s | 12 h |
/// | panic | 30 s | 90 s | 270 s | 810 s | 1200 s | 12 h |
#[derive(Clone, Debug, PartialEq)]
pub struct Retries {
    /// The total deadline: no attempt begins later than this after the first one began. Time in
    /// which the job was parked, put off or waited for a slot is not the job's fault and does not
    /// count. `None`: as the class of the failure says; [`Duration::MAX`]: attempts alone are
    /// bounded.
    pub within: Option<Duration>,
    /// What differs by class.
    pub classes: BTreeMap<RetryClass, ClassRetry>,
}

impl Default for Retries {
    fn default() -> Self {
        let base = Some(Duration::from_secs(30));
        let within = |hours: u64| ClassRetry {
            within: Some(Duration::from_secs(hours * 3600)),
            ..ClassRetry::default()
        };
        let classes = [
            (RetryClass::Transient, within(24)),
            (RetryClass::Throttled, ClassRetry { base, factor: Some(2.0), ..within(48) }),
            (RetryClass::Timeout, within(12)),
            (RetryClass::Panic, ClassRetry { base, ..within(12) }),
        ];
        Self { within: None, classes: classes.into() }
    }
}

/// What has to be remembered of the failures of a job between its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What attempts and the delays between them took, in milliseconds.
    pub spent_ms: u64,
    /// Failures by class.
    pub failures: BTreeMap<RetryClass, u32>,
}

impl History {
    /// What attempts and the delays between them took.
    pub fn spent(&self) -> Duration {
        Duration::from_millis(self.spent_ms)
    }

    /// Adds to what was spent.
    pub fn spend(&mut self, more: Duration) {
        let more = u64::try_from(more.as_millis()).unwrap_or(u64::MAX);
        self.spent_ms = self.spent_ms.saturating_add(more);
    }

    /// One more failure; `ran`: how long its attempt took.
    pub fn failed(&mut self, class: RetryClass, ran: Duration) {
        *self.failures.entry(class).or_default() += 1;
        self.spend(ran);
    }
}

/// A failed attempt that may be made again.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Why it failed.
    pub class: RetryClass,
    /// Which attempt it was: 1 is the first.
    pub attempt: u32,
    /// The last attempt there is.
    pub max_attempts: u32,
    /// The server's hint.
    pub after: Option<Duration>,
}

/// What becomes of a job whose attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Again, so much later.
    Again(Duration),
    /// Not again; a word on why, unless all attempts are used up.
    GiveUp(Option<String>),
}

impl Policy {
    /// The backoff after failures of a class.
    pub fn backoff_of(&self, class: RetryClass) -> Backoff {
        let (own, differs) = (self.backoff, self.class(class));
        Backoff {
            base: differs.base.unwrap_or(own.base),
            factor: differs.factor.unwrap_or(own.factor),
            max: differs.max.unwrap_or(own.max),
        }
    }

    /// The total deadline after a failure of this class, if there is one.
    pub fn within(&self, class: RetryClass) -> Option<Duration> {
        let within = self.retries.within.or(self.class(class).within);
        within.filter(|within| *within < Duration::MAX)
    }

    /// Whether this failure has to be remembered until the next one: a bound of its class counts
    /// it, somebody set a total deadline, or the usual one may be reached.
    pub fn remembers(&self, failure: &Failure) -> bool {
        let class = failure.class;
        if self.class(class).attempts.is_some() {
            return true;
        }
        self.within(class).is_some_and(|within| {
            self.retries.within.is_some()
                || failure.after.is_some_and(|wish| wish > self.backoff_of(class).ceiling(1))
                || self.may_take(failure.max_attempts, within)
        })
    }

    /// Whether so many attempts and the waits between them may take longer than this.
    fn may_take(&self, attempts: u32, within: Duration) -> bool {
        let longest = RetryClass::ALL.map(|class| self.backoff_of(class));
        let mut sum = Duration::ZERO;
        for attempt in 1..attempts.min(MANY) {
            let wait = longest.iter().map(|backoff| backoff.ceiling(attempt)).max();
            sum = sum.saturating_add(self.timeout).saturating_add(wait.unwrap_or_default());
            if sum > within {
                return true;
            }
        }
        attempts > MANY
    }

    /// What becomes of a job after a failure; `history` knows of this failure too, where it is to
    /// be remembered.
    pub fn next(&self, failure: &Failure, history: &History, rng: &dyn Rng) -> Next {
        if failure.attempt >= failure.max_attempts {
            return Next::GiveUp(None);
        }
        let class = failure.class;
        let failures = history.failures.get(&class).copied().unwrap_or_default();
        if let Some(most) = self.class(class).attempts.filter(|most| failures >= *most) {
            let why = format!("{failures} failures of class {}, {most} are allowed", class.name());
            return Next::GiveUp(Some(why));
        }
        let backoff = self.backoff_of(class);
        let delay = backoff.delay(failure.attempt, failure.after, rng);
        let Some(within) = self.within(class) else { return Next::Again(delay) };
        let left = within.saturating_sub(history.spent());
        let least = failure.after.unwrap_or(backoff.ceiling(failure.attempt) / 10);
        if least.min(LONGEST_HINT) <= left {
            return Next::Again(delay.min(left)); // the last attempt begins with the deadline
        }
        let wants = if failure.after.is_some() { "the server asks for" } else { "it has to wait" };
        Next::GiveUp(Some(format!(
            "{wants} {} s, of the {} s for all attempts {} are left",
            least.as_secs(),
            within.as_secs(),
            left.as_secs()
        )))
    }

    fn class(&self, class: RetryClass) -> ClassRetry {
        self.retries.classes.get(&class).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const SECOND: Duration = Duration::from_secs(1);

    /// Ceilings of the first attempts, and their sum, as cells of a table.
    fn cells(backoff: &Backoff, attempts: u32) -> (Vec<String>, Vec<String>) {
        let mut sum = 0;
        let each = (1..=attempts).map(|n| backoff.ceiling(n).as_secs());
        let pairs = each.map(|seconds| {
            sum += seconds;
            (format!("{seconds} s"), format!("{sum} s"))
        });
        pairs.unzip()
    }

    #[test]
    fn the_tables_of_the_documentation_are_true() {
        let text = include_str!("retry.rs");
        let holds = |row: String| assert!(text.contains(&format!("/// | {row} |\n")), "{row}");
        let (most, in_all) = cells(&Backoff::default(), 9);
        holds(format!("at most | {}", most.join(" | ")));
        holds(format!("in all | {}", in_all.join(" | ")));
        for class in RetryClass::ALL {
            let (most, in_all) = cells(&Policy::default().backoff_of(class), 4);
            let within = Policy::default().within(class).unwrap().as_secs() / 3600;
            let (name, most) = (class.name(), most.join(" | "));
            holds(format!("{name} | {most} | {} | {within} h", in_all[3]));
        }
        assert_eq!(Backoff::default().ceiling(u32::MAX), Backoff::default().max);
    }

    #[test]
    fn a_delay_stays_between_floor_and_ceiling_unless_the_server_says_longer() {
        let (backoff, rng) = (Backoff::default(), SeededRng::new(3));
        for attempt in 1..20 {
            let ceiling = backoff.ceiling(attempt);
            let delay = backoff.delay(attempt, None, &rng);
            assert!(delay >= ceiling / 10 && delay <= ceiling, "{attempt}: {delay:?}");
        }
        let hint = Duration::from_secs(7200);
        for _ in 0..20 {
            let delay = backoff.delay(1, Some(hint), &rng);
            assert!(delay >= hint && delay <= hint + SPREAD, "{delay:?}");
        }
        assert!(backoff.delay(1, Some(Duration::MAX), &rng) <= LONGEST_HINT + SPREAD);
    }

    fn failure(class: RetryClass, attempt: u32, after: Option<u64>) -> Failure {
        Failure { class, attempt, max_attempts: 5, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn attempts_of_a_class_are_bounded_apart() {
        let mut policy = Policy::default();
        let two = ClassRetry { attempts: Some(2), ..ClassRetry::default() };
        policy.retries.classes.insert(RetryClass::Timeout, two);
        let remembers = |class| policy.remembers(&failure(class, 1, None));
        assert!(remembers(RetryClass::Timeout) && !remembers(RetryClass::Transient));
        let (rng, mut history) = (SeededRng::new(1), History::default());
        let mut next = |attempt, class| {
            history.failed(class, SECOND);
            policy.next(&failure(class, attempt, None), &history, &rng)
        };
        assert!(matches!(next(1, RetryClass::Timeout), Next::Again(_)));
        assert!(matches!(next(2, RetryClass::Transient), Next::Again(_)));
        let Next::GiveUp(Some(why)) = next(3, RetryClass::Timeout) else { panic!("goes on") };
        assert_eq!(why, "2 failures of class timeout, 2 are allowed");
        assert_eq!(next(5, RetryClass::Transient), Next::GiveUp(None));
    }

    #[test]
    fn the_usual_deadline_costs_nothing_where_it_cannot_be_reached() {
        let mut policy = Policy::default();
        let class = RetryClass::Transient;
        let plain = failure(class, 1, None);
        assert!(!policy.remembers(&plain));
        assert!(policy.remembers(&failure(class, 1, Some(60))), "a server's wish");
        assert!(policy.remembers(&Failure { max_attempts: 100, ..plain }), "many attempts");
        assert!(policy.remembers(&Failure { max_attempts: u32::MAX, ..plain }));
        policy.timeout = SECOND * 8 * 3600;
        assert!(policy.remembers(&plain), "long ones");

        let (rng, mut history) = (SeededRng::new(1), History::default());
        history.spend(SECOND * 86_399);
        let late = policy.next(&failure(class, 3, None), &history, &rng);
        assert!(matches!(late, Next::GiveUp(Some(_))), "{late:?}");
        policy.retries.within = Some(Duration::MAX);
        assert!(policy.within(class).is_none() && !policy.remembers(&plain));
        let next = policy.next(&failure(class, 3, None), &history, &rng);
        assert!(matches!(next, Next::Again(_)), "{next:?}");
    }

    #[test]
    fn no_attempt_begins_after_the_deadline_and_a_hint_is_honoured_within_it() {
        let retries = Retries { within: Some(SECOND * 100), ..Retries::default() };
        let policy = Policy { retries, ..Policy::default() };
        let rng = SeededRng::new(1);
        let next = |after, spent| {
            let mut history = History::default();
            history.spend(Duration::from_secs(spent));
            policy.next(&failure(RetryClass::Transient, 3, after), &history, &rng)
        };
        assert!(matches!(next(None, 0), Next::Again(_)));
        for _ in 0..20 {
            let Next::Again(delay) = next(None, 95) else { panic!("gives up") };
            assert!(delay <= SECOND * 5, "{delay:?} is past the deadline");
        }
        assert_eq!(next(Some(40), 60), Next::Again(SECOND * 40), "just within");
        let Next::GiveUp(Some(why)) = next(Some(41), 60) else { panic!("goes on") };
        assert_eq!(why, "the server asks for 41 s, of the 100 s for all attempts 40 are left");
        let Next::GiveUp(Some(why)) = next(None, 99) else { panic!("goes on") };
        assert!(why.starts_with("it has to wait 1 s"), "{why}");
    }
}
