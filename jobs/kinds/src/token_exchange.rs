//! The platforms' token endpoints as the vault wants them: facts from the registry, the app from
//! the configuration or from the account itself, one guarded exchange after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::{Account, Secret};
use flotilla_platforms::tokens::{
    self, App, ClientAuth, Grant, Granted, OAuth, TokenClient, TokenError,
};
use flotilla_platforms::{Platforms, Spec};
use flotilla_vault::{Exchange, ExchangeError, Fresh, Probe, Renewal, Rule, Tokens};

/// The fact of an account that names the app it belongs to, where that is not the fleet's.
pub const CLIENT_ID: &str = "client_id";
/// The secret of that app, among the account's secrets.
pub const CLIENT_SECRET: &str = "client_secret";

/// A token that has less than this left is renewed before it is used.
const AHEAD: Duration = Duration::from_secs(60);

/// The token endpoints of all platforms.
#[derive(Debug)]
pub struct PlatformTokens {
    platforms: Arc<Platforms>,
    facts: BTreeMap<String, OAuth>,
    apps: BTreeMap<String, App>,
    client: TokenClient,
}

impl PlatformTokens {
    /// Over a registry, with our apps by platform.
    ///
    /// # Errors
    /// A sentence: facts that do not hold, an app of a platform that is not known.
    pub fn new(
        platforms: Arc<Platforms>,
        apps: BTreeMap<String, App>,
        client: TokenClient,
    ) -> Result<Self, String> {
        let mut facts = BTreeMap::new();
        for spec in platforms.iter() {
            facts.insert(spec.name.clone(), OAuth::of(spec)?);
        }
        for platform in apps.keys() {
            platforms.get(platform).map_err(|e| format!("[[app]]: {e}"))?;
        }
        Ok(Self { platforms, facts, apps, client })
    }

    /// What is known of the account's platform. An Instagram account that was connected through
    /// Facebook lives by Facebook's rules.
    fn of(&self, account: &Account) -> Option<(&Spec, &OAuth)> {
        let through_facebook = account.platform == "instagram"
            && account.extra.get("login").is_some_and(|login| login == "facebook");
        let name = if through_facebook { "facebook" } else { account.platform.as_str() };
        Some((self.platforms.get(name).ok()?, self.facts.get(name)?))
    }

    fn known(&self, account: &Account) -> Result<(&Spec, &OAuth), ExchangeError> {
        let unknown = || ExchangeError::Refused(format!("no platform \"{}\"", account.platform));
        self.of(account).ok_or_else(unknown)
    }

    /// The app the account was connected with.
    fn app_of(
        &self,
        spec: &Spec,
        facts: &OAuth,
        account: &Account,
        extra: &BTreeMap<String, Secret>,
    ) -> Result<App, ExchangeError> {
        if let Some(client_id) = account.extra.get(CLIENT_ID) {
            let client_secret = extra.get(CLIENT_SECRET).cloned();
            return Ok(App { client_id: client_id.clone(), client_secret });
        }
        if account.base_url.is_some() {
            return Ok(App::sandbox());
        }
        match self.apps.get(&spec.name) {
            Some(app) => Ok(app.clone()),
            None if facts.client_auth == ClientAuth::None => {
                Ok(App { client_id: String::new(), client_secret: None })
            }
            None => Err(ExchangeError::Client(format!(
                "no app of {} is configured: add [[app]] with name = \"{}\"",
                spec.title, spec.name
            ))),
        }
    }

    /// The token of the page that hangs on the user's token that was just renewed.
    async fn page(
        &self,
        (spec, facts): (&Spec, &OAuth),
        account: &Account,
        user: Granted,
    ) -> Result<Fresh, ExchangeError> {
        let request = tokens::derive(facts, spec, account, &user.access).ok_or_else(|| {
            ExchangeError::Refused(format!("{} has no tokens of pages", spec.title))
        })?;
        // The user's old token holds as well: what is lost here is lost for now only.
        let answer = self.client.send(&request).await.map_err(for_now)?;
        let page = tokens::read_derived(&answer).map_err(for_now)?;
        Ok(Fresh {
            access: page,
            refresh: Some(user.access),
            expires_in: None,
            refresh_expires_in: user.expires_in,
            scopes: None,
        })
    }
}

#[async_trait]
impl Exchange for PlatformTokens {
    fn rule(&self, account: &Account) -> Option<Rule> {
        let (_, facts) = self.of(account)?;
        let renewal = match facts.grant {
            Grant::RefreshToken => Renewal::RefreshToken,
            _ if is_page(facts, account) => Renewal::RefreshToken,
            Grant::FbExchangeToken | Grant::IgRefreshToken | Grant::ThRefreshToken => {
                Renewal::Itself
            }
        };
        Some(Rule {
            renewal,
            lead: (!facts.lazy).then_some(facts.lead),
            jitter: facts.jitter.unwrap_or(facts.lead / 2),
            idle: facts.idle,
            extends: facts.extends(),
            ahead: if facts.lazy { facts.lead } else { AHEAD },
            min_age: facts.min_age,
            young: facts.young,
        })
    }

    fn app(&self, account: &Account) -> String {
        let own = account.extra.get(CLIENT_ID);
        let ours = || self.apps.get(&account.platform).filter(|_| account.base_url.is_none());
        let (id, secret) = match (own, ours()) {
            (Some(id), _) => (id.as_str(), ""),
            (None, Some(app)) => {
                (app.client_id.as_str(), app.client_secret.as_ref().map_or("", Secret::expose))
            }
            (None, None) => ("", ""),
        };
        let hash =
            blake3::derive_key("flotilla 2026 which app", format!("{id}\n{secret}").as_bytes());
        hash[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    async fn refresh(&self, account: &Account, held: &Tokens) -> Result<Fresh, ExchangeError> {
        let (spec, facts) = self.known(account)?;
        let app = self.app_of(spec, facts, account, &held.extra)?;
        let refresh = held.refresh.as_ref();
        let request = tokens::refresh(facts, spec, account, &app, &held.access, refresh)
            .map_err(ExchangeError::Refused)?;
        let answer = self.client.send(&request).await.map_err(failed)?;
        let granted = tokens::read_refresh(facts, &answer).map_err(failed)?;
        if is_page(facts, account) {
            return self.page((spec, facts), account, granted).await;
        }
        Ok(Fresh {
            access: granted.access,
            refresh: granted.refresh,
            expires_in: granted.expires_in,
            refresh_expires_in: granted.refresh_expires_in,
            scopes: granted.scopes,
        })
    }

    async fn probe(&self, account: &Account, access: &Secret) -> Probe {
        let request =
            self.of(account).and_then(|(spec, facts)| tokens::probe(facts, spec, account, access));
        let Some(request) = request else { return Probe::Unknown };
        match self.client.send(&request).await.ok().and_then(|answer| tokens::read_probe(&answer)) {
            Some(true) => Probe::Holds,
            Some(false) => Probe::Dead,
            None => Probe::Unknown,
        }
    }

    async fn revoke(&self, account: &Account, held: &Tokens) -> Result<(), ExchangeError> {
        let (spec, facts) = self.known(account)?;
        let app = self.app_of(spec, facts, account, &held.extra)?;
        let refresh = held.refresh.as_ref();
        let request = tokens::revoke(facts, spec, account, &app, &held.access, refresh);
        let Some(request) = request else {
            return Err(ExchangeError::Refused(format!(
                "{} has no call for it: its owner removes the app there",
                spec.title
            )));
        };
        let answer = self.client.send(&request).await.map_err(failed)?;
        tokens::read_revoked(&answer).map_err(failed)
    }
}

/// Whether the access token is a page's, and the refresh token its user's.
fn is_page(facts: &OAuth, account: &Account) -> bool {
    facts.derive_path.is_some()
        && account.platform == "facebook"
        && account.extra.get("token").is_none_or(|sort| sort != "user")
}

fn failed(error: TokenError) -> ExchangeError {
    match error {
        TokenError::NotSent(said) => ExchangeError::NotSent(said),
        TokenError::Lost(said) => ExchangeError::Lost(said),
        TokenError::Unwell { said, after } => ExchangeError::Unwell { reason: said, after },
        TokenError::Grant(said) => ExchangeError::Grant(said),
        TokenError::Client(said) => ExchangeError::Client(said),
        TokenError::Refused(said) => ExchangeError::Refused(said),
    }
}

/// As [`failed`], for a second step that may simply be made again.
fn for_now(error: TokenError) -> ExchangeError {
    match failed(error) {
        ExchangeError::Lost(reason) => ExchangeError::Unwell { reason, after: None },
        other => other,
    }
}
