//! `/jobs/{id}`: everything known of one job: why it waits, what was tried, what it made.

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State as Shares};
use flotilla_admin::auth::Act;
use flotilla_core::effect::Entry;
use flotilla_core::records::{Filter, JobRecord, Page as Cut};
use flotilla_core::{DeadClass, State, Timestamp};
use flotilla_engine::why::{self, Why};
use maud::{Markup, html};

use super::Answer;
use crate::ask::{Ask, Write};
use crate::blobs::{Artefact, Sort, artefacts};
use crate::shell::{Page, Place};
use crate::text::{brief, clock, maybe_when, relative, when};
use crate::trouble::Trouble;
use crate::{Shared, forms, marks, redact};

/// Entries of a ledger that are shown.
const ENTRIES: usize = 100;

pub(crate) async fn page(ask: Ask, Path(id): Path<String>) -> Answer {
    let job = ask.job(&id).await?;
    let why = explain(&ask, &job).await?;
    let effects = ledger(&ask, &job).await?;
    let made = artefacts(&job);
    let children = children(&ask, &job).await?;
    let live = !job.state.is_finished();
    let body = html! {
        div.split {
            div {
                section aria-labelledby="why" {
                    h2 #why { "Why it is where it is" }
                    div #part-why data-live[live] { (reasons(&why, ask.now)) }
                }
                section aria-labelledby="time" {
                    h2 #time { "What happened" }
                    div #part-time data-live[live] { (timeline(&job, ask.now)) }
                }
                @if !effects.is_empty() {
                    section aria-labelledby="effects" { h2 #effects { "Effects and steps" } (ledger_table(&effects, ask.now)) }
                }
                @if !made.is_empty() {
                    section aria-labelledby="made" { h2 #made { "Artefacts" } (gallery(&job, &made)) }
                }
                @if let Some(result) = &job.result {
                    section aria-labelledby="result" { h2 #result { "Result" } (redact::json(result)) }
                }
                section aria-labelledby="payload" { h2 #payload { "Payload" } (redact::json(&job.payload)) }
            }
            aside aria-label="Facts" { div #part-facts data-live[live] { (facts(&job, ask.now)) } (kin(&job, &children)) }
        }
    };
    let id = job.id.to_string();
    let about = html! { (marks::stands(job.state, job.class)) " " code.id { (id) } };
    let mut page =
        Page::new(Place::Jobs, job.kind.to_string(), body).about(about).acts(acts(&ask, &job));
    if live {
        page = page.live();
    }
    Ok(ask.show(page))
}

async fn explain(ask: &Ask, job: &JobRecord) -> Result<Why, Trouble> {
    let console = &ask.shared.console;
    let sources = why::Sources {
        records: &*console.records,
        fleet: &*console.fleet,
        cells: &*console.cells,
        registry: &console.ops.registry,
        rules: &console.rules,
        depth: console.depth,
    };
    let facts = why::gather(&sources, job, ask.now).await?;
    Ok(why::why(job, &facts, ask.now))
}

fn reasons(why: &Why, now: Timestamp) -> Markup {
    html! {
        ul.why {
            @for because in &why.because { li { (redact::line(because)) } }
            @if let Some(start) = why.start.filter(|start| *start > now) {
                li.faint { "It may begin " (when(start, now)) "." }
            }
        }
    }
}

/// The effects and remembered steps of a job.
async fn ledger(ask: &Ask, job: &JobRecord) -> Result<Vec<(String, Option<Entry>)>, Trouble> {
    let mut found = Vec::new();
    for of in ["effect", "once"] {
        let prefix = format!("{of}/{}/", job.id);
        let cells = ask.shared.console.cells.list(&prefix, None, ENTRIES, ask.now).await?;
        found.extend(cells.into_iter().map(|(key, cell)| {
            let name = key.strip_prefix(&prefix).unwrap_or(&key);
            (format!("{of} {name}"), serde_json::from_slice(&cell.value).ok())
        }));
    }
    Ok(found)
}

fn ledger_table(entries: &[(String, Option<Entry>)], now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "What" } th scope="col" { "Stands" } th scope="col" { "When" } th scope="col" { "Known of it" } } }
            tbody {
                @for (name, entry) in entries {
                    tr {
                        th scope="row" { (name) }
                        @match entry {
                            Some(Entry::Done { at, result }) => {
                                td data-label="Stands" { (marks::badge("good", "completed", "done")) }
                                td data-label="When" { (when(*at, now)) }
                                td.says data-label="Known" { (crate::text::clip(&redact::clean(result).to_string(), 160)) }
                            }
                            Some(Entry::Intended { at, sends, unsure }) => {
                                td data-label="Stands" { (marks::badge("warn", "retryable", "not known")) }
                                td data-label="When" { (when(*at, now)) }
                                td.says data-label="Known" { "sent " (sends) " times" @if let Some(unsure) = unsure { "; " (redact::line(unsure)) } }
                            }
                            None => { td colspan="3" { "cannot be read" } }
                        }
                    }
                }
            }
        }
    }
}

fn timeline(job: &JobRecord, now: Timestamp) -> Markup {
    html! {
        ol.timeline {
            li { (at(job.enqueued_at, now)) div { "Enqueued on lane " (job.lane) } }
            @for error in &job.errors {
                li.bad {
                    (at(error.at, now))
                    div {
                        strong { "Attempt " (error.attempt) " failed" } span.faint { " on " (error.worker) }
                        pre.error tabindex="0" { (redact::line(&error.error)) }
                    }
                }
            }
            @if let Some(started) = job.started_at.filter(|at| job.errors.last().is_none_or(|e| e.at < *at)) {
                li { (at(started, now)) div { "Attempt " (job.attempt) " began" @if let Some(worker) = &job.worker { span.faint { " on " (worker) } } } }
            }
            @if let Some(progress) = job.progress.as_ref().filter(|_| job.state == State::Running) {
                li.note {
                    span.at { "now" }
                    div { progress max="1" value=(progress.fraction) aria-label="progress" {} " " (progress.message) }
                }
            }
            @if let Some(ended) = job.finished_at {
                li class=(if job.state == State::Completed { "good" } else { "quiet" }) {
                    (at(ended, now))
                    div { (marks::stands(job.state, job.class)) @if let Some(reason) = &job.reason { " " (redact::line(reason)) } }
                }
            } @else if job.state != State::Running {
                li.note { span.at { "next" } div { (marks::state(job.state)) " " @if let Some(reason) = &job.reason { (redact::line(reason)) } @else { "due " (when(job.run_at, now)) } } }
            }
        }
    }
}

fn at(at: Timestamp, now: Timestamp) -> Markup {
    html! { time.at datetime=(at) title=(relative(at, now)) { (clock(at)) } }
}

fn gallery(job: &JobRecord, made: &[Artefact]) -> Markup {
    html! {
        ul.gallery {
            @for it in made {
                @let href = format!("/blobs/{}/{}", job.id, it.key);
                @let name = it.key.as_str().rsplit('/').next().unwrap_or_default();
                li {
                    @match it.sort {
                        Sort::Image => a href=(href) { img src=(href) alt={ "artefact " (name) } loading="lazy"; },
                        Sort::Audio => audio controls preload="none" src=(href) aria-label={ "artefact " (name) } {},
                        Sort::Video => video controls preload="metadata" src=(href) aria-label={ "artefact " (name) } {},
                        Sort::Other => a.button href=(href) { "Open" },
                    }
                    a.faint href=(href) title=(it.key) { (name) }
                }
            }
        }
    }
}

fn facts(job: &JobRecord, now: Timestamp) -> Markup {
    let row = |name: &str, value: Markup| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.facts {
            (row("Lane", html! { a href={ "/jobs?lane=" (job.lane) } { (job.lane) } }))
            (row("Tenant", html! { a href={ "/jobs?tenant=" (job.tenant) } { (job.tenant) } }))
            (row("Priority", html! { (job.priority.level()) span.faint { " of 9" } }))
            (row("Attempt", html! { (job.attempt) " of " (job.max_attempts) }))
            @if job.crashes > 0 { (row("Crashes", html! { (job.crashes) })) }
            (row("Enqueued", when(job.enqueued_at, now)))
            @if !job.state.is_finished() { (row("Due", when(job.run_at, now))) }
            (row("Began", maybe_when(job.started_at, "not yet", now)))
            @if let Some(ended) = job.finished_at { (row("Ended", when(ended, now))) }
            @if let Some(deadline) = job.deadline { (row("Must begin by", when(deadline, now))) }
            @if let Some(until) = job.lease_until { (row("Lease ends", when(until, now))) }
            @if let Some(worker) = &job.worker { (row("Worker", html! { (worker) })) }
            @if let Some(key) = &job.parked_under { (row("Parked under", html! { code { (key) } })) }
            @if let Some(key) = &job.unique_key { (row("Unique key", html! { code { (key) } })) }
            @if let Some(key) = &job.order_key { (row("Ordering key", html! { code { (key) } })) }
            @if let Some(trace) = &job.trace.traceparent { (row("Trace", html! { code { (trace) } })) }
            @if let Some(from) = job.extra.get("replay_of") { (row("Replay of", lineage(from))) }
            (row("Payload", html! { "version " (job.version) }))
        }
    }
}

/// The job that this one stands for again.
fn lineage(from: &serde_json::Value) -> Markup {
    let old = from.get("job").or(Some(from)).and_then(|id| id.as_str()).unwrap_or_default();
    html! { a.id href={ "/jobs/" (old) } { (brief(old)) } }
}

async fn children(ask: &Ask, job: &JobRecord) -> Result<Vec<JobRecord>, Trouble> {
    if job.flow.is_none() {
        return Ok(Vec::new());
    }
    let filter = Filter { parents: vec![job.id], ..Filter::default() };
    let records = &ask.shared.console.records;
    Ok(records.list(&filter, Cut { limit: ENTRIES, before: None }).await?.jobs)
}

fn kin(job: &JobRecord, children: &[JobRecord]) -> Markup {
    html! {
        @if let Some(parent) = &job.parent {
            @let id = parent.id.to_string();
            h2 { "Child of" }
            p { a.id href={ "/jobs/" (id) } { (brief(&id)) } span.faint { " as " (parent.name) } }
        }
        @if let Some(flow) = &job.flow {
            h2 { "Children" }
            p { (flow.succeeded) " of " (flow.children) " completed, " (flow.failed) " failed. "
                a href={ "/flows/" (job.id) } { "See the flow" } }
            ul.plain {
                @for child in children.iter().take(12) {
                    @let id = child.id.to_string();
                    li { (marks::state(child.state)) " " a href={ "/jobs/" (id) } { (child.parent.as_ref().map_or_else(|| brief(&id), |it| it.name.clone())) } }
                }
            }
        }
    }
}

fn acts(ask: &Ask, job: &JobRecord) -> Markup {
    let back = format!("/jobs/{}", job.id);
    if !ask.may(Act::Operate) {
        return html! {};
    }
    let id = html! { input type="hidden" name="id" value=(job.id); };
    match (job.state, job.class) {
        (State::Completed | State::Cancelled, _) => html! {},
        (State::Dead, Some(DeadClass::OutcomeUnknown)) => {
            html! { (found(ask, job, &back)) (discard(job)) }
        }
        (State::Dead, _) => html! {
            a.button.primary href={ "/replays/new?id=" (job.id) } { "Replay…" }
            a.button href={ "/dead/" (job.id) "/edit" } { "Edit payload…" }
            (discard(job))
        },
        (State::Scheduled | State::Retryable, _) => html! {
            (forms::reasoned(&ask.who, &format!("{back}/run-now"), &back, "Run now", "primary", &html! {}))
            (forms::reasoned(&ask.who, "/jobs/cancel", &back, "Cancel", "danger", &id))
        },
        _ => forms::reasoned(&ask.who, "/jobs/cancel", &back, "Cancel", "danger", &id),
    }
}

/// `POST /jobs/{id}/run-now`: its moment is now.
pub(crate) async fn run_now(
    Shares(shared): Shares<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let write = Write::from_request(request, &shared).await?;
    let job = write.ask.job(&id).await?;
    let reason = Some(write.reason()?.to_owned());
    shared.console.acts().run_now(&write.ask.who, &job, reason).await?;
    shared.live.stale();
    Ok(write.done("It is due now: the next free worker of its lane takes it"))
}

fn discard(job: &JobRecord) -> Markup {
    html! { a.button href={ "/dead/discard?id=" (job.id) } { "Discard…" } }
}

/// Only a person who has looked can bring back a job of unknown outcome.
fn found(ask: &Ask, job: &JobRecord, back: &str) -> Markup {
    html! {
        details.pop {
            summary.button.primary { "Say what happened" }
            form.card method="post" action={ "/dead/" (job.id) "/found" } {
                (forms::hidden(&ask.who, back))
                p { "Look on the other side first: was the call made? Your word decides whether it is made again." }
                fieldset {
                    legend { "It" }
                    label.tick { input type="radio" name="found" value="did" required; "happened: do not make it again" }
                    label.tick { input type="radio" name="found" value="did-not"; "did not happen: make it" }
                }
                label { span { "What it gave (JSON, optional)" } input name="result" autocomplete="off"; }
                label { span { "Why you know" } input name="reason" required maxlength="1000" autocomplete="off"; }
                button.primary { "Replay with this word" }
            }
        }
    }
}
