//! One call at work on the world: what every endpoint needs at hand.

use flotilla_core::Timestamp;

use super::account::{Account, BadToken, Platform, Token, TokenKind};
use super::http::{Answer, Reply, Req};
use super::limits::{Room, Window};
use super::world::World;

/// A call and the world it changes.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) req: &'a Req,
    pub(crate) now: Timestamp,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// Its name in rules and in the log of calls.
    pub(crate) endpoint: &'static str,
    pub(crate) run: fn(&mut Call<'_>) -> Answer,
    /// It keeps what came in of a body that broke off.
    pub(crate) keeps_pieces: bool,
}

impl Route {
    pub(crate) fn new(endpoint: &'static str, run: fn(&mut Call<'_>) -> Answer) -> Option<Self> {
        Some(Self { endpoint, run, keeps_pieces: false })
    }

    pub(crate) fn upload(endpoint: &'static str, run: fn(&mut Call<'_>) -> Answer) -> Option<Self> {
        Some(Self { endpoint, run, keeps_pieces: true })
    }
}

/// Troubles that every platform words in its own way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    RateLimited { code: Option<String>, wait_s: Option<u64> },
    Server(u16),
    Sunset,
}

impl Call<'_> {
    /// The nth part of the path; empty when there is none.
    pub(crate) fn part(&self, index: usize) -> &str {
        self.req.path.get(index).map_or("", String::as_str)
    }

    /// The token shown, if it is one for calls and still counts.
    pub(crate) fn shown_token(&self) -> Result<Token, BadToken> {
        let shown = self.req.token().ok_or(BadToken::Missing)?;
        let token = self.world.tokens.get(shown).ok_or(BadToken::Unknown)?;
        if token.kind == TokenKind::Refresh {
            return Err(BadToken::Unknown);
        }
        token.check(self.now)?;
        Ok(token.clone())
    }

    /// The account a token belongs to.
    pub(crate) fn account_of(&self, token: &Token) -> Result<Account, BadToken> {
        self.world.accounts.get(&token.account).cloned().ok_or(BadToken::Unknown)
    }

    /// Uses one of a quota. `Err` when nothing is left and quotas are enforced.
    pub(crate) fn take(
        &mut self,
        quota: &'static str,
        scope: &str,
        limit: u64,
        window: Window,
    ) -> Result<Room, Room> {
        self.take_many(quota, scope, (limit, 1), window)
    }

    /// Uses several of a quota.
    pub(crate) fn take_many(
        &mut self,
        quota: &'static str,
        scope: &str,
        amount: (u64, u64),
        window: Window,
    ) -> Result<Room, Room> {
        match self.world.limits.take(quota, scope, amount, window, self.now) {
            Err(room) if !self.world.settings.enforce_quotas => Ok(room),
            taken => taken,
        }
    }

    /// Room for one more object; 507 in the sandbox's own words when it is full.
    pub(crate) fn admit(&mut self) -> Result<(), Reply> {
        self.world.admit()
    }

    /// A URL of this sandbox that stands for `https://{host}{path}`.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("{}/{host}{path}", self.req.base)
    }

    pub(crate) fn platform(&self) -> Platform {
        self.req.platform
    }
}
