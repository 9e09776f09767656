//! `[adopt]` and `[[route]]`: how messages that other programs put on a broker's lanes become jobs.

use std::num::NonZeroUsize;

use serde_json::{Map, Value};

use crate::checked::Table;
use crate::reader::Section;
use crate::setting::{Setting, Shape, shown};
use crate::size::ByteSize;

/// Bounds of what is read from other programs' messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Largest message, in bytes.
    pub max_body: usize,
    /// Most wrappers around one another.
    pub max_depth: usize,
    /// Most jobs that one message may stand for.
    pub max_jobs: usize,
}

impl Adopt {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            max_body: section.get::<ByteSize>("max_body").in_memory(),
            max_depth: section.get::<NonZeroUsize>("max_depth").get(),
            max_jobs: section.get::<NonZeroUsize>("max_jobs").get(),
        }
    }
}

/// One line of the routing table, not yet understood: its keys are known, their values belong to
/// the reader of messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its keys.
    pub table: Map<String, Value>,
}

/// Any value a route may hold.
struct Plain(Value);

impl Setting for Plain {
    const SHAPE: Shape = Shape::Text;

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(_) | Value::Bool(_) | Value::Number(_) => Ok(Self(value.clone())),
            other => Err(format!("{} is not text, a number or a truth value", shown(other))),
        }
    }
}

impl Route {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let mut table = Map::new();
        for name in [
            "type", "source", "on", "kind", "ignore", "lane", "tenant", "priority", "order",
            "payload",
        ] {
            if let Some(Plain(value)) = section.optional(name) {
                table.insert(name.to_owned(), value);
            }
        }
        for name in ["map", "set"] {
            if let Some(Table(value)) = section.optional(name) {
                table.insert(name.to_owned(), value);
            }
        }
        let Plain(from) = section.required("from")?;
        table.insert("from".to_owned(), from);
        Some(Self { table })
    }
}
