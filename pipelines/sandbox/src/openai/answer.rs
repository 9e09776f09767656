//! Answers that satisfy a JSON schema: the same question gets the same answer.

use serde_json::{Map, Value, json};

use crate::core::media::Media;

/// Deepest nesting of an answer: schemas may refer to themselves.
const DEPTH: usize = 12;

/// A sentence about a text; `salt` makes others of it.
pub(super) fn sentence(text: &str, salt: usize) -> String {
    let seed = seed(text, salt);
    let mut words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3)
        .collect();
    words.dedup();
    if words.is_empty() {
        return "Something worth seeing today".into();
    }
    let mut picked = Vec::new();
    for step in 0..8_usize {
        let at = (seed as usize).wrapping_add(step * 7919) % words.len();
        picked.push(words[at].to_lowercase());
    }
    picked.dedup();
    let mut sentence = picked.join(" ");
    if let Some(first) = sentence.get(0..1) {
        let upper = first.to_uppercase();
        sentence.replace_range(0..1, &upper);
    }
    sentence
}

fn seed(text: &str, salt: usize) -> u64 {
    let hash = Media::of(format!("{salt}/{text}").as_bytes(), None).sha256.unwrap_or_default();
    u64::from_str_radix(hash.get(..15).unwrap_or("0"), 16).unwrap_or(0)
}

/// A value that satisfies `schema`, as far as the strict subset of §4 goes.
pub(super) fn of_schema(schema: &Value, text: &str) -> Value {
    Writer { root: schema, text, made: 0 }.value(schema, "", 0)
}

struct Writer<'a> {
    root: &'a Value,
    text: &'a str,
    made: usize,
}

impl Writer<'_> {
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if let Some(to) = schema["$ref"].as_str() {
            let target = to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return match target {
                Some(target) if depth < DEPTH => self.value(&target.clone(), name, depth + 1),
                _ => Value::Null,
            };
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array()
            && !values.is_empty()
        {
            let at = self.salt() % values.len();
            return values[at].clone();
        }
        for one_of in ["anyOf", "oneOf"] {
            if let Some(options) = schema[one_of].as_array() {
                // Deep down the shortest way out is taken: null, if it is allowed.
                let null = options.iter().find(|option| option["type"] == "null");
                let chosen = match null {
                    Some(null) if depth >= DEPTH / 2 => Some(null),
                    _ => options.iter().find(|option| option["type"] != "null"),
                };
                return chosen.map_or(Value::Null, |it| self.value(&it.clone(), name, depth + 1));
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) if depth < DEPTH => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")
            }
            Value::Array(_) => Some("null"),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, name, depth),
            Some("string") => self.string(schema, name),
            Some("integer") => json!(self.number(schema).round() as i64),
            Some("number") => json!(self.number(schema)),
            Some("boolean") => json!(self.salt().is_multiple_of(2)),
            Some("null") => Value::Null,
            _ if schema["properties"].is_object() => self.object(schema, depth),
            _ => Value::Null,
        }
    }

    fn salt(&mut self) -> usize {
        self.made += 1;
        usize::try_from(seed(self.text, self.made) & 0xFFFF).unwrap_or(0)
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let required = schema["required"].as_array();
            let wanted = required.is_none_or(|all| all.iter().any(|one| one == name.as_str()));
            if wanted || depth < 2 {
                object.insert(name.clone(), self.value(property, name, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        let bound = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let least = bound("minItems").unwrap_or(if depth < DEPTH / 2 { 2 } else { 0 });
        let count = least.max(1).min(bound("maxItems").unwrap_or(usize::MAX)).min(64);
        let count = if depth >= DEPTH { bound("minItems").unwrap_or(0) } else { count };
        let mut items = Vec::new();
        for _ in 0..count {
            let mut item = self.value(&schema["items"], name, depth + 1);
            if schema["uniqueItems"] == true
                && items.contains(&item)
                && let Value::String(text) = &item
            {
                item = json!(format!("{text}{}", items.len()));
            }
            items.push(item);
        }
        Value::Array(items)
    }

    fn string(&mut self, schema: &Value, name: &str) -> Value {
        let salt = self.salt();
        let text = match schema["format"].as_str() {
            Some("date-time") => return json!("2026-01-01T09:00:00Z"),
            Some("date") => return json!("2026-01-01"),
            Some("time") => return json!("09:00:00Z"),
            Some("email") => return json!("someone@example.com"),
            Some("uri") => return json!("https://example.com/"),
            Some("uuid") => return json!("00000000-0000-4000-8000-000000000000"),
            _ if name.contains("hashtag") || name.ends_with("tag") || name.ends_with("tags") => {
                let word = sentence(self.text, salt);
                let word = word.split(' ').next().unwrap_or("sandbox").to_lowercase();
                match schema["pattern"].as_str() {
                    Some(pattern) if pattern.contains('#') => format!("#{word}"),
                    _ => word,
                }
            }
            _ => sentence(self.text, salt),
        };
        let bound = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let mut text = text;
        while text.chars().count() < bound("minLength").unwrap_or(0).min(100_000) {
            text.push_str(" and more");
        }
        let most = bound("maxLength").unwrap_or(usize::MAX);
        json!(text.chars().take(most).collect::<String>())
    }

    fn number(&mut self, schema: &Value) -> f64 {
        let bound = |key: &str| schema[key].as_f64();
        let least = bound("minimum").or(bound("exclusiveMinimum").map(|n| n + 1.0));
        let most = bound("maximum").or(bound("exclusiveMaximum").map(|n| n - 1.0));
        let (least, most) = match (least, most) {
            (Some(least), Some(most)) => (least, most),
            (Some(least), None) => (least, least + 10.0),
            (None, Some(most)) => (most - 10.0, most),
            (None, None) => (0.0, 10.0),
        };
        if most - least >= 1.0 { ((least + most) / 2.0).floor().max(least) } else { least }
    }
}

/// The strict subset (§4): objects list all their properties as required and allow no others.
pub(super) fn check_strict(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > 10 {
        return Err("Invalid schema: more than 10 levels".into());
    }
    if depth == 0 && (schema["type"] != "object" || schema["anyOf"].is_array()) {
        return Err("Invalid schema: the root must be an object".into());
    }
    for word in ["allOf", "not", "if", "dependentRequired", "dependentSchemas"] {
        if schema.get(word).is_some() {
            return Err(format!("Invalid schema: '{word}' is not permitted"));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            return Err("Invalid schema: 'additionalProperties' must be false".into());
        }
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (name, property) in properties {
            if !required.iter().any(|one| one == name.as_str()) {
                return Err(format!("Invalid schema: 'required' lacks '{name}'"));
            }
            check_strict(property, depth + 1)?;
        }
    }
    if schema["items"].is_object() {
        check_strict(&schema["items"], depth + 1)?;
    }
    for option in schema["anyOf"].as_array().into_iter().flatten() {
        check_strict(option, depth + 1)?;
    }
    if depth == 0 {
        for (_, defined) in schema["$defs"].as_object().into_iter().flatten() {
            check_strict(defined, 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_satisfy_their_schema_and_are_the_same_each_time() {
        let schema = json!({
            "type": "object", "additionalProperties": false,
            "required": ["drafts", "tone", "score", "when", "note", "next"],
            "properties": {
                "drafts": { "type": "array", "minItems": 3, "maxItems": 4, "items": {
                    "type": "object", "additionalProperties": false,
                    "required": ["platform", "text", "hashtags"],
                    "properties": {
                        "platform": { "type": "string", "enum": ["x", "threads"] },
                        "text": { "type": "string", "maxLength": 40, "minLength": 10 },
                        "hashtags": { "type": "array", "maxItems": 1, "items": { "type": "string" } },
                    },
                }},
                "tone": { "const": "warm" },
                "score": { "type": "integer", "minimum": 3, "maximum": 4 },
                "when": { "type": "string", "format": "date-time" },
                "note": { "anyOf": [{ "type": "null" }, { "type": "string" }] },
                "next": { "$ref": "#/$defs/node" },
            },
            "$defs": { "node": { "type": "object", "additionalProperties": false,
                "required": ["next"],
                "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] } } } },
        });
        check_strict(&schema, 0).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for brief in ["a new bakery opens on Friday", "", "äöü 漢字 🎉"] {
            let answer = of_schema(&schema, brief);
            let errors: Vec<_> = validator.iter_errors(&answer).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?} in {answer}");
            assert_eq!(answer, of_schema(&schema, brief));
        }
    }

    #[test]
    fn a_strict_schema_that_is_none_is_refused() {
        let open = json!({ "type": "object", "properties": { "a": { "type": "string" } },
            "required": ["a"] });
        assert!(check_strict(&open, 0).unwrap_err().contains("additionalProperties"));
        let optional = json!({ "type": "object", "additionalProperties": false,
            "properties": { "a": { "type": "string" } }, "required": [] });
        assert!(check_strict(&optional, 0).unwrap_err().contains("lacks 'a'"));
    }
}
