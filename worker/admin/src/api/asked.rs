//! What a query or a small body asks for, read strictly: a name that is not known, a value that is
//! not one, a character that no text holds are faults of the request, each with its field.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use flotilla_core::records::Filter;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Most values of one field.
const MAX_VALUES: usize = 100;
/// Longest text of a value, in bytes.
const MAX_TEXT: usize = 1000;
/// Largest body of an action, in bytes.
pub(crate) const MAX_ACTION: usize = 256 * 1024;

/// The pairs of a query.
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Reads the query; names beside these are faults.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        {
            if !known.contains(&name.as_ref()) {
                let shown: String = name.chars().take(40).collect();
                let all = known.join(", ");
                let detail = format!("\"{shown}\" is no parameter here: there are {all}");
                return Err(Problem::bad_request(&shown, detail));
            }
            text(&name, &value)?;
            let values = pairs.entry(name.into_owned()).or_default();
            values.push(value.into_owned());
            if values.len() > MAX_VALUES {
                let detail = format!("more than {MAX_VALUES} values of one parameter");
                return Err(Problem::bad_request("query", detail));
            }
        }
        Ok(Self(pairs))
    }

    /// Every value of a name; commas separate values too. Empty ones say nothing.
    pub(crate) fn all<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Vec<T>, Problem> {
        let values = self.0.get(name).into_iter().flatten().flat_map(|value| value.split(','));
        let given = values.map(str::trim).filter(|value| !value.is_empty());
        let wrong = |e: T::Err| Problem::bad_request(name, e.to_string());
        given.map(|value| value.parse().map_err(wrong)).collect()
    }

    /// The one value of a name.
    pub(crate) fn one<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(values) = self.0.get(name) else { return Ok(None) };
        match values.as_slice() {
            [value] if value.is_empty() => Ok(None),
            [value] => match value.parse() {
                Ok(value) => Ok(Some(value)),
                Err(e) => Err(Problem::bad_request(name, e.to_string())),
            },
            _ => Err(Problem::bad_request(name, "give it once")),
        }
    }

    /// `limit`, from 1 to the most.
    pub(crate) fn limit(&self, usual: usize, most: usize) -> Result<usize, Problem> {
        match self.one::<usize>("limit") {
            Ok(None) => Ok(usual),
            Ok(Some(limit)) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Problem::bad_request("limit", format!("a whole number from 1 to {most}"))),
        }
    }

    /// The filter of jobs that these parameters make.
    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            ids: self.all("id")?,
            lanes: self.all("lane")?,
            kinds: self.all("kind")?,
            states: self.all("state")?,
            tenants: self.all("tenant")?,
            classes: self.all("class")?,
            since: self.one("since")?,
            until: self.one("until")?,
            error: self.one("error")?,
            parents: self.all("parent")?,
        })
    }
}

/// A text that a record can hold and a person can read.
pub(crate) fn text(field: &str, value: &str) -> Result<(), Problem> {
    if value.len() > MAX_TEXT {
        return Err(Problem::bad_request(field, format!("at most {MAX_TEXT} bytes")));
    }
    if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) {
        return Err(Problem::bad_request(field, "holds a control character"));
    }
    Ok(())
}

/// A reason is wanted: it is what the next person reads.
pub(crate) fn reason(given: &str) -> Result<String, Problem> {
    text("reason", given)?;
    match given.trim() {
        "" => Err(Problem::bad_request("reason", "say why, in a few words")),
        reason => Ok(reason.to_owned()),
    }
}

/// The body of an action.
pub(crate) fn body<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    let json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
        |value| {
            let essence = value.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("application/json")
        },
    );
    if !json {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "send application/json";
        return Err(Problem::new(status, "media-type", "the content type is unknown", detail));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|e| Problem::bad_request(&e.path().to_string(), e.inner().to_string()))?;
    reader.end().map_err(|e| Problem::bad_request(".", e.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_core::State;

    fn query(text: &'static str) -> Result<Query, Problem> {
        Query::read(&Uri::from_static(text), &["state", "limit", "error", "cursor", "id"])
    }

    #[test]
    fn parameters_are_read_strictly() {
        let good = query("/v1/jobs?state=dead,running&state=parked&limit=7").unwrap();
        let states = [State::Dead, State::Running, State::Parked];
        assert_eq!(good.all::<State>("state").unwrap(), states);
        assert_eq!(good.limit(50, 500).unwrap(), 7);
        assert_eq!(query("/v1/jobs").unwrap().limit(50, 500).unwrap(), 50);
        for bad in ["/x?stat=dead", "/x?error=%00", "/x?error=%1b"] {
            assert!(query(bad).is_err(), "{bad}");
        }
        for bad in [
            "/x?limit=0",
            "/x?limit=501",
            "/x?limit=99999999999999999999",
            "/x?limit=é",
            "/x?limit=1&limit=2",
        ] {
            assert!(query(bad).unwrap().limit(50, 500).is_err(), "{bad}");
        }
        assert!(query("/x?state=nope").unwrap().filter().is_err());
        assert!(query("/x?id=nope").unwrap().filter().is_err());
        assert!(query("/x?error=%ff").unwrap().filter().is_ok(), "not UTF-8 is replaced");
    }
}
