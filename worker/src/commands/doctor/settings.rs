//! Settings that hold each by itself, and yet not together or not with this build: lanes and kinds
//! that are not there, secrets that cannot be read, keys that nothing uses.

use std::collections::BTreeSet;

use flotilla_config::{Backend, BlobBackend, Config};
use flotilla_core::{Payload, Registry, suggest};

use super::Finding;
use crate::exit::Failure;
use crate::wire;

/// A token that is shorter can be guessed.
const SHORTEST_TOKEN: usize = 16;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(unused(config));
    findings.extend(tokens(config));
    findings.extend(apps(config));
    let fault = |what, failure: Failure, mend| Finding::fault(what, failure.to_string(), mend);
    match wire::kinds_offline(config) {
        Ok(registry) => {
            findings.extend(lanes(config, &registry));
            findings.extend(schedules(config, &registry));
            findings.extend(subscribers(config, &registry));
            findings.extend(models(config, &registry));
            if let Err(e) = wire::adopt::adopter(config) {
                findings.push(fault("route", e, "change the [[route]] it names"));
            }
        }
        Err(e) => findings.push(fault(
            "kinds",
            e,
            "`flotilla schema` lists the kinds of this build; change what the message names",
        )),
    }
    if let Err(e) = wire::engine::settings(config) {
        findings.push(fault("limits", e, "change the [[limit]] or [[schedule]] it names"));
    }
    findings
}

/// A backend as the configuration names it.
fn word(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
        Backend::Rabbitmq => "rabbitmq",
        Backend::Sqs => "sqs",
        Backend::Memory => "memory",
    }
}

/// Keys that are set and that nothing reads.
fn unused(config: &Config) -> Vec<Finding> {
    let (queue, blobs) = (&config.queue, &config.blobs);
    let mut findings = Vec::new();
    let mut note = |key: &str, needs: &str, is: &str| {
        findings.push(Finding::warning(
            "unused",
            format!("{key} is set, and {is} does not use it"),
            format!("set {needs}, or take {key} out"),
        ));
    };
    let backend = format!("queue.backend = \"{}\"", word(queue.backend));
    let with_records = matches!(queue.backend, Backend::Postgres | Backend::Rabbitmq);
    let wants_url =
        config.subscribers.iter().any(|s| matches!(s.sink, flotilla_config::Sink::Notify { .. }));
    if queue.broker_url.is_some()
        && queue.backend != Backend::Rabbitmq
        && config.subscribers.is_empty()
    {
        note("queue.broker_url", "queue.backend = \"rabbitmq\"", &backend);
    }
    if queue.url.is_some() && !with_records && !wants_url {
        note("queue.url", "queue.backend = \"postgres\"", &backend);
    }
    if blobs.bucket.is_some() && blobs.backend == BlobBackend::Local {
        note("blobs.bucket", "blobs.backend = \"s3\"", "blobs.backend = \"local\"");
    }
    if !queue.fifo.is_empty() && queue.backend != Backend::Sqs {
        note("queue.fifo", "queue.backend = \"sqs\"", &backend);
    }
    if matches!(queue.backend, Backend::Postgres | Backend::Rabbitmq | Backend::Sqs)
        && blobs.backend == BlobBackend::Local
    {
        findings.push(Finding::warning(
            "blobs",
            "a fleet keeps its blobs in a local folder: results of one machine are not seen on others",
            "set blobs.backend = \"s3\", or mount one folder on all machines as blobs.dir",
        ));
    }
    findings
}

/// Tokens of the admin address and of the API.
fn tokens(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match config.admin.read_token() {
        Ok(Some(token)) if token.expose().len() < SHORTEST_TOKEN => {
            findings.push(Finding::warning(
                "admin token",
                format!("it has {} characters and can be guessed", token.expose().len()),
                "take a random one: head -c 32 /dev/urandom | base64",
            ));
        }
        Ok(_) => {}
        Err(e) => findings.push(Finding::fault(
            "admin token",
            e.to_string(),
            "put the token into that file, or name another with admin.token_file",
        )),
    }
    if let Err(e) = config.api.read_tokens() {
        findings.push(Finding::fault(
            "api tokens",
            e.to_string(),
            "write one \"name token\" a line, or name another file with api.tokens_file",
        ));
    }
    findings
}

/// Apps of platforms that are none, and whose secrets cannot be read.
fn apps(config: &Config) -> Vec<Finding> {
    let Ok(platforms) = wire::platforms(config) else { return Vec::new() }; // told with the kinds
    let mut findings = Vec::new();
    for app in &config.apps {
        if let Err(e) = platforms.get(&app.platform) {
            findings.push(Finding::fault(
                "app",
                format!("[[app]] \"{}\": {e}", app.platform),
                "`flotilla platforms list` names those there are",
            ));
        }
        if let Err(e) = app.read_secret() {
            findings.push(Finding::fault(
                "app",
                format!("[[app]] \"{}\": {e}", app.platform),
                "put the app's secret into that file, readable by the worker alone",
            ));
        }
    }
    findings
}

/// A lane in the settings that no kind waits on is most often a slip.
fn lanes(config: &Config, registry: &Registry) -> Vec<Finding> {
    let known: BTreeSet<&str> = registry.kinds().map(|kind| kind.policy.lane.as_str()).collect();
    let of = |key: &str, lane: &str| {
        let hint = suggest::hint(lane, known.iter().copied());
        Finding::warning(
            "lane",
            format!("{key} names \"{lane}\", on which no kind waits{hint}"),
            format!("lanes of this build: {}", Vec::from_iter(known.iter().copied()).join(", ")),
        )
    };
    let named = [
        ("worker.lanes", &config.worker.lanes),
        ("queue.records_for_failures", &config.queue.records_for_failures),
        ("queue.fifo", &config.queue.fifo),
    ];
    named
        .iter()
        .flat_map(|(key, lanes)| lanes.iter().map(move |lane| (*key, lane)))
        .filter(|(_, lane)| !known.contains(lane.as_str()))
        .map(|(key, lane)| of(key, lane))
        .collect()
}

/// What the clock will enqueue must be jobs.
fn schedules(config: &Config, registry: &Registry) -> Vec<Finding> {
    let checked = config.schedules.iter().map(|entry| {
        let kind = registry.get(&entry.kind).map_err(|e| e.to_string())?;
        let payload = Payload::of(&entry.payload).map_err(|e| e.to_string())?;
        kind.check(kind.version, &payload).map(|_| ()).map_err(|e| e.to_string())
    });
    let told = checked.zip(&config.schedules).filter_map(|(result, entry)| {
        let error = result.err()?;
        Some(Finding::fault(
            "schedule",
            format!("[[schedule]] \"{}\": {error}", entry.name),
            format!("`flotilla schema {}` shows what its payload has to be", entry.kind),
        ))
    });
    told.collect()
}

/// Subscribers that hear of nothing, or whose secrets are none.
fn subscribers(config: &Config, registry: &Registry) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscriber in &config.subscribers {
        let name = &subscriber.name;
        for kind in subscriber.kinds.iter().filter(|kind| registry.get(kind).is_err()) {
            let hint = suggest::hint(kind, registry.names().map(|known| known.as_str()));
            findings.push(Finding::warning(
                "subscriber",
                format!(
                    "\"{name}\" wants to hear of the kind \"{kind}\", which is not there{hint}"
                ),
                "`flotilla schema` lists the kinds",
            ));
        }
    }
    findings
}

/// An endpoint without a model's name is asked nothing; a kind that does not exist asks nothing.
fn models(config: &Config, registry: &Registry) -> Vec<Finding> {
    let models = &config.models;
    let mut findings = Vec::new();
    if !models.base_url.is_empty() && models.model.is_empty() {
        findings.push(Finding::warning(
            "models",
            "models.base_url is set and models.model is not: no model is asked",
            "set models.model to the name the endpoint knows it by",
        ));
    }
    if let Err(e) = models.read_key() {
        findings.push(Finding::fault("models", e, "put the key into that file"));
    }
    for kind in models.kinds.iter().filter(|kind| registry.get(kind).is_err()) {
        let hint = suggest::hint(kind, registry.names().map(|known| known.as_str()));
        findings.push(Finding::warning(
            "models",
            format!("models.kinds names \"{kind}\", which is not there{hint}"),
            "`flotilla schema` lists the kinds",
        ));
    }
    findings
}
