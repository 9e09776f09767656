//! `flotilla platforms`: what each platform can do, as the registry has it.

use flotilla_config::Config;
use flotilla_platforms::{Capability, Spec};
use serde_json::{Value, json};

use crate::cli::Platforms;
use crate::exit::{Exit, Failure};
use crate::{output, wire};

pub(super) fn run(command: &Platforms, config: &Config) -> Result<Exit, Failure> {
    let platforms = wire::platforms(config)?;
    match command {
        Platforms::List { can, json } => {
            let wanted = can.iter().map(|name| capability(name)).collect::<Result<Vec<_>, _>>()?;
            let found: Vec<&Spec> = platforms.capable(&wanted).collect();
            if *json {
                output::json(&found)?;
            } else {
                let none = "no platform can do all of that";
                output::table(
                    &["PLATFORM", "VERSION", "CAN"],
                    found.iter().map(|s| row(s)).collect(),
                    none,
                )?;
            }
        }
        Platforms::Show { name, json } => {
            let spec = platforms.get(name).map_err(Failure::usage)?;
            if *json {
                output::json(spec)?;
            } else {
                output::table(&["KEY", "VALUE"], rows(spec)?, "")?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn capability(name: &str) -> Result<Capability, Failure> {
    serde_json::from_value(json!(name))
        .map_err(|error| Failure::usage(format!("--can {name}: {error}")))
}

fn word(capability: &Capability) -> String {
    serde_json::to_value(capability)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn row(spec: &Spec) -> Vec<String> {
    let mut can: Vec<String> = spec.capabilities.iter().map(word).collect();
    for (sort, more) in &spec.capabilities_by {
        can.extend(more.iter().map(|one| format!("{} ({sort})", word(one))));
    }
    let can = if can.is_empty() { "keep its tokens fresh".to_owned() } else { can.join(" ") };
    vec![spec.name.clone(), spec.version.clone(), can]
}

/// Every key with a value, as it would be written in a file.
fn rows(spec: &Spec) -> Result<Vec<Vec<String>>, Failure> {
    let mut rows = Vec::new();
    flat(String::new(), &serde_json::to_value(spec).map_err(Failure::bug)?, &mut rows);
    Ok(rows)
}

fn flat(path: String, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flat(path, value, rows);
            }
        }
        Value::Null => {}
        Value::Number(number) if number.as_f64() == Some(0.0) => {}
        Value::String(text) if text.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            rows.push(vec![path, items.join(", ")]);
        }
        Value::String(text) => rows.push(vec![path, text.clone()]),
        other => rows.push(vec![path, other.to_string()]),
    }
}
