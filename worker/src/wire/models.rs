//! From `[models]` to the model that handlers ask.

use std::sync::Arc;

use flotilla_config::Config;
use flotilla_core::Secret;
use flotilla_jobs::{GuardedAsk, Models};
use flotilla_models::{Model, Settings};
use flotilla_platforms::{Fetcher, GuardSettings};
use url::Url;

use crate::exit::Failure;

/// The model, with a client of its own: the endpoint is the operator's choice and may lie inside
/// their network, which says nothing of the addresses in payloads.
pub(crate) fn open(config: &Config) -> Result<Models, Failure> {
    let models = &config.models;
    if models.base_url.is_empty() || models.model.is_empty() {
        return Ok(Models::default());
    }
    let bad = |why: String| Failure::config(format!("models.base_url: {why}"));
    let url = Url::parse(&models.base_url).map_err(|error| bad(error.to_string()))?;
    let port = url.port_or_known_default();
    let (Some(host), Some(port)) = (url.host_str(), port) else {
        return Err(bad("is no address with a host".to_owned()));
    };
    let sources = &config.sources;
    let fetcher = Fetcher::new(GuardSettings {
        ports: vec![port],
        allow_hosts: vec![format!("{host}:{port}")],
        max_bytes: models.max_answer as u64,
        connect_timeout: sources.connect_timeout,
        timeout: models.timeout,
        redirects: 0,
    })
    .map_err(Failure::config)?;
    let key = models.read_key().map_err(Failure::config)?;
    let vision = Some(models.vision_model.clone()).filter(|name| !name.is_empty());
    let settings = Settings {
        base_url: models.base_url.clone(),
        model: models.model.clone(),
        vision_model: vision,
        key: key.map(|key| Secret::new(key.expose())),
        timeout: models.timeout,
        retries: models.retries,
        max_wait: models.max_wait,
        pause: models.pause,
        wait_for_payment: models.unpaid == flotilla_config::Unpaid::Wait,
        max_output_tokens: models.max_output_tokens,
        max_answer: models.max_answer,
        tokens_per_day: models.tokens_per_day,
        money_per_day: models.money_per_day,
        input_price: models.input_price,
        output_price: models.output_price,
        cache: models.cache,
    };
    let model = Model::new(settings, Arc::new(GuardedAsk(Arc::new(fetcher))));
    let kinds = models.kinds.clone();
    Ok(Models { model: Some(Arc::new(model)), kinds, max_image: models.max_image })
}
