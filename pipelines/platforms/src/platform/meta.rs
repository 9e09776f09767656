//! What Facebook, Instagram, Threads and WhatsApp have in common: the error envelope of the Graph
//! API (<https://developers.facebook.com/docs/graph-api/guides/error-handling>) and its codes.
//! Classified by subcode, then code, then status; limits often come as HTTP 400.

use std::time::Duration;

use serde_json::Value;

use crate::http::Answer;
use crate::trouble::{Class, Scope, Trouble};

/// A page that could not be looked at may be well a little later.
const SCRAPE: Duration = Duration::from_secs(60);

/// What an answer of the Graph API means; an `error` counts also with HTTP 200.
pub(super) fn judge(answer: &Answer) -> Option<Trouble> {
    let body = answer.json();
    let Some(error) = body.get("error").filter(|error| error.is_object()) else {
        return (!(200..300).contains(&answer.status))
            .then(|| Trouble::of_status(answer.status, &answer.body));
    };
    let number = |name: &str| error.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (code, subcode) = (number("code"), number("error_subcode"));
    let transient = error.get("is_transient").and_then(Value::as_bool).unwrap_or(false);
    let said = message(error);
    let forbidden = code == 100 && said.contains("No permission to publish");
    let known = by_subcode(code, subcode).or_else(|| by_code(code, subcode, answer));
    let class = forbidden.then_some(Class::NotGranted).or(known).unwrap_or(
        if transient || answer.status >= 500 { Class::Transient } else { Class::Rejected },
    );
    let named = if subcode == 0 { code.to_string() } else { format!("{code}/{subcode}") };
    Some(Trouble::new(class, named, &said))
}

/// What it says for people, else what it says.
fn message(error: &Value) -> String {
    let said = |name: &str| error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (user, plain) = (said("error_user_msg"), said("message"));
    match (user, plain) {
        (Some(user), Some(plain)) if user != plain => format!("{user} ({plain})"),
        (one, other) => one.or(other).unwrap_or_default().to_owned(),
    }
}

fn by_subcode(code: i64, subcode: i64) -> Option<Class> {
    let seconds = Duration::from_secs;
    Some(match subcode {
        458 | 459 | 460 | 464 | 467 if matches!(code, 190 | 102) => Class::Revoked,
        463 if matches!(code, 190 | 102) => Class::Expired,
        492 => Class::NotGranted,
        // Instagram: the way the media took.
        2_207_003 | 2_207_020 | 2_207_032 | 2_207_053 | 2_207_077 | 2_207_082 => Class::Gone,
        2_207_001 => Class::Transient,
        2_207_006 | 2_207_008 => Class::Gone,
        2_207_052 => Class::Once(SCRAPE),
        2_207_027 => Class::NotReady,
        2_207_042 => Class::Spent(Scope::Account),
        2_207_050 | 2_207_051 | 4_279_013 => Class::Restricted,
        2_207_004 | 2_207_005 | 2_207_009 | 2_207_010 | 2_207_023 | 2_207_026 | 2_207_028
        | 2_207_035 | 2_207_036 | 2_207_037 | 2_207_040 | 2_207_057 | 2_207_081 => Class::Rejected,
        // Facebook Pages.
        1_390_008 => Class::TooFast { scope: Scope::Account, wait: Some(seconds(3600)) },
        1_404_006 | 1_404_112 | 4_854_002 => Class::Restricted,
        1_404_078 => Class::NotGranted,
        1_366_051 | 1_404_082 => Class::Duplicate(None),
        1_363_047 | 1_609_010 => Class::Transient,
        1_609_005 => Class::Once(SCRAPE),
        1_346_003 | 1_404_102 | 1_366_046 | 1_609_008 | 2_061_006 | 1_349_125 | 2_069_019
        | 1_363_040 | 1_363_127 | 1_363_128 | 1_363_129 => Class::Rejected,
        _ => return None,
    })
}

fn by_code(code: i64, subcode: i64, answer: &Answer) -> Option<Class> {
    let too_fast = |scope| Class::TooFast { scope, wait: regain(answer) };
    Some(match code {
        1 | 2 => Class::Transient,
        4 => too_fast(Scope::App),
        3 | 10 | 200..=299 => Class::NotGranted,
        17 | 32 | 341 | 613 | 80_000..=80_014 => too_fast(Scope::Account),
        // Our app; a version that was switched off.
        101 | 2635 => Class::Misconfigured,
        33 => Class::Missing,
        100 if subcode == 33 => Class::Missing,
        100 => Class::Rejected,
        102 | 190 => Class::Expired,
        368 => Class::Restricted,
        506 => Class::Duplicate(None),
        -2 | 24 => Class::Gone,
        9004 => Class::Once(SCRAPE),
        -1 => Class::Transient,
        9007 => Class::NotReady,
        1_609_005 => Class::Once(SCRAPE),
        25 => Class::Restricted,
        352 | 36_000..=36_004 => Class::Rejected,
        _ => return None,
    })
}

/// Minutes until access is given back, as the busiest business object says.
fn regain(answer: &Answer) -> Option<Duration> {
    let usage: Value = serde_json::from_str(answer.header("x-business-use-case-usage")?).ok()?;
    let objects = usage.as_object()?.values().filter_map(Value::as_array).flatten();
    let minutes = objects.filter_map(|one| one.get("estimated_time_to_regain_access")?.as_u64());
    minutes.max().filter(|minutes| *minutes > 0).map(|minutes| Duration::from_secs(minutes * 60))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn class(status: u16, error: Value) -> Option<Class> {
        let body = Bytes::from(json!({"error": error}).to_string());
        judge(&Answer { status, headers: HeaderMap::new(), body }).map(|trouble| trouble.class)
    }

    #[test]
    fn a_subcode_says_more_than_its_code() {
        let of = |code: i64, subcode: i64| {
            class(400, json!({"code": code, "error_subcode": subcode, "message": "m"})).unwrap()
        };
        assert_eq!(of(190, 460), Class::Revoked);
        assert_eq!(of(190, 463), Class::Expired);
        assert_eq!(of(190, 0), Class::Expired);
        assert_eq!(of(4, 2_207_051), Class::Restricted);
        assert!(matches!(of(4, 0), Class::TooFast { scope: Scope::App, .. }));
        assert_eq!(of(9007, 2_207_027), Class::NotReady);
        assert_eq!(of(506, 0), Class::Duplicate(None));
        assert_eq!(of(9, 2_207_042), Class::Spent(Scope::Account));
        assert_eq!(of(1_609_005, 0), Class::Once(SCRAPE));
        assert_eq!(of(2635, 0), Class::Misconfigured);
        let unwanted = json!({"code": 100, "message": "(#100) No permission to publish the video"});
        assert_eq!(class(400, unwanted), Some(Class::NotGranted));
    }

    /// PAIN 6: 80002 comes as HTTP 400.
    #[test]
    fn pain_6_a_limit_that_comes_as_http_400_is_a_limit() {
        let of = class(400, json!({"code": 80_002, "message": "too many calls"})).unwrap();
        assert!(matches!(of, Class::TooFast { scope: Scope::Account, .. }));
    }

    /// PAIN 26: an error in a body with HTTP 200.
    #[test]
    fn pain_26_an_error_is_one_whatever_the_status() {
        assert_eq!(class(200, json!({"code": 100, "message": "no"})), Some(Class::Rejected));
        let ok =
            Answer { status: 200, headers: HeaderMap::new(), body: Bytes::from("{\"id\":\"1\"}") };
        assert_eq!(judge(&ok), None);
        let down = Answer { status: 503, headers: HeaderMap::new(), body: Bytes::from("<html>") };
        assert_eq!(judge(&down).unwrap().class, Class::Transient);
    }

    #[test]
    fn the_busiest_object_says_how_long_to_wait() {
        let mut headers = HeaderMap::new();
        let usage = r#"{"1":[{"type":"pages","estimated_time_to_regain_access":7}],"2":[{"estimated_time_to_regain_access":2}]}"#;
        headers.insert("x-business-use-case-usage", usage.parse().unwrap());
        let answer = Answer { status: 400, headers, body: Bytes::new() };
        assert_eq!(regain(&answer), Some(Duration::from_secs(420)));
    }
}
