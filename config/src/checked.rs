//! Text that has to follow a rule: names, zones, cron patterns, hosts.

use std::str::FromStr as _;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::setting::{Setting, Shape, shown, text};

/// The name of a kind, lane, tenant or schedule entry: the rule of flotilla-core's names.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl Setting for Name {
    fn from_value(value: &Value) -> Result<Self, String> {
        let name = text(value)?;
        let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let other = |c: char| first(c) || matches!(c, '.' | '_' | '-');
        if name.starts_with(first) && name.chars().all(other) && name.len() <= 64 {
            return Ok(Self(name.to_owned()));
        }
        Err(format!(
            "{} is not a name: 1 to 64 lower-case letters, digits, '.', '_' or '-', beginning \
             with a letter or digit",
            shown(value)
        ))
    }
}

/// A priority, 0 to 9.
#[derive(Debug)]
pub(crate) struct Level(pub(crate) u8);

impl Setting for Level {
    const SHAPE: Shape = Shape::Number;

    fn from_value(value: &Value) -> Result<Self, String> {
        let level = value.as_u64().filter(|level| *level <= 9);
        level
            .and_then(|level| u8::try_from(level).ok())
            .map(Self)
            .ok_or_else(|| format!("{} is not a priority from 0 to 9", shown(value)))
    }
}

/// `host:port`; the guard of the HTTP client reads it more closely.
#[derive(Debug)]
pub(crate) struct HostPort(pub(crate) String);

impl Setting for HostPort {
    fn from_value(value: &Value) -> Result<Self, String> {
        let given = text(value)?;
        let port = given
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty() && !host.contains(['/', '@', ' ']))
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .filter(|port| *port != 0);
        match port {
            Some(_) => Ok(Self(given.to_owned())),
            None => Err(format!("\"{given}\" is not host:port, such as \"minio.internal:9000\"")),
        }
    }
}

/// An IANA time zone.
#[derive(Debug)]
pub(crate) struct Zone(pub(crate) String);

impl Setting for Zone {
    fn from_value(value: &Value) -> Result<Self, String> {
        let name = text(value)?;
        match TimeZone::get(name) {
            Ok(_) => Ok(Self(name.to_owned())),
            Err(_) => Err(format!(
                "\"{name}\" is not a time zone; use an IANA name such as \"Europe/Berlin\""
            )),
        }
    }
}

/// A cron pattern.
#[derive(Debug)]
pub(crate) struct CronPattern(pub(crate) String);

impl Setting for CronPattern {
    fn from_value(value: &Value) -> Result<Self, String> {
        let pattern = text(value)?;
        match croner::Cron::from_str(pattern) {
            Ok(_) => Ok(Self(pattern.to_owned())),
            Err(error) => Err(format!("\"{pattern}\" is not a cron pattern: {error}")),
        }
    }
}

/// A table of one's own making, such as a payload.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Value);

impl Setting for Table {
    const SHAPE: Shape = Shape::Table;

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(_) => Ok(Self(value.clone())),
            other => Err(format!("{} is not a table; write {{ key = value }}", shown(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_takes_the_right_and_refuses_the_wrong() {
        let ok = |name: &str| Name::from_value(&json!(name)).is_ok();
        assert!(ok("caption.parse") && ok("a_b-1") && !ok("") && !ok(".a") && !ok("A b"));
        assert!(!ok(&"a".repeat(65)));
        let ok = |level: Value| Level::from_value(&level).is_ok();
        assert!(ok(json!(0)) && ok(json!(9)) && !ok(json!(10)) && !ok(json!("5")));
        let ok = |host: &str| HostPort::from_value(&json!(host)).is_ok();
        assert!(
            ok("a:1") && ok("[::1]:9000") && !ok("a") && !ok(":1") && !ok("a:0") && !ok("u@a:1")
        );
        let ok = |zone: &str| Zone::from_value(&json!(zone)).is_ok();
        assert!(ok("UTC") && ok("Europe/Berlin") && !ok("Europe/Bielefeld") && !ok(""));
        let ok = |cron: &str| CronPattern::from_value(&json!(cron)).is_ok();
        assert!(ok("0 6 * * MON-FRI") && ok("*/5 * * * * *") && !ok("0 25 * * *") && !ok("soon"));
        assert!(Table::from_value(&json!({})).is_ok() && Table::from_value(&json!([])).is_err());
    }
}
