//! `/flows`: jobs that start others and wait for them, as trees.

use std::collections::BTreeMap;

use axum::extract::Path;
use flotilla_core::records::{Filter, JobRecord, Page as Cut};
use flotilla_core::{JobId, State};
use maud::{Markup, html};

use super::Answer;
use super::jobs::says;
use crate::ask::Ask;
use crate::forms;
use crate::marks::{Part, bar, state};
use crate::shell::{Page, Place};
use crate::text::{brief, when};
use crate::trouble::Trouble;

/// Jobs that are looked at for flows, of each sort.
const LOOKED: usize = 500;
/// Flows of one page.
const SHOWN: usize = 60;
/// Jobs of one tree.
const TREE: usize = 500;
/// Levels of one tree.
const DEEP: usize = 8;

pub(crate) async fn page(ask: Ask) -> Answer {
    let mut flows: BTreeMap<JobId, JobRecord> = BTreeMap::new();
    for wanted in [State::Parked, State::Running, State::Completed, State::Dead] {
        let filter = Filter { states: vec![wanted], ..Filter::default() };
        let Some(filter) = ask.who.within(filter) else { continue };
        let found =
            ask.shared.console.records.list(&filter, Cut { limit: LOOKED, before: None }).await?;
        flows.extend(
            found.jobs.into_iter().filter(|job| job.flow.is_some()).map(|job| (job.id, job)),
        );
    }
    let body = html! {
        div #part-flows data-live {
            @if flows.is_empty() {
                (forms::empty("No job has children lately.", &html! {
                    "A flow begins when a job starts others and waits for them, as " code { "link.process" } " does." }))
            } @else {
                table.rows {
                    thead { tr { th scope="col" { "Flow" } th scope="col" { "Kind" } th scope="col" { "State" } th.bars scope="col" { "Children" } th scope="col" { "Enqueued" } } }
                    tbody { @for job in flows.values().rev().take(SHOWN) { (row(&ask, job)) } }
                }
            }
        }
    };
    let about =
        html! { "Jobs that started others, newest first, of those that wait, run or ended lately" };
    Ok(ask.show(Page::new(Place::Flows, "Flows", body).about(about).live()))
}

fn row(ask: &Ask, job: &JobRecord) -> Markup {
    let id = job.id.to_string();
    let flow = job.flow;
    html! {
        tr {
            th scope="row" { a.id href={ "/flows/" (id) } title=(id) { (brief(&id)) } }
            td data-label="Kind" { (job.kind) }
            td data-label="State" { (state(job.state)) }
            td.bars data-label="Children" { @if let Some(flow) = flow {
                @let open = flow.children.saturating_sub(flow.succeeded + flow.failed);
                (bar(&[Part { name: "completed", n: flow.succeeded.into() }, Part { name: "dead", n: flow.failed.into() }, Part { name: "runnable", n: open.into() }]))
                span.faint { (flow.succeeded) " of " (flow.children) @if flow.failed > 0 { ", " (flow.failed) " failed" } }
            } }
            td data-label="Enqueued" { (when(job.enqueued_at, ask.now)) }
        }
    }
}

pub(crate) async fn tree(ask: Ask, Path(id): Path<String>) -> Answer {
    let root = ask.job(&id).await?;
    let (below, whole) = descend(&ask, root.id).await?;
    let live = !root.state.is_finished();
    let body = html! {
        div #part-tree data-live {
            ul.tree { (node(&root, &below, 0)) }
            @if !whole { p.faint { "The first " (TREE) " jobs of the tree." } }
        }
    };
    let id = root.id.to_string();
    let about = html! { code.id { (id) } " · " a href={ "/jobs/" (id) } { "the job itself" } };
    let mut page = Page::new(Place::Flows, format!("Flow of {}", root.kind), body).about(about);
    if live {
        page = page.live();
    }
    Ok(ask.show(page))
}

/// Everything below a job, level by level; `false`: there is more.
async fn descend(
    ask: &Ask,
    root: JobId,
) -> Result<(BTreeMap<JobId, Vec<JobRecord>>, bool), Trouble> {
    let mut below: BTreeMap<JobId, Vec<JobRecord>> = BTreeMap::new();
    let (mut level, mut left) = (vec![root], TREE);
    for _ in 0..DEEP {
        if level.is_empty() {
            return Ok((below, true));
        }
        let filter = Filter { parents: std::mem::take(&mut level), ..Filter::default() };
        let cut = Cut { limit: left.min(1000), before: None };
        let found = ask.shared.console.records.list(&filter, cut).await?;
        let whole = found.next.is_none();
        left = left.saturating_sub(found.jobs.len());
        for job in found.jobs {
            let Some(parent) = job.parent.as_ref().map(|parent| parent.id) else { continue };
            if job.flow.is_some() {
                level.push(job.id);
            }
            below.entry(parent).or_default().push(job);
        }
        if !whole || left == 0 {
            return Ok((below, false));
        }
    }
    Ok((below, level.is_empty()))
}

fn node(job: &JobRecord, below: &BTreeMap<JobId, Vec<JobRecord>>, depth: usize) -> Markup {
    let id = job.id.to_string();
    let name = job.parent.as_ref().map_or("", |parent| parent.name.as_str());
    let mut children: Vec<&JobRecord> = below.get(&job.id).into_iter().flatten().collect();
    children.sort_by(|a, b| {
        a.parent.as_ref().map(|p| &p.name).cmp(&b.parent.as_ref().map(|p| &p.name))
    });
    html! {
        li {
            div.node {
                (state(job.state))
                a href={ "/jobs/" (id) } title=(id) { @if name.is_empty() { (brief(&id)) } @else { (name) } }
                span.faint { (job.kind) }
                @let said = says(job);
                @if !said.is_empty() { span.says { (said) } }
            }
            @if !children.is_empty() && depth < DEEP {
                ul { @for child in children { (node(child, below, depth + 1)) } }
            }
        }
    }
}
