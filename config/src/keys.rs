//! Every key with its value and where it came from, for `flotilla config show`.

use serde::Serialize;
use serde_json::Value;

use crate::docs::KeyDoc;
use crate::error::Origin;
use crate::layers::Layers;
use crate::reader::Seen;

/// A key that has a value.
#[derive(Debug, Clone, Serialize)]
pub struct KeyInfo {
    /// The full path.
    pub key: String,
    /// The value as TOML would write it; a secret is masked.
    #[serde(skip)]
    pub value: String,
    /// The same value as JSON.
    #[serde(rename = "value")]
    pub json: Value,
    /// The default as JSON; absent for keys of kinds and entries of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it means.
    pub doc: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// The keys that were read, in the order of the documentation.
pub(crate) fn key_infos(
    layers: &Layers,
    seen: impl IntoIterator<Item = (String, Seen)>,
    docs: &[KeyDoc],
) -> Vec<KeyInfo> {
    let mut infos: Vec<(usize, KeyInfo)> = Vec::new();
    for (key, Seen { mut value, secret }) in seen {
        let Some(entry) = layers.entries.get(&key) else { continue };
        let documented = entry.path.documented();
        let place = docs.iter().position(|doc| doc.key == documented);
        if secret && value.as_str() != Some("") {
            value = Value::String("***".to_owned());
        }
        let info = KeyInfo {
            value: toml_text(&value),
            json: value,
            default: layers.defaults.get(&key).cloned(),
            doc: place.map(|place| docs[place].doc.clone()).unwrap_or_default(),
            origin: entry.origin.clone(),
            key,
        };
        // Kinds and entries of lists stay together: their keys are sorted by name already.
        let own = entry.path.kind().is_some() || entry.path.listed().is_some();
        infos.push((if own { docs.len() } else { place.unwrap_or(docs.len()) }, info));
    }
    infos.sort_by_key(|(place, _)| *place);
    infos.into_iter().map(|(_, info)| info).collect()
}

/// JSON writes text, numbers and lists as TOML does; only tables differ.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{} = {}", Value::from(name.as_str()), toml_text(value))
            };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
