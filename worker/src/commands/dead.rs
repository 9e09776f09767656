//! `flotilla dead`: the dead letters, and what may be done about them.

use flotilla_config::Config;
use flotilla_core::records::{Filter, Page};
use flotilla_core::{DeadClass, State};
use flotilla_engine::found::{self, Found, FoundError, Word};
use serde_json::json;

use crate::cli::{Dead, FoundOut, WhatFound, WhichDead};
use crate::commands::{jobs, known};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

pub(super) async fn run(command: &Dead, config: &Config) -> Result<Exit, Failure> {
    let ports = wire::ports(config).await?;
    let result = act(command, &ports, config).await;
    ports.close().await;
    result
}

async fn act(command: &Dead, ports: &Ports, config: &Config) -> Result<Exit, Failure> {
    let now = ports.now();
    match command {
        Dead::List { which, class, limit, before, json } => {
            let filter = Filter { classes: class.clone(), ..jobs::filter(which) }.dead();
            let listed =
                ports.records.list(&filter, Page { limit: *limit, before: *before }).await?;
            if *json {
                output::json(&json!({"jobs": listed.jobs, "next": listed.next}))?;
            } else {
                jobs::table(&listed.jobs, now, "no dead letters")?;
                if let Some(next) = listed.next {
                    output::line(format!("more: --before {next}"))?;
                }
            }
            Ok(Exit::Ok)
        }
        Dead::Show { id, json } => {
            let job = known(&*ports.records, *id).await?;
            if job.state != State::Dead {
                return Err(Failure::usage(format!(
                    "{id} is {}, not dead: `flotilla jobs show {id}`",
                    job.state
                )));
            }
            jobs::show(&job, now, *json)?;
            if !*json {
                output::line(advice(job.class))?;
            }
            Ok(Exit::Ok)
        }
        Dead::Replay { which, word: FoundOut { found: Some(found), result } } => {
            replay_found(ports, config, which, *found, result.as_deref()).await
        }
        Dead::Replay { which, .. } => {
            let filter = filter(which)?;
            if which.dry_run {
                return dry_run(ports, which, &filter, "put back").await;
            }
            let done = ports.records.replay(&filter, which.limit, now).await?;
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
        Dead::Discard { which, reason } => {
            let filter = filter(which)?;
            if which.dry_run {
                return dry_run(ports, which, &filter, "put aside").await;
            }
            let n = ports.records.discard(&filter, reason, which.limit, now).await?;
            said(which, "put aside", n)
        }
        Dead::Purge(which) => {
            let filter = filter(which)?;
            if which.dry_run {
                return dry_run(ports, which, &filter, "deleted").await;
            }
            let n = ports.records.purge(&filter, which.limit).await?;
            said(which, "deleted", n)
        }
    }
}

/// One dead letter whose outcome a person has looked up.
async fn replay_found(
    ports: &Ports,
    config: &Config,
    which: &WhichDead,
    found: WhatFound,
    result: Option<&str>,
) -> Result<Exit, Failure> {
    let [id] = which.ids.as_slice() else {
        return Err(Failure::usage("--found speaks for one dead letter: give exactly one id"));
    };
    let result = result.map(serde_json::from_str).transpose().map_err(|error| {
        Failure::usage(format!("--result is not JSON: {error}; a text needs its quotes"))
    })?;
    let found = match (found, result) {
        (WhatFound::Did, result) => Found::Did(result.unwrap_or_default()),
        (WhatFound::DidNot, None) => Found::DidNot,
        (WhatFound::DidNot, Some(_)) => {
            return Err(Failure::usage("--result goes with --found did: else there is none"));
        }
    };
    let record = known(&*ports.records, *id).await?;
    if which.dry_run {
        let open = found::open_effects(&*ports.cells, *id, ports.now()).await?;
        output::line(format!("open effects of {id}: {}", open.join(", ")))?;
        return Ok(Exit::Ok);
    }
    let (ops, word) = (wire::ops(config, ports)?, Word { found, by: wire::user() });
    let replayed = found::replay(&*ports.records, &*ports.cells, &ops, &record, &word).await;
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

/// Ids, a filter or `--all`: a bare command must not touch everything by accident.
fn filter(which: &WhichDead) -> Result<Filter, Failure> {
    let filter = Filter {
        ids: which.ids.clone(),
        classes: which.class.clone(),
        ..jobs::filter(&which.which)
    };
    let everything = filter == Filter::default();
    if everything && !which.all {
        return Err(Failure::usage(
            "say which dead letters: ids, a filter such as --kind or --class, or --all",
        ));
    }
    if !everything && which.all {
        return Err(Failure::usage(
            "--all does not go with ids or a filter: leave one of them out",
        ));
    }
    Ok(filter.dead())
}

async fn dry_run(
    ports: &Ports,
    which: &WhichDead,
    filter: &Filter,
    verb: &str,
) -> Result<Exit, Failure> {
    let matching = ports.records.count(filter).await?;
    let n = matching.min(which.limit as u64);
    let unknown = Filter { classes: vec![DeadClass::OutcomeUnknown], ..filter.clone() };
    let unknown = ports.records.count(&unknown).await?;
    if which.json {
        output::json(
            &json!({"dry_run": true, "matching": matching, "would_touch": n, "outcome_unknown": unknown}),
        )?;
    } else {
        output::line(format!("would be {verb}: {} of {matching} that match", count(n)))?;
        if unknown > 0 && verb == "put back" {
            output::line(format!(
                "{unknown} of them have an unknown outcome and are never put back by a filter"
            ))?;
        }
    }
    Ok(Exit::Ok)
}

fn said(which: &WhichDead, verb: &str, n: u64) -> Result<Exit, Failure> {
    if which.json {
        output::json(&json!({"touched": n}))?;
    } else {
        output::line(format!("{verb}: {}", count(n)))?;
    }
    Ok(Exit::Ok)
}

fn count(n: u64) -> String {
    if n == 1 { "1 dead letter".to_owned() } else { format!("{n} dead letters") }
}

fn advice(class: Option<DeadClass>) -> &'static str {
    match class {
        Some(DeadClass::Exhausted) => {
            "its attempts are used up: mend the cause, then `flotilla dead replay ID`"
        }
        Some(DeadClass::Invalid) => {
            "its payload cannot work as it is: enqueue a corrected job, then `flotilla dead discard ID --reason …`"
        }
        Some(DeadClass::Poison) => {
            "it took its workers down: look at their logs before `flotilla dead replay ID`"
        }
        Some(DeadClass::Expired) => {
            "its deadline passed before a worker was free: add workers, then `flotilla dead replay ID`"
        }
        Some(DeadClass::Unauthorised) => {
            "its credential does not hold: renew it, then `flotilla dead replay ID`"
        }
        Some(DeadClass::OutcomeUnknown) => {
            "an irreversible call was made and its outcome is not known: look at the platform, then `flotilla dead replay ID --found did` (or did-not)"
        }
        Some(DeadClass::Rejected) | None => "it was refused for good: read the error above",
    }
}
