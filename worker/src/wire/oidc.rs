//! Logging in by an `OpenID` provider, as `[oidc]` says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_admin::auth::Role;
use flotilla_admin::auth::oidc::{Asked, Exchange, Oidc, OidcSettings, RoleMap};
use flotilla_config::Config;
use flotilla_core::Secret;
use flotilla_platforms::tokens::{TokenClient, TokenRequest};

use crate::exit::Failure;

/// How long the provider may take.
const WITHIN: Duration = Duration::from_secs(15);

/// The provider; `None`: there is none.
pub(super) fn oidc(config: &Config) -> Result<Option<Oidc>, Failure> {
    let given = &config.oidc;
    let Some(issuer) = &given.issuer else { return Ok(None) };
    let needed = |value: &Option<String>, name: &str| {
        value.clone().ok_or_else(|| Failure::config(format!("oidc.issuer needs oidc.{name} too")))
    };
    let local =
        |url: &str| url.starts_with("http://127.0.0.1:") || url.starts_with("http://localhost:");
    let public = given.public_url.clone().or_else(|| config.admin.public_url.clone());
    let public_url = needed(&public, "public_url")?;
    for (name, url) in [("issuer", issuer), ("public_url", &public_url)] {
        if !url.starts_with("https://") && !local(url) {
            return Err(Failure::config(format!("oidc.{name}: \"{url}\" is no https address")));
        }
    }
    let map = [
        (&given.viewers, Role::Viewer),
        (&given.operators, Role::Operator),
        (&given.admins, Role::Admin),
    ];
    let values =
        map.into_iter().flat_map(|(values, role)| values.iter().map(move |v| (v.clone(), role)));
    let values: Vec<(String, Role)> = values.collect();
    if values.is_empty() {
        return Err(Failure::config(
            "oidc.issuer lets nobody in: name groups in oidc.viewers, oidc.operators or oidc.admins",
        ));
    }
    let secret = given.read_secret().map_err(Failure::config)?;
    let settings = OidcSettings {
        issuer: issuer.clone(),
        client_id: needed(&given.client_id, "client_id")?,
        client_secret: secret.map(|secret| Secret::new(secret.expose())),
        public_url,
        label: given.label.clone(),
        scopes: given.scopes.clone(),
        roles: RoleMap {
            claim: given.claim.clone(),
            values,
            tenants: given.tenants.clone().unwrap_or_default(),
        },
    };
    let client = TokenClient::new(WITHIN).map_err(Failure::unavailable)?;
    Ok(Some(Oidc::new(settings, Arc::new(Provider(client)))))
}

/// The client of token endpoints: the addresses come from the operator.
#[derive(Debug)]
struct Provider(TokenClient);

#[async_trait]
impl Exchange for Provider {
    async fn ask(&self, asked: Asked) -> Result<Bytes, String> {
        let request = TokenRequest {
            post: asked.form.is_some(),
            url: asked.url,
            query: Vec::new(),
            form: asked.form.unwrap_or_default(),
            basic: asked.basic,
            bearer: None,
        };
        let answer = self.0.send(&request).await.map_err(|e| e.to_string())?;
        match answer.status {
            200..=299 => Ok(answer.body),
            status => Err(format!("the provider answered with status {status}")),
        }
    }
}
