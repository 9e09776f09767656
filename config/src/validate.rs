//! Rules that one value alone cannot break, and lower bounds of durations.

use std::time::Duration;

use crate::Config;
use crate::blobs::{BlobBackend, Encryption};
use crate::duration::format_duration;
use crate::kinds::BackoffChange;
use crate::path::Path;
use crate::queue::Backend;

/// Shorter periods would only burn CPU.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The broken rules, each with the key to change. A rule is passed over when `is_wrong` says that
/// one of its keys holds no right value anyway.
pub(crate) fn validate(config: &Config, is_wrong: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut broken = Vec::new();
    periods(config, &mut broken);
    lease(config, &mut broken);
    servers(config, &mut broken);
    blobs(config, &mut broken);
    admin(config, &mut broken);
    breakers(config, &mut broken);
    telemetry(config, &mut broken);
    kinds(config, &mut broken);
    broken.retain(|rule: &Broken| !rule.keys.iter().any(|key| is_wrong(key)));
    broken.into_iter().map(|rule| (rule.keys[0].clone(), rule.message)).collect()
}

/// A rule that does not hold.
struct Broken {
    /// The keys it is about; the first one is to be changed.
    keys: Vec<String>,
    message: String,
}

fn note(broken: &mut Vec<Broken>, keys: &[&str], message: String) {
    broken.push(Broken { keys: keys.iter().map(|key| (*key).to_owned()).collect(), message });
}

fn periods(config: &Config, broken: &mut Vec<Broken>) {
    let (queue, worker, sources) = (&config.queue, &config.worker, &config.sources);
    for (key, period) in [
        ("queue.lease", queue.lease),
        ("queue.heartbeat", queue.heartbeat),
        ("worker.poll", worker.poll),
        ("worker.housekeep", worker.housekeep),
        ("sources.connect_timeout", sources.connect_timeout),
        ("sources.timeout", sources.timeout),
    ] {
        if period < SHORTEST_PERIOD {
            let shown = format_duration(period);
            note(broken, &[key], format!("{shown} is too short; give at least 10ms"));
        }
    }
}

fn servers(config: &Config, broken: &mut Vec<Broken>) {
    let queue = &config.queue;
    let records_in_postgres = matches!(queue.backend, Backend::Postgres | Backend::Rabbitmq);
    if records_in_postgres && queue.url.is_none() {
        let message = "this backend keeps records in PostgreSQL and needs to know its server; \
                       set it, as in \"postgres://user@localhost/flotilla\"";
        note(broken, &["queue.url", "queue.backend"], message.to_owned());
    }
    if records_in_postgres && queue.pool < 2 {
        note(broken, &["queue.pool"], "give at least 2 connections".to_owned());
    }
    if queue.backend == Backend::Rabbitmq && queue.broker_url.is_none() {
        let message = "the backend \"rabbitmq\" needs to know its broker; set it, as in \
                       \"amqp://user@localhost/%2f\"";
        note(broken, &["queue.broker_url", "queue.backend"], message.to_owned());
    }
    let carried = matches!(queue.backend, Backend::Rabbitmq | Backend::Sqs);
    if !carried && !queue.records_for_failures.is_empty() {
        let message = "only a broker can carry jobs without records: it needs queue.backend \
                       \"rabbitmq\" or \"sqs\"";
        note(broken, &["queue.records_for_failures", "queue.backend"], message.to_owned());
    }
}

fn blobs(config: &Config, broken: &mut Vec<Broken>) {
    if config.blobs.backend == BlobBackend::S3 && config.blobs.bucket.is_none() {
        let message = "the backend \"s3\" needs the name of its bucket".to_owned();
        note(broken, &["blobs.bucket", "blobs.backend"], message);
    }
    if config.blobs.kms_key.is_some() && config.blobs.encryption != Encryption::Kms {
        let message = "is used only with blobs.encryption = \"kms\"".to_owned();
        note(broken, &["blobs.kms_key", "blobs.encryption"], message);
    }
}

fn lease(config: &Config, broken: &mut Vec<Broken>) {
    let (lease, heartbeat) = (config.queue.lease, config.queue.heartbeat);
    if lease < heartbeat.saturating_mul(3) {
        let message = format!(
            "{} is shorter than three heartbeats of {}, so a short hiccup would lose the lease; \
             raise it or lower queue.heartbeat",
            format_duration(lease),
            format_duration(heartbeat)
        );
        note(broken, &["queue.lease", "queue.heartbeat"], message);
    }
}

fn admin(config: &Config, broken: &mut Vec<Broken>) {
    let admin = &config.admin;
    if admin.token.is_some() && admin.token_file.is_some() {
        let message = "admin.token is set too; keep one of them".to_owned();
        note(broken, &["admin.token_file", "admin.token"], message);
    }
    let open = admin.token.is_none() && admin.token_file.is_none();
    if let Some(listen) = admin.listen.filter(|listen| open && !listen.ip().is_loopback()) {
        let message = format!(
            "{listen} can be reached from other machines, and without a token anybody there could \
             cancel, replay or purge jobs; set admin.token_file, or listen on 127.0.0.1:{}",
            listen.port()
        );
        note(broken, &["admin.listen", "admin.token", "admin.token_file"], message);
    }
}

fn breakers(config: &Config, broken: &mut Vec<Broken>) {
    let breakers = &config.breakers;
    if !(breakers.ratio > 0.0 && breakers.ratio <= 1.0) {
        let message = "is a part of the answers: more than 0, at most 1".to_owned();
        note(broken, &["breakers.ratio"], message);
    }
    if breakers.pause > breakers.longest {
        let message =
            format!("is longer than breakers.longest, {}", format_duration(breakers.longest));
        note(broken, &["breakers.pause", "breakers.longest"], message);
    }
}

fn telemetry(config: &Config, broken: &mut Vec<Broken>) {
    let telemetry = &config.telemetry;
    if !(0.0..=1.0).contains(&telemetry.sample) {
        let message = format!("{} is no part; give 0 to 1", telemetry.sample);
        note(broken, &["telemetry.sample"], message);
    }
    if telemetry.gauges < Duration::from_secs(1) {
        note(broken, &["telemetry.gauges"], "is too short; give at least 1s".to_owned());
    }
    let is_address = |url: &String| url.starts_with("http://") || url.starts_with("https://");
    if telemetry.otlp_endpoint.as_ref().is_some_and(|url| !is_address(url)) {
        let message = "is no address; write it as \"http://127.0.0.1:4318\"".to_owned();
        note(broken, &["telemetry.otlp_endpoint"], message);
    }
}

fn kinds(config: &Config, broken: &mut Vec<Broken>) {
    for (kind, change) in &config.kinds {
        let section = Path::of(&["kinds", kind]);
        if change.timeout.is_some_and(|timeout| timeout < SHORTEST_PERIOD) {
            let key = section.child("timeout").to_string();
            note(broken, &[&key], "is too short; give at least 10ms".to_owned());
        }
        let retry = section.child("retry");
        if change.retry_within.is_some_and(|w| !w.is_zero() && w < SHORTEST_PERIOD) {
            let key = retry.child("within").to_string();
            note(
                broken,
                &[&key],
                "is too short; give at least 10ms, or 0s for no bound".to_owned(),
            );
        }
        if let Some(change) = &change.backoff {
            backoff(change, &section.child("backoff"), broken);
        }
        for (class, change) in &change.retry {
            backoff(&change.backoff, &retry.child(class), broken);
        }
    }
}

fn backoff(change: &BackoffChange, section: &Path, broken: &mut Vec<Broken>) {
    let key = |name| section.child(name).to_string();
    if change.factor.is_some_and(|factor| factor < 1.0) {
        note(broken, &[&key("factor")], "must be at least 1".to_owned());
    }
    if let (Some(base), Some(max)) = (change.base, change.max)
        && base > max
    {
        let message = format!("is less than the base of {}", format_duration(base));
        note(broken, &[&key("max"), &key("base")], message);
    }
}
