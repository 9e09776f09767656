//! The `Retry-After` header (RFC 9110, section 10.2.3): when a busy server wants to be asked again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

/// What the header says, before it is set against a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// A number of seconds.
    After(Duration),
    /// An HTTP date.
    At(Timestamp),
}

impl RetryAfter {
    /// Reads a header value: seconds, or a date in any of the three forms of RFC 9110. `None` for
    /// anything else.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            return value.parse().ok().map(Duration::from_secs).map(Self::After);
        }
        http_date(value).map(Self::At)
    }

    /// How long to wait from `now`; zero for a date that has passed. The server may have asked for
    /// very long: cap it.
    #[must_use]
    pub fn wait(self, now: Timestamp) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::At(at) => Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO),
        }
    }
}

fn http_date(value: &str) -> Option<Timestamp> {
    if let Ok(at) = rfc2822::DateTimeParser::new().parse_timestamp(value) {
        return Some(at);
    }
    let obsolete = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let civil: DateTime = obsolete
        .iter()
        .filter_map(|form| strtime::parse(form, value).ok())
        .find_map(|parts| parts.to_datetime().ok())?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        RetryAfter::parse(value).map(|after| after.wait(now))
    }

    #[test]
    fn reads_seconds_and_all_three_date_forms() {
        assert_eq!(wait("0"), Some(Duration::ZERO));
        assert_eq!(wait(" 120 "), Some(Duration::from_secs(120)));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait(date), Some(Duration::from_secs(37)), "{date}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:59 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn refuses_what_is_neither() {
        for value in ["", "-1", "1.5", "soon", "99999999999999999999999", "06 Nov"] {
            assert_eq!(wait(value), None, "{value}");
        }
    }
}
