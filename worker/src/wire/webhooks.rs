//! Webhooks of social platforms, as `platforms.webhooks` and `[[app]]` say.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use flotilla_admin::{Header, HookError, Hooks};
use flotilla_config::Config;
use flotilla_core::{Cells, Clock, Envelope, Payload, Secret};
use flotilla_jobs::{STATUS, SocialStatus};
use flotilla_platforms::webhooks::{self, Webhook};

use crate::exit::Failure;
use crate::wire::{Ports, vault};

/// The hooks that are on; `None`: none is.
pub(crate) fn hooks(config: &Config, ports: &Ports) -> Result<Option<Arc<dyn Hooks>>, Failure> {
    let given = &config.platforms;
    if given.webhooks.is_empty() {
        return Ok(None);
    }
    let token = given.read_webhook_token().map_err(Failure::config)?;
    let mut apps = vault::apps(config)?;
    let mut known = BTreeMap::new();
    for name in &given.webhooks {
        let hook = webhooks::by_name(name).ok_or_else(|| {
            let said = format!("platforms.webhooks: there are none of \"{name}\" in this build");
            Failure::config(said)
        })?;
        let secret = apps.remove(name).and_then(|app| app.client_secret).ok_or_else(|| {
            Failure::config(format!(
                "platforms.webhooks: calls of \"{name}\" are proved by the app's secret; give an \
                 [[app]] named \"{name}\" its client_secret_file"
            ))
        })?;
        known.insert(name.clone(), (hook, secret));
    }
    let (cells, clock) = (Arc::clone(&ports.cells), ports.clock());
    let token = token.map(|token| Secret::new(token.expose()));
    Ok(Some(Arc::new(Platforms { known, token, cells, clock })))
}

struct Platforms {
    known: BTreeMap<String, (&'static dyn Webhook, Secret)>,
    token: Option<Secret>,
    cells: Arc<dyn Cells>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Hooks for Platforms {
    fn challenge(&self, platform: &str, query: &[(String, String)]) -> Result<String, HookError> {
        let (hook, _) = self.known.get(platform).ok_or(HookError::Unknown)?;
        let token = self.token.as_ref().ok_or(HookError::Unproven)?;
        hook.challenge(query, token).ok_or(HookError::Unproven)
    }

    async fn receive(
        &self,
        platform: &str,
        header: &Header<'_>,
        body: &[u8],
    ) -> Result<Vec<Envelope>, HookError> {
        let (hook, secret) = self.known.get(platform).ok_or(HookError::Unknown)?;
        let now = self.clock.now();
        if !hook.proves(secret, &|name: &str| header(name), body, now) {
            return Err(HookError::Unproven);
        }
        let mut jobs = Vec::new();
        for status in hook.read(body).map_err(HookError::Unreadable)? {
            let heard = webhooks::heard(&*self.cells, platform, &status.subject, now).await;
            let heard = heard.map_err(|error| HookError::Unavailable(error.to_string()))?;
            // Others may send through the same app.
            let Some(heard) = heard else { continue };
            let payload = SocialStatus { platform: platform.to_owned(), status };
            let payload = Payload::of(&payload);
            let payload = payload.map_err(|error| HookError::Unreadable(error.to_string()))?;
            jobs.push(Envelope { tenant: Some(heard.tenant), ..Envelope::new(STATUS, payload) });
        }
        Ok(jobs)
    }
}
