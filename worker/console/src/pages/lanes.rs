//! `/lanes`: every lane with what its jobs wait for; pausing and resuming.

use axum::extract::{FromRequest, Path, Request, State as Shares};
use std::sync::Arc;

use flotilla_admin::auth::Act;
use flotilla_core::clock::between;
use flotilla_core::records::Pause;
use flotilla_core::{Lane, State};
use maud::{Markup, html};

use super::Answer;
use super::overview::{backlog, clears, legend};
use crate::ask::{Ask, Write};
use crate::marks::badge;
use crate::overview::LaneView;
use crate::shell::{Page, Place};
use crate::text::{count, relative, short};
use crate::trouble::Trouble;
use crate::{Shared, forms};

const HERE: &str = "/lanes";

pub(crate) async fn page(ask: Ask) -> Answer {
    ask.fleet()?;
    let moment = ask.shared.live.moment(&ask.shared, ask.now).await?;
    let lanes = &moment.overview.lanes;
    let body = html! {
        div #part-lanes data-live {
            @if lanes.is_empty() {
                (forms::empty("No lane has a job.", &html! {
                    "A lane appears with its first job: " code { "flotilla enqueue KIND --payload …" } }))
            } @else {
                (legend())
                table.rows {
                    thead { tr {
                        th scope="col" { "Lane" } th.bars scope="col" { "Backlog" }
                        th.n scope="col" { "Running" } th.n scope="col" { "Runnable" }
                        th.n scope="col" { "Blocked" } th.n scope="col" { "Dead" }
                        th.n scope="col" { "Waits" } th.n scope="col" { "Clears in" }
                        th.n scope="col" { "Workers" } th.n scope="col" { "Wants" }
                        @if ask.may_fleet(Act::Operate) { th scope="col" { span.unseen { "Actions" } } }
                    } }
                    tbody { @for lane in lanes { (row(&ask, lane)) } }
                }
                p.faint { "“Wants” is how many workers of the present size would begin every runnable job within a minute." }
            }
        }
    };
    let about =
        html! { "Named streams of jobs. A paused lane gives out no job; running ones go on." };
    Ok(ask.show(Page::new(Place::Lanes, "Lanes", body).about(about).live()))
}

fn row(ask: &Ask, lane: &LaneView) -> Markup {
    let (load, name) = (&lane.load, &lane.load.lane);
    let dead = lane.count(State::Dead);
    let oldest = lane.info.oldest_available.map(|at| short(between(at, ask.now)));
    html! {
        tr id=(name) {
            th scope="row" {
                a href={ "/jobs?lane=" (name) } { (name) }
                @if let Some(pause) = &lane.info.paused {
                    div.hint {
                        (badge("warn", "paused", "paused")) " "
                        (relative(pause.since, ask.now)) " by " (pause.by) ": " (pause.reason)
                    }
                }
            }
            td.bars { (backlog(lane)) }
            td.n data-label="Running" { (count(load.running)) }
            td.n data-label="Runnable" { (count(load.runnable)) }
            td.n data-label="Blocked" { (count(lane.blocked())) }
            td.n data-label="Dead" {
                @if dead > 0 { a href={ "/dead?lane=" (name) } { (count(dead)) } } @else { "0" }
            }
            td.n data-label="Waits" { (oldest.filter(|_| load.runnable > 0).unwrap_or_else(|| "–".to_owned())) }
            td.n data-label="Clears in" { (clears(lane)) }
            td.n data-label="Workers" {
                @if lane.workers == 0 && load.runnable > 0 { (badge("bad", "dead", "none")) } @else { (lane.workers) }
            }
            td.n data-label="Wants" { (load.replicas) }
            @if ask.may_fleet(Act::Operate) { td.acts { (act(ask, lane)) } }
        }
    }
}

fn act(ask: &Ask, lane: &LaneView) -> Markup {
    let name = &lane.load.lane;
    if lane.info.paused.is_some() {
        return forms::button(&ask.who, &format!("/lanes/{name}/resume"), HERE, "Resume", "");
    }
    let nothing = html! {};
    forms::reasoned(&ask.who, &format!("/lanes/{name}/pause"), HERE, "Pause", "", &nothing)
}

/// A write to one lane; its name is in the path.
async fn write(
    shared: &Arc<Shared>,
    lane: &str,
    request: Request,
) -> Result<(Write, Lane), Trouble> {
    let write = Write::from_request(request, shared).await?;
    write.ask.who.need_fleet(Act::Operate)?;
    let lane = lane.parse()?;
    Ok((write, lane))
}

/// How it is paused now.
async fn present(ask: &Ask, lane: &Lane) -> Result<Option<Pause>, Trouble> {
    let lanes = ask.shared.console.records.lanes().await?;
    Ok(lanes.into_iter().find(|info| info.lane == *lane).and_then(|info| info.paused))
}

pub(crate) async fn pause(
    Shares(shared): Shares<Arc<Shared>>,
    Path(lane): Path<String>,
    request: Request,
) -> Answer {
    let (write, lane) = write(&shared, &lane, request).await?;
    let (ask, reason) = (&write.ask, write.reason()?.to_owned());
    let before = present(ask, &lane).await?;
    ask.shared.console.acts().pause_lane(&ask.who, &lane, before.as_ref(), reason).await?;
    ask.shared.live.stale();
    Ok(write
        .done(&format!("Lane {lane} is paused: no worker takes a job of it until it is resumed")))
}

pub(crate) async fn resume(
    Shares(shared): Shares<Arc<Shared>>,
    Path(lane): Path<String>,
    request: Request,
) -> Answer {
    let (write, lane) = write(&shared, &lane, request).await?;
    let ask = &write.ask;
    let before = present(ask, &lane).await?;
    let was = ask.shared.console.acts().resume_lane(&ask.who, &lane, before.as_ref()).await?;
    ask.shared.live.stale();
    let said = if was { "goes on" } else { "was not paused" };
    Ok(write.done(&format!("Lane {lane} {said}")))
}
