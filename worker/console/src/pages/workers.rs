//! `/workers`: who is there, what they run, asking one to leave.

use std::collections::BTreeMap;

use flotilla_admin::auth::Act;
use flotilla_core::fleet::WorkerInfo;
use maud::{Markup, html};

use super::Answer;
use crate::ask::{Ask, Write};
use crate::forms;
use crate::marks::badge;
use crate::shell::{Page, Place};
use crate::text::{many, when};
use crate::trouble::Trouble;

pub(crate) async fn page(ask: Ask) -> Answer {
    ask.fleet()?;
    let moment = ask.shared.live.moment(&ask.shared, ask.now).await?;
    let (workers, lost) = (&moment.overview.workers, &moment.overview.lost);
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for worker in workers {
        *versions.entry(worker.version.as_str()).or_default() += 1;
    }
    let body = html! {
        div #part-workers data-live {
            @if workers.is_empty() && lost.is_empty() {
                (forms::empty("No worker is there.", &html! { "Start one: " code { "flotilla worker" } }))
            } @else {
                @if versions.len() > 1 {
                    p { "Versions side by side: "
                        @for (version, n) in &versions { span.chip { (version) " × " (n) } } }
                }
                table.rows {
                    thead { tr {
                        th scope="col" { "Worker" } th scope="col" { "Stands" } th scope="col" { "Busy" }
                        th scope="col" { "Version" } th scope="col" { "Heartbeat" } th scope="col" { "Started" }
                        th scope="col" { "Lanes" }
                        @if ask.may_fleet(Act::Operate) { th scope="col" { span.unseen { "Actions" } } }
                    } }
                    tbody {
                        @for worker in workers { (row(&ask, worker, false)) }
                        @for worker in lost { (row(&ask, worker, true)) }
                    }
                }
            }
        }
    };
    let about =
        html! { (many(workers.len() as u64, "worker", "workers")) " seen within half a minute" };
    Ok(ask.show(Page::new(Place::Workers, "Workers", body).about(about).live()))
}

fn row(ask: &Ask, worker: &WorkerInfo, lost: bool) -> Markup {
    let stands = match (lost, worker.draining) {
        (true, _) => badge("bad", "dead", "silent"),
        (_, true) => badge("warn", "scheduled", "draining"),
        _ => badge("good", "running", "working"),
    };
    html! {
        tr {
            th scope="row" { (worker.id) }
            td data-label="Stands" { (stands) }
            td data-label="Busy" {
                meter min="0" max=(worker.concurrency.max(1)) value=(worker.running) aria-label="busy slots" {}
                " " (worker.running) "/" (worker.concurrency)
            }
            td data-label="Version" { (worker.version) }
            td data-label="Heartbeat" { (when(worker.seen_at, ask.now)) }
            td data-label="Started" { (when(worker.started_at, ask.now)) }
            td.says data-label="Lanes" { @for lane in &worker.lanes { a.chip href={ "/lanes#" (lane) } { (lane) } } }
            @if ask.may_fleet(Act::Operate) {
                td.acts {
                    @if !lost && !worker.draining {
                        @let id = html! { input type="hidden" name="worker" value=(worker.id); };
                        (forms::reasoned(&ask.who, "/workers/drain", "/workers", "Drain", "", &id))
                    }
                }
            }
        }
    }
}

pub(crate) async fn drain(write: Write) -> Answer {
    let ask = &write.ask;
    ask.who.need_fleet(Act::Operate)?;
    let name = write.field("worker").ok_or_else(|| Trouble::wrong("say which worker"))?.to_owned();
    let reason = write.reason()?.to_owned();
    ask.shared.console.acts().drain(&ask.who, &name, Some(reason)).await?;
    ask.shared.live.stale();
    Ok(write.done(&format!(
        "Worker {name} drains: it takes no more jobs and ends when those it runs have ended"
    )))
}
