//! What a worker will call: the bucket, the model's endpoint, the collector of traces, subscribers.

use std::time::Duration;

use flotilla_config::{BlobBackend, Config, Sink};

use super::Finding;
use crate::wire;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.blobs.backend == BlobBackend::S3 {
        findings.push(bucket(config).await);
    }
    let models = &config.models;
    if !models.base_url.is_empty() && !models.model.is_empty() {
        let url = format!("{}/models", models.base_url.trim_end_matches('/'));
        findings.push(answers("models", &models.base_url, &url, "models.base_url").await);
    }
    if let (Some(url), Some(_)) = (&config.speech.base_url, &config.speech.model) {
        findings.push(answers("speech", url, url, "speech.base_url").await);
    }
    if let Some(url) = &config.telemetry.otlp_endpoint {
        findings.push(answers("traces", url, url, "telemetry.otlp_endpoint").await);
    }
    findings.extend(subscribers(config).await);
    findings
}

/// A bucket that is not there, or that may not be listed, fails the first job that needs it.
async fn bucket(config: &Config) -> Finding {
    let name = config.blobs.bucket.clone().unwrap_or_default();
    let opened = tokio::time::timeout(PATIENCE * 4, wire::blobs(config)).await;
    let mend = "make the bucket, give this machine's role s3:ListBucket, s3:GetObject, s3:PutObject and \
                s3:DeleteObject on it, or name another with blobs.bucket";
    match opened {
        Ok(Ok(_)) => Finding::ok("bucket", name),
        Ok(Err(failure)) => Finding::fault("bucket", format!("{name}: {failure}"), mend),
        Err(_) => Finding::fault("bucket", format!("{name}: no answer within 20 s"), mend),
    }
}

/// Any answer will do: what is looked for is a wrong address or a closed door.
pub(super) async fn answers(what: &'static str, shown: &str, url: &str, key: &str) -> Finding {
    let shown = shown.split('@').next_back().unwrap_or_default(); // a password is nobody's business
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let asked = match client {
        Ok(client) => client.get(url).send().await.map_err(|e| e.without_url()),
        Err(e) => Err(e),
    };
    match asked {
        Ok(_) => Finding::ok(what, format!("{shown} answers")),
        Err(e) => Finding::warning(
            what,
            format!("{shown} does not answer: {}", flotilla_core::outcome::chain(&e, 300)),
            format!("start it, open the way to it, or change {key}"),
        ),
    }
}

/// Each way out is opened as a worker opens it; nobody is called.
async fn subscribers(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for subscriber in &config.subscribers {
        let mut alone = config.clone();
        alone.subscribers = vec![subscriber.clone()];
        if let Err(failure) = wire::check_sinks(&alone).await {
            findings.push(Finding::fault(
                "subscriber",
                failure.to_string(),
                "give it one or two secrets (whsec_…) in secret_file, and an address as `to` wants it",
            ));
        }
        if let Sink::Webhook { url, .. } = &subscriber.sink
            && let Err(refusal) = wire::may_call(config, url)
        {
            findings.push(Finding::fault(
                "subscriber",
                format!("\"{}\": {refusal}", subscriber.name),
                "write its public address, or allow host and port with sources.allow_hosts",
            ));
        }
    }
    findings
}
