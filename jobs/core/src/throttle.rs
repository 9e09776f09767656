//! What a platform says about its limits: the headers of an answer, read into when to call again.
//! Pure. The forms are those of RFC 9110 (`Retry-After`), GitHub and X (`X-RateLimit-*`), Meta
//! (`X-App-Usage`, `X-Business-Use-Case-Usage`) and `OpenAI` (`x-ratelimit-*-requests`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Timestamp, after, from_micros};

/// A platform that says "too fast" and not until when is left alone for this long.
pub const UNSAID: Duration = Duration::from_secs(60);
/// Meta: usage at 100 % without a word on when it ends (rolling hour).
const META: Duration = Duration::from_secs(3600);
/// Longer is not believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A number above this is an instant, below it a distance.
const EPOCH: f64 = 1e9;

/// When to call again, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Not before.
    pub until: Timestamp,
    /// The header, for people.
    pub reason: String,
}

/// What an answer says of its limit: too fast, or nothing left until a reset. `header` finds a
/// header by its lower-case name.
pub fn read<'a>(
    status: u16,
    header: impl Fn(&str) -> Option<&'a str>,
    now: Timestamp,
) -> Option<Throttle> {
    let too_fast = status == 429;
    let at = |until: Timestamp, reason: String| {
        let until = until.clamp(now, after(now, LONGEST));
        Some(Throttle { until, reason })
    };
    if matches!(status, 413 | 429 | 503)
        && let Some(until) = header("retry-after").and_then(|text| moment(text, now))
    {
        return at(until, "retry-after".to_owned());
    }
    if let Some(until) = spent(&header, now) {
        return at(until.0, until.1);
    }
    if let Some(wait) = header("x-business-use-case-usage").and_then(business) {
        return at(after(now, wait), "x-business-use-case-usage".to_owned());
    }
    if header("x-app-usage").is_some_and(|text| full(&parse(text))) {
        return at(after(now, META), "x-app-usage".to_owned());
    }
    let reset = ["x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"];
    if too_fast {
        let said = reset.iter().find_map(|name| moment(header(name)?, now));
        let reason = if said.is_some() { "x-ratelimit-reset" } else { "status 429" };
        return at(said.unwrap_or_else(|| after(now, UNSAID)), reason.to_owned());
    }
    None
}

/// Pairs of "remaining" and "reset": where the first says 0, the second says until when.
fn spent<'a>(
    header: &impl Fn(&str) -> Option<&'a str>,
    now: Timestamp,
) -> Option<(Timestamp, String)> {
    const PAIRS: [(&str, &str); 5] = [
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-rate-limit-remaining", "x-rate-limit-reset"),
        ("ratelimit-remaining", "ratelimit-reset"),
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ];
    let said = PAIRS.iter().filter_map(|(remaining, reset)| {
        let none = header(remaining)?.trim().parse::<f64>().ok()? == 0.0;
        none.then_some((moment(header(reset)?, now)?, (*remaining).to_owned()))
    });
    said.max_by_key(|(until, _)| *until)
}

/// Seconds, an instant in Unix seconds, a date, or a duration in the manner of Go (`6m0s`).
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        return Some(if number >= EPOCH {
            from_micros((number * 1e6) as i64)
        } else {
            after(now, Duration::from_secs_f64(number))
        });
    }
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp());
    }
    text.parse::<Timestamp>().ok().or_else(|| go(text).map(|wait| after(now, wait)))
}

/// `1h2m3.5s`, `12ms`.
fn go(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        seconds += number
            * match &unit[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                _ => return None,
            };
        rest = &unit[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Any of Meta's percentages has reached 100.
fn full(usage: &Value) -> bool {
    ["call_count", "total_time", "total_cputime"]
        .iter()
        .any(|name| usage[name].as_f64().is_some_and(|percent| percent >= 100.0))
}

/// How long until Meta gives access again, where a use case is spent.
fn business(text: &str) -> Option<Duration> {
    let usage = parse(text);
    let cases = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    cases
        .filter_map(|case| {
            let minutes = case["estimated_time_to_regain_access"].as_u64().unwrap_or(0);
            match minutes {
                0 if full(case) => Some(META),
                0 => None,
                minutes => Some(Duration::from_secs(minutes.saturating_mul(60))),
            }
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock, between};

    /// Seconds until the next call, by status and headers.
    fn wait(status: u16, headers: &[(&str, &str)]) -> Option<f64> {
        let now = ManualClock::default().now(); // 2026-01-01T00:00:00Z, 1767225600
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        read(status, header, now).map(|said| between(now, said.until).as_secs_f64())
    }

    #[test]
    fn every_form_is_read() {
        type Case = (u16, &'static [(&'static str, &'static str)], f64);
        let cases: [Case; 12] = [
            (429, &[("retry-after", "120")], 120.0),
            (503, &[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")], 60.0),
            (429, &[("x-rate-limit-reset", "1767225690")], 90.0),
            (200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225605")], 5.0),
            (200, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")], 7.0),
            (
                200,
                &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "6m0s")],
                360.0,
            ),
            (
                429,
                &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "12ms")],
                0.012,
            ),
            (400, &[("x-app-usage", r#"{"call_count":100,"total_time":2}"#)], 3600.0),
            (
                200,
                &[(
                    "x-business-use-case-usage",
                    r#"{"1":[{"type":"pages","call_count":100,"estimated_time_to_regain_access":19}]}"#,
                )],
                1140.0,
            ),
            (429, &[], 60.0),
            (429, &[("retry-after", "soon")], 60.0),
            (429, &[("retry-after", "99999999")], 86_400.0),
        ];
        for (status, headers, seconds) in cases {
            assert_eq!(wait(status, headers), Some(seconds), "{status} {headers:?}");
        }
    }

    #[test]
    fn who_has_something_left_is_not_told_to_wait() {
        assert_eq!(wait(200, &[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "60")]), None);
        assert_eq!(wait(200, &[("x-app-usage", r#"{"call_count":28}"#)]), None);
        assert_eq!(wait(500, &[]), None);
        assert_eq!(wait(200, &[("retry-after", "5")]), None);
        assert_eq!(wait(200, &[("x-app-usage", "[["), ("x-ratelimit-remaining", "-1")]), None);
    }
}
