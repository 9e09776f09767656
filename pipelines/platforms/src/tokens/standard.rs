//! RFC 6749 as LinkedIn, TikTok, Google, X, Pinterest and Amazon have it, with what each does
//! differently: TikTok answers errors with 200, X calls a dead token an invalid request, Google
//! returns no refresh token, Pinterest and X want the app as user name and password.

use std::time::Duration;

use flotilla_core::Secret;
use serde_json::Value;

use super::{
    Answer, App, ClientAuth, Granted, OAuth, TokenError, TokenRequest, by_status, get, said,
};

/// Errors that mean the grant is gone (RFC 6749, 5.2; Google: an administrator's policy).
const GRANT: &[&str] = &["invalid_grant", "admin_policy_enforced"];
/// Errors that mean our app (Google: `deleted_client` after six months without use).
const CLIENT: &[&str] =
    &["invalid_client", "unauthorized_client", "deleted_client", "disabled_client"];
/// Errors that pass.
const PASSING: &[&str] =
    &["temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"];
/// What X writes below `invalid_request` when the refresh token is dead.
const DEAD_TOKEN: &str = "token was invalid";

/// Longest life that is believed, so that arithmetic on it stays in range.
const LONGEST: u64 = 20 * 366 * 24 * 3600;

pub(super) fn refresh(facts: &OAuth, url: String, app: &App, refresh: &Secret) -> TokenRequest {
    let mut form = vec![
        ("grant_type".to_owned(), Secret::new("refresh_token")),
        ("refresh_token".to_owned(), refresh.clone()),
    ];
    form.extend(facts.extra.iter().map(|(name, text)| (name.clone(), Secret::new(text))));
    signed(facts, app, TokenRequest { post: true, form, ..get(url) })
}

pub(super) fn revoke(facts: &OAuth, url: String, app: &App, token: &Secret) -> TokenRequest {
    let form = vec![("token".to_owned(), token.clone())];
    signed(facts, app, TokenRequest { post: true, form, ..get(url) })
}

/// The request with the app's name on it.
fn signed(facts: &OAuth, app: &App, request: TokenRequest) -> TokenRequest {
    let id = || (facts.client_id_name.clone(), Secret::new(&app.client_id));
    let secret = || app.client_secret.iter().map(|it| ("client_secret".to_owned(), it.clone()));
    let mut request = request;
    match (facts.client_auth, &app.client_secret) {
        (ClientAuth::None, _) => {}
        (ClientAuth::Basic, Some(secret)) => {
            request.basic = Some((app.client_id.clone(), secret.clone()));
        }
        (ClientAuth::Form | ClientAuth::Basic, _) => {
            request.form.push(id());
            request.form.extend(secret());
        }
        (ClientAuth::Query, _) => {
            request.query.push(id());
            request.query.extend(secret());
        }
    }
    request
}

pub(super) fn read(facts: &OAuth, answer: &Answer) -> Result<Granted, TokenError> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let token = body.as_ref().and_then(|body| text(body, "access_token"));
    let (Some(body), Some(access), 200..300) = (&body, token, answer.status) else {
        return Err(read_error(answer));
    };
    let ttl = seconds(body, "expires_in").unwrap_or(facts.access_ttl);
    let refresh_ttl = ["refresh_token_expires_in", "refresh_expires_in"];
    Ok(Granted {
        access: Secret::new(access),
        refresh: text(body, "refresh_token").map(Secret::new),
        expires_in: Some(ttl),
        refresh_expires_in: refresh_ttl.iter().find_map(|name| seconds(body, name)),
        scopes: text(body, "scope").map(scopes),
    })
}

pub(super) fn read_error(answer: &Answer) -> TokenError {
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
        return by_status(answer, " without a readable body");
    };
    let Some(code) = text(&body, "error") else {
        let message = text(&body, "message").or(text(&body, "detail")).unwrap_or_default();
        return by_status(answer, &format!(" {}", said(message)));
    };
    let description = text(&body, "error_description").unwrap_or_default();
    let told = said(&format!("{code}: {description}"));
    let told = told.trim_end_matches([':', ' ']).to_owned();
    if GRANT.contains(&code) || (code == "invalid_request" && description.contains(DEAD_TOKEN)) {
        return TokenError::Grant(told);
    }
    if CLIENT.contains(&code) {
        return TokenError::Client(told);
    }
    if PASSING.contains(&code) || matches!(answer.status, 429 | 500..) {
        return TokenError::Unwell { said: told, after: answer.retry_after };
    }
    TokenError::Refused(told)
}

pub(super) fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A number of seconds, also where it is written as text; 0 says nothing.
pub(super) fn seconds(body: &Value, name: &str) -> Option<Duration> {
    let value = body.get(name)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (number > 0).then(|| Duration::from_secs(number.min(LONGEST)))
}

fn scopes(text: &str) -> Vec<String> {
    let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
    parts.take(50).map(|part| part.chars().take(200).collect()).collect()
}
