//! `flotilla dead replay`: at once for a few, as an operation that workers lead for many.

use std::time::Duration;

use flotilla_config::Config;
use flotilla_core::clock::before;
use flotilla_core::records::Filter;
use flotilla_core::replay::{Desk, DryRun, ReplayId, Request, Selection, dry_run, select};
use flotilla_engine::found::{self as engine, Found, FoundError};
use serde_json::json;

use super::{IDS, MOST, chosen, count};
use crate::cli::{How, WhatFound, WhichDead};
use crate::commands::known;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

/// The largest patch that is read, in bytes.
const PATCH: u64 = 64 * 1024;
/// A worker that was not seen for so long is not there.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(
    ports: &Ports,
    config: &Config,
    which: &WhichDead,
    how: &How,
) -> Result<Exit, Failure> {
    let selection = chosen(which)?;
    let asked = request(which, how, selection)?;
    if which.dry_run {
        let ops = wire::ops(config, ports)?;
        let dry = dry_run(&*ports.records, &ops.registry, &asked, ports.now()).await?;
        return say_dry(which, &dry);
    }
    if *how == How::default() {
        return at_once(ports, which, &asked.selection).await;
    }
    let ops = wire::ops(config, ports)?;
    let id = ReplayId::new(ports.now(), &*ops.rng);
    let made = Desk::new(&*ports.cells).create(&asked, id, ports.now()).await;
    let made = made.map_err(super::replays::failure)?;
    tracing::info!(
        target: "audit", who = asked.by, what = "replay", id = %id, after = "planned",
        reason = asked.reason, request = %json!(asked),
    );
    let workers = ports.fleet.workers(before(ports.now(), SEEN_WITHIN)).await?;
    if !which.json {
        output::line(format!("replay {id} is planned; a worker leads it"))?;
        if workers.is_empty() {
            output::line("no worker runs: start one with `flotilla worker`")?;
        }
        if !how.wait {
            output::line(format!("see how it goes: flotilla dead replays show {id}"))?;
        }
    }
    if how.wait {
        return super::replays::wait(ports, id, which.json).await;
    }
    if which.json {
        output::json(&made)?;
    }
    Ok(Exit::Ok)
}

fn request(which: &WhichDead, how: &How, selection: Selection) -> Result<Request, Failure> {
    let patch = match &how.patch {
        None => None,
        Some(file) => {
            let size = std::fs::metadata(file).map(|meta| meta.len());
            let size = size.map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
            if size > PATCH {
                return Err(Failure::usage(format!("{}: over {PATCH} bytes", file.display())));
            }
            let text = std::fs::read(file)?;
            let patch = serde_json::from_slice(&text).map_err(|e| {
                Failure::usage(format!("{}: no JSON Patch (RFC 6902): {e}", file.display()))
            })?;
            Some(patch)
        }
    };
    let request = Request {
        selection,
        patch,
        canary: how.canary.unwrap_or(0),
        rate: how.rate,
        ramp_seconds: how.ramp.map_or(0, |ramp| u32::try_from(ramp.as_secs()).unwrap_or(u32::MAX)),
        stop_at: how.stop_at,
        limit: which.limit.map(|limit| limit as u64),
        by: wire::user(),
        reason: how.reason.clone().unwrap_or_default(),
        ..Request::default()
    };
    if *how != How::default() {
        request.check().map_err(Failure::usage)?;
    }
    Ok(request)
}

/// The oldest that match, in this process.
async fn at_once(ports: &Ports, which: &WhichDead, selection: &Selection) -> Result<Exit, Failure> {
    let (records, limit) = (&ports.records, which.limit.unwrap_or(MOST));
    let mut filters = vec![selection.filter()];
    if !selection.groups.is_empty() {
        let mut ids = select(&**records, selection, limit).await?;
        ids.reverse(); // the oldest first
        let some = |ids: &[_]| Filter { ids: ids.to_vec(), ..Filter::default() }.dead();
        filters = ids.chunks(IDS).map(some).collect();
    }
    let mut done = flotilla_core::records::Replay::default();
    for filter in filters {
        let part = records.replay(&filter, limit, ports.now()).await?;
        done.replayed += part.replayed;
        done.refused.extend(part.refused);
    }
    if which.json {
        output::json(&done)?;
    } else {
        output::line(format!("put back {}", count(done.replayed)))?;
        for (id, why) in &done.refused {
            output::line(format!("left dead: {id}: {why}"))?;
        }
    }
    Ok(if done.refused.is_empty() { Exit::Ok } else { Exit::JobFailed })
}

fn say_dry(which: &WhichDead, dry: &DryRun) -> Result<Exit, Failure> {
    if which.json {
        let mut answer = json!(dry);
        answer["dry_run"] = json!(true);
        output::json(&answer)?;
        return Ok(Exit::Ok);
    }
    let DryRun { matching, would_replay, outcome_unknown, refused, .. } = dry;
    output::line(format!("would be put back: {} of {matching} that match", count(*would_replay)))?;
    for (kind, n) in &dry.kinds {
        output::line(format!("  {n} {kind}"))?;
    }
    for (class, n) in &dry.classes {
        output::line(format!("  {n} {class}"))?;
    }
    if let Some(seconds) = dry.seconds {
        let took = output::short(Duration::from_secs_f64(seconds.max(0.0)));
        output::line(format!("that would take about {took}"))?;
    }
    if !dry.patched.is_empty() {
        output::line("the patch changes, in the newest of them:")?;
        for line in &dry.patched {
            output::line(format!("  {line}"))?;
        }
    }
    if *refused > 0 {
        output::line(format!("would be refused: {}", count(*refused)))?;
        for (reason, n) in &dry.reasons {
            output::line(format!("  {n}: {reason}"))?;
        }
    }
    if *outcome_unknown > 0 {
        output::line(format!(
            "{outcome_unknown} of them have an unknown outcome and are never put back by a filter"
        ))?;
    }
    Ok(Exit::Ok)
}

/// One dead letter whose outcome a person has looked up.
pub(super) async fn found(
    ports: &Ports,
    config: &Config,
    which: &WhichDead,
    word: WhatFound,
    result: Option<&str>,
) -> Result<Exit, Failure> {
    let [id] = which.ids.as_slice() else {
        return Err(Failure::usage("--found speaks for one dead letter: give exactly one id"));
    };
    let result = result.map(serde_json::from_str).transpose().map_err(|error| {
        Failure::usage(format!("--result is not JSON: {error}; a text needs its quotes"))
    })?;
    let found = match (word, result) {
        (WhatFound::Did, result) => Found::Did(result.unwrap_or_default()),
        (WhatFound::DidNot, None) => Found::DidNot,
        (WhatFound::DidNot, Some(_)) => {
            return Err(Failure::usage("--result goes with --found did: else there is none"));
        }
    };
    let record = known(&*ports.records, *id).await?;
    if which.dry_run {
        let open = engine::open_effects(&*ports.cells, *id, ports.now()).await?;
        output::line(format!("open effects of {id}: {}", open.join(", ")))?;
        return Ok(Exit::Ok);
    }
    let (ops, word) = (wire::ops(config, ports)?, engine::Word { found, by: wire::user() });
    let replayed = engine::replay(&*ports.records, &*ports.cells, &ops, &record, &word).await;
    let new = replayed.map_err(|error| match error {
        FoundError::Refused(why) => Failure::usage(why),
        FoundError::Port(error) => error.into(),
        FoundError::Enqueue(error) => Failure::usage(error.to_string()),
    })?;
    if which.json {
        output::json(&json!({"job": id, "goes_on_as": new}))?;
    } else {
        output::line(format!("{id} goes on as {new}"))?;
    }
    Ok(Exit::Ok)
}
