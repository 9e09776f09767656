//! `/`: what needs somebody first, then how fast it goes and what waits for what.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Redirect};
use flotilla_core::State;
use flotilla_core::clock::between;
use maud::{Markup, html};

use super::Answer;
use crate::ask::Ask;
use crate::attention::Attention;
use crate::live::Moment;
use crate::marks::{Level, Part, badge, bar, icon, line};
use crate::overview::LaneView;
use crate::shell::{Page, Place};
use crate::text::{clock, count, many, rate, short};
use crate::{forms, text};

/// Things that need somebody and are shown at once.
const SHOWN: usize = 12;

pub(crate) async fn page(ask: Ask) -> Answer {
    if ask.fleet().is_err() {
        return Ok(Redirect::to("/jobs").into_response());
    }
    let moment = ask.shared.live.moment(&ask.shared, ask.now).await?;
    let body = html! {
        section aria-labelledby="needs" {
            h2 #needs { "Needs attention" }
            div #part-attention data-live { (attention(&moment.overview.attention)) }
        }
        section aria-labelledby="now" {
            h2 #now { "Right now" }
            div #part-numbers data-live { (numbers(&moment)) }
        }
        section aria-labelledby="backlog" {
            h2 #backlog { "What waits, and for what" }
            div #part-lanes data-live { (lanes(&moment)) }
        }
    };
    let about =
        html! { "As of " span #part-clock data-live { (clock(moment.overview.at)) " UTC" } };
    Ok(ask.show(Page::new(Place::Overview, "Overview", body).about(about).live()))
}

/// The parts of the page that change, by their ids: what the live stream carries.
pub(crate) fn parts(moment: &Moment) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("part-attention", attention(&moment.overview.attention).into_string()),
        ("part-numbers", numbers(moment).into_string()),
        ("part-lanes", lanes(moment).into_string()),
        ("part-clock", format!("{} UTC", clock(moment.overview.at))),
    ])
}

fn attention(needs: &[Attention]) -> Markup {
    html! {
        @if needs.is_empty() {
            p.calm { (icon("completed")) "Nothing needs you." }
        } @else {
            ol.needs {
                @for it in needs.iter().take(SHOWN) {
                    li class=(it.level.class()) {
                        (level(it.level))
                        div {
                            p.what { (it.what) }
                            p.detail { (it.detail) }
                        }
                        a.mend href=(it.href) { (it.mend) span aria-hidden="true" { " →" } }
                    }
                }
            }
            @if needs.len() > SHOWN {
                p.faint { "and " (many((needs.len() - SHOWN) as u64, "more thing", "more things")) }
            }
        }
    }
}

fn level(level: Level) -> Markup {
    let (shape, word) = match level {
        Level::Bad => ("dead", "act"),
        Level::Warn => ("retryable", "look"),
        Level::Note => ("scheduled", "know"),
        Level::Good => ("completed", "fine"),
    };
    badge(level.class(), shape, word)
}

fn numbers(moment: &Moment) -> Markup {
    let of = &moment.overview;
    let pace = &of.pace;
    let span = |value: Option<std::time::Duration>| value.map_or_else(|| "–".to_owned(), short);
    let (running, slots) =
        of.workers.iter().fold((0, 0), |(r, s), w| (r + w.running, s + w.concurrency));
    html! {
        dl.tiles {
            div.tile.wide {
                dt { "Throughput" }
                dd { strong { (pace.rate.map_or_else(|| "–".to_owned(), rate)) } " jobs/s" }
                dd.chart { (line(&moment.rates, "jobs ended per second, lately")) }
            }
            div.tile.wide {
                dt { "Runnable now" }
                dd { strong { (count(of.sum(|lane| lane.load.runnable))) } " "
                     span.faint { (count(of.sum(LaneView::blocked))) " blocked" } }
                dd.chart { (line(&moment.waiting, "jobs that could run, lately")) }
            }
            div.tile {
                dt { "Pickup" }
                dd { strong { (span(pace.pickup_p95)) } " p95" }
                dd.faint { (span(pace.pickup_p50)) " p50, due to begun" }
            }
            div.tile {
                dt { "Run time" }
                dd { strong { (span(pace.run_p95)) } " p95" }
                dd.faint { (span(pace.run_p50)) " p50, last " (many(pace.sample as u64, "job", "jobs")) }
            }
            div.tile {
                dt { a href="/workers" { "Workers" } }
                dd { strong { (count(of.workers.len() as u64)) } }
                dd.faint { (running) " of " (slots) " slots busy" }
            }
            div.tile {
                dt { a href="/dead" { "Dead letters" } }
                dd { strong { (count(of.dead.total)) } }
                dd.faint { (count(of.dead.unknown)) " with unknown outcome" }
            }
        }
    }
}

fn lanes(moment: &Moment) -> Markup {
    let of = &moment.overview;
    let mut shown: Vec<&LaneView> =
        of.lanes.iter().filter(|lane| waits(lane) > 0 || lane.info.paused.is_some()).collect();
    shown.sort_by_key(|lane| std::cmp::Reverse(waits(lane)));
    let quiet = of.lanes.len() - shown.len();
    html! {
        @if shown.is_empty() {
            (forms::empty("Nothing waits and nothing runs.", &html! {
                "Enqueue with " code { "flotilla enqueue KIND --payload …" } " or through the API." }))
        } @else {
            (legend())
            table.rows {
                thead { tr {
                    th scope="col" { "Lane" } th.bars scope="col" { "Backlog" }
                    th.n scope="col" { "Running" } th.n scope="col" { "Runnable" }
                    th.n scope="col" { "Later" } th.n scope="col" { "Parked" }
                    th.n scope="col" { "Waits" } th.n scope="col" { "Clears in" }
                } }
                tbody { @for lane in shown { (row(lane, moment)) } }
            }
        }
        @if quiet > 0 {
            p.faint { a href="/lanes" { (many(quiet as u64, "quiet lane", "quiet lanes")) } }
        }
    }
}

/// Jobs of a lane that have not ended.
fn waits(lane: &LaneView) -> u64 {
    lane.load.running + lane.load.runnable + lane.blocked()
}

/// The bar of a lane.
pub(crate) fn backlog(lane: &LaneView) -> Markup {
    let load = &lane.load;
    bar(&[
        Part { name: "running", n: load.running },
        Part { name: "runnable", n: load.runnable },
        Part { name: "scheduled", n: lane.count(State::Scheduled) },
        Part { name: "retryable", n: lane.count(State::Retryable) },
        Part { name: "parked", n: load.parked },
        Part { name: "paused", n: load.paused },
    ])
}

/// What the parts of the bars are.
pub(crate) fn legend() -> Markup {
    html! {
        ul.legend aria-label="Parts of the bars" {
            @for name in ["running", "runnable", "scheduled", "retryable", "parked", "paused"] {
                li { span class={ "swatch " (name) } aria-hidden="true" {} (name) }
            }
        }
    }
}

fn row(lane: &LaneView, moment: &Moment) -> Markup {
    let load = &lane.load;
    let oldest = lane.info.oldest_available.map(|at| short(between(at, moment.overview.at)));
    html! {
        tr {
            th scope="row" {
                a href={ "/jobs?lane=" (load.lane) } { (load.lane) }
                @if lane.info.paused.is_some() { " " (badge("warn", "paused", "paused")) }
            }
            td.bars { (backlog(lane)) }
            td.n data-label="Running" { (count(load.running)) }
            td.n data-label="Runnable" { (count(load.runnable)) }
            td.n data-label="Later" { (count(load.scheduled)) }
            td.n data-label="Parked" { (count(load.parked + load.paused)) }
            td.n data-label="Waits" { (oldest.filter(|_| load.runnable > 0).unwrap_or_else(|| "–".to_owned())) }
            td.n data-label="Clears in" { (clears(lane)) }
        }
    }
}

/// How long until what may run has run.
pub(crate) fn clears(lane: &LaneView) -> String {
    match lane.load.drain {
        _ if lane.load.runnable == 0 => "–".to_owned(),
        Some(drain) => format!("≈ {}", text::short(drain)),
        None => "not known".to_owned(),
    }
}
