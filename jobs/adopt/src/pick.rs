//! The small language of a route: where a value comes from ([`Pick`]), where it goes ([`Target`]).
//! JSON Pointers (RFC 6901) and text with pointers in it; no expressions, so that a route can be
//! read at a glance and cannot loop.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Deepest target, so that a typing error cannot build a tower.
const MAX_STEPS: usize = 16;

/// Where a value comes from.
///
/// | text | value |
/// | --- | --- |
/// | `/detail/name` | that field as it is; it must be there |
/// | `/detail/name?` | that field, or nothing |
/// | `` (empty) | the whole document |
/// | `https://{/bucket}.example/{/url_key}` | text, with fields in it |
/// | `acme` | that text |
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pick {
    text: String,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Field { pointer: String, optional: bool },
    Text(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(String),
}

impl TryFrom<String> for Pick {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let form = if text.is_empty() || text.starts_with('/') {
            let pointer = text.strip_suffix('?');
            let optional = pointer.is_some();
            let pointer = pointer.unwrap_or(&text).to_owned();
            steps(&pointer)?;
            Form::Field { pointer, optional }
        } else {
            Form::Text(parts(&text)?)
        };
        Ok(Self { text, form })
    }
}

impl From<Pick> for String {
    fn from(pick: Pick) -> Self {
        pick.text
    }
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{/") {
        let close = rest[open..].find('}').map(|at| open + at).ok_or_else(|| {
            format!("\"{text}\" has \"{{/\" without \"}}\": write {{/pointer/to/field}}")
        })?;
        let pointer = &rest[open + 1..close];
        steps(pointer)?;
        parts.push(Part::Literal(rest[..open].to_owned()));
        parts.push(Part::Field(pointer.to_owned()));
        rest = &rest[close + 1..];
    }
    parts.push(Part::Literal(rest.to_owned()));
    Ok(parts)
}

impl Pick {
    /// The value in `doc`; `None` where an optional field is missing.
    pub(crate) fn value(&self, doc: &Value) -> Result<Option<Value>, String> {
        match &self.form {
            Form::Field { pointer, optional } => match doc.pointer(pointer) {
                Some(value) => Ok(Some(value.clone())),
                None if *optional => Ok(None),
                None => Err(missing(pointer)),
            },
            Form::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Field(pointer) => {
                            let value = doc.pointer(pointer).ok_or_else(|| missing(pointer))?;
                            text.push_str(&scalar(pointer, value)?);
                        }
                    }
                }
                Ok(Some(Value::String(text)))
            }
        }
    }

    /// The value in `doc` as text; `None` where an optional field is missing.
    pub(crate) fn text(&self, doc: &Value) -> Result<Option<String>, String> {
        self.value(doc)?.map(|value| scalar(&self.text, &value)).transpose()
    }
}

fn missing(pointer: &str) -> String {
    format!("it has no field {pointer}")
}

fn scalar(pointer: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("its field {pointer} is not text, a number or a truth value"))
        }
    }
}

/// Where in the payload a value goes: a JSON Pointer. Objects on the way are made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    text: String,
    steps: Vec<String>,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let steps = steps(&text)?;
        if steps.is_empty() {
            return Err("the empty pointer is the whole payload: use `payload` for that".into());
        }
        Ok(Self { text, steps })
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.text
    }
}

impl Target {
    /// Puts `value` there.
    pub(crate) fn place(&self, payload: &mut Value, value: Value) -> Result<(), String> {
        let mut at = payload;
        for step in &self.steps {
            if at.is_null() {
                *at = Value::Object(Map::new());
            }
            at = match at {
                Value::Object(fields) => fields.entry(step.clone()).or_insert(Value::Null),
                Value::Array(items) => {
                    let known = items.len();
                    let index = step.parse().ok().filter(|i: &usize| *i <= known);
                    let index = index.ok_or_else(|| {
                        format!("{} does not lead into its array of {known}", self.text)
                    })?;
                    if index == known {
                        items.push(Value::Null);
                    }
                    &mut items[index]
                }
                _ => return Err(format!("{} leads through a field that is a value", self.text)),
            };
        }
        *at = value;
        Ok(())
    }
}

/// The steps of a JSON Pointer.
fn steps(pointer: &str) -> Result<Vec<String>, String> {
    let Some(rest) = pointer.strip_prefix('/') else {
        return if pointer.is_empty() {
            Ok(Vec::new())
        } else {
            Err(format!("\"{pointer}\" is not a JSON pointer: begin with \"/\", as in \"/a/b\""))
        };
    };
    let steps: Vec<_> = rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
    if steps.len() > MAX_STEPS {
        return Err(format!("\"{pointer}\" has more than {MAX_STEPS} steps"));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn picked(text: &str, doc: &Value) -> Result<Option<Value>, String> {
        Pick::try_from(text.to_owned()).unwrap().value(doc)
    }

    #[test]
    fn fields_templates_and_texts() {
        let doc = json!({"a": {"b/c": [1, "two"]}, "n": 3});
        assert_eq!(picked("/a/b~1c/1", &doc), Ok(Some(json!("two"))));
        assert_eq!(picked("/a", &doc), Ok(Some(doc["a"].clone())));
        assert_eq!(picked("", &doc), Ok(Some(doc.clone())));
        assert_eq!(picked("/x?", &doc), Ok(None));
        assert!(picked("/x", &doc).unwrap_err().contains("no field /x"));
        assert_eq!(picked("s3://{/a/b~1c/1}/{/n}.jpg", &doc), Ok(Some(json!("s3://two/3.jpg"))));
        assert!(picked("x{/a}", &doc).unwrap_err().contains("/a is not text"));
        assert_eq!(picked("acme", &doc), Ok(Some(json!("acme"))));
        assert!(Pick::try_from("x{/a".to_owned()).is_err());
    }

    #[test]
    fn targets_make_the_objects_they_need() {
        let mut payload = json!({"outputs": [{"name": "s"}]});
        let place = |payload: &mut Value, at: &str, value| {
            Target::try_from(at.to_owned()).unwrap().place(payload, value)
        };
        place(&mut payload, "/source/url", json!("u")).unwrap();
        place(&mut payload, "/outputs/0/width", json!(9)).unwrap();
        place(&mut payload, "/outputs/1/name", json!("t")).unwrap();
        assert_eq!(
            payload,
            json!({"source": {"url": "u"}, "outputs": [{"name": "s", "width": 9}, {"name": "t"}]})
        );
        assert!(place(&mut payload, "/outputs/9", json!(1)).is_err());
        assert!(place(&mut payload, "/source/url/x", json!(1)).is_err());
        assert!(Target::try_from("source".to_owned()).is_err());
        assert!(Target::try_from(String::new()).is_err());
        assert!(Target::try_from("/a".repeat(17)).is_err());
    }
}
