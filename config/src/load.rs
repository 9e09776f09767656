//! From layers to a checked [`Config`], or to everything that is wrong at once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::Config;
use crate::admin::Admin;
use crate::blobs::Blobs;
use crate::captions::Captions;
use crate::checked::Name;
use crate::data::Data;
use crate::docs::{DEFAULT_TOML, key_docs};
use crate::error::{LoadError, Problem};
use crate::images::Images;
use crate::keys::key_infos;
use crate::kinds::KindChange;
use crate::layers::Layers;
use crate::log::Log;
use crate::path::Path;
use crate::queue::Queue;
use crate::reader::{Reader, Section};
use crate::retention::Retention;
use crate::schedule::Schedule;
use crate::setting::Setting as _;
use crate::sources::Sources;
use crate::validate::validate;
use crate::worker::Worker;

/// What is laid over the defaults, lowest first. Not `Debug`: the environment may hold secrets.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The file, when there is one. It must exist.
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `FLOTILLA__` count.
    pub env: Vec<(String, String)>,
    /// Pairs of the command line, such as `("queue.lease", "20s")`.
    pub overrides: Vec<(String, String)>,
}

impl Config {
    /// Lays the layers over each other, reads every key, and checks the rules between them.
    ///
    /// # Errors
    /// Everything that is wrong: files that cannot be read, syntax, unknown keys, wrong values,
    /// broken rules.
    pub fn load(options: LoadOptions) -> Result<Self, LoadError> {
        let mut layers = Layers::of_defaults(DEFAULT_TOML);
        if let Some(file) = &options.file {
            layers.add_file(file);
        }
        layers.add_env(options.env);
        layers.add_overrides(options.overrides);

        let docs = key_docs();
        let mut reader = Reader::new(&layers);
        let mut config = read(&mut reader);
        reader.refuse_unknown(&docs);
        let Reader { seen, problems: wrong, .. } = reader;

        let mut problems = layers.problems.clone();
        problems.extend(wrong);
        let broken = validate(&config, |key| problems.iter().any(|problem| problem.key == key));
        problems.extend(broken.into_iter().map(|(key, message)| {
            let origin = layers.entries.get(&key).map(|entry| entry.origin.clone());
            Problem { key, origin, message }
        }));
        if !problems.is_empty() {
            return Err(LoadError { problems });
        }
        config.keys = key_infos(&layers, seen, &docs);
        Ok(config)
    }
}

fn read(reader: &mut Reader<'_>) -> Config {
    let kinds = reader.layers.kinds();
    let schedules = reader.layers.schedules();
    Config {
        data: Data::read(section(reader, "data")),
        queue: Queue::read(section(reader, "queue")),
        worker: Worker::read(section(reader, "worker")),
        retention: Retention::read(section(reader, "retention")),
        blobs: Blobs::read(section(reader, "blobs")),
        sources: Sources::read(section(reader, "sources")),
        images: Images::read(section(reader, "images")),
        captions: Captions::read(section(reader, "captions")),
        admin: Admin::read(section(reader, "admin")),
        log: Log::read(section(reader, "log")),
        kinds: kinds
            .into_iter()
            .map(|kind| {
                refuse_bad_name(reader, &kind);
                let change = KindChange::read(reader.section(Path::of(&["kinds", &kind])));
                (kind, change)
            })
            .collect(),
        schedules: read_schedules(reader, schedules),
        keys: Vec::new(),
    }
}

fn read_schedules(reader: &mut Reader<'_>, places: BTreeSet<usize>) -> Vec<Schedule> {
    let mut entries: Vec<Schedule> = Vec::new();
    for place in places {
        let path = Path::entry("schedule", place);
        let Some(entry) = Schedule::read(reader.section(path.clone())) else { continue };
        if entries.iter().any(|other| other.name == entry.name) {
            let message = format!("\"{}\" names an earlier entry too; choose another", entry.name);
            reader.wrong(&path.child("name").to_string(), message);
        }
        entries.push(entry);
    }
    entries
}

fn section<'r, 'a>(reader: &'r mut Reader<'a>, name: &str) -> Section<'r, 'a> {
    reader.section(Path::of(&[name]))
}

fn refuse_bad_name(reader: &mut Reader<'_>, kind: &str) {
    if let Err(message) = Name::from_value(&Value::from(kind)) {
        let named = reader.layers.entries.values().find(|entry| entry.path.kind() == Some(kind));
        let origin = named.map(|entry| entry.origin.clone());
        reader.problems.push(Problem {
            key: Path::of(&["kinds", kind]).to_string(),
            origin,
            message,
        });
    }
}

#[cfg(test)]
mod tests;
