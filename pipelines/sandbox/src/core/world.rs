//! The whole state of a sandbox.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::Timestamp;
use flotilla_core::clock::{after, before};
use serde::Serialize;

use super::account::{Account, Connected, NewAccount, Platform, Token, TokenKind, TokenState, end};
use super::fault::Faults;
use super::http::Reply;
use super::limits::Limits;
use super::media::hex;
use super::post::{Draft, Post, PostState};
use super::settings::Settings;

/// A call as it is remembered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CallRecord {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) platform: &'static str,
    pub(crate) host: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) endpoint: &'static str,
    pub(crate) account: Option<String>,
    /// What was answered; with a fault that drops answers: what would have been.
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    /// Whether the caller was sent the answer.
    pub(crate) answered: bool,
}

/// Counts that outlive the log of calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) unanswered: u64,
    pub(crate) by_account: BTreeMap<String, u64>,
    pub(crate) refused_duplicates: BTreeMap<String, u64>,
    pub(crate) killed_families: u64,
    /// Renewals in each second, to see peaks.
    pub(crate) refreshes: BTreeMap<i64, u64>,
}

/// All there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Arc<Settings>,
    pub(crate) skew: Duration,
    pub(crate) accounts: HashMap<String, Account>,
    /// External ids in the order they came.
    pub(crate) order: Vec<String>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) posts: Vec<Post>,
    index: HashMap<String, usize>,
    of_account: HashMap<String, Vec<usize>>,
    contents: HashMap<String, u32>,
    scheduled: BTreeSet<(Timestamp, usize)>,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) calls: VecDeque<CallRecord>,
    pub(crate) totals: Totals,
    objects: usize,
    made: u64,
    pub(crate) meta: crate::meta::State,
    pub(crate) linkedin: crate::linkedin::State,
    pub(crate) tiktok: crate::tiktok::State,
    pub(crate) youtube: crate::youtube::State,
    pub(crate) x: crate::x::State,
    pub(crate) pinterest: crate::pinterest::State,
}

impl World {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        let mut faults = Faults::default();
        faults.set(settings.faults.clone());
        Self {
            settings,
            skew: Duration::ZERO,
            accounts: HashMap::new(),
            order: Vec::new(),
            tokens: HashMap::new(),
            posts: Vec::new(),
            index: HashMap::new(),
            of_account: HashMap::new(),
            contents: HashMap::new(),
            scheduled: BTreeSet::new(),
            limits: Limits::default(),
            faults,
            calls: VecDeque::new(),
            totals: Totals::default(),
            objects: 0,
            made: 0,
            meta: Default::default(),
            linkedin: Default::default(),
            tiktok: Default::default(),
            youtube: Default::default(),
            x: Default::default(),
            pinterest: Default::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        after(self.settings.clock.now(), self.skew)
    }

    /// A number that no other object has.
    pub(crate) fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// An id of digits as Meta's are: text in JSON, since it may be beyond 2^53.
    pub(crate) fn digits(&mut self) -> String {
        (17_900_000_000_000_000 + self.number() * 7).to_string()
    }

    /// A secret that nobody guesses.
    pub(crate) fn secret(&mut self, prefix: &str) -> String {
        let bytes = [self.settings.rng.next_u64(), self.settings.rng.next_u64()];
        let number = self.number();
        let text: String = bytes.iter().map(|word| hex(&word.to_be_bytes())).collect();
        format!("{prefix}{text}{number:x}")
    }

    pub(crate) fn admit(&mut self) -> Result<(), Reply> {
        if self.objects >= self.settings.max_objects {
            return Err(Reply::sandbox(507, "the sandbox is full: POST /_sandbox/reset"));
        }
        self.objects += 1;
        Ok(())
    }

    // ---- accounts ----

    /// Connects an account, as a user would by logging in.
    pub(crate) fn connect(&mut self, new: &NewAccount, base: &str) -> Result<Connected, String> {
        if self.accounts.len() >= self.settings.max_accounts {
            return Err("there are too many accounts: POST /_sandbox/reset".into());
        }
        let platform = new.platform;
        let mut extra = new.extra.clone();
        let id = match &new.external_id {
            Some(id) => id.clone(),
            None => self.external_id(platform, &extra),
        };
        if self.accounts.contains_key(&id) {
            return Err(format!("there is an account {id:?} already"));
        }
        if platform == Platform::Pinterest {
            extra.entry("board_id".into()).or_insert_with(|| format!("5{id}"));
        }
        let (access, refresh) = platform.lifetimes();
        let seconds = Duration::from_secs;
        let account = Account {
            platform,
            id: id.clone(),
            name: new.name.clone().unwrap_or_else(|| format!("{} {id}", platform.name())),
            scopes: new.scopes.clone().unwrap_or_else(|| {
                // §4: Instagram by way of Facebook has scopes of its own.
                let by_facebook = platform == Platform::Instagram
                    && extra.get("login").is_some_and(|login| login == "facebook");
                let scopes: &[&str] = match by_facebook {
                    true => &["instagram_basic", "instagram_content_publish", "pages_show_list"],
                    false => platform.scopes(),
                };
                scopes.iter().map(|scope| (*scope).to_owned()).collect()
            }),
            access_ttl: new.access_ttl_s.map(seconds).or(access),
            refresh_ttl: new.refresh_ttl_s.map(seconds).or(refresh),
            extra,
            tokens: Vec::new(),
            refreshes: 0,
        };
        self.accounts.insert(id.clone(), account);
        self.order.push(id.clone());
        let age = seconds(new.age_s.unwrap_or(86_400));
        Ok(self.log_in(&id, age, base))
    }

    /// Tokens for an account that is known, also a second time: a user who connects again.
    pub(crate) fn log_in(&mut self, id: &str, age: Duration, base: &str) -> Connected {
        let now = self.now();
        let account = self.accounts[id].clone();
        let (client_id, client_secret) = account.platform.client();
        let access = self.issue(id, TokenKind::Access, end(now, account.access_ttl));
        let refresh = account
            .platform
            .has_refresh_token()
            .then(|| self.issue(id, TokenKind::Refresh, end(now, account.refresh_ttl)).value);
        let user = (account.platform == Platform::Facebook).then(|| {
            // §2.4: a page's token comes from the long-lived token of a person, 5183944 s.
            let sixty_days = Some(after(now, Duration::from_secs(5_183_944)));
            self.issue(id, TokenKind::User, sixty_days).value
        });
        for value in [Some(&access.value), refresh.as_ref(), user.as_ref()].into_iter().flatten() {
            if let Some(token) = self.tokens.get_mut(value) {
                token.issued = before(now, age);
            }
        }
        Connected {
            platform: account.platform,
            external_id: account.id,
            name: account.name,
            base_url: base.to_owned(),
            access_token: access.value,
            expires_at: access.expires,
            refresh_expires_at: refresh.as_ref().and_then(|_| end(now, account.refresh_ttl)),
            refresh_token: refresh,
            scopes: account.scopes,
            client_id,
            client_secret,
            user_access_token: user,
            extra: account.extra,
        }
    }

    fn external_id(&mut self, platform: Platform, extra: &BTreeMap<String, String>) -> String {
        let number = self.number();
        let kind = extra.get("kind").map_or("", String::as_str);
        match platform {
            Platform::LinkedIn if kind.starts_with("org") => {
                format!("urn:li:organization:{}", 70_000 + number)
            }
            Platform::LinkedIn => format!("urn:li:person:sbx{number}"),
            Platform::TikTok => format!("-000sandbox{number}"),
            Platform::YouTube => format!("UCsandbox{number:015}"),
            _ => format!("{}", 100_000_000_000 + number),
        }
    }

    /// A new token of an account.
    pub(crate) fn issue(
        &mut self,
        account: &str,
        kind: TokenKind,
        expires: Option<Timestamp>,
    ) -> Token {
        let platform = self.accounts[account].platform;
        let prefix = match (platform, kind) {
            (Platform::Facebook | Platform::WhatsApp | Platform::MetaAds, _) => "EAAsandbox",
            (Platform::Instagram, _) => "IGAAsandbox",
            (Platform::Threads, _) => "THAAsandbox",
            (Platform::TikTok, TokenKind::Access) => "act.sandbox",
            (Platform::TikTok, _) => "rft.sandbox",
            (Platform::YouTube | Platform::GoogleAds, TokenKind::Access) => "ya29.sandbox",
            (Platform::YouTube | Platform::GoogleAds, _) => "1//sandbox",
            (Platform::AmazonAds, TokenKind::Access) => "Atza|sandbox",
            (Platform::AmazonAds, _) => "Atzr|sandbox",
            (Platform::Pinterest, TokenKind::Access) => "pina_sandbox",
            (Platform::Pinterest, _) => "pinr.sandbox",
            (Platform::OpenAi, _) => "sk-sandbox",
            _ => "sandbox",
        };
        let token = Token {
            value: self.secret(prefix),
            account: account.to_owned(),
            kind,
            issued: self.now(),
            expires,
            state: TokenState::Live,
            scopes: self.accounts[account].scopes.clone(),
        };
        self.tokens.insert(token.value.clone(), token.clone());
        self.forget_tokens(account);
        if let Some(account) = self.accounts.get_mut(account) {
            account.tokens.push(token.value.clone());
        }
        token
    }

    /// An account keeps its last tokens only: renewals must not grow the sandbox without end.
    fn forget_tokens(&mut self, account: &str) {
        const KEPT: usize = 32;
        let Some(account) = self.accounts.get_mut(account) else { return };
        if account.tokens.len() < KEPT {
            return;
        }
        let now = after(self.settings.clock.now(), self.skew);
        let tokens = &mut self.tokens;
        let dead = account
            .tokens
            .iter()
            .position(|value| tokens.get(value).is_none_or(|token| token.check(now).is_err()));
        tokens.remove(&account.tokens.remove(dead.unwrap_or(0)));
    }

    /// Ends tokens of an account; those of `kind` only, if given.
    pub(crate) fn revoke(&mut self, account: &str, kind: Option<TokenKind>) {
        let Some(account) = self.accounts.get(account) else { return };
        for value in &account.tokens {
            if let Some(token) = self.tokens.get_mut(value)
                && kind.is_none_or(|kind| token.kind == kind)
            {
                token.state = TokenState::Revoked;
            }
        }
    }

    /// Lets the access tokens of an account run out now.
    pub(crate) fn expire(&mut self, account: &str) {
        let now = self.now();
        let Some(account) = self.accounts.get(account) else { return };
        for value in &account.tokens {
            if let Some(token) = self.tokens.get_mut(value)
                && token.kind == TokenKind::Access
            {
                token.expires = Some(now);
            }
        }
    }

    // ---- posts ----

    /// Makes an object public, or plans to.
    pub(crate) fn publish(&mut self, account: &str, draft: Draft) -> Result<Post, Reply> {
        self.admit()?;
        let now = self.now();
        let at = self.posts.len();
        let platform = self.accounts.get(account).map_or("", |account| account.platform.name());
        let mut post = Post {
            seq: at as u64 + 1,
            platform: platform.to_owned(),
            account: account.to_owned(),
            id: draft.id,
            kind: draft.kind.to_owned(),
            text: draft.text,
            media: draft.media,
            state: draft.state,
            created_at: now,
            published_at: match draft.state {
                PostState::Published => Some(now),
                _ => draft.publish_at,
            },
            permalink: draft.permalink,
            times: 0,
            comments: Vec::new(),
            extra: draft.extra,
        };
        if post.state != PostState::Draft {
            let times = self.contents.entry(post.content()).or_default();
            *times += 1;
            post.times = *times;
        }
        if let (PostState::Scheduled, Some(due)) = (post.state, post.published_at) {
            self.scheduled.insert((due, at));
        }
        self.index.insert(post.id.clone(), at);
        self.of_account.entry(account.to_owned()).or_default().push(at);
        self.posts.push(post.clone());
        Ok(post)
    }

    /// Publishes what has fallen due.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        while let Some(first) = self.scheduled.first().copied()
            && first.0 <= now
        {
            self.scheduled.remove(&first);
            let post = &mut self.posts[first.1];
            if post.state == PostState::Scheduled {
                post.state = PostState::Published;
            }
        }
    }

    pub(crate) fn post(&self, id: &str) -> Option<&Post> {
        self.index.get(id).map(|at| &self.posts[*at])
    }

    pub(crate) fn post_mut(&mut self, id: &str) -> Option<&mut Post> {
        self.index.get(id).map(|at| &mut self.posts[*at])
    }

    /// An account's posts, the newest first.
    pub(crate) fn posts_of(&self, account: &str) -> impl Iterator<Item = &Post> {
        let of = self.of_account.get(account).map(Vec::as_slice).unwrap_or_default();
        of.iter().rev().map(|at| &self.posts[*at])
    }

    /// A platform noticed a duplicate and refused it.
    pub(crate) fn refused_duplicate(&mut self, account: &str) {
        *self.totals.refused_duplicates.entry(account.to_owned()).or_default() += 1;
    }

    // ---- calls ----

    /// The account a call speaks for, before anything is checked.
    pub(crate) fn speaker(&self, req: &super::http::Req) -> Option<String> {
        let shown = ["refresh_token", "fb_exchange_token", "token", "input_token"];
        let token = shown.iter().find_map(|name| req.param(name)).or_else(|| req.token())?;
        self.tokens.get(token).map(|token| token.account.clone())
    }

    pub(crate) fn remember(&mut self, mut call: CallRecord) {
        self.totals.calls += 1;
        call.seq = self.totals.calls;
        self.totals.unanswered += u64::from(!call.answered);
        if let Some(account) = &call.account {
            *self.totals.by_account.entry(account.clone()).or_default() += 1;
        }
        self.calls.push_back(call);
        while self.calls.len() > self.settings.max_calls {
            self.calls.pop_front();
        }
    }
}
