//! Reads typed values out of the layers and remembers what it met: wrong values are collected, not
//! thrown, and keys that nobody asked for are unknown keys.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::docs::{KeyDoc, nearest_key};
use crate::error::{Origin, Problem};
use crate::layers::{Entry, Layers, Raw};
use crate::path::{LISTS, Path};
use crate::setting::Setting;

/// Reads typed values out of the layers.
pub(crate) struct Reader<'a> {
    pub(crate) layers: &'a Layers,
    /// The keys that were asked for and are there.
    pub(crate) seen: BTreeMap<String, Seen>,
    pub(crate) problems: Vec<Problem>,
}

/// A key that was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) value: Value,
    pub(crate) secret: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers) -> Self {
        Self { layers, seen: BTreeMap::new(), problems: Vec::new() }
    }

    /// The keys below `path`.
    pub(crate) fn section(&mut self, path: Path) -> Section<'_, 'a> {
        Section { reader: self, path }
    }

    /// Notes every key that nobody asked for.
    pub(crate) fn refuse_unknown(&mut self, docs: &[KeyDoc]) {
        for (key, entry) in &self.layers.entries {
            if self.seen.contains_key(key) {
                continue;
            }
            if let Some(message) = why_unknown(entry, docs) {
                self.problems.push(Problem {
                    key: key.clone(),
                    origin: Some(entry.origin.clone()),
                    message,
                });
            }
        }
    }

    fn read<T: Setting>(&mut self, key: &str) -> Option<Result<T, String>> {
        let entry = self.layers.entries.get(key)?;
        let value = match &entry.raw {
            Raw::Value(value) => Ok(value.clone()),
            Raw::Text(text) => T::SHAPE.value_of(text),
        };
        let seen = value.clone().unwrap_or(Value::Null);
        self.seen.insert(key.to_owned(), Seen { value: seen, secret: T::SECRET });
        Some(value.and_then(|value| T::from_value(&value)))
    }

    /// Notes that the value of `key` is wrong.
    pub(crate) fn wrong(&mut self, key: &str, message: String) {
        let origin = self.layers.entries.get(key).map(|entry| entry.origin.clone());
        self.problems.push(Problem { key: key.to_owned(), origin, message });
    }
}

/// `None`: an empty table where a table belongs, which says nothing.
fn why_unknown(entry: &Entry, docs: &[KeyDoc]) -> Option<String> {
    let documented = entry.path.documented();
    let empty = match &entry.raw {
        Raw::Value(Value::Object(table)) => table.is_empty(),
        Raw::Value(Value::Array(items)) => items.is_empty() && LISTS.contains(&documented.as_str()),
        _ => false,
    };
    let below = format!("{documented}.");
    let names_section = documented.starts_with("kinds.") && !documented.contains("<kind>")
        || documented == "kinds"
        || LISTS.contains(&documented.as_str())
        || docs.iter().any(|doc| doc.key.starts_with(&below));
    if names_section {
        return (!empty).then(|| "is a section, not a key; set the keys in it".to_owned());
    }
    let meant = nearest_key(docs, &documented, entry.path.last());
    let hint = meant.map(|key| format!("; did you mean {}?", entry.path.fill(key)));
    Some(format!("unknown key{}", hint.unwrap_or_default()))
}

/// The keys of one section.
pub(crate) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    path: Path,
}

impl<'a> Section<'_, 'a> {
    /// A key that `default.toml` holds. A wrong value is noted and its default taken instead.
    pub(crate) fn get<T: Setting>(&mut self, name: &str) -> T {
        let key = self.path.child(name).to_string();
        match self.reader.read(&key) {
            Some(Ok(setting)) => return setting,
            Some(Err(message)) => self.reader.wrong(&key, message),
            None => {}
        }
        let default = self.reader.layers.defaults.get(&key);
        default.and_then(|value| T::from_value(value).ok()).unwrap_or_else(|| {
            panic!("default.toml holds no right value for {key}; a test reads them all")
        })
    }

    /// A key that may be left out. A wrong value is noted.
    pub(crate) fn optional<T: Setting>(&mut self, name: &str) -> Option<T> {
        let key = self.path.child(name).to_string();
        match self.reader.read(&key)? {
            Ok(setting) => Some(setting),
            Err(message) => {
                self.reader.wrong(&key, message);
                None
            }
        }
    }

    /// A key that must be there. A missing one is noted, with the place of its section.
    pub(crate) fn required<T: Setting>(&mut self, name: &str) -> Option<T> {
        let key = self.path.child(name).to_string();
        if !self.reader.layers.entries.contains_key(&key) {
            let origin = self.first_line();
            self.reader.problems.push(Problem { key, origin, message: "is missing".to_owned() });
            return None;
        }
        self.optional(name)
    }

    /// Notes that what `name` says does not hold.
    pub(crate) fn wrong(&mut self, name: &str, message: &str) {
        let key = self.path.child(name).to_string();
        self.reader.wrong(&key, message.to_owned());
    }

    /// Where the first key of this section stands.
    fn first_line(&self) -> Option<Origin> {
        let below = format!("{}.", self.path);
        let keys = self.reader.layers.entries.range(below.clone()..);
        keys.take_while(|(key, _)| key.starts_with(&below))
            .map(|(_, entry)| &entry.origin)
            .min_by_key(|origin| match origin {
                Origin::File { line, .. } => *line,
                _ => usize::MAX,
            })
            .cloned()
    }

    /// The section below this one.
    pub(crate) fn nested(&mut self, name: &str) -> Section<'_, 'a> {
        Section { path: self.path.child(name), reader: self.reader }
    }
}
