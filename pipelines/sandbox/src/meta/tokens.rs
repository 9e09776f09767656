//! Meta's token endpoints (§2.4, §4.5, §5): exchange, refresh, inspection, revocation.

use std::time::Duration;

use flotilla_core::clock::{after, between};
use serde_json::{Value, json};

use super::{bad_token, error, invalid, node};
use crate::core::account::{BadToken, Token, TokenKind, TokenState};
use crate::core::call::Call;
use crate::core::http::{Answer, Reply};
use crate::tokens::renewed;

/// Checks that the application is the one users connected.
fn client(call: &Call<'_>) -> Result<(), Reply> {
    let (id, secret) = call.platform().client();
    if call.req.param("client_id") != Some(&id) {
        return Err(error(400, 101, None, "Error validating application. Invalid application ID."));
    }
    secret_is(call, &secret)
}

fn secret_is(call: &Call<'_>, secret: &str) -> Result<(), Reply> {
    if call.req.param("client_secret") != Some(secret) {
        return Err(error(400, 1, None, "Error validating client secret."));
    }
    Ok(())
}

fn shown(call: &Call<'_>, name: &str) -> Result<Token, Reply> {
    let value = call.req.param(name).ok_or_else(|| invalid(&format!("{name} is missing")))?;
    let token = call.world.tokens.get(value).ok_or_else(|| bad_token(BadToken::Unknown))?;
    token.check(call.now).map_err(bad_token)?;
    Ok(token.clone())
}

/// `GET /{v}/oauth/access_token?grant_type=fb_exchange_token` (§2.4 META-TOK). An expired token
/// cannot be exchanged; the old one keeps its own end.
pub(super) fn exchange(call: &mut Call<'_>) -> Answer {
    if call.req.param("grant_type") != Some("fb_exchange_token") {
        return Err(invalid("grant_type must be fb_exchange_token"));
    }
    client(call)?;
    let old = shown(call, "fb_exchange_token")?;
    let ends = old.expires.is_some() || call.req.flag("set_token_expires_in_60_days") == Some(true);
    // A page token has no end of its own; the sheet does not say what its exchange gives.
    answer(call, &old, ends)
}

/// `GET /access_token` and `GET /refresh_access_token` of Instagram (§4.5) and Threads (§5).
pub(super) fn refresh(call: &mut Call<'_>) -> Answer {
    let grant = call.req.param("grant_type").unwrap_or_default().to_owned();
    let old = shown(call, "access_token")?;
    match grant.as_str() {
        "ig_exchange_token" | "th_exchange_token" => {
            secret_is(call, &call.platform().client().1)?;
        }
        "ig_refresh_token" | "th_refresh_token" => {
            // §4.5: at least 24 h old, not expired, scope instagram_business_basic.
            if between(old.issued, call.now) < Duration::from_secs(86_400) {
                return Err(invalid("The token must be at least 24 hours old to be refreshed"));
            }
            let scope =
                if grant.starts_with("ig") { "instagram_business_basic" } else { "threads_basic" };
            if !old.may(scope) {
                return Err(error(400, 10, None, &format!("(#10) Requires {scope}")));
            }
        }
        _ => return Err(invalid("Unsupported grant type")),
    }
    answer(call, &old, true)
}

fn answer(call: &mut Call<'_>, old: &Token, ends: bool) -> Answer {
    let sixty_days = Duration::from_secs(5_183_944);
    let ttl = call.world.accounts.get(&old.account).and_then(|account| account.access_ttl);
    let ttl = ttl.unwrap_or(sixty_days);
    let expires = ends.then(|| after(call.now, ttl));
    let new = call.world.issue(&old.account, old.kind, expires);
    renewed(call, &old.account);
    let mut body = json!({ "access_token": new.value, "token_type": "bearer" });
    if ends {
        body["expires_in"] = json!(ttl.as_secs());
    }
    Ok(Reply::ok(&body))
}

/// `GET /debug_token` (§2.4).
pub(super) fn debug(call: &mut Call<'_>) -> Answer {
    let (id, secret) = call.platform().client();
    let app = format!("{id}|{secret}");
    let shown = call.req.param("access_token").unwrap_or_default();
    if shown != app && call.shown_token().is_err() {
        return Err(bad_token(BadToken::Unknown));
    }
    let asked = call.req.param("input_token").unwrap_or_default();
    let data = match call.world.tokens.get(asked) {
        None => {
            json!({ "is_valid": false, "error": { "code": 190, "message": "Malformed access token" } })
        }
        Some(token) => {
            let valid = token.check(call.now).is_ok();
            let mut data = json!({
                "app_id": id,
                "is_valid": valid,
                "type": if token.kind == TokenKind::User { "USER" } else { "PAGE" },
                "expires_at": token.expires.map_or(0, |end| end.as_second()),
                // §2.4: 90 days after the last activity of the person.
                "data_access_expires_at": after(token.issued, Duration::from_secs(90 * 86_400)).as_second(),
                "scopes": token.scopes,
                "user_id": token.account,
            });
            if !valid {
                let subcode = if token.state == TokenState::Live { 463 } else { 460 };
                data["error"] = json!({ "code": 190, "subcode": subcode, "message": "Error validating access token" });
            }
            data
        }
    };
    Ok(Reply::ok(&json!({ "data": data })))
}

/// `DELETE /{user-id}/permissions` (§2.4 [M]).
pub(super) fn revoke(call: &mut Call<'_>) -> Answer {
    let token = call.shown_token().map_err(bad_token)?;
    let id = node(call, 0);
    if id != token.account && id != "me" {
        return Err(super::no_object(&id));
    }
    call.world.revoke(&token.account, None);
    Ok(Reply::ok(&json!({ "success": true })))
}

/// `GET /me/accounts` (§2.4): the pages of a person, each with its token.
pub(super) fn pages(call: &mut Call<'_>) -> Answer {
    let token = call.shown_token().map_err(bad_token)?;
    let account = call.account_of(&token).map_err(bad_token)?;
    let page = page_token(call, &token.account);
    let page = json!({ "id": account.id, "name": account.name, "access_token": page,
        "tasks": ["CREATE_CONTENT", "MODERATE", "MANAGE"] });
    Ok(Reply::ok(&json!({ "data": [page] })))
}

/// The page's token: without an end (§2.4). The same as before while it counts.
pub(super) fn page_token(call: &mut Call<'_>, account: &str) -> Value {
    let now = call.now;
    let values = call.world.accounts.get(account).map(|account| account.tokens.clone());
    let live = values.into_iter().flatten().find(|value| {
        call.world
            .tokens
            .get(value)
            .is_some_and(|token| token.kind == TokenKind::Access && token.check(now).is_ok())
    });
    match live {
        Some(value) => json!(value),
        None => json!(call.world.issue(account, TokenKind::Access, None).value),
    }
}
