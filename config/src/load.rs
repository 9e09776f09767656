//! From layers to a checked [`Config`], or to everything that is wrong at once.

use std::path::PathBuf;

use serde_json::Value;

use crate::Config;
use crate::admin::Admin;
use crate::api::Api;
use crate::aws::Aws;
use crate::blobs::Blobs;
use crate::captions::Captions;
use crate::checked::Name;
use crate::data::Data;
use crate::docs::{DEFAULT_TOML, key_docs};
use crate::error::{LoadError, Problem};
use crate::events::{Events, Subscriber};
use crate::external::External;
use crate::flows::Flows;
use crate::images::Images;
use crate::keys::key_infos;
use crate::kinds::KindChange;
use crate::layers::Layers;
use crate::limits::{Breakers, Limit, Limits};
use crate::log::Log;
use crate::models::Models;
use crate::oidc::Oidc;
use crate::path::Path;
use crate::platforms::Platforms;
use crate::queue::Queue;
use crate::reader::{Reader, Section};
use crate::retention::Retention;
use crate::route::{Adopt, Route};
use crate::schedule::Schedule;
use crate::setting::Setting as _;
use crate::sources::Sources;
use crate::speech::Speech;
use crate::telemetry::Telemetry;
use crate::token::Token;
use crate::validate::validate;
use crate::vault::{App, Vault};
use crate::video::Video;
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
    Config {
        data: Data::read(section(reader, "data")),
        queue: Queue::read(section(reader, "queue")),
        worker: Worker::read(section(reader, "worker")),
        retention: Retention::read(section(reader, "retention")),
        blobs: Blobs::read(section(reader, "blobs")),
        aws: Aws::read(section(reader, "aws")),
        flows: Flows::read(section(reader, "flows")),
        adopt: Adopt::read(section(reader, "adopt")),
        limits: Limits::read(section(reader, "limits")),
        breakers: Breakers::read(section(reader, "breakers")),
        events: Events::read(section(reader, "events")),
        sources: Sources::read(section(reader, "sources")),
        images: Images::read(section(reader, "images")),
        speech: Speech::read(section(reader, "speech")),
        video: Video::read(section(reader, "video")),
        captions: Captions::read(section(reader, "captions")),
        models: Models::read(section(reader, "models")),
        platforms: Platforms::read(section(reader, "platforms")),
        vault: Vault::read(section(reader, "vault")),
        admin: Admin::read(section(reader, "admin")),
        api: Api::read(section(reader, "api")),
        oidc: Oidc::read(section(reader, "oidc")),
        log: Log::read(section(reader, "log")),
        telemetry: Telemetry::read(section(reader, "telemetry")),
        kinds: kinds
            .into_iter()
            .map(|kind| {
                refuse_bad_name(reader, &kind);
                let change = KindChange::read(reader.section(Path::of(&["kinds", &kind])));
                (kind, change)
            })
            .collect(),
        externals: read_named(reader, "external", External::read, |entry| &entry.kind),
        schedules: read_named(reader, "schedule", Schedule::read, |entry| &entry.name),
        subscribers: read_named(reader, "subscriber", Subscriber::read, |entry| &entry.name),
        quotas: read_named(reader, "limit", Limit::read, |entry| &entry.keys),
        routes: read_routes(reader),
        apps: read_named(reader, "app", App::read, |entry| &entry.platform),
        tokens: read_named(reader, "token", Token::read, |entry| &entry.name),
        keys: Vec::new(),
    }
}

/// The entries of `[[list]]`, in the order of the file, each with a name of its own.
fn read_named<T>(
    reader: &mut Reader<'_>,
    list: &str,
    read: impl Fn(Section<'_, '_>) -> Option<T>,
    name: impl Fn(&T) -> &str,
) -> Vec<T> {
    let mut entries: Vec<T> = Vec::new();
    for place in reader.layers.places(list) {
        let path = Path::entry(list, place);
        let Some(entry) = read(reader.section(path.clone())) else { continue };
        if entries.iter().any(|other| name(other) == name(&entry)) {
            let message =
                format!("\"{}\" names an earlier entry too; choose another", name(&entry));
            reader.wrong(&path.child("name").to_string(), message);
        }
        entries.push(entry);
    }
    entries
}

fn read_routes(reader: &mut Reader<'_>) -> Vec<Route> {
    let places = reader.layers.places("route");
    places
        .into_iter()
        .filter_map(|at| Route::read(reader.section(Path::entry("route", at))))
        .collect()
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
