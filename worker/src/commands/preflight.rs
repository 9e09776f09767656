//! `flotilla preflight`: may this build take over? It may not when it would make dead letters of
//! jobs that wait now: of a kind it does not have, or with payloads it does not understand.

use std::collections::BTreeMap;

use flotilla_config::Config;
use flotilla_core::records::{Filter, JobRecord, Page, Records};
use flotilla_core::{JobId, Kind, Payload, Registry, State};
use serde::Serialize;

use crate::cli::Preflight;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

/// Jobs in one page.
const PAGE: usize = 1000;

/// Jobs that will run some day without anybody's help.
fn waiting() -> Filter {
    let states = State::ALL.into_iter().filter(|state| !state.is_finished());
    Filter { states: states.collect(), ..Filter::default() }
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// Jobs that wait or run.
    unfinished: u64,
    /// Of these, payloads that were decoded.
    decoded: u64,
    /// Of a kind that this build does not have.
    unknown_kind: u64,
    /// What cannot be read, by kind and version, with an example.
    unreadable: BTreeMap<String, Unreadable>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    jobs: u64,
    why: String,
    example: JobId,
}

pub(super) async fn run(args: &Preflight, config: &Config) -> Result<Exit, Failure> {
    // A schema that this build does not know is refused here.
    let ports = wire::ports(config).await?;
    let registry = wire::kinds_offline(config)?;
    let found = look(&*ports.records, &registry, args.sample).await;
    ports.close().await;
    let found = found?;
    let fit = found.unknown_kind == 0 && found.unreadable.is_empty();
    if args.json {
        output::json(&found)?;
    } else {
        say(&found)?;
    }
    Ok(if fit { Exit::Ok } else { Exit::Unavailable })
}

async fn look(records: &dyn Records, registry: &Registry, sample: usize) -> Result<Found, Failure> {
    let unfinished = records.count(&waiting()).await?;
    let aliases = registry.kinds().flat_map(|known| known.aliases.iter().cloned());
    let kinds: Vec<Kind> = registry.names().cloned().chain(aliases).collect();
    let known = records.count(&Filter { kinds, ..waiting() }).await?;
    let unknown_kind = unfinished.saturating_sub(known);
    let mut found = Found { unfinished, unknown_kind, ..Found::default() };
    let mut before = None;
    while (found.decoded as usize) < sample {
        let limit = PAGE.min(sample - found.decoded as usize);
        let listed = records.list(&waiting(), Page { limit, before }).await?;
        for job in &listed.jobs {
            found.decoded += 1;
            if let Err(why) = readable(registry, job) {
                let name = format!("{} version {}", job.kind, job.version);
                let entry = found.unreadable.entry(name);
                entry.or_insert(Unreadable { jobs: 0, why, example: job.id }).jobs += 1;
            }
        }
        match listed.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    Ok(found)
}

fn readable(registry: &Registry, job: &JobRecord) -> Result<(), String> {
    let kind = registry.get(job.kind.as_str()).map_err(|e| e.to_string())?;
    if job.version > kind.version {
        return Err(format!("this build reads it up to version {}", kind.version));
    }
    let payload = Payload::of(&job.payload).map_err(|e| e.to_string())?;
    kind.check(job.version, &payload).map(|_| ()).map_err(|e| e.to_string())
}

fn say(found: &Found) -> Result<(), Failure> {
    for (what, unreadable) in &found.unreadable {
        let Unreadable { jobs, why, example } = unreadable;
        output::line(format!("FAULT  {what}: {jobs} jobs, as {example}: {why}"))?;
    }
    if found.unknown_kind > 0 {
        let n = found.unknown_kind;
        output::line(format!(
            "FAULT  {n} unfinished jobs are of kinds that this build does not have"
        ))?;
    }
    if found.unknown_kind > 0 || !found.unreadable.is_empty() {
        output::line(
            "       → keep the old workers until these have run, or upgrade to a build that reads them",
        )?;
    }
    output::line(format!(
        "{} unfinished jobs, {} payloads decoded",
        found.unfinished, found.decoded
    ))?;
    Ok(())
}
