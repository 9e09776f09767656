//! Token endpoints of OAuth 2 as LinkedIn, TikTok, Google, X, Pinterest and Amazon run them:
//! rotation, single use, families, ends (§1.4 and each platform's section).

use std::time::Duration;

use flotilla_core::Timestamp;
use serde_json::{Value, json};

use super::core::account::{Account, Platform, Token, TokenKind, TokenState, end};
use super::core::call::{Call, Route, Trouble};
use super::core::http::{Answer, Reply};

/// Counts a renewal.
pub(crate) fn renewed(call: &mut Call<'_>, account: &str) {
    let second = call.now.as_second();
    *call.world.totals.refreshes.entry(second).or_default() += 1;
    if let Some(account) = call.world.accounts.get_mut(account) {
        account.refreshes += 1;
    }
}

pub(crate) fn google(method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["token"]) => Route::new("oauth", refresh),
        ("POST", ["revoke"]) => Route::new("revoke", revoke),
        _ => None,
    }
}

pub(crate) fn amazon(method: &str, parts: &[&str]) -> Option<Route> {
    match (method, parts) {
        ("POST", ["auth", "o2", "token"]) => Route::new("oauth", refresh),
        _ => None,
    }
}

/// Troubles of a platform that has nothing but tokens here.
pub(crate) fn trouble(trouble: &Trouble) -> Reply {
    let (status, wait_s) = match trouble {
        Trouble::RateLimited { wait_s, .. } => (429, *wait_s),
        Trouble::Server(status) => (*status, None),
        Trouble::Sunset => (410, None),
    };
    let reply = Reply::json(status, &json!({ "error": "server_error" }));
    retry_after(reply, wait_s)
}

/// With `Retry-After`, in seconds.
pub(crate) fn retry_after(reply: Reply, wait_s: Option<u64>) -> Reply {
    match wait_s {
        Some(seconds) => reply.with("retry-after", seconds.to_string()),
        None => reply,
    }
}

/// An error of RFC 6749, section 5.2, as each platform words it.
fn refusal(call: &Call<'_>, error: &str, description: &str) -> Reply {
    match call.platform() {
        // §7: `log_id`, "some with HTTP 200".
        Platform::TikTok => Reply::ok(&json!({ "error": error, "error_description": description,
            "log_id": "20261121000000SANDBOX" })),
        // §1.4: X says invalid_request and "Value passed for the token was invalid" (TP#126).
        Platform::X if error == "invalid_grant" => {
            let description = "Value passed for the token was invalid.";
            Reply::json(
                400,
                &json!({ "error": "invalid_request", "error_description": description }),
            )
        }
        // §11: {"code","message"}.
        Platform::Pinterest => {
            let code = if error == "invalid_client" { 2 } else { 283 };
            let status = if error == "invalid_client" { 401 } else { 400 };
            Reply::json(status, &json!({ "code": code, "message": description, "error": error }))
        }
        _ => {
            // §12: invalid_client may be 400 or 401.
            let status = if error == "invalid_client" { 401 } else { 400 };
            Reply::json(status, &json!({ "error": error, "error_description": description }))
        }
    }
}

/// How each platform has the application show itself (§1.4, "Client auth").
fn client(call: &Call<'_>) -> Result<(), Reply> {
    let known = call.platform().client();
    let field = if call.platform() == Platform::TikTok { "client_key" } else { "client_id" };
    let form = || {
        let id = call.req.param(field)?.to_owned();
        Some((id, call.req.param("client_secret")?.to_owned()))
    };
    let shown = match call.platform() {
        Platform::X => match call.req.basic() {
            Some(shown) => Some(shown),
            // §10: a public client sends its id alone.
            None => call.req.param("client_id").map(|id| (id.to_owned(), known.1.clone())),
        },
        Platform::Pinterest => call.req.basic(),
        Platform::AmazonAds => call.req.basic().or_else(form),
        _ => form(),
    };
    if shown.as_ref() == Some(&known) {
        return Ok(());
    }
    Err(refusal(call, "invalid_client", "Client authentication failed."))
}

/// `grant_type=refresh_token`.
pub(crate) fn refresh(call: &mut Call<'_>) -> Answer {
    client(call)?;
    if call.req.param("grant_type") != Some("refresh_token") {
        let what = "The sandbox renews tokens only: accounts are connected by /_sandbox/accounts.";
        return Err(refusal(call, "unsupported_grant_type", what));
    }
    let shown = call.req.param("refresh_token").unwrap_or_default();
    let token = call.world.tokens.get(shown).filter(|token| token.kind == TokenKind::Refresh);
    let Some(token) = token.cloned() else {
        return Err(refusal(call, "invalid_grant", "The refresh token is not known."));
    };
    let Some(account) = call.world.accounts.get(&token.account).cloned() else {
        return Err(refusal(call, "invalid_grant", "The account is gone."));
    };
    if token.state == TokenState::Used {
        // §1.4, §10: single use; a used one that is shown again ends the whole family.
        call.world.revoke(&token.account, None);
        call.world.totals.killed_families += 1;
        return Err(refusal(call, "invalid_grant", "The refresh token was used before."));
    }
    if token.check(call.now).is_err() {
        return Err(refusal(call, "invalid_grant", "The refresh token is expired or revoked."));
    }
    let body = issue(call, &account, &token);
    renewed(call, &account.id);
    Ok(Reply::ok(&body))
}

/// A new access token, and what becomes of the refresh token.
fn issue(call: &mut Call<'_>, account: &Account, old: &Token) -> Value {
    let ttl = account.access_ttl;
    let access = call.world.issue(&account.id, TokenKind::Access, end(call.now, ttl));
    let seconds = ttl.map_or(0, |ttl| ttl.as_secs());
    let scope = account.scopes.join(if account.platform == Platform::TikTok { "," } else { " " });
    let mut body = json!({ "access_token": access.value, "expires_in": seconds,
        "token_type": "bearer", "scope": scope });
    match account.platform {
        Platform::LinkedIn => {
            // §6.6: the same refresh token, whose end does not move.
            body["refresh_token"] = json!(old.value);
            body["refresh_token_expires_in"] = json!(left(old, call.now));
        }
        Platform::TikTok => {
            // §1.4: it MAY change; what is returned has to be stored.
            let refresh = if call.world.settings.tiktok_rotates {
                let new = rotate(call, account, old, old.expires);
                call.world.tokens.remove(&old.value);
                new
            } else {
                old.clone()
            };
            body["refresh_token"] = json!(refresh.value);
            body["refresh_expires_in"] = json!(left(&refresh, call.now));
            body["open_id"] = json!(account.id);
            body["token_type"] = json!("Bearer");
        }
        Platform::X => {
            // §10: a new one each time, the old one is used up.
            let ends = end(call.now, account.refresh_ttl);
            let new = rotate(call, account, old, ends);
            body["refresh_token"] = json!(new.value);
        }
        Platform::Pinterest => {
            // §11: re-issued at each renewal; its 60 days begin anew.
            let ends = end(call.now, account.refresh_ttl);
            let new = rotate(call, account, old, ends);
            body["refresh_token"] = json!(new.value);
            body["refresh_token_expires_in"] = json!(left(&new, call.now));
            body["refresh_token_expires_at"] = json!(new.expires.map(Timestamp::as_second));
        }
        // §8.5, §12: none comes back, the old one holds.
        _ => body["token_type"] = json!("Bearer"),
    }
    body
}

/// A new refresh token. X's old one is used up at once; TikTok's goes; Pinterest's holds on (the
/// sheet does not say that it ends).
fn rotate(call: &mut Call<'_>, account: &Account, old: &Token, ends: Option<Timestamp>) -> Token {
    let new = call.world.issue(&account.id, TokenKind::Refresh, ends);
    if account.platform == Platform::X
        && let Some(token) = call.world.tokens.get_mut(&old.value)
    {
        token.state = TokenState::Used;
    }
    new
}

fn left(token: &Token, now: Timestamp) -> u64 {
    let until = |end: Timestamp| flotilla_core::clock::between(now, end);
    token.expires.map_or(Duration::ZERO, until).as_secs()
}

/// Revocation by the token itself: LinkedIn, TikTok, Google, X.
pub(crate) fn revoke(call: &mut Call<'_>) -> Answer {
    let shown = call.req.param("token").unwrap_or_default();
    let known = call.world.tokens.get(shown).map(|token| token.account.clone());
    match (known, call.platform()) {
        (Some(account), _) => {
            call.world.revoke(&account, None);
            Ok(Reply::ok(&json!({})))
        }
        // RFC 7009: a token nobody knows is revoked already; Google says invalid_token.
        (None, Platform::YouTube | Platform::GoogleAds) => {
            Err(Reply::json(400, &json!({ "error": "invalid_token" })))
        }
        (None, _) => Ok(Reply::ok(&json!({}))),
    }
}

/// `POST /oauth/v2/introspectToken` (§6.6 LI-INTRO).
pub(crate) fn introspect(call: &mut Call<'_>) -> Answer {
    client(call)?;
    let shown = call.req.param("token").unwrap_or_default();
    let Some(token) = call.world.tokens.get(shown) else {
        return Ok(Reply::ok(&json!({ "active": false })));
    };
    let status = match token.state {
        TokenState::Live if token.check(call.now).is_ok() => "active",
        TokenState::Live => "expired",
        _ => "revoked",
    };
    Ok(Reply::ok(&json!({
        "active": status == "active",
        "status": status,
        "scope": token.scopes.join(","),
        "client_id": call.platform().client().0,
        "created_at": token.issued.as_second(),
        "authorized_at": token.issued.as_second(),
        "expires_at": token.expires.map(Timestamp::as_second),
    })))
}
