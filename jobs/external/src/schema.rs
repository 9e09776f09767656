//! The schema of an external kind: compiled once, asked at every enqueue and every run.

use jsonschema::Validator;
use serde_json::{Value, json};

/// Most faults of one payload that are told.
const MOST: usize = 5;

/// A schema that is none.
#[derive(Debug, thiserror::Error)]
#[error("is no JSON Schema: {0}")]
pub struct BadSchema(String);

/// What payloads are held to.
#[derive(Debug)]
pub struct Schema {
    source: Value,
    validator: Option<Validator>,
}

impl Schema {
    /// Any JSON.
    #[must_use]
    pub fn any() -> Self {
        Self { source: json!({}), validator: None }
    }

    /// Compiles a schema of any draft it names itself; 2020-12 when it names none. References lead
    /// nowhere but into the schema itself.
    ///
    /// # Errors
    /// [`BadSchema`], with what is wrong in it.
    pub fn new(mut source: Value) -> Result<Self, BadSchema> {
        if let Some(fields) = source.as_object_mut() {
            fields.remove("$id"); // it is published under names of ours
        }
        let validator = jsonschema::validator_for(&source).map_err(|e| BadSchema(e.to_string()))?;
        Ok(Self { source, validator: Some(validator) })
    }

    /// The schema itself.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with `payload`: (field, what).
    #[must_use]
    pub fn faults(&self, payload: &Value) -> Vec<(String, String)> {
        let Some(validator) = &self.validator else { return Vec::new() };
        validator
            .iter_errors(payload)
            .take(MOST)
            .map(|error| (field(&error.instance_path().to_string()), brief(&error.to_string())))
            .collect()
    }
}

/// `/outputs/0/width` as other kinds name it: `outputs[0].width`; `.` for the whole.
fn field(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !path.is_empty() && step.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step);
        }
    }
    if path.is_empty() { ".".to_owned() } else { path }
}

/// The validator repeats the value, which may be long.
fn brief(text: &str) -> String {
    const ENDS: usize = 120;
    let count = text.chars().count();
    if count <= 2 * ENDS {
        return text.to_owned();
    }
    let head: String = text.chars().take(ENDS).collect();
    let tail: String = text.chars().skip(count - ENDS).collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_field_as_other_kinds_do() {
        let schema = Schema::new(json!({
            "$id": "https://example.com/report",
            "type": "object",
            "required": ["rows"],
            "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/row"}}},
            "$defs": {"row": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        }))
        .unwrap();
        assert!(schema.faults(&json!({"rows": [{"n": 1}]})).is_empty());
        assert_eq!(schema.faults(&json!({"rows": [{"n": 1}, {"n": "x"}]}))[0].0, "rows[1].n");
        let (field, message) = schema.faults(&json!({})).remove(0);
        assert!(field == "." && message.contains("rows"), "{field}: {message}");
        let long = schema.faults(&json!({"rows": "x".repeat(10_000)})).remove(0);
        assert!(long.1.len() < 300);
        assert!(Schema::any().faults(&json!(1)).is_empty());
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in [json!({"type": "strin"}), json!({"$ref": "https://example.com/a.json"})] {
            assert!(Schema::new(bad).is_err());
        }
    }
}
