//! The routing table: which strangers' messages are which jobs. It is data, so that a new source
//! needs a line of configuration and no code.

use std::collections::BTreeMap;

use flotilla_core::{Kind, Lane, Priority};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::Found;
use crate::pick::{Pick, Target};

/// What a message is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An S3 event: one job per record.
    S3,
    /// An event of Amazon EventBridge.
    EventBridge,
    /// A CloudEvent 1.0.
    CloudEvents,
    /// A Celery message, protocol 2.
    Celery,
    /// An SNS notification around something that is none of the others.
    Sns,
    /// Any JSON document.
    Plain,
}

impl Format {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::EventBridge => "eventbridge",
            Self::CloudEvents => "cloudevents",
            Self::Celery => "celery",
            Self::Sns => "sns",
            Self::Plain => "plain",
        }
    }

    /// What its `type` is called by those who write it.
    pub(crate) fn type_word(self) -> &'static str {
        match self {
            Self::S3 => "event name",
            Self::EventBridge => "detail-type",
            Self::CloudEvents => "type",
            Self::Celery => "task name",
            Self::Sns => "topic",
            Self::Plain => "lane",
        }
    }
}

/// Text in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Takes the pattern as it is.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether all of `text` fits. Linear in the text for each `*`.
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.len() >= last.len() && rest.ends_with(last)
    }
}

/// One line of the table. The first route that fits a message decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What the message is written in.
    pub from: Format,
    /// The S3 event name (`ObjectCreated:*`), detail-type, CloudEvents type, task name or topic.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub what: Option<Pattern>,
    /// The bucket, EventBridge source, CloudEvents source, Celery origin or topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Pattern>,
    /// The lane on which it came. A plain route should name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Pattern>,
    /// What to run. Absent only with `ignore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Understood, and nothing is to be done.
    #[serde(default)]
    pub ignore: bool,
    /// Where the job waits; the lane on which it came when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Pick>,
    /// How urgent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The ordering key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Pick>,
    /// What the payload begins as. When absent: what the format carries, or `{}` with `map`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Pick>,
    /// Fields of the payload, each from somewhere in the message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map: BTreeMap<Target, Pick>,
    /// Fields of the payload that are always the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<Target, Value>,
}

impl Route {
    /// A route of `from` to `kind`, everything else open.
    pub fn new(from: Format, kind: Kind) -> Self {
        Self {
            from,
            what: None,
            source: None,
            on: None,
            kind: Some(kind),
            ignore: false,
            lane: None,
            tenant: None,
            priority: None,
            order: None,
            payload: None,
            map: BTreeMap::new(),
            set: BTreeMap::new(),
        }
    }

    fn fits(&self, from: Format, what: &str, source: &str, lane: &Lane) -> bool {
        let open = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
        };
        self.from == from
            && open(&self.what, what)
            && open(&self.source, source)
            && open(&self.on, lane.as_str())
    }

    /// The payload of a message that fits.
    pub(crate) fn payload(&self, found: &Found) -> Result<Value, String> {
        let mut payload = match &self.payload {
            Some(pick) => pick.value(&found.doc)?.unwrap_or_default(),
            None if self.map.is_empty() => found.carried()?,
            None => Value::Null,
        };
        for (target, pick) in &self.map {
            if let Some(value) = pick.value(&found.doc)? {
                target.place(&mut payload, value)?;
            }
        }
        for (target, value) in &self.set {
            target.place(&mut payload, value.clone())?;
        }
        Ok(if payload.is_null() { Value::Object(serde_json::Map::new()) } else { payload })
    }
}

/// The table, in the order in which it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Routes(pub Vec<Route>);

impl Routes {
    /// The first route for such a message.
    pub(crate) fn find(
        &self,
        from: Format,
        what: &str,
        source: &str,
        lane: &Lane,
    ) -> Option<(usize, &Route)> {
        self.0.iter().enumerate().find(|(_, route)| route.fits(from, what, source, lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stars_stand_for_anything() {
        let fits = |pattern: &str, text: &str| Pattern::new(pattern).fits(text);
        assert!(fits("*", "") && fits("*", "x") && fits("a", "a") && fits("", ""));
        assert!(fits("ObjectCreated:*", "ObjectCreated:Put"));
        assert!(!fits("ObjectCreated:*", "ObjectRemoved:Delete"));
        assert!(fits("a*b*c", "a--b--c") && !fits("a*b*c", "a--c--b"));
        assert!(!fits("ab*ba", "aba"), "the ends do not overlap");
        assert!(!fits("a", "ab") && !fits("a", "") && fits("*a*", "xay"));
    }

    #[test]
    fn a_route_is_read_from_configuration_and_typing_errors_are_refused() {
        let route = |value: Value| serde_json::from_value::<Route>(value);
        let good = json!({"from": "s3", "type": "ObjectCreated:*", "kind": "thumbnail.generate",
            "map": {"/source/blob": "/key"}, "set": {"/placeholder": true}, "tenant": "/bucket"});
        assert_eq!(serde_json::to_value(route(good.clone()).unwrap()).unwrap()["map"], good["map"]);
        assert!(route(json!({"from": "s4", "kind": "a"})).is_err());
        assert!(route(json!({"from": "s3", "kind": "a", "mapp": {}})).is_err());
        assert!(route(json!({"from": "s3", "kind": "a", "map": {"x": "/y"}})).is_err());
        assert!(route(json!({"from": "s3", "kind": "a", "map": {"/x": "a{/y"}})).is_err());
    }
}
