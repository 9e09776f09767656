//! When a post is to be published: an instant, or a clock's time somewhere. What a clock says twice
//! or never, when it is put forward or back, is decided here and told.

use flotilla_core::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The instant that is meant, and what was decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    /// In UTC.
    pub(super) at: Timestamp,
    /// What an author should know.
    pub(super) note: Option<String>,
}

/// Reads `publish_at` with `time_zone`.
///
/// # Errors
/// The field that is wrong, and what would be right.
pub(super) fn read(time: &str, zone: Option<&str>) -> Result<When, (&'static str, String)> {
    if let Ok(at) = time.parse::<Timestamp>() {
        return match zone {
            None => Ok(When { at, note: None }),
            Some(_) => {
                let message =
                    "publish_at names an offset already; leave time_zone out, or the offset";
                Err(("time_zone", message.to_owned()))
            }
        };
    }
    let Ok(civil) = time.parse::<DateTime>() else {
        let message = format!(
            "\"{time}\" is no time: give 2026-12-24T18:00:00Z, or 2026-12-24T18:00 with a time_zone"
        );
        return Err(("publish_at", message));
    };
    let Some(name) = zone else {
        let message = "a time without an offset needs a time_zone, as in Europe/Berlin";
        return Err(("time_zone", message.to_owned()));
    };
    let zone = TimeZone::get(name).map_err(|_| {
        ("time_zone", format!("\"{name}\" is no time zone; give an IANA name, as in Europe/Berlin"))
    })?;
    let local = zone.to_ambiguous_zoned(civil);
    let offset = local.offset();
    let far = |_| ("publish_at", format!("{time} is too far away"));
    let zoned = local.compatible().map_err(far)?;
    let note = match offset {
        AmbiguousOffset::Unambiguous { .. } => None,
        AmbiguousOffset::Gap { .. } => Some(format!(
            "clocks in {name} skip {civil}: it is published at {} there",
            zoned.datetime()
        )),
        AmbiguousOffset::Fold { .. } => Some(format!(
            "clocks in {name} show {civil} twice: it is published the first time, at {}",
            zoned.timestamp()
        )),
    };
    Ok(When { at: zoned.timestamp(), note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str, zone: &str) -> (String, Option<String>) {
        let when = read(time, Some(zone)).unwrap();
        (when.at.to_string(), when.note)
    }

    /// PAIN 20, 21: times that shift by the offset of a zone.
    #[test]
    fn pain_20_a_local_time_is_the_instant_it_names_there() {
        assert_eq!(at("2026-12-24T18:00", "Europe/Berlin").0, "2026-12-24T17:00:00Z");
        assert_eq!(at("2026-07-24T18:00", "Europe/Berlin").0, "2026-07-24T16:00:00Z");
        assert_eq!(at("2026-07-24T18:00", "Asia/Kolkata").0, "2026-07-24T12:30:00Z");
        assert_eq!(at("2026-07-24T18:00", "UTC"), ("2026-07-24T18:00:00Z".into(), None));
        let instant = read("2026-07-24T18:00:00+02:00", None).unwrap();
        assert_eq!(instant.at.to_string(), "2026-07-24T16:00:00Z");
    }

    #[test]
    fn pain_21_what_a_clock_skips_or_shows_twice_is_decided_and_told() {
        let (gap, note) = at("2026-03-29T02:30", "Europe/Berlin");
        assert_eq!(gap, "2026-03-29T01:30:00Z");
        assert!(
            note.unwrap().contains("skip 2026-03-29T02:30:00: it is published at 2026-03-29T03:30")
        );
        let (fold, note) = at("2026-10-25T02:30", "Europe/Berlin");
        assert_eq!(fold, "2026-10-25T00:30:00Z");
        assert!(note.unwrap().contains("twice: it is published the first time"));
    }

    /// PAIN 22: a time without an offset was read as one of UTC, and shifted.
    #[test]
    fn pain_22_a_time_without_a_zone_is_refused_and_not_guessed() {
        assert_eq!(read("2026-07-24T18:00", None).unwrap_err().0, "time_zone");
        assert_eq!(at("2026-07-24T18:00", "Asia/Kolkata").0, "2026-07-24T12:30:00Z");
    }

    #[test]
    fn a_time_that_is_none_says_what_would_be_one() {
        assert_eq!(read("tomorrow", None).unwrap_err().0, "publish_at");
        assert_eq!(read("2026-12-24T18:00", None).unwrap_err().0, "time_zone");
        assert_eq!(read("2026-12-24T18:00", Some("Mars/Olympus")).unwrap_err().0, "time_zone");
        assert_eq!(read("2026-12-24T18:00Z", Some("UTC")).unwrap_err().0, "time_zone");
    }
}
