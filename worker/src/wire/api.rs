//! The API and who may use it, as `[api]`, `[admin]` and `[[token]]` say.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use flotilla_admin::audit::Audit;
use flotilla_admin::auth::{Auth, AuthSettings, Role, Tenants, TokenEntry, TokenHash};
use flotilla_admin::{Api, ApiSettings, DeadGroups, Fetch, Insight, SnsHook};
use flotilla_config::{Config, Cookies, TokenRole};
use flotilla_core::Tenant;
use flotilla_platforms::Fetcher;
use tokio::sync::watch;

use crate::exit::Failure;
use crate::wire::{self, Ports};

/// Who may use the API and the console on this address.
///
/// The token of `[admin]` is an admin's; those of `api.tokens_file` enqueue; `[[token]]` says it
/// itself.
pub(crate) fn auth(config: &Config, ports: &Ports, address: SocketAddr) -> Result<Auth, Failure> {
    let plain = |name: &str, role: Role, secret: &str| TokenEntry {
        name: name.into(),
        role,
        tenants: Tenants::All,
        hash: TokenHash::of(secret),
    };
    let mut tokens = Vec::new();
    if let Some(secret) = config.admin.read_token().map_err(Failure::config)? {
        tokens.push(plain("admin", Role::Admin, secret.expose()));
    }
    for (name, secret) in config.api.read_tokens().map_err(Failure::config)? {
        tokens.push(plain(&name, Role::Producer, secret.expose()));
    }
    for given in &config.tokens {
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::config(format!("[[token]] \"{}\": {e}", given.name))
        };
        let tenants = given.tenants.iter().map(|tenant| tenant.parse::<Tenant>());
        let tenants: Vec<Tenant> = tenants.collect::<Result<_, _>>().map_err(|e| wrong(&e))?;
        tokens.push(TokenEntry {
            name: given.name.as_str().into(),
            role: role(given.role),
            tenants: Tenants::of(tenants),
            hash: given.hash.parse().map_err(|e| wrong(&e))?,
        });
    }
    let settings = AuthSettings {
        session: config.admin.session,
        secure_cookies: secure(config, address)?,
        hosts: config.admin.hosts.clone(),
    };
    let mut auth = Auth::new(tokens, Arc::clone(&ports.cells), ports.clock(), settings);
    if let Some(oidc) = super::oidc::oidc(config)? {
        auth = auth.with_oidc(oidc);
    }
    auth.check_listen(address).map_err(Failure::config)?;
    Ok(auth)
}

/// Whether cookies go over HTTPS only: browsers come by HTTPS, also where a proxy ends it before
/// this listener, or they come from other machines and nobody said that they come by plain HTTP.
fn secure(config: &Config, address: SocketAddr) -> Result<bool, Failure> {
    let beyond = config.admin.cookies == Cookies::Secure && !address.ip().is_loopback();
    let Some(given) = config.admin.public_url.as_ref().or(config.oidc.public_url.as_ref()) else {
        return Ok(beyond);
    };
    let wrong = || {
        Failure::config(format!(
            "admin.public_url: \"{given}\" is no address of a server: write it as \
             https://fleet.example.com"
        ))
    };
    let url: url::Url = given.parse().map_err(|_| wrong())?;
    match url.scheme() {
        "https" => Ok(true),
        "http" => Ok(beyond),
        _ => Err(wrong()),
    }
}

fn role(given: TokenRole) -> Role {
    match given {
        TokenRole::Producer => Role::Producer,
        TokenRole::Viewer => Role::Viewer,
        TokenRole::Operator => Role::Operator,
        TokenRole::Admin => Role::Admin,
    }
}

/// The audit log of the fleet.
pub(crate) fn audit(config: &Config, ports: &Ports) -> Audit {
    Audit::new(Arc::clone(&ports.cells), ports.clock(), config.admin.audit)
}

/// The API over these ports; `stopping` says `true` once its server ends.
pub(crate) fn api(
    config: &Config,
    ports: &Ports,
    auth: Auth,
    insight: Arc<dyn Insight>,
    stopping: watch::Receiver<bool>,
) -> Result<Api, Failure> {
    let given = &config.api;
    Ok(Api {
        auth,
        audit: audit(config, ports),
        ops: wire::ops(config, ports)?,
        records: Arc::clone(&ports.records),
        cells: Arc::clone(&ports.cells),
        fleet: Arc::clone(&ports.fleet),
        insight,
        dead_groups: DeadGroups::new(Arc::clone(&ports.records), ports.clock()),
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
        webhooks: wire::webhooks::hooks(config, ports)?,
        stopping,
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
