//! `flotilla dead replay`: at once for a few, as an operation that workers lead for many.

use std::time::Duration;

use flotilla_core::replay::{DryRun, Request, Selection};
use serde_json::json;

use super::{MOST, chosen, count};
use crate::cli::{How, WhatFound, WhichDead};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{FoundWord, Site, known};
use crate::wire;

/// The largest patch that is read, in bytes.
const PATCH: u64 = 64 * 1024;

pub(super) async fn run(site: &dyn Site, which: &WhichDead, how: &How) -> Result<Exit, Failure> {
    let selection = chosen(which)?;
    let asked = request(which, how, selection)?;
    if which.dry_run {
        return say_dry(which, &site.dry_run(&asked).await?);
    }
    if *how == How::default() {
        return at_once(site, which, &asked.selection).await;
    }
    let made = site.plan(&asked).await?;
    let id = made.id;
    if !which.json {
        output::line(format!("replay {id} is planned; a worker leads it"))?;
        if site.workers().await?.is_empty() {
            output::line("no worker runs: start one with `flotilla worker`")?;
        }
        if !how.wait {
            output::line(format!("see how it goes: flotilla dead replays show {id}"))?;
        }
    }
    if how.wait {
        return super::replays::wait(site, id, which.json).await;
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

/// The oldest that match, without an operation.
async fn at_once(
    site: &dyn Site,
    which: &WhichDead,
    selection: &Selection,
) -> Result<Exit, Failure> {
    let done = site.replay(selection, which.limit.unwrap_or(MOST)).await?;
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
    site: &dyn Site,
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
    if word == WhatFound::DidNot && result.is_some() {
        return Err(Failure::usage("--result goes with --found did: else there is none"));
    }
    let record = known(site, *id).await?;
    if which.dry_run {
        let open = site.open_effects(*id).await?;
        output::line(format!("open effects of {id}: {}", open.join(", ")))?;
        return Ok(Exit::Ok);
    }
    let word = FoundWord { did: word == WhatFound::Did, result };
    let new = site.found(&record, &word).await?;
    if which.json {
        output::json(&json!({"job": id, "goes_on_as": new}))?;
    } else {
        output::line(format!("{id} goes on as {new}"))?;
    }
    Ok(Exit::Ok)
}
