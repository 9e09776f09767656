//! A message on its way through the wrappers, and what was found inside.

use std::collections::BTreeMap;

use flotilla_core::broker::Unreadable;
use flotilla_core::envelope::{Envelope, TraceContext};
use flotilla_core::{Lane, Timestamp};
use serde_json::Value;

use crate::adopter::Limits;
use crate::routes::{Format, Routes};

/// Longest reason of an [`Unreadable`], in bytes.
const MAX_REASON: usize = 4096;

/// Says why a message cannot be read.
pub(crate) fn unreadable(reason: impl Into<String>) -> Unreadable {
    let mut reason = reason.into();
    if reason.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|i| reason.is_char_boundary(*i)).unwrap_or(0);
        reason.truncate(end);
    }
    Unreadable { reason }
}

/// At most 120 characters of a stranger's text, for a reason.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(120).collect();
    format!("{cut:?}")
}

/// Headers and attributes. Their names differ by broker in case, `-` and `_`.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a BTreeMap<String, String>);

impl<'a> Attributes<'a> {
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(key, _)| same(key, name));
        found.map(|(_, value)| value.as_str())
    }

    /// What the publisher or the broker calls the message.
    pub(crate) fn message_id(self) -> Option<&'a str> {
        ["message-id", "messageid", "sqs.message-id"].iter().find_map(|name| self.get(name))
    }

    pub(crate) fn trace(self) -> TraceContext {
        let owned = |name| self.get(name).map(str::to_owned);
        TraceContext { traceparent: owned("traceparent"), tracestate: owned("tracestate") }
    }
}

fn same(key: &str, name: &str) -> bool {
    let fold = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    key.len() == name.len() && key.bytes().map(fold).eq(name.bytes().map(fold))
}

/// What every format may ask while it reads.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) routes: &'a Routes,
    pub(crate) limits: &'a Limits,
    /// How many wrappers were taken off so far.
    pub(crate) depth: usize,
    /// What the wrapper around this body is called, so that its content has a name.
    pub(crate) origin: Option<&'a str>,
}

impl<'a> Reading<'a> {
    /// One wrapper further in, under the name of the wrapper.
    pub(crate) fn inside(self, origin: &'a str) -> Result<Self, Unreadable> {
        let max = self.limits.max_depth;
        if self.depth >= max {
            return Err(unreadable(format!(
                "it is wrapped more than {max} times: send it with fewer wrappers"
            )));
        }
        Ok(Self { depth: self.depth + 1, origin: Some(origin), ..self })
    }

    /// A name for a body that brings none of its own: its wrapper's, or the broker's for the
    /// message together with the content, since two publishers may number alike.
    pub(crate) fn name(self, body: &[u8]) -> String {
        match (self.origin, self.attributes.message_id()) {
            (Some(origin), _) => origin.to_owned(),
            (None, id) => {
                format!("{}/{}", id.unwrap_or_default(), String::from_utf8_lossy(body))
            }
        }
    }

    pub(crate) fn has_route(self, from: Format, what: &str, source: &str) -> bool {
        self.routes.find(from, what, source, self.lane).is_some()
    }
}

/// What a body turned out to be.
#[derive(Debug)]
pub(crate) enum Read {
    /// Our own wire form, and a name for it where it brings no id.
    Own(Box<Envelope>, String),
    /// A stranger's, to be routed.
    Foreign(Vec<Found>),
}

/// A stranger's message, unwrapped: what routes look at.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) format: Format,
    /// Event name, detail-type, task name …
    pub(crate) what: String,
    pub(crate) source: String,
    /// The same for every copy of the message.
    pub(crate) identity: String,
    /// What the picks of a route are read from.
    pub(crate) doc: Value,
    /// Where in `doc` the payload is when the route does not say; or why it must say.
    pub(crate) carries: Result<&'static str, &'static str>,
    pub(crate) run_at: Option<Timestamp>,
    pub(crate) deadline: Option<Timestamp>,
    /// Attempts that its sender has used up.
    pub(crate) attempts: u32,
    pub(crate) trace: TraceContext,
}

impl Found {
    pub(crate) fn new(format: Format, what: &str, source: &str, identity: String) -> Self {
        Self {
            format,
            what: what.to_owned(),
            source: source.to_owned(),
            identity,
            doc: Value::Null,
            carries: Ok(""),
            run_at: None,
            deadline: None,
            attempts: 0,
            trace: TraceContext::default(),
        }
    }

    /// What the format carries as payload.
    pub(crate) fn carried(&self) -> Result<Value, String> {
        match self.carries {
            Ok(pointer) => Ok(self.doc.pointer(pointer).cloned().unwrap_or_default()),
            Err(why) => Err(why.to_owned()),
        }
    }
}
