//! `/schedules`: what is enqueued by the clock, when it last was and when it will be.

use flotilla_core::clock::after;
use flotilla_engine::schedule::next;
use flotilla_engine::{Missed, ScheduleEntry};
use maud::{Markup, html};

use super::Answer;
use crate::ask::Ask;
use crate::shell::{Page, Place};
use crate::text::{maybe_when, when};
use crate::trouble::Trouble;
use crate::{forms, marks, redact};

/// A moment that passed longer ago than this and did not fire is late.
const LATE: std::time::Duration = std::time::Duration::from_secs(120);

pub(crate) async fn page(ask: Ask) -> Answer {
    ask.fleet()?;
    let mut rows = Vec::new();
    for entry in &ask.shared.console.schedules {
        rows.push(row(&ask, entry).await?);
    }
    let body = html! {
        @if rows.is_empty() {
            (forms::empty("Nothing is enqueued by the clock.", &html! {
                "Add a " code { "[[schedule]]" } " with " code { "name" } ", " code { "cron" } " and " code { "kind" } " to the configuration." }))
        } @else {
            table.rows {
                thead { tr {
                    th scope="col" { "Schedule" } th scope="col" { "Pattern" } th scope="col" { "Enqueues" }
                    th scope="col" { "Last" } th scope="col" { "Next" } th scope="col" { "Missed moments" }
                    th scope="col" { "Payload" }
                } }
                tbody { @for row in rows { (row) } }
            }
        }
    };
    let about = html! { "From the configuration of this worker. Each moment makes one job, however many workers run." };
    Ok(ask.show(Page::new(Place::Schedules, "Schedules", body).about(about)))
}

async fn row(ask: &Ask, entry: &ScheduleEntry) -> Result<Markup, Trouble> {
    let last = ask.shared.console.fleet.last_fire(&entry.name).await?;
    let coming = next(entry, ask.now).ok().flatten();
    let due = last.and_then(|last| next(entry, last).ok().flatten());
    let late = due.is_some_and(|due| after(due, LATE) < ask.now);
    let missed = match entry.missed {
        Missed::Skip => "are left out".to_owned(),
        Missed::Once => "fire once".to_owned(),
        Missed::All { at_most } => format!("fire all, at most {at_most}"),
    };
    Ok(html! {
        tr {
            th scope="row" { (entry.name) @if late { " " (marks::badge("warn", "retryable", "late")) } }
            td data-label="Pattern" { code { (entry.cron) } span.faint { " " (entry.zone) } }
            td data-label="Enqueues" { a href={ "/jobs?kind=" (entry.kind) } { (entry.kind) }
                @if let Some(tenant) = &entry.tenant { span.faint { " for " (tenant) } } }
            td data-label="Last" { (maybe_when(last, "not yet", ask.now)) }
            td data-label="Next" { @match coming { Some(at) => (when(at, ask.now)), None => span.faint { "never" } } }
            td data-label="Missed" { (missed) }
            td.says data-label="Payload" { code { (crate::text::clip(&redact::clean(&entry.payload.to_value()).to_string(), 90)) } }
        }
    })
}
