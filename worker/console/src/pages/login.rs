//! Logging in with a token, logging out, light or dark.

use std::sync::Arc;

use axum::extract::{FromRequest, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use flotilla_admin::auth::Refused;
use maud::{Markup, html};

use super::Answer;
use crate::ask::{Write, form, local, pairs, theme as chosen, themed};
use crate::trouble::Trouble;
use crate::{Shared, shell};

/// Where somebody wanted to go.
fn wanted(query: Option<&str>) -> String {
    let fields = pairs(query.unwrap_or_default().as_bytes());
    local(fields.get("to").and_then(|all| all.first()).map_or("/", String::as_str)).to_owned()
}

pub(crate) async fn page(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let to = wanted(query.as_deref());
    if shared.console.auth.is_open() {
        return Ok(Redirect::to(&to).into_response());
    }
    let theme = chosen(request.headers());
    Ok(shell::bare("Log in", theme, &entry(&shared, &to, None)))
}

fn entry(shared: &Shared, to: &str, wrong: Option<&str>) -> Markup {
    html! {
        h1 { "Log in" }
        @if let Some(provider) = shared.console.auth.oidc() {
            p { a.button.primary href="/oidc/start" { "Log in with " (provider.label()) } }
            p.faint { "Or with a token:" }
        }
        form.card method="post" action="/login" {
            input type="hidden" name="to" value=(to);
            label {
                span { "Token" }
                input type="password" name="token" required autocomplete="current-password" autofocus
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "wrong")];
            }
            @if let Some(wrong) = wrong {
                p.wrong #wrong role="alert" { (wrong) }
            }
            button.primary { "Log in" }
            p.faint {
                "An admin makes one with " code { "flotilla tokens new NAME --role viewer" } "."
            }
        }
    }
}

pub(crate) async fn enter(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let auth = &shared.console.auth;
    // A page of another site must not log anybody in as somebody else.
    match auth.who(&parts.method, &parts.uri, &parts.headers).await {
        Err(refused @ (Refused::Host(_) | Refused::Origin(_))) => return Err(refused.into()),
        _ if foreign(&parts.headers) => {
            return Err(Refused::Origin("Sec-Fetch-Site says so".to_owned()).into());
        }
        _ => {}
    }
    let fields = form(body).await?;
    let field =
        |name: &str| fields.get(name).and_then(|all| all.first()).map_or("", String::as_str);
    let to = local(field("to")).to_owned();
    match auth.login(field("token")).await {
        Ok(login) => {
            let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
            response.headers_mut().append(header::SET_COOKIE, login.cookie);
            Ok(response)
        }
        Err(Refused::Unknown) => {
            tracing::warn!("a login with an unknown token was refused");
            let body = entry(
                &shared,
                &to,
                Some("No such token. Paste the whole of it, beginning with flt_."),
            );
            let page = shell::bare("Log in", chosen(&parts.headers), &body);
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
        Err(refused) => Err(refused.into()),
    }
}

/// Whether the browser says that a page of another site sent this.
fn foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    !matches!(site, None | Some(b"same-origin" | b"none"))
}

pub(crate) async fn leave(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let headers = request.headers().clone();
    Write::from_request(request, &shared).await?;
    let cookie = shared.console.auth.logout(&headers).await.map_err(Trouble::from)?;
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Harmless, so it takes no session: it only says how the next page looks.
pub(crate) async fn theme(request: Request) -> Response {
    match form(request.into_body()).await {
        Ok(fields) => {
            let field = |name: &str| fields.get(name).and_then(|all| all.first());
            let to = field("back").map_or("/", String::as_str);
            themed(to, field("theme").map_or("", String::as_str))
        }
        Err(trouble) => trouble.into_response(),
    }
}
