//! Enqueueing over HTTP, as `[api]` says.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_admin::{Api, ApiSettings, Fetch, SnsHook, Token};
use flotilla_config::{Config, Secret};
use flotilla_platforms::Fetcher;

use crate::exit::Failure;
use crate::wire::{self, Ports};

/// The API over these ports; `admin` is the token of the address it shares.
pub(crate) fn api(config: &Config, ports: &Ports, admin: Option<&Secret>) -> Result<Api, Failure> {
    let mut tokens: Vec<Token> = config
        .api
        .read_tokens()
        .map_err(Failure::config)?
        .iter()
        .map(|(name, secret)| Token { name: name.as_str().into(), secret: secret.expose().into() })
        .collect();
    if let Some(secret) = admin.filter(|_| tokens.is_empty()) {
        tokens.push(Token { name: "admin".into(), secret: secret.expose().into() });
    }
    let given = &config.api;
    Ok(Api {
        ops: wire::ops(config, ports)?,
        records: Arc::clone(&ports.records),
        cells: Arc::clone(&ports.cells),
        tokens,
        settings: ApiSettings {
            max_body: given.max_body,
            max_jobs: given.max_jobs,
            rate: given.rate,
            burst: given.burst,
            max_wait: given.max_wait,
            max_waiters: given.max_waiters,
            idempotency: given.idempotency,
            timeout: given.timeout,
        },
        sns: hook(config)?,
    })
}

fn hook(config: &Config) -> Result<Option<SnsHook>, Failure> {
    if config.api.sns_topics.is_empty() {
        return Ok(None);
    }
    Ok(Some(SnsHook {
        topics: config.api.sns_topics.clone(),
        lane: config.api.sns_lane.parse().map_err(Failure::config)?,
        adopt: Arc::new(wire::adopt::adopter(config)?),
        fetch: Arc::new(Guarded(wire::fetcher(config)?)),
    }))
}

/// The guarded client, for certificates and confirmations of SNS.
struct Guarded(Fetcher);

#[async_trait]
impl Fetch for Guarded {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.0.fetch(url).await.map(|fetched| fetched.bytes).map_err(|e| e.to_string())
    }
}
