//! `[platform.NAME.oauth]`: how tokens of a platform live.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::registry::Spec;

/// What a renewal sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A refresh token (RFC 6749, 6).
    RefreshToken,
    /// A long-lived token of Meta for another one.
    FbExchangeToken,
    /// A token of an Instagram login, made to last longer.
    IgRefreshToken,
    /// The same for Threads.
    ThRefreshToken,
}

/// How the app shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Id and secret in the form.
    Form,
    /// Id and secret as user name and password; a public client's id in the form.
    Basic,
    /// Id and secret in the query.
    Query,
    /// Not at all.
    None,
}

/// What becomes of the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotates {
    /// It stays.
    No,
    /// There is none: the token replaces itself.
    #[serde(rename = "self")]
    Itself,
    /// Another one may come.
    Maybe,
    /// Another one comes.
    Yes,
    /// Another one comes, and using the old one again may end them all.
    SingleUse,
}

/// How tokens of a platform live.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Where tokens are renewed: a name in the platform's `hosts`.
    pub token_host: String,
    /// Its path, with the version.
    pub token_path: String,
    /// `GET` or `POST`; for people, it follows from `grant`.
    pub method: String,
    /// What a renewal sends.
    pub grant: Grant,
    /// How the app shows who it is.
    pub client_auth: ClientAuth,
    /// What the platform calls the app's id.
    #[serde(default = "client_id")]
    pub client_id_name: String,
    /// How long an access token holds when the answer does not say.
    #[serde(with = "crate::rules::span")]
    pub access_ttl: Duration,
    /// How long a refresh token holds when the answer does not say; `"never"`: it does not end.
    #[serde(deserialize_with = "span_or_never", serialize_with = "write_span")]
    pub refresh_ttl: Option<Duration>,
    /// What becomes of the refresh token.
    pub rotates: Rotates,
    /// Whether a renewal puts off the refresh token's end; as `rotates` says when left out.
    pub extends: Option<bool>,
    /// How long before its end a token is renewed.
    #[serde(with = "crate::rules::span")]
    pub lead: Duration,
    /// Accounts are spread over so long from then on; half of `lead` when left out.
    #[serde(default, deserialize_with = "span", serialize_with = "write_span")]
    pub jitter: Option<Duration>,
    /// Renewed only when it is needed, with less than `lead` left.
    #[serde(default)]
    pub lazy: bool,
    /// A lazy one that nobody needed for so long is renewed all the same.
    #[serde(default, deserialize_with = "span", serialize_with = "write_span")]
    pub idle: Option<Duration>,
    /// A younger token is not renewed.
    #[serde(default, with = "crate::rules::span")]
    pub min_age: Duration,
    /// A younger token that is refused may be good: not everybody there has heard of it.
    #[serde(default = "a_minute", with = "crate::rules::span")]
    pub young: Duration,
    /// Fields that are sent with a renewal.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
    /// Where a page's token is got with its user's; `{id}` stands for the page.
    pub derive_path: Option<String>,
    /// Where owners connect their account.
    pub authorize: Option<String>,
    /// Where a token can be looked at.
    pub inspect_path: Option<String>,
    /// Where tokens are forgotten.
    pub revoke_path: Option<String>,
    /// The host of `probe_path`; `api` when left out.
    pub probe_host: Option<String>,
    /// A cheap read that a token must be good for; `{id}` stands for the account.
    pub probe_path: Option<String>,
}

impl OAuth {
    /// Reads the facts of a platform.
    ///
    /// # Errors
    /// A sentence naming the key that is missing or wrong.
    pub fn of(spec: &Spec) -> Result<Self, String> {
        spec.oauth()
    }

    /// Whether a renewal puts off the end of what the next one needs.
    #[must_use]
    pub fn extends(&self) -> bool {
        let by_rotation =
            matches!(self.rotates, Rotates::Itself | Rotates::Yes | Rotates::SingleUse);
        self.extends.unwrap_or(by_rotation)
    }
}

fn client_id() -> String {
    "client_id".to_owned()
}

fn a_minute() -> Duration {
    Duration::from_secs(60)
}

fn read(text: &str) -> Result<Duration, String> {
    flotilla_config::parse_duration(text)
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    read(&String::deserialize(from)?).map(Some).map_err(de::Error::custom)
}

fn span_or_never<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match String::deserialize(from)?.as_str() {
        "never" => Ok(None),
        text => read(text).map(Some).map_err(de::Error::custom),
    }
}

fn write_span<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => to.serialize_str(&flotilla_config::format_duration(*span)),
        None => to.serialize_str("never"),
    }
}
