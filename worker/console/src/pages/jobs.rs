//! `/jobs`: search by what a job is and where it stands, one page after the other; cancelling.

use axum::extract::RawQuery;
use flotilla_admin::audit::Change;
use flotilla_admin::auth::Act;
use flotilla_core::records::{Cancel, JobRecord, Listed, Page as Cut};
use flotilla_core::{DeadClass, JobId, State, Timestamp};
use maud::{Markup, html};
use serde_json::json;

use super::Answer;
use crate::ask::{Ask, Write, pairs};
use crate::filter::Asked;
use crate::shell::{Page, Place};
use crate::text::{brief, clip, count, many, when};
use crate::trouble::Trouble;
use crate::{forms, marks, redact};

/// Jobs of one page.
pub(crate) const PAGE: usize = 50;
/// Jobs that are cancelled by one form.
const MANY: usize = 200;

pub(crate) async fn page(ask: Ask, RawQuery(query): RawQuery) -> Answer {
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let first =
        |name: &str| fields.get(name).and_then(|all| all.first()).map_or("", |it| it.trim());
    if let Ok(id) = first("id").parse::<JobId>() {
        return Ok(axum::response::IntoResponse::into_response(axum::response::Redirect::to(
            &format!("/jobs/{id}"),
        )));
    }
    let asked = Asked::read(&fields)?;
    let before = Some(first("before")).filter(|it| !it.is_empty()).map(str::parse).transpose()?;
    let listed = list(&ask, &asked, before).await?;
    let body = html! {
        (search(&ask, &asked, first("id")))
        div #part-jobs data-live[before.is_none()] {
            (table(&listed.jobs, ask.now, ask.may(Act::Operate)))
        }
        (next(&listed, &asked, "/jobs"))
        @if ask.may(Act::Operate) && listed.jobs.iter().any(|job| !job.state.is_finished()) {
            (cancelling(&ask))
        }
    };
    let mut page = Page::new(Place::Jobs, "Jobs", body)
        .about(html! { "Newest first" @if !asked.is_empty() { ", filtered. " a href="/jobs" { "Show all" } } });
    if before.is_none() && !ask.may(Act::Operate) {
        page = page.live();
    }
    Ok(ask.show(page))
}

/// One page of jobs that somebody may see.
pub(crate) async fn list(
    ask: &Ask,
    asked: &Asked,
    before: Option<JobId>,
) -> Result<Listed, Trouble> {
    let Some(filter) = asked.held(&ask.who) else { return Ok(Listed::default()) };
    Ok(ask.shared.console.records.list(&filter, Cut { limit: PAGE, before }).await?)
}

fn search(ask: &Ask, asked: &Asked, id: &str) -> Markup {
    let kinds = ask.shared.console.ops.registry.kinds().map(|kind| kind.kind.as_str());
    let field = |name: &'static str, word: &str, hint: &str, list: Option<&str>| {
        html! {
            label { span { (word) }
                input name=(name) value=(asked.text(name)) placeholder=(hint) list=[list] autocomplete="off"; }
        }
    };
    html! {
        form.filter method="get" action="/jobs" role="search" {
            fieldset.states {
                legend { "State" }
                @for state in State::ALL {
                    label.tick {
                        input type="checkbox" name="state" value=(state) checked[asked.has("state", state.name())];
                        (marks::state(state))
                    }
                }
            }
            div.fields {
                (field("kind", "Kind", "any", Some("kinds")))
                (field("lane", "Lane", "any", None))
                (field("tenant", "Tenant", "any", None))
                (field("error", "Error says", "any text", None))
                (field("since", "Enqueued from", "2026-12-24T18:00", None))
                (field("until", "before", "", None))
                label { span { "Job id" } input name="id" value=(id) placeholder="019a…" autocomplete="off"; }
                button.primary { "Search" }
            }
            datalist #kinds { @for kind in kinds { option value=(kind) {} } }
        }
    }
}

/// Jobs as rows; with boxes to tick where they can be handled.
pub(crate) fn table(jobs: &[JobRecord], now: Timestamp, ticks: bool) -> Markup {
    html! {
        @if jobs.is_empty() {
            (forms::empty("No job matches.", &html! { "Widen the filter, or enqueue one: "
                code { "flotilla enqueue KIND --payload …" } }))
        } @else {
            table.rows.jobs {
                thead { tr {
                    @if ticks { th.tick scope="col" { span.unseen { "Choose" } } }
                    th scope="col" { "Job" } th scope="col" { "Kind" } th scope="col" { "State" }
                    th scope="col" { "Lane" } th scope="col" { "Tenant" }
                    th.n scope="col" { "Attempt" } th scope="col" { "Enqueued" } th scope="col" { "Says" }
                } }
                tbody { @for job in jobs { (row(job, now, ticks)) } }
            }
        }
    }
}

fn row(job: &JobRecord, now: Timestamp, ticks: bool) -> Markup {
    let id = job.id.to_string();
    html! {
        tr {
            @if ticks {
                td.tick {
                    @if !job.state.is_finished() {
                        input type="checkbox" name="id" value=(id) form="cancel" aria-label={ "choose job " (id) };
                    }
                }
            }
            th scope="row" { a.id href={ "/jobs/" (id) } title=(id) { (brief(&id)) } }
            td data-label="Kind" { (job.kind) }
            td data-label="State" { (marks::stands(job.state, job.class)) }
            td data-label="Lane" { (job.lane) }
            td data-label="Tenant" { (job.tenant) }
            td.n data-label="Attempt" { (job.attempt) "/" (job.max_attempts) }
            td data-label="Enqueued" { (when(job.enqueued_at, now)) }
            td.says data-label="Says" { (says(job)) }
        }
    }
}

/// The most telling thing about a job, on one line.
pub(crate) fn says(job: &JobRecord) -> String {
    let error = || job.errors.last().map(|error| error.error.as_str());
    let text = match job.state {
        State::Completed => "",
        State::Running => job.progress.as_ref().map_or("", |progress| progress.message.as_str()),
        State::Dead | State::Retryable => error().unwrap_or_default(),
        _ => job.reason.as_deref().or_else(error).unwrap_or_default(),
    };
    clip(&redact::line(text), 110)
}

/// On to older jobs.
pub(crate) fn next(listed: &Listed, asked: &Asked, path: &str) -> Markup {
    html! {
        @if let Some(next) = listed.next {
            @let next = next.to_string();
            p.more { a.button rel="next" href={ (path) (asked.query(&[("before", &next)])) } { "Older" } }
        }
    }
}

fn cancelling(ask: &Ask) -> Markup {
    html! {
        form.strip #cancel method="post" action="/jobs/cancel" {
            (forms::hidden(&ask.who, &ask.here))
            label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
            button.danger { "Cancel the chosen jobs" }
        }
    }
}

pub(crate) async fn cancel(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need(Act::Operate)?;
    let reason = write.reason()?.to_owned();
    let given = write.fields().get("id").map(Vec::as_slice).unwrap_or_default();
    if given.is_empty() || given.len() > MANY {
        return Err(Trouble::wrong(format!("choose between 1 and {MANY} jobs")));
    }
    let mut ids = Vec::with_capacity(given.len());
    for id in given {
        ids.push(ask.job(id).await?.id);
    }
    let change = Change {
        what: "job.cancel",
        target: ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        reason: Some(reason.clone()),
        ..Change::default()
    };
    let records = &ask.shared.console.records;
    let answers = ask
        .change(change, records.cancel(&ids, &reason, ask.now), |answers| json!(answers))
        .await?;
    let of = |wanted: Cancel| answers.iter().filter(|it| **it == wanted).count() as u64;
    let (cancelled, asked) = (of(Cancel::Cancelled), of(Cancel::Asked));
    let rest = answers.len() as u64 - cancelled - asked;
    let mut said = format!("Cancelled {}", many(cancelled, "job", "jobs"));
    if asked > 0 {
        said.push_str(&format!("; asked {} that run to stop", count(asked)));
    }
    if rest > 0 {
        said.push_str(&format!("; {} had ended already", count(rest)));
    }
    Ok(write.done(&said))
}

/// Every class of dead letters, for forms.
pub(crate) fn classes() -> impl Iterator<Item = &'static str> {
    DeadClass::ALL.into_iter().map(DeadClass::name)
}
