//! The registry of platforms: `config/platforms.toml`, read, checked and ready to be asked.
//!
//! Hosts, versions, bounds and capabilities change several times a year; they are data, so that
//! an operator mends them in a file instead of waiting for a build.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_core::limit::Rule;
use flotilla_core::suggest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

pub use crate::rules::{Capability, Carousel, Chunks, Daily, MediaRule, Poll, TextRule, Wait};

/// The registry of this build.
const BUILT_IN: &str = include_str!("../../../config/platforms.toml");

/// Why a registry is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the registry of platforms: {0}")]
pub struct RegistryFault(String);

/// Every platform that is known.
#[derive(Clone, Debug)]
pub struct Platforms {
    platforms: BTreeMap<String, Spec>,
}

/// What is known of one platform.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Its key in the registry.
    #[serde(default)]
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The version of its API, as its paths or headers want it.
    #[serde(default)]
    pub version: String,
    /// What an account's `external_id` is.
    #[serde(default)]
    pub account: String,
    /// What an account must have been granted to post.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: BTreeSet<Capability>,
    /// What it can do for accounts of one sort only, by the sort.
    #[serde(default)]
    pub capabilities_by: BTreeMap<String, BTreeSet<Capability>>,
    /// How its processing is waited for.
    #[serde(default)]
    pub poll: Poll,
    /// How long it is left alone when it does not say.
    #[serde(default)]
    pub wait: Wait,
    /// How long an upload is left to settle where its state cannot be read.
    #[serde(default, with = "crate::rules::span")]
    pub grace: Duration,
    /// Where it is, by the name a client uses.
    pub hosts: BTreeMap<String, String>,
    /// Hosts whose URLs its answers may hand out, besides `hosts`.
    #[serde(default)]
    pub answer_hosts: Vec<String>,
    /// Bounds of its text.
    #[serde(default)]
    pub text: TextRule,
    /// Bounds of pictures; absent: it takes none.
    pub image: Option<MediaRule>,
    /// Bounds of videos.
    pub video: Option<MediaRule>,
    /// Bounds of short upright videos.
    pub reel: Option<MediaRule>,
    /// Bounds of stories.
    pub story: Option<MediaRule>,
    /// Bounds of documents.
    pub document: Option<MediaRule>,
    /// Bounds of sound.
    pub audio: Option<MediaRule>,
    /// How many media one post may have, where it may have several.
    pub carousel: Option<Carousel>,
    /// How far ahead it schedules by itself.
    pub schedule: Option<Ahead>,
    /// How uploads are cut.
    #[serde(default)]
    pub upload: Chunks,
    /// Quotas of its keys.
    #[serde(default)]
    pub quota: Vec<QuotaRow>,
    /// How its tokens live; who renews them reads it into a type of their own.
    #[serde(default)]
    pub oauth: toml::Table,
}

/// How far ahead a platform schedules by itself.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ahead {
    /// At least.
    #[serde(with = "crate::rules::span")]
    pub min_ahead: Duration,
    /// At most.
    #[serde(with = "crate::rules::span")]
    pub max_ahead: Duration,
}

/// Quotas of keys that match.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaRow {
    /// A limit key in which a part may be `*`.
    pub keys: String,
    /// Each as in `6/min`.
    pub quotas: Vec<String>,
}

impl Platforms {
    /// The registry of this build.
    ///
    /// # Errors
    /// Never for a released build: a test reads it.
    pub fn built_in() -> Result<Self, RegistryFault> {
        Self::with(None)
    }

    /// The registry of this build, with the keys of `changes` (TOML of the same form) in place of
    /// its own.
    ///
    /// # Errors
    /// Naming the platform and the key that is wrong.
    pub fn with(changes: Option<&str>) -> Result<Self, RegistryFault> {
        let fault = |e: toml::de::Error| RegistryFault(e.to_string().trim().replace('\n', " "));
        let mut table: toml::Table = toml::from_str(BUILT_IN).map_err(fault)?;
        if let Some(changes) = changes {
            merge(&mut table, toml::from_str(changes).map_err(fault)?);
        }
        let known = table.remove("platform").unwrap_or(toml::Table::new().into());
        if let Some(key) = table.keys().next() {
            return Err(RegistryFault(format!("unknown key {key}; write [platform.NAME]")));
        }
        let toml::Value::Table(known) = known else {
            return Err(RegistryFault("[platform.NAME] holds the keys of a platform".to_owned()));
        };
        let mut platforms = BTreeMap::new();
        for (name, value) in known {
            let spec = Spec::deserialize(value)
                .map_err(|e| RegistryFault(format!("[platform.{name}]: {}", e.message())))?;
            let spec = Spec { name: name.clone(), ..spec };
            spec.check().map_err(|said| RegistryFault(format!("[platform.{name}]: {said}")))?;
            platforms.insert(name, spec);
        }
        Ok(Self { platforms })
    }

    /// The platform of that name.
    ///
    /// # Errors
    /// A sentence with the name that was probably meant.
    pub fn get(&self, name: &str) -> Result<&Spec, String> {
        self.platforms.get(name).ok_or_else(|| {
            let near = suggest::nearest(name, self.platforms.keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?"));
            let hint = hint.unwrap_or_else(|| ": `flotilla platforms list` names them".to_owned());
            format!("no platform \"{name}\"{hint}")
        })
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Spec> {
        self.platforms.values()
    }

    /// Those that can do all of `wanted`, by name.
    pub fn capable<'a>(&'a self, wanted: &'a [Capability]) -> impl Iterator<Item = &'a Spec> {
        self.iter().filter(|spec| wanted.iter().all(|one| spec.capabilities.contains(one)))
    }
}

impl Spec {
    /// Whether accounts of `sort` (empty: of any) can do it.
    #[must_use]
    pub fn can(&self, what: Capability, sort: &str) -> bool {
        self.capabilities.contains(&what)
            || self.capabilities_by.get(sort).is_some_and(|more| more.contains(&what))
    }

    /// The quotas of calls under `keys`, as in `tiktok/*/publish`.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.quota.iter().filter_map(|row| Rule::new(&row.keys, &row.quotas).ok()).collect()
    }

    /// How its tokens live, as who renews them wants to read it.
    ///
    /// # Errors
    /// A sentence naming the key that is missing or wrong.
    pub fn oauth<T: DeserializeOwned>(&self) -> Result<T, String> {
        let said = |e: toml::de::Error| format!("[platform.{}.oauth]: {}", self.name, e.message());
        T::deserialize(self.oauth.clone()).map_err(said)
    }

    fn check(&self) -> Result<(), String> {
        for host in self.hosts.values() {
            let url =
                Url::parse(&format!("https://{host}/")).map_err(|e| format!("{host}: {e}"))?;
            if url.host_str() != Some(host.as_str()) {
                return Err(format!("\"{host}\" is not a host name"));
            }
        }
        if !self.hosts.contains_key("api") {
            return Err("hosts.api is missing".to_owned());
        }
        for row in &self.quota {
            Rule::new(&row.keys, &row.quotas).map_err(|e| e.to_string())?;
        }
        let rule = |what: Capability| match what {
            Capability::Image => self.image.is_some(),
            Capability::Video => self.video.is_some(),
            Capability::Document => self.document.is_some(),
            Capability::Audio => self.audio.is_some(),
            _ => true,
        };
        match self.capabilities.iter().find(|what| !rule(**what)) {
            Some(what) => Err(format!("it can do {what:?} but has no bounds for it")),
            None => Ok(()),
        }
    }

    /// Whether a URL that its answer handed out may be called: one of its hosts over HTTPS, or
    /// below the sandbox the account lives in.
    #[must_use]
    pub fn may_call(&self, base: Option<&str>, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        if let Some(base) = base.and_then(|base| Url::parse(base).ok()) {
            return url.origin() == base.origin();
        }
        let Some(host) = url.host_str().filter(|_| url.scheme() == "https") else { return false };
        let named = |known: &String| {
            known == host || (known.starts_with('.') && host.ends_with(known.as_str()))
        };
        self.hosts.values().chain(&self.answer_hosts).any(named)
    }
}

/// Where a call goes.
#[derive(Debug)]
pub struct Endpoint;

impl Endpoint {
    /// `https://{host}{path}`, or, for an account in a sandbox at `base`,
    /// `{base}/{platform}{path}` for the host called `api` and `{base}/{platform}/{host}{path}`
    /// for the others. `path` begins with `/`.
    ///
    /// # Errors
    /// A sentence, when the platform has no host of that name.
    pub fn url(base: Option<&str>, spec: &Spec, host: &str, path: &str) -> Result<String, String> {
        let name = &spec.name;
        let real = spec.hosts.get(host).ok_or_else(|| format!("{name} has no host \"{host}\""))?;
        Ok(match base.map(|base| base.trim_end_matches('/')) {
            Some(base) if host == "api" => format!("{base}/{name}{path}"),
            Some(base) => format!("{base}/{name}/{host}{path}"),
            None => format!("https://{real}{path}"),
        })
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_registry_is_right_and_knows_who_can_do_what() {
        let platforms = Platforms::built_in().unwrap();
        assert_eq!(platforms.iter().filter(|spec| !spec.capabilities.is_empty()).count(), 9);
        let stories: Vec<_> =
            platforms.capable(&[Capability::Story]).map(|spec| spec.name.as_str()).collect();
        assert_eq!(stories, ["facebook", "instagram"]);
        let linkedin = platforms.get("linkedin").unwrap();
        assert!(linkedin.can(Capability::ReadBack, "organization"));
        assert!(!linkedin.can(Capability::ReadBack, "person"));
        assert!(platforms.get("instagramm").unwrap_err().contains("\"instagram\""));
        for spec in platforms.iter() {
            assert_eq!(spec.rules().len(), spec.quota.len());
            assert!(!spec.oauth.is_empty(), "{}", spec.name);
        }
    }

    #[test]
    fn a_file_replaces_single_keys_and_its_faults_are_named() {
        let changed = Platforms::with(Some("[platform.linkedin]\nversion = \"202611\"")).unwrap();
        let linkedin = changed.get("linkedin").unwrap();
        assert_eq!((linkedin.version.as_str(), linkedin.text.max), ("202611", 3000));
        for (text, said) in [
            ("[platform.x]\nversoin = \"3\"", "[platform.x]: unknown field `versoin`"),
            ("[platform.x]\npoll = { first = \"soon\" }", "[platform.x]"),
            ("[platforms.x]\na = 1", "unknown key platforms"),
            ("[platform.x.hosts]\napi = \"a/b\"", "\"a/b\" is not a host name"),
        ] {
            let fault = Platforms::with(Some(text)).unwrap_err().to_string();
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }

    #[test]
    fn a_sandbox_has_every_host_below_its_own() {
        let platforms = Platforms::built_in().unwrap();
        let spec = platforms.get("facebook").unwrap();
        let url = |base, host| Endpoint::url(base, spec, host, "/v26.0/1/feed").unwrap();
        assert_eq!(url(None, "api"), "https://graph.facebook.com/v26.0/1/feed");
        let base = Some("http://127.0.0.1:9200/");
        assert_eq!(url(base, "api"), "http://127.0.0.1:9200/facebook/v26.0/1/feed");
        assert_eq!(url(base, "rupload"), "http://127.0.0.1:9200/facebook/rupload/v26.0/1/feed");
        assert!(Endpoint::url(None, spec, "nope", "/").is_err());
    }

    #[test]
    fn urls_of_answers_stay_with_the_platform() {
        let platforms = Platforms::built_in().unwrap();
        let spec = platforms.get("tiktok").unwrap();
        assert!(spec.may_call(None, "https://open-upload.tiktokapis.com/video/?upload_id=1"));
        assert!(!spec.may_call(None, "http://open-upload.tiktokapis.com/video/"));
        assert!(!spec.may_call(None, "https://tiktokapis.com.evil.example/video/"));
        let base = Some("http://127.0.0.1:9200");
        assert!(spec.may_call(base, "http://127.0.0.1:9200/tiktok/upload/1"));
        assert!(!spec.may_call(base, "https://open-upload.tiktokapis.com/video/"));
    }
}
