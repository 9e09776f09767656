//! `flotilla classifier`: train a tenant's own classifier of texts, and see how good one is.
//!
//! One labelled text per line: `{"text": …, "label": …, "description"?: …}`; a label may be a path,
//! `A > B`. Training keeps every fifth text back first and says how well those were told; the
//! stored model has then learned from all.

use std::path::Path;

use bytes::Bytes;
use flotilla_config::Config;
use flotilla_core::ids::Tenant;
use flotilla_jobs::classifier_key;
use flotilla_language::classifier::{Example, Model, Settings, evaluate, train};
use serde::Deserialize;
use serde_json::json;

use crate::cli::Classifier;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;
use crate::wire::input::{self, Lines};

/// A longer line is no labelled text.
const LONGEST_LINE: usize = 1 << 20;
/// No more texts are read into memory.
const MOST_TEXTS: usize = 1_000_000;
/// Every so many-th text is kept back to say how good the model is.
const KEPT_BACK: usize = 5;

#[derive(Debug, Deserialize)]
struct Row {
    text: String,
    label: String,
    #[serde(default)]
    description: Option<String>,
}

impl Row {
    fn example(&self) -> Example<'_> {
        let description = self.description.as_deref();
        Example { text: &self.text, description, label: &self.label }
    }
}

pub(super) async fn run(command: &Classifier, config: &Config) -> Result<Exit, Failure> {
    match command {
        Classifier::Train { data, out, name, tenant, seed, json } => {
            let rows = read(data)?;
            let settings = Settings { seed: *seed, ..Settings::default() };
            let (model, told) = tokio::task::spawn_blocking(move || learn(&rows, &settings))
                .await
                .map_err(Failure::bug)??;
            let bytes = model.to_bytes();
            let size = bytes.len();
            let places =
                store(bytes, out.as_deref(), name.as_deref(), tenant.as_ref(), config).await?;
            if *json {
                output::json(
                    &json!({"stored": places, "bytes": size, "labels": model.labels().count(), "kept_back": told}),
                )?;
            } else {
                output::line(format!(
                    "{} labels, {size} bytes: {}",
                    model.labels().count(),
                    places.join(", ")
                ))?;
                output::line(format!("of the texts kept back: {told}"))?;
            }
        }
        Classifier::Eval { data, model, json } => {
            let rows = read(data)?;
            let model = open(model)?;
            let examples: Vec<Example<'_>> = rows.iter().map(Row::example).collect();
            let told = evaluate(&model, &examples);
            if *json {
                output::json(&told)?;
            } else {
                output::line(told)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn read(file: &str) -> Result<Vec<Row>, Failure> {
    let mut lines = Lines::new(input::reader(file)?, LONGEST_LINE);
    let mut rows = Vec::new();
    while let Some(line) = lines.next_line()? {
        let at = rows.len() + 1;
        let line = line.map_err(|e| Failure::usage(format!("{file}, text {at}: {e}")))?;
        let row = serde_json::from_slice(&line);
        rows.push(row.map_err(|e| {
            Failure::usage(format!(
                "{file}, text {at}: {e}; each line is {{\"text\": …, \"label\": …}}"
            ))
        })?);
        if rows.len() > MOST_TEXTS {
            return Err(Failure::usage(format!(
                "{file} holds more than {MOST_TEXTS} texts: give fewer"
            )));
        }
    }
    Ok(rows)
}

/// The model of all texts, and what a model of four in five makes of the rest.
fn learn(
    rows: &[Row],
    settings: &Settings,
) -> Result<(Model, flotilla_language::classifier::Evaluation), Failure> {
    let all: Vec<Example<'_>> = rows.iter().map(Row::example).collect();
    let split = |kept: bool| {
        all.iter()
            .enumerate()
            .filter(move |(i, _)| i.is_multiple_of(KEPT_BACK) == kept)
            .map(|(_, e)| *e)
            .collect::<Vec<_>>()
    };
    let model = train(&all, settings).map_err(Failure::usage)?;
    let trial = train(&split(false), settings).map_err(Failure::usage)?;
    Ok((model, evaluate(&trial, &split(true))))
}

async fn store(
    bytes: Vec<u8>,
    out: Option<&Path>,
    name: Option<&str>,
    tenant: Option<&Tenant>,
    config: &Config,
) -> Result<Vec<String>, Failure> {
    let mut places = Vec::new();
    if let Some(out) = out {
        std::fs::write(out, &bytes)
            .map_err(|e| Failure::usage(format!("cannot write {}: {e}", out.display())))?;
        places.push(out.display().to_string());
    }
    if let Some(name) = name {
        let tenant = tenant.cloned().unwrap_or_default();
        let key =
            classifier_key(&tenant, name).map_err(|e| Failure::usage(format!("--name {e}")))?;
        let blobs = wire::blobs(config).await?;
        blobs
            .put(&key, Bytes::from(bytes), "application/octet-stream")
            .await
            .map_err(Failure::unavailable)?;
        places.push(format!("classifier {name} of tenant {tenant}"));
    }
    Ok(places)
}

fn open(file: &Path) -> Result<Model, Failure> {
    let bytes = std::fs::read(file)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", file.display())))?;
    Model::from_bytes(&bytes).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))
}
