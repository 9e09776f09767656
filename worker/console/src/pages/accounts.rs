//! `/accounts`: the health of tokens: who must connect again, what renews when. Never a secret.

use axum::extract::{FromRequest, Path, Request, State as Shares};
use std::sync::Arc;

use flotilla_admin::audit::Change;
use flotilla_admin::auth::{Act, Tenants};
use flotilla_core::account::{AccountStatus, park_key};
use flotilla_core::{Tenant, Timestamp};
use flotilla_vault::{Listed, Stopped};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use serde_json::json;

use super::Answer;
use crate::ask::{Ask, Write};
use crate::marks::badge;
use crate::shell::{Page, Place};
use crate::text::{count, many, maybe_when, relative, when};
use crate::trouble::Trouble;
use crate::{Shared, forms, redact};

/// Accounts that are shown.
const SHOWN: usize = 1000;
/// Weeks of the calendar.
const WEEKS: i64 = 5;
/// Names in one day of it.
const NAMES: usize = 3;

pub(crate) async fn page(ask: Ask) -> Answer {
    let accounts = ask.shared.console.accounts.as_ref();
    let mut all = Vec::new();
    match &ask.who.tenants {
        Tenants::All => all = accounts.list(None, SHOWN).await.map_err(Trouble::busy)?,
        Tenants::Some(some) => {
            for tenant in some {
                let room = SHOWN.saturating_sub(all.len());
                all.extend(accounts.list(Some(tenant), room).await.map_err(Trouble::busy)?);
            }
        }
    }
    let stops = accounts.stops().await.map_err(Trouble::busy)?;
    all.sort_by_key(|it| (urgency(it), it.ends_at.is_none(), it.ends_at));
    let body = html! {
        (stopped(&stops, ask.now))
        @if all.is_empty() {
            (forms::empty("No account is connected.", &html! { "Connect one: " code { "flotilla accounts add NAME --platform …" } }))
        } @else {
            section aria-labelledby="calendar" {
                h2 #calendar { "The next five weeks" }
                (calendar(&all, ask.now))
            }
            section aria-labelledby="all" {
                h2 #all { "Accounts" }
                table.rows {
                    thead { tr {
                        th scope="col" { "Account" } th scope="col" { "Platform" } th scope="col" { "Tenant" } th scope="col" { "Stands" }
                        th scope="col" { "Token ends" } th scope="col" { "Renewed" } th scope="col" { "Needs its owner" }
                        @if ask.may(Act::Operate) { th scope="col" { span.unseen { "Actions" } } }
                    } }
                    tbody { @for it in &all { (row(&ask, it)) } }
                }
                @if all.len() >= SHOWN { p.faint { "The first " (count(SHOWN as u64)) "." } }
            }
        }
    };
    let about = html! { "Accounts of tenants on platforms, the most urgent first. Tokens themselves are sealed and never shown." };
    Ok(ask.show(Page::new(Place::Accounts, "Accounts", body).about(about)))
}

fn stopped(stops: &[Stopped], now: Timestamp) -> Markup {
    html! {
        @for stop in stops {
            p.alert { (badge("bad", "dead", "stopped")) " " strong { (stop.platform) } " refuses this app since " (relative(stop.since, now))
                "; next try " (relative(stop.until, now)) ": " (redact::line(&stop.reason)) }
        }
    }
}

fn urgency(it: &Listed) -> u8 {
    match &it.account.status {
        AccountStatus::ReauthRequired { .. } => 0,
        AccountStatus::Active if it.overdue => 1,
        AccountStatus::Active if it.failures > 0 => 2,
        AccountStatus::Active => 3,
        AccountStatus::Revoked { .. } => 4,
    }
}

fn stands(it: &Listed, now: Timestamp) -> Markup {
    match &it.account.status {
        AccountStatus::ReauthRequired { since, reason } => html! {
            (badge("bad", "dead", "connect again")) div.hint { (relative(*since, now)) ": " (redact::line(reason)) }
        },
        AccountStatus::Active if it.overdue => {
            html! { (badge("warn", "retryable", "renewal late")) (last(it)) }
        }
        AccountStatus::Active if it.failures > 0 => html! {
            (badge("warn", "retryable", "renewal failed")) (last(it))
        },
        AccountStatus::Active => badge("good", "completed", "active"),
        AccountStatus::Revoked { since } => {
            html! { (badge("quiet", "cancelled", "revoked")) div.hint { (relative(*since, now)) } }
        }
    }
}

fn last(it: &Listed) -> Markup {
    html! { @if let Some(said) = &it.last_error { div.hint { (it.failures) "×: " (redact::line(said)) } } }
}

fn row(ask: &Ask, it: &Listed) -> Markup {
    let (account, now) = (&it.account, ask.now);
    let parked = park_key(&account.tenant, &account.id);
    html! {
        tr {
            th scope="row" { (account.id) @if !account.name.is_empty() { span.faint { " " (account.name) } }
                @if account.base_url.is_some() { " " span.chip { "sandbox" } } }
            td data-label="Platform" { (account.platform) }
            td data-label="Tenant" { (account.tenant) }
            td.says data-label="Stands" { (stands(it, now)) }
            td data-label="Token ends" { (maybe_when(account.expires_at, "never", now)) }
            td data-label="Renewed" { @match it.due_at { Some(at) => (when(at, now)), None => span.faint { "when needed" } } }
            td data-label="Needs its owner" { (maybe_when(it.ends_at, "not foreseen", now)) }
            @if ask.may(Act::Operate) {
                td.acts {
                    @if urgency(it) < 4 {
                        (forms::button(&ask.who, &format!("/accounts/{}/{}/refresh", account.tenant, account.id), "/accounts", "Renew now", ""))
                    }
                    @if urgency(it) == 0 { a.button href="/jobs?state=parked" title=(parked) { "Parked jobs" } }
                }
            }
        }
    }
}

/// What falls on one day.
#[derive(Default)]
struct Day<'a> {
    renewed: u64,
    ending: Vec<&'a str>,
}

fn calendar(all: &[Listed], now: Timestamp) -> Markup {
    let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let today = date(now);
    let monday = today
        .checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days())
        .unwrap_or(today);
    let mut days: std::collections::BTreeMap<Date, Day<'_>> = std::collections::BTreeMap::new();
    for it in all.iter().filter(|it| it.account.status == AccountStatus::Active) {
        if let Some(end) = it.ends_at {
            days.entry(date(end).max(today)).or_default().ending.push(&it.account.id);
        }
        if let Some(due) = it.due_at {
            days.entry(date(due).max(today)).or_default().renewed += 1;
        }
    }
    html! {
        table.calendar {
            thead { tr { @for day in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] { th scope="col" { (day) } } } }
            tbody {
                @for week in 0..WEEKS {
                    tr { @for offset in 0..7 {
                        @let day = monday.checked_add((week * 7 + offset).days()).unwrap_or(monday);
                        (cell(day, today, days.get(&day)))
                    } }
                }
            }
        }
    }
}

fn cell(day: Date, today: Date, what: Option<&Day<'_>>) -> Markup {
    let class = match what {
        _ if day < today => "past",
        Some(it) if !it.ending.is_empty() => "ending",
        _ if day == today => "today",
        _ => "",
    };
    html! {
        td class=(class) {
            span.day { (day.day()) @if day.day() == 1 || day == today { " " (day.strftime("%b").to_string()) } }
            @if let Some(it) = what {
                @if it.renewed > 0 { div.renews { "↻ " (many(it.renewed, "renews", "renew")) } }
                @if !it.ending.is_empty() {
                    div.ends { "! " (it.ending.iter().take(NAMES).copied().collect::<Vec<_>>().join(", "))
                        @if it.ending.len() > NAMES { " +" (it.ending.len() - NAMES) } }
                }
            }
        }
    }
}

pub(crate) async fn refresh(
    Shares(shared): Shares<Arc<Shared>>,
    Path((tenant, id)): Path<(String, String)>,
    request: Request,
) -> Answer {
    let write = Write::from_request(request, &shared).await?;
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    let tenant: Tenant = tenant.parse()?;
    if !ask.who.sees(&tenant) {
        return Err(Trouble::missing(format!("there is no account {id}")));
    }
    let change = Change {
        what: "account.refresh",
        target: format!("{tenant}/{id}"),
        tenant: Some(tenant.clone()),
        ..Change::default()
    };
    let act = async { shared.console.accounts.refresh(&tenant, &id).await.map_err(NotRenewed) };
    ask.change(change, act, |()| json!({"renewed": true})).await?;
    Ok(write.done(&format!("The token of {id} was renewed")))
}

/// What kept a renewal.
struct NotRenewed(String);

impl std::fmt::Display for NotRenewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not renewed: {}", self.0)
    }
}

impl From<NotRenewed> for Trouble {
    fn from(error: NotRenewed) -> Self {
        Self::wrong(error)
    }
}
