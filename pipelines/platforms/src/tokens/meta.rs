//! Meta's tokens: Facebook, Instagram, Threads, WhatsApp, ads. They replace themselves, errors
//! come in an envelope of their own, and a page's token hangs on its user's.

use flotilla_core::Secret;
use serde_json::Value;

use super::standard::{seconds, text};
use super::{Answer, App, Grant, Granted, OAuth, TokenError, TokenRequest, by_status, get, said};

/// "Access token expired or invalid", "session": whatever the subcode, the token is dead.
const DEAD: [i64; 2] = [190, 102];
/// "Error validating application": our app.
const APP: i64 = 101;
/// Unwell, or too fast: unknown, service, application, user, page, custom limits.
const PASSING: [i64; 6] = [1, 2, 4, 17, 32, 613];

/// A long-lived token for another one.
pub(super) fn exchange(facts: &OAuth, url: String, app: &App, token: &Secret) -> TokenRequest {
    let mut query = vec![
        ("grant_type".to_owned(), Secret::new("fb_exchange_token")),
        (facts.client_id_name.clone(), Secret::new(&app.client_id)),
    ];
    query.extend(app.client_secret.iter().map(|it| ("client_secret".to_owned(), it.clone())));
    query.push(("fb_exchange_token".to_owned(), token.clone()));
    query.extend(facts.extra.iter().map(|(name, text)| (name.clone(), Secret::new(text))));
    TokenRequest { query, ..get(url) }
}

/// A token of Instagram or Threads, made to last longer; it needs no app.
pub(super) fn extend(facts: &OAuth, url: String, token: &Secret) -> TokenRequest {
    let grant = match facts.grant {
        Grant::ThRefreshToken => "th_refresh_token",
        _ => "ig_refresh_token",
    };
    let query = vec![
        ("grant_type".to_owned(), Secret::new(grant)),
        ("access_token".to_owned(), token.clone()),
    ];
    TokenRequest { query, ..get(url) }
}

/// The page's token, for its user's.
pub(super) fn derive(url: String, user: &Secret) -> TokenRequest {
    let query = vec![("fields".to_owned(), Secret::new("access_token"))];
    TokenRequest { query, bearer: Some(user.clone()), ..get(url) }
}

pub(super) fn read(answer: &Answer) -> Result<Granted, TokenError> {
    if let Some(error) = read_error(answer) {
        return Err(error);
    }
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let token = body.as_ref().and_then(|body| text(body, "access_token"));
    let (Some(body), Some(access), 200..300) = (&body, token, answer.status) else {
        return Err(by_status(answer, " without a token"));
    };
    Ok(Granted {
        access: Secret::new(access),
        refresh: None,
        // A token of a system user may never end; then nothing is said.
        expires_in: seconds(body, "expires_in"),
        refresh_expires_in: None,
        scopes: None,
    })
}

/// The error in the envelope, whatever the status: Meta answers some with 200.
pub(super) fn read_error(answer: &Answer) -> Option<TokenError> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let error = body.get("error").filter(|error| error.is_object())?;
    let number = |name: &str| error.get(name).and_then(Value::as_i64);
    let code = number("code").unwrap_or_default();
    let message = text(error, "message").unwrap_or_default();
    let told = match number("error_subcode") {
        Some(subcode) => said(&format!("{code}/{subcode}: {message}")),
        None => said(&format!("{code}: {message}")),
    };
    let transient = error.get("is_transient").and_then(Value::as_bool) == Some(true);
    let about_app = message.contains("client secret") || message.contains("validating application");
    Some(if DEAD.contains(&code) && !about_app {
        TokenError::Grant(told)
    } else if code == APP || about_app {
        TokenError::Client(told)
    } else if transient || PASSING.contains(&code) || answer.status >= 500 {
        TokenError::Unwell { said: told, after: answer.retry_after }
    } else {
        TokenError::Refused(told)
    })
}
