//! Accounts and their tokens, and how they are asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use serde::{Deserialize, Serialize};

/// Whom the sandbox stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Facebook Pages.
    #[serde(alias = "facebook_page")]
    Facebook,
    /// Instagram; `extra.login` is `instagram` or `facebook`.
    #[serde(alias = "instagram_login", alias = "instagram_fb")]
    Instagram,
    /// Threads.
    Threads,
    /// LinkedIn; the external id is a person's or an organisation's URN.
    #[serde(alias = "linkedin_member", alias = "linkedin_org")]
    LinkedIn,
    /// TikTok.
    TikTok,
    /// YouTube.
    YouTube,
    /// WhatsApp Cloud API.
    WhatsApp,
    /// X.
    X,
    /// Pinterest.
    Pinterest,
    /// Meta Ads: tokens only.
    #[serde(rename = "meta_ads")]
    MetaAds,
    /// Google Ads: tokens only.
    #[serde(rename = "google_ads")]
    GoogleAds,
    /// Amazon Ads: tokens only.
    #[serde(rename = "amazon_ads", alias = "amazon")]
    AmazonAds,
    /// An OpenAI-compatible model endpoint.
    OpenAi,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Facebook,
        Self::Instagram,
        Self::Threads,
        Self::LinkedIn,
        Self::TikTok,
        Self::YouTube,
        Self::WhatsApp,
        Self::X,
        Self::Pinterest,
        Self::MetaAds,
        Self::GoogleAds,
        Self::AmazonAds,
        Self::OpenAi,
    ];

    /// Its name in paths and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Facebook => "facebook",
            Self::Instagram => "instagram",
            Self::Threads => "threads",
            Self::LinkedIn => "linkedin",
            Self::TikTok => "tiktok",
            Self::YouTube => "youtube",
            Self::WhatsApp => "whatsapp",
            Self::X => "x",
            Self::Pinterest => "pinterest",
            Self::MetaAds => "meta_ads",
            Self::GoogleAds => "google_ads",
            Self::AmazonAds => "amazon_ads",
            Self::OpenAi => "openai",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == name)
    }

    /// The host a path goes to that names none (§2.1, §5-§12).
    pub(crate) fn main_host(self) -> &'static str {
        match self {
            Self::Facebook | Self::WhatsApp | Self::MetaAds => "graph.facebook.com",
            Self::Instagram => "graph.instagram.com",
            Self::Threads => "graph.threads.net",
            Self::LinkedIn => "api.linkedin.com",
            Self::TikTok => "open.tiktokapis.com",
            Self::YouTube => "www.googleapis.com",
            Self::X => "api.x.com",
            Self::Pinterest => "api.pinterest.com",
            Self::GoogleAds => "googleads.googleapis.com",
            Self::AmazonAds => "advertising-api.amazon.com",
            Self::OpenAi => "api.openai.com",
        }
    }

    /// The real name of a host that has a short one here.
    pub(crate) fn host(self, short: &str) -> Option<&'static str> {
        Some(match (self, short) {
            (Self::Facebook | Self::Instagram, "rupload") => "rupload.facebook.com",
            (Self::Instagram, "facebook") => "graph.facebook.com",
            (Self::Instagram, "oauth") => "api.instagram.com",
            (Self::LinkedIn, "oauth") => "www.linkedin.com",
            (Self::YouTube | Self::GoogleAds, "oauth") => "oauth2.googleapis.com",
            (Self::AmazonAds, "oauth") => "api.amazon.com",
            (_, "api") => self.main_host(),
            _ => return None,
        })
    }

    /// How long an access token and a refresh token live (§1.4); `None`: no end, or no such token.
    pub(crate) fn lifetimes(self) -> (Option<Duration>, Option<Duration>) {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        match self {
            Self::Facebook | Self::OpenAi => (None, None),
            Self::Instagram | Self::Threads | Self::WhatsApp | Self::MetaAds => {
                (Some(Duration::from_secs(5_183_944)), None)
            }
            Self::LinkedIn => (days(60), days(365)),
            Self::TikTok => (days(1), days(365)),
            Self::YouTube | Self::GoogleAds => (Some(Duration::from_secs(3599)), None),
            Self::X => (Some(Duration::from_secs(7200)), days(180)),
            Self::Pinterest => (days(30), days(60)),
            Self::AmazonAds => (Some(Duration::from_secs(3600)), None),
        }
    }

    /// Whether there is a refresh token beside the access token (§1.4).
    pub(crate) fn has_refresh_token(self) -> bool {
        matches!(
            self,
            Self::LinkedIn
                | Self::TikTok
                | Self::YouTube
                | Self::GoogleAds
                | Self::X
                | Self::Pinterest
                | Self::AmazonAds
        )
    }

    /// What a fresh connection is granted (§2-§11, the lines on scopes).
    pub(crate) fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Facebook => &["pages_show_list", "pages_manage_posts", "pages_read_engagement"],
            Self::Instagram => &["instagram_business_basic", "instagram_business_content_publish"],
            Self::Threads => {
                &["threads_basic", "threads_content_publish", "threads_manage_replies"]
            }
            Self::LinkedIn => {
                &["w_member_social", "w_organization_social", "r_organization_social"]
            }
            Self::TikTok => &["user.info.basic", "video.publish", "video.upload"],
            Self::YouTube => &[
                "https://www.googleapis.com/auth/youtube.upload",
                "https://www.googleapis.com/auth/youtube",
            ],
            Self::GoogleAds => &["https://www.googleapis.com/auth/adwords"],
            Self::WhatsApp => &["whatsapp_business_messaging", "whatsapp_business_management"],
            Self::X => {
                &["tweet.read", "tweet.write", "users.read", "media.write", "offline.access"]
            }
            Self::Pinterest => &["pins:read", "pins:write", "boards:read"],
            Self::MetaAds => &["ads_management"],
            Self::AmazonAds => &["advertising::campaign_management"],
            Self::OpenAi => &[],
        }
    }

    /// The application that users connected: one for each platform.
    pub(crate) fn client(self) -> (String, String) {
        (format!("sandbox-{}", self.name()), format!("sandbox-{}-secret", self.name()))
    }
}

/// What `POST /_sandbox/accounts` takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its platform.
    pub platform: Platform,
    /// Its id there; made up when absent.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Its name there.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is granted, instead of all that posting needs.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// How long its access token lives, in seconds, instead of the documented time.
    #[serde(default)]
    pub access_ttl_s: Option<u64>,
    /// How long its refresh token lives, in seconds.
    #[serde(default)]
    pub refresh_ttl_s: Option<u64>,
    /// How old its tokens already are, in seconds: a day, so that §4.5's "≥ 24 h" holds.
    #[serde(default)]
    pub age_s: Option<u64>,
    /// `login`, `kind`, `board_id`, …: what its platform needs to know.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
    /// So many of them at once; the answer is a list then.
    #[serde(default)]
    pub count: Option<usize>,
}

impl NewAccount {
    /// An account with all as documented.
    #[must_use]
    pub fn on(platform: Platform) -> Self {
        Self {
            platform,
            external_id: None,
            name: None,
            scopes: None,
            access_ttl_s: None,
            refresh_ttl_s: None,
            age_s: None,
            extra: BTreeMap::new(),
            count: None,
        }
    }
}

/// A connected account: what `flotilla accounts add --sandbox` stores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// Its platform.
    pub platform: Platform,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: String,
    /// Where the sandbox is.
    pub base_url: String,
    /// What is sent with each call.
    pub access_token: String,
    /// What renews it.
    pub refresh_token: Option<String>,
    /// When the access token ends; `None`: it does not.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Facebook: the long-lived token of the person, from which the page's is derived (§2.4).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_access_token: Option<String>,
    /// `login`, `kind`, `board_id`, …
    pub extra: BTreeMap<String, String>,
}

/// Somebody who posts.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) platform: Platform,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) access_ttl: Option<Duration>,
    pub(crate) refresh_ttl: Option<Duration>,
    pub(crate) extra: BTreeMap<String, String>,
    /// All tokens it ever had, for the day they are revoked.
    pub(crate) tokens: Vec<String>,
    pub(crate) refreshes: u64,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Calls.
    Access,
    /// New access tokens.
    Refresh,
    /// Facebook: a person's, from which page tokens are derived.
    User,
}

/// Whether a token still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    Live,
    /// A single-use refresh token that was used.
    Used,
    Revoked,
}

/// A token as its issuer remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) account: String,
    pub(crate) kind: TokenKind,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) state: TokenState,
    pub(crate) scopes: Vec<String>,
}

/// Why a token does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadToken {
    Missing,
    Unknown,
    Expired,
    Revoked,
}

impl Token {
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), BadToken> {
        match self.state {
            TokenState::Revoked | TokenState::Used => Err(BadToken::Revoked),
            TokenState::Live if self.expires.is_some_and(|end| end <= now) => {
                Err(BadToken::Expired)
            }
            TokenState::Live => Ok(()),
        }
    }

    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// `now + ttl`, if there is one.
pub(crate) fn end(now: Timestamp, ttl: Option<Duration>) -> Option<Timestamp> {
    ttl.map(|ttl| after(now, ttl))
}
