//! A filter of jobs as a form and a query carry it: read, held to its tenants, written again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use flotilla_admin::auth::Principal;
use flotilla_core::Timestamp;
use flotilla_core::ids::InvalidName;
use flotilla_core::records::Filter;
use flotilla_core::replay::{Fingerprint, Selection};

use crate::trouble::Trouble;

/// Values of one field.
const MANY: usize = 100;
/// The fields a filter has, as forms name them.
const FIELDS: [&str; 9] =
    ["lane", "kind", "state", "tenant", "class", "group", "error", "since", "until"];

/// A filter, and how it was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) filter: Filter,
    /// Groups of dead letters.
    groups: Vec<Fingerprint>,
    text: BTreeMap<&'static str, String>,
}

impl Asked {
    /// Reads the fields; values of one field are separated by commas or repeated.
    pub(crate) fn read(fields: &BTreeMap<String, Vec<String>>) -> Result<Self, Trouble> {
        let mut text = BTreeMap::new();
        for name in FIELDS {
            let given = fields.get(name).map(|all| all.join(",")).unwrap_or_default();
            let given = given.trim_matches([',', ' ']).to_owned();
            if !given.is_empty() {
                text.insert(name, given);
            }
        }
        let filter = Filter {
            lanes: values(&text, "lane")?,
            kinds: values(&text, "kind")?,
            states: values(&text, "state")?,
            tenants: values(&text, "tenant")?,
            classes: values(&text, "class")?,
            since: instant(&text, "since")?,
            until: instant(&text, "until")?,
            error: text.get("error").cloned(),
            ..Filter::default()
        };
        let groups = values(&text, "group")?;
        Ok(Self { filter, groups, text })
    }

    /// What was written in a field.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.text.get(name).map_or("", String::as_str)
    }

    /// Whether a value is among those of a field.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.text(name).split(',').any(|one| one.trim() == value)
    }

    /// Whether it asks for anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The fields with what was written in them.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.text.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// As the end of an address: empty or `?…`.
    pub(crate) fn query(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.fields()).extend_pairs(more);
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// The dead letters that are meant, held to what somebody may see; `None`: nothing of it.
    pub(crate) fn selection(&self, who: &Principal) -> Option<Selection> {
        let filter = self.held(who)?;
        Some(Selection {
            ids: filter.ids,
            lanes: filter.lanes,
            kinds: filter.kinds,
            tenants: filter.tenants,
            classes: filter.classes,
            groups: self.groups.clone(),
            since: filter.since,
            until: filter.until,
            error: filter.error,
        })
    }

    /// The filter, held to what somebody may see; `None`: nothing of it.
    pub(crate) fn held(&self, who: &Principal) -> Option<Filter> {
        who.within(self.filter.clone())
    }
}

fn values<T: FromStr<Err = InvalidName> + Display>(
    text: &BTreeMap<&'static str, String>,
    name: &'static str,
) -> Result<Vec<T>, Trouble> {
    let Some(given) = text.get(name) else { return Ok(Vec::new()) };
    let words = given.split(',').map(str::trim).filter(|word| !word.is_empty());
    let values = words.take(MANY + 1).map(str::parse).collect::<Result<Vec<T>, _>>()?;
    if values.len() > MANY {
        return Err(Trouble::wrong(format!("{name}: at most {MANY} values")));
    }
    Ok(values)
}

/// An instant, also as browsers write it: without seconds and in UTC.
fn instant(
    text: &BTreeMap<&'static str, String>,
    name: &'static str,
) -> Result<Option<Timestamp>, Trouble> {
    let Some(given) = text.get(name) else { return Ok(None) };
    let tries =
        [given.clone(), format!("{given}Z"), format!("{given}:00Z"), format!("{given}T00:00:00Z")];
    let found = tries.iter().find_map(|one| one.parse().ok());
    found.map(Some).ok_or_else(|| {
        Trouble::wrong(format!("{name}: write an instant as 2026-12-24T18:00:00Z or 2026-12-24"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::pairs;

    #[test]
    fn a_filter_is_read_and_written_again() {
        let asked = Asked::read(&pairs(
            b"state=dead&state=parked&lane=a%2Cb&error=%3Cb%3E&until=&since=2026-11-21T10:00",
        ))
        .unwrap();
        assert_eq!(asked.filter.states.len(), 2);
        assert_eq!(asked.filter.lanes.len(), 2);
        assert!(asked.has("state", "parked") && !asked.has("state", "running"));
        assert!(asked.filter.since.is_some() && asked.filter.until.is_none());
        let query = asked.query(&[("before", "x")]);
        assert_eq!(
            query,
            "?error=%3Cb%3E&lane=a%2Cb&since=2026-11-21T10%3A00&state=dead%2Cparked&before=x"
        );
        assert!(Asked::default().query(&[]).is_empty() && Asked::default().is_empty());
    }

    #[test]
    fn what_is_no_state_or_no_instant_is_said() {
        assert!(Asked::read(&pairs(b"state=gone")).is_err());
        assert!(Asked::read(&pairs(b"since=yesterday")).is_err());
        assert!(Asked::read(&pairs(b"since=2026-11-21")).is_ok());
    }
}
