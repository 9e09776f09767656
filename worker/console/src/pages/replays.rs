//! `/replays`: putting dead letters back as a durable operation: what it would do, a canary, a
//! rate, a stop by itself; watched, paused, resumed, cancelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Path, RawQuery, Request, State as Shares};
use axum::routing::{get, post};
use flotilla_admin::acts::Turn;
use flotilla_admin::auth::{Act, Principal, Tenants};
use flotilla_core::replay::{
    Desk, DryRun, Operation, ReplayId, ReplayState, Request as Asking, dry_run,
};
use maud::{Markup, html};
use serde_json::json;

use super::Answer;
use super::dead::{chosen, in_words};
use crate::ask::{Ask, Write, pairs};
use crate::filter::Asked;
use crate::marks::{Part, badge, bar};
use crate::shell::{Page, Place};
use crate::text::{brief, clip, clock, count, many, rate, short, when};
use crate::trouble::Trouble;
use crate::{Shared, forms, redact};

/// Operations that are shown.
const SHOWN: usize = 100;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/replays", get(page).post(create))
        .route("/replays/new", get(new))
        .route("/replays/{id}", get(one))
        .route("/replays/{id}/{act}", post(act))
}

/// Whether an operation is within what somebody may see: every tenant of it is theirs.
fn sees(who: &Principal, operation: &Operation) -> bool {
    let of = &operation.request.selection.tenants;
    who.tenants == Tenants::All || (!of.is_empty() && of.iter().all(|tenant| who.sees(tenant)))
}

pub(crate) async fn page(ask: Ask) -> Answer {
    let all = Desk::new(&*ask.shared.console.cells).list(ask.now).await?;
    let seen: Vec<&Operation> = all.iter().filter(|it| sees(&ask.who, it)).take(SHOWN).collect();
    let body = html! {
        div #part-replays data-live {
            @if seen.is_empty() {
                (forms::empty("Nothing was replayed in the last thirty days.", &html! {
                    "Choose a group of " a href="/dead" { "dead letters" } " and replay it: you see what would happen before anything does." }))
            } @else {
                table.rows {
                    thead { tr {
                        th scope="col" { "Replay" } th scope="col" { "Stands" } th.bars scope="col" { "Progress" }
                        th.n scope="col" { "Back" } th.n scope="col" { "Failed again" }
                        th scope="col" { "By" } th scope="col" { "Asked" } th scope="col" { "Why" }
                    } }
                    tbody { @for it in seen { (row(&ask, it)) } }
                }
            }
        }
    };
    let about = html! { "Operations that put dead letters back. Workers lead them; they survive a crash of any." };
    let acts = html! { @if ask.may(Act::Operate) { a.button.primary href="/dead" { "Choose dead letters" } } };
    Ok(ask.show(Page::new(Place::Replays, "Replays", body).about(about).acts(acts).live()))
}

fn row(ask: &Ask, it: &Operation) -> Markup {
    let id = it.id.to_string();
    html! {
        tr {
            th scope="row" { a.id href={ "/replays/" (id) } title=(id) { (brief(&id)) } }
            td data-label="Stands" { (stands(it.state)) }
            td.bars data-label="Progress" { (progress(it)) }
            td.n data-label="Back" { (count(it.counts.replayed)) " / " (count(it.plan.letters)) }
            td.n data-label="Failed again" { (count(it.counts.failed)) }
            td data-label="By" { (it.request.by) }
            td data-label="Asked" { (when(it.created_at, ask.now)) }
            td.says data-label="Why" { (clip(&it.request.reason, 100)) }
        }
    }
}

fn stands(state: ReplayState) -> Markup {
    let (level, shape) = match state {
        ReplayState::Planned => ("quiet", "scheduled"),
        ReplayState::Canary => ("note", "available"),
        ReplayState::Running => ("note", "running"),
        ReplayState::Paused => ("warn", "paused"),
        ReplayState::Stopped => ("bad", "dead"),
        ReplayState::Cancelled => ("quiet", "cancelled"),
        ReplayState::Done => ("good", "completed"),
    };
    badge(level, shape, state.name())
}

fn progress(it: &Operation) -> Markup {
    let counts = &it.counts;
    let left = it.plan.letters.saturating_sub(counts.handled());
    bar(&[
        Part { name: "completed", n: counts.succeeded },
        Part { name: "dead", n: counts.failed },
        Part { name: "running", n: counts.open() },
        Part { name: "paused", n: counts.refused + counts.skipped },
        Part { name: "scheduled", n: left },
    ])
}

/// `GET /replays/new?…`: what would happen, and how it is to be done.
pub(crate) async fn new(ask: Ask, RawQuery(query): RawQuery) -> Answer {
    ask.who.need(Act::Operate)?;
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let (asked, _) = chosen(&ask, &fields)?;
    let asking = read(&ask.who, &asked, &fields)?;
    let console = &ask.shared.console;
    let dry = dry_run(&*console.records, &console.ops.registry, &asking, ask.now).await?;
    let body = html! {
        p.lead { (in_words(&asked)) }
        div.split.even {
            section aria-labelledby="would" { h2 #would { "What would happen" } (would(&dry)) }
            div { h2 { "How" } (form(&ask, &asked, &fields, &dry)) }
        }
    };
    let about = html! { "Nothing has been changed yet" };
    Ok(ask.show(Page::new(Place::Replays, "Replay dead letters", body).about(about)))
}

fn would(dry: &DryRun) -> Markup {
    html! {
        ul.why {
            li { (many(dry.would_replay, "dead letter", "dead letters")) " of " (count(dry.matching)) " that match would go back"
                @if let Some(seconds) = dry.seconds { ", over about " (short(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))) } }
            @if dry.outcome_unknown > 0 {
                li { (badge("bad", "dead", "left alone")) " " (count(dry.outcome_unknown)) " with an unknown outcome: what they did may have happened. "
                    a href="/dead?class=outcome_unknown" { "Say for each what happened" } }
            }
            @if dry.refused > 0 {
                li { (badge("warn", "retryable", "refused")) " " (count(dry.refused)) " would be left dead:" }
            }
        }
        @if !dry.reasons.is_empty() {
            ul.plain { @for (reason, n) in &dry.reasons { li { (count(*n)) " × " (redact::line(reason)) } } }
        }
        @if !dry.patched.is_empty() {
            h2 { "What the patch changes, in the first" }
            pre.json tabindex="0" { @for line in &dry.patched { (redact::line(line)) "\n" } }
        }
        @if !dry.kinds.is_empty() {
            h2 { "Of what" }
            p { @for (kind, n) in &dry.kinds { span.chip { (kind) " × " (count(*n)) } }
                @for (class, n) in &dry.classes { span.chip { (class.name().replace('_', " ")) " × " (count(*n)) } } }
        }
        @if !dry.samples.is_empty() {
            p { "Some of them: " @for id in &dry.samples { @let id = id.to_string(); a.id href={ "/jobs/" (id) } { (brief(&id)) } " " } }
        }
    }
}

fn form(ask: &Ask, asked: &Asked, fields: &BTreeMap<String, Vec<String>>, dry: &DryRun) -> Markup {
    let value = |name: &str, otherwise: &str| {
        let given = fields.get(name).and_then(|all| all.first()).cloned();
        given.unwrap_or_else(|| otherwise.to_owned())
    };
    let canary = if dry.would_replay > 20 { "10" } else { "0" };
    let number = |name: &'static str, word: &str, otherwise: &str| {
        html! {
            label { span { (word) } input name=(name) value=(value(name, otherwise)) inputmode="decimal" autocomplete="off"; }
        }
    };
    html! {
        form.card method="post" action="/replays" {
            (forms::hidden(&ask.who, "/replays"))
            @for (name, value) in asked.fields() { input type="hidden" name=(name) value=(value); }
            @for id in &asked.filter.ids { input type="hidden" name="id" value=(id); }
            div.pair { (number("canary", "First so many, and wait", canary)) (number("rate", "Then per second", "10")) }
            div.pair { (number("ramp", "Reached after (seconds)", "30")) (number("stop_at", "Stop when this share fails", "0.3")) }
            details.more {
                summary { "Change every payload first" }
                label { span { "JSON Patch (RFC 6902), checked against the kind" }
                    textarea name="patch" spellcheck="false" placeholder=r#"[{"op":"replace","path":"/url","value":"https://…"}]"# { (value("patch", "")) } }
            }
            label { span { "Why" } input name="reason" required maxlength="500" value=(value("reason", "")) autocomplete="off"; }
            div.acts {
                button.primary disabled[dry.would_replay == 0] { "Replay " (many(dry.would_replay, "dead letter", "dead letters")) }
                button formmethod="get" formaction="/replays/new" formnovalidate { "Look again" }
                a.button href="/dead" { "Back" }
            }
        }
    }
}

/// What is asked, from the fields of the form.
fn read(
    who: &Principal,
    asked: &Asked,
    fields: &BTreeMap<String, Vec<String>>,
) -> Result<Asking, Trouble> {
    let field = |name: &str| {
        let value = fields.get(name).and_then(|all| all.first()).map_or("", |it| it.trim());
        Some(value).filter(|value| !value.is_empty())
    };
    let wrong = |name: &str| Trouble::wrong(format!("{name}: write a number"));
    let selection = asked.selection(who);
    let selection = selection
        .ok_or_else(|| Trouble::wrong("none of these dead letters are of your tenants"))?;
    let patch = field("patch").map(serde_json::from_str).transpose();
    let asking = Asking {
        selection,
        patch: patch.map_err(|error| Trouble::wrong(format!("patch: {error}")))?,
        canary: field("canary").map_or(Ok(0), str::parse).map_err(|_| wrong("canary"))?,
        rate: field("rate").map(str::parse).transpose().map_err(|_| wrong("rate"))?,
        ramp_seconds: field("ramp").map_or(Ok(0), str::parse).map_err(|_| wrong("ramp"))?,
        stop_at: field("stop_at").map(str::parse).transpose().map_err(|_| wrong("stop_at"))?,
        by: who.name.to_string(),
        reason: field("reason").unwrap_or_default().to_owned(),
        ..Asking::default()
    };
    asking.check().map_err(Trouble::wrong)?;
    Ok(asking)
}

pub(crate) async fn create(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    write.reason()?;
    let (asked, _) = chosen(ask, write.fields())?;
    let asking = read(&ask.who, &asked, write.fields())?;
    let console = &ask.shared.console;
    let id = ReplayId::new(ask.now, &*console.ops.rng);
    console.acts().plan(&ask.who, &asking, id).await?;
    ask.shared.live.stale();
    Ok(write
        .go(&format!("/replays/{id}"), "The replay is made; a worker takes it up within a moment"))
}

async fn known(ask: &Ask, id: &str) -> Result<Operation, Trouble> {
    let id: ReplayId = id.parse()?;
    let found = Desk::new(&*ask.shared.console.cells).get(id, ask.now).await?;
    let found = found.map(|kept| kept.operation).filter(|it| sees(&ask.who, it));
    found.ok_or_else(|| Trouble::missing(format!("there is no replay {id}")))
}

pub(crate) async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let it = known(&ask, &id).await?;
    let body = html! {
        div.split {
            div {
                div #part-replay data-live { (standing(&ask, &it)) }
                section aria-labelledby="steps" {
                    h2 #steps { "Steps" }
                    ol.timeline { @for step in &it.steps {
                        li { time.at datetime=(step.at) { (clock(step.at)) } div { (stands(step.to)) span.faint { " by " (step.by) } @if !step.why.is_empty() { ": " (step.why) } } }
                    } }
                }
            }
            aside aria-label="What was asked" { (request(&it)) }
        }
    };
    let about = html! { code.id { (it.id.to_string()) } };
    let page = Page::new(Place::Replays, "Replay", body).about(about).acts(acts(&ask, &it));
    Ok(ask.show(if it.state.is_over() { page } else { page.live() }))
}

fn standing(ask: &Ask, it: &Operation) -> Markup {
    let counts = &it.counts;
    let tile = |name: &str, n: u64, more: String| {
        html! {
            div.tile { dt { (name) } dd { strong { (count(n)) } } dd.faint { (more) } }
        }
    };
    html! {
        p { (stands(it.state)) " "
            @if let Some(lease) = it.lease.as_ref().filter(|_| it.state.moves()) { span.faint { "led by " (lease.worker) } }
            @if !it.plan.complete && it.state.moves() { span.faint { " still looking for dead letters" } } }
        (progress(it))
        p.faint { (count(counts.handled())) " of " (count(it.plan.letters)) " had their turn" }
        dl.tiles {
            (tile("Went back", counts.replayed, format!("{} have not ended", count(counts.open()))))
            (tile("Completed", counts.succeeded, String::new()))
            (tile("Dead again", counts.failed, format!("{} failing", count(counts.failing))))
            (tile("Left dead", counts.refused + it.plan.outcome_unknown, format!("{} of unknown outcome", count(it.plan.outcome_unknown))))
        }
        @if !counts.reasons.is_empty() {
            h2 { "Why some were left dead" }
            ul.plain { @for (reason, n) in &counts.reasons { li { (count(*n)) " × " (redact::line(reason)) } } }
            p { @for (id, why) in &counts.samples { @let id = id.to_string(); a.id href={ "/jobs/" (id) } title=(redact::line(why)) { (brief(&id)) } " " } }
        }
        @if let Some(started) = it.started_at { p.faint { "Began " (when(started, ask.now)) @if let Some(last) = it.last_put_at { ", the last went back " (when(last, ask.now)) } } }
    }
}

fn request(it: &Operation) -> Markup {
    let asked = &it.request;
    let row = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    let selection = serde_json::to_value(&asked.selection).unwrap_or_default();
    html! {
        dl.facts {
            (row("Asked by", html! { (asked.by) }))
            (row("Why", html! { (asked.reason) }))
            (row("Canary", html! { @if asked.canary > 0 { (asked.canary) @if it.canary_passed { span.faint { ", passed" } } } @else { "none" } }))
            (row("Rate", html! { @match asked.rate { Some(r) => { (rate(r)) " per second" } None => "as fast as it goes" } }))
            (row("Ramp", html! { (asked.ramp_seconds) " s" }))
            (row("Stops at", html! { @match asked.stop_at { Some(share) => { (format!("{:.0} %", share * 100.0)) " failed" } None => "never by itself" } }))
        }
        h2 { "Which" }
        (redact::json(&selection))
        @if let Some(patch) = &asked.patch { h2 { "Patch" } (redact::json(&json!(patch))) }
    }
}

fn acts(ask: &Ask, it: &Operation) -> Markup {
    let back = format!("/replays/{}", it.id);
    let offer = |act: &str, word: &str, kind: &str| {
        forms::reasoned(&ask.who, &format!("{back}/{act}"), &back, word, kind, &html! {})
    };
    let resumable =
        matches!(it.state, ReplayState::Paused | ReplayState::Stopped | ReplayState::Canary);
    html! {
        @if ask.may(Act::Operate) && !it.state.is_over() {
            @if it.state.moves() { (offer("pause", "Pause", "")) }
            @if resumable { (offer("resume", if it.state == ReplayState::Canary { "Go on at once" } else { "Resume" }, "primary")) }
            (offer("cancel", "Cancel", "danger"))
        }
    }
}

pub(crate) async fn act(
    Shares(shared): Shares<Arc<Shared>>,
    Path((id, act)): Path<(String, String)>,
    request: Request,
) -> Answer {
    let write = Write::from_request(request, &shared).await?;
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    let it = known(ask, &id).await?;
    let reason = write.reason()?.to_owned();
    let (turn, said) = match act.as_str() {
        "pause" => (Turn::Pause, "Paused: no more dead letters go back until it is resumed"),
        "resume" => (Turn::Resume, "It goes on"),
        "cancel" => (Turn::Cancel, "Cancelled: what has not gone back stays dead"),
        _ => return Err(Trouble::missing("a replay is paused, resumed or cancelled")),
    };
    shared.console.acts().turn(&ask.who, &it, turn, reason).await?;
    shared.live.stale();
    Ok(write.go(&format!("/replays/{}", it.id), said))
}
