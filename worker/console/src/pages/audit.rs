//! `/audit`: who changed what, and why.

use axum::extract::RawQuery;
use flotilla_admin::audit::{Entry, Outcome};
use maud::{Markup, html};

use super::Answer;
use crate::ask::{Ask, pairs};
use crate::shell::{Page, Place};
use crate::text::{clip, clock, relative};
use crate::{forms, marks, redact};

/// Entries of one page.
const PAGE: usize = 50;

pub(crate) async fn page(ask: Ask, RawQuery(query): RawQuery) -> Answer {
    let fields = pairs(query.unwrap_or_default().as_bytes());
    let before = fields.get("before").and_then(|all| all.first()).map(String::as_str);
    let (entries, next) = ask.shared.console.audit.list(&ask.who, before, PAGE).await?;
    let body = html! {
        @if entries.is_empty() {
            (forms::empty("Nothing was changed by hand.", &html! { "Every pause, cancel, replay, discard and change of a limit is put down here with its reason." }))
        } @else {
            table.rows.audit {
                thead { tr {
                    th scope="col" { "When (UTC)" } th scope="col" { "Who" } th scope="col" { "What" }
                    th scope="col" { "Of" } th scope="col" { "Why" } th scope="col" { "Outcome" }
                } }
                tbody { @for entry in &entries { (row(&ask, entry)) } }
            }
        }
        @if let Some(next) = next {
            p.more { a.button rel="next" href={ "/audit?before=" (next) } { "Older" } }
        }
    };
    let about = html! { "Every change that somebody made by hand: written before it is made, completed after" };
    Ok(ask.show(Page::new(Place::Audit, "Audit", body).about(about)))
}

fn row(ask: &Ask, entry: &Entry) -> Markup {
    let (level, shape, word) = match entry.outcome {
        Outcome::Done => ("good", "completed", "done"),
        Outcome::Failed => ("bad", "dead", "failed"),
        Outcome::Begun => ("warn", "scheduled", "begun"),
    };
    let values = [("before", &entry.before), ("after", &entry.after)];
    html! {
        tr {
            th scope="row" { time datetime=(entry.at) title=(relative(entry.at, ask.now)) { (clock(entry.at)) } }
            td data-label="Who" { (entry.who) span.faint { " " (entry.role) } }
            td data-label="What" { code { (entry.what) } }
            td.says data-label="Of" { (clip(&entry.target, 120)) }
            td.says data-label="Why" { (entry.reason.as_deref().unwrap_or_default()) }
            td data-label="Outcome" {
                (marks::badge(level, shape, word))
                @if let Some(error) = &entry.error { div.hint { (redact::line(error)) } }
                @for (name, value) in values {
                    @if let Some(value) = value {
                        div.hint { (name) " " code { (clip(&redact::clean(value).to_string(), 120)) } }
                    }
                }
            }
        }
    }
}
