//! The layers, laid over each other: for each key the value that wins, and where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::error::{Origin, Problem};
use crate::path::{Path, Step};

/// What a layer holds for a key.
#[derive(Debug, Clone)]
pub(crate) enum Raw {
    /// A value of a file.
    Value(Value),
    /// Text of the environment or the command line, not yet of any type.
    Text(String),
}

/// The value that wins for a key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Path,
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// All layers in one.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    /// By the full path as text.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// The lowest layer alone.
    pub(crate) defaults: BTreeMap<String, Value>,
    /// What could not be read at all.
    pub(crate) problems: Vec<Problem>,
}

impl Layers {
    /// The lowest layer: the text of `default.toml`.
    pub(crate) fn of_defaults(text: &str) -> Self {
        let mut layers = Self::default();
        layers.add_toml(text, |_| Origin::Default);
        for (key, entry) in &layers.entries {
            if let Raw::Value(value) = &entry.raw {
                layers.defaults.insert(key.clone(), value.clone());
            }
        }
        layers
    }

    /// Lays a file on top.
    pub(crate) fn add_file(&mut self, path: &FilePath) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.add_toml(&text, |line| Origin::File { path: path.to_owned(), line }),
            Err(error) => self.problems.push(Problem {
                key: String::new(),
                origin: None,
                message: format!("cannot read {}: {error}", path.display()),
            }),
        }
    }

    /// Lays `FLOTILLA__SECTION__KEY` on top; other variables are none of ours.
    pub(crate) fn add_env(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some(key) = name.strip_prefix("FLOTILLA__") else { continue };
            let mut names: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            if let [kinds, kind, _, ..] = names.as_mut_slice()
                && kinds == "kinds"
            {
                *kind = kind.replace('_', ".");
            }
            let path = Path::new(names.into_iter().map(Step::Name).collect());
            self.set(path, Raw::Text(text), Origin::Env { name });
        }
    }

    /// Lays pairs of the command line on top, such as `("queue.lease", "20s")`.
    pub(crate) fn add_overrides(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        for (key, text) in pairs {
            match parse_key(&key) {
                Some(path) => self.set(path, Raw::Text(text), Origin::CommandLine),
                None => self.problems.push(Problem {
                    key,
                    origin: Some(Origin::CommandLine),
                    message: "is not a key; write section.key".to_owned(),
                }),
            }
        }
    }

    fn add_toml(&mut self, text: &str, origin: impl Fn(usize) -> Origin) {
        let line_of = |at: usize| text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| line_of(span.start.min(text.len())));
            self.problems.push(Problem {
                key: String::new(),
                origin: Some(origin(line)),
                message: error.message().to_owned(),
            });
        }
        let mut leaves = Vec::new();
        flatten_table(&mut Vec::new(), table.get_ref(), 0, &mut leaves);
        for leaf in leaves {
            self.set(Path::new(leaf.steps), Raw::Value(leaf.value), origin(line_of(leaf.at)));
        }
    }

    fn set(&mut self, path: Path, raw: Raw, origin: Origin) {
        self.entries.insert(path.to_string(), Entry { path, raw, origin });
    }

    /// The kinds that some layer names.
    pub(crate) fn kinds(&self) -> BTreeSet<String> {
        self.entries.values().filter_map(|entry| entry.path.kind()).map(str::to_owned).collect()
    }

    /// The places of the entries of a list.
    pub(crate) fn places(&self, list: &str) -> BTreeSet<usize> {
        let listed = self.entries.values().filter_map(|entry| entry.path.listed());
        listed.filter(|(name, _)| *name == list).map(|(_, place)| place).collect()
    }
}

/// Reads one TOML value, such as a list.
pub(crate) fn parse_toml_value(text: &str) -> Result<Value, String> {
    DeValue::parse(text)
        .map(|value| json(value.get_ref()))
        .map_err(|error| format!("\"{text}\" is not a TOML value: {}", error.message()))
}

fn parse_key(key: &str) -> Option<Path> {
    let line = format!("{key} = 0");
    let table = DeTable::parse(&line).ok()?;
    let mut leaves = Vec::new();
    flatten_table(&mut Vec::new(), table.get_ref(), 0, &mut leaves);
    match leaves.pop() {
        Some(leaf) if leaves.is_empty() => Some(Path::new(leaf.steps)),
        _ => None,
    }
}

/// A value that has a name of its own, and where it begins in the text.
struct Leaf {
    steps: Vec<Step>,
    value: Value,
    at: usize,
}

fn flatten_table(steps: &mut Vec<Step>, table: &DeTable<'_>, at: usize, leaves: &mut Vec<Leaf>) {
    if table.is_empty() && !steps.is_empty() {
        leaves.push(Leaf { steps: steps.clone(), value: Value::Object(Map::new()), at });
    }
    for (name, value) in table {
        steps.push(Step::Name(name.get_ref().to_string()));
        flatten(steps, value, name.span().start, leaves);
        steps.pop();
    }
}

fn flatten(steps: &mut Vec<Step>, value: &Spanned<DeValue<'_>>, at: usize, leaves: &mut Vec<Leaf>) {
    match value.get_ref() {
        DeValue::Table(table) if !is_payload(steps) => flatten_table(steps, table, at, leaves),
        DeValue::Array(items) if is_list_of_tables(items) => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                flatten(steps, item, item.span().start, leaves);
                steps.pop();
            }
        }
        other => leaves.push(Leaf { steps: steps.clone(), value: json(other), at }),
    }
}

/// A payload is the kind's affair, and the fields of a route are a stranger's: each is one value,
/// whatever is inside.
fn is_payload(steps: &[Step]) -> bool {
    matches!(steps, [Step::Name(list), Step::Index(_), Step::Name(key)]
        if matches!((list.as_str(), key.as_str()), ("schedule", "payload") | ("route", "map" | "set")))
}

fn is_list_of_tables(items: &DeArray<'_>) -> bool {
    !items.is_empty() && items.iter().all(|item| item.get_ref().is_table())
}

/// Dates become text; numbers that JSON cannot hold become null, which no setting takes.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let (digits, radix) = (number.as_str(), number.radix());
            let signed = i64::from_str_radix(digits, radix).map(Value::from);
            signed
                .or_else(|_| u64::from_str_radix(digits, radix).map(Value::from))
                .unwrap_or(Value::Null)
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())))
            .collect(),
    }
}
