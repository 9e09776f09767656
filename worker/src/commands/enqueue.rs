//! `flotilla enqueue`: one job, or as many as a file has lines, and waiting for what becomes of
//! them.
//!
//! A line that cannot be taken is reported with its number and costs the others nothing.

use std::collections::VecDeque;
use std::io::BufRead;
use std::time::Duration;

use flotilla_config::Config;
use flotilla_core::clock::after;
use flotilla_core::ops::{Accepted, EnqueueError};
use flotilla_core::queue::Enqueued;
use flotilla_core::{Envelope, JobId, Payload, Timestamp, Unique, UniqueScope};
use serde_json::{Value, json};

use crate::cli::Enqueue;
use crate::commands::{jobs, status};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Refusal, Site, Target, known};
use crate::wire;
use crate::wire::input::{self, Lines};

/// Lines that share one transaction.
const BATCH: usize = 500;

pub(super) async fn run(args: &Enqueue, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(args, config, &*site).await;
    site.close().await;
    result
}

async fn act(args: &Enqueue, config: &Config, site: &dyn Site) -> Result<Exit, Failure> {
    site.knows(&args.kind)?; // before any input is read
    let mut tally = Tally::default();
    match &args.jsonl {
        Some(file) => lines(args, config, site, file, &mut tally).await?,
        None => {
            let payload = match &args.payload {
                Some(given) => input::payload(given, config.queue.max_payload)?,
                None => Payload::from_bytes(&b"{}"[..]),
            };
            let envelope = envelope(args, payload, site.now());
            for one in site.enqueue(vec![envelope]).await? {
                let one = one.map_err(|refusal| Failure::usage(refusal.says))?;
                tally.accepted(args, one)?;
            }
        }
    }
    if args.jsonl.is_some() && !args.json {
        eprintln!(
            "flotilla: {} enqueued, {} already there, {} refused",
            tally.created, tally.duplicates, tally.refused
        );
    }
    let refused = if tally.refused > 0 { Exit::Usage } else { Exit::Ok };
    if args.wait {
        let waited = wait(args, site, tally.ids).await?;
        return Ok(if waited == Exit::Ok { refused } else { waited });
    }
    Ok(refused)
}

fn envelope(args: &Enqueue, payload: Payload, now: Timestamp) -> Envelope {
    let unique = |key: &String| Unique { key: key.clone(), scope: UniqueScope::Unfinished };
    Envelope {
        lane: args.lane.clone(),
        tenant: args.tenant.clone(),
        priority: args.priority,
        run_at: args.at.or_else(|| args.in_.map(|by| after(now, by))),
        deadline: args.expires.map(|by| after(now, by)),
        unique: args.unique.as_ref().map(unique),
        order: args.order.clone(),
        ..Envelope::new(args.kind.clone(), payload)
    }
}

async fn lines(
    args: &Enqueue,
    config: &Config,
    site: &dyn Site,
    file: &str,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut batch: Vec<(u64, Envelope)> = Vec::with_capacity(BATCH);
    let mut lines = Lines::new(input::reader(file)?, config.queue.max_payload);
    while let Some(line) = next(&mut lines)? {
        let number = lines.number();
        match line {
            Ok(bytes) => {
                batch.push((number, envelope(args, Payload::from_bytes(bytes), site.now())));
            }
            Err(message) => {
                flush(args, site, &mut batch, tally).await?; // answers stay in the order of lines
                let error = EnqueueError::Field { field: "payload", message };
                tally.refused(args, number, &Refusal::from(&error))?;
            }
        }
        if batch.len() == BATCH {
            flush(args, site, &mut batch, tally).await?;
        }
    }
    flush(args, site, &mut batch, tally).await
}

fn next<R: BufRead>(lines: &mut Lines<R>) -> Result<Option<Result<Vec<u8>, String>>, Failure> {
    Ok(lines.next_line()?)
}

async fn flush(
    args: &Enqueue,
    site: &dyn Site,
    batch: &mut Vec<(u64, Envelope)>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let (numbers, envelopes): (Vec<u64>, Vec<Envelope>) = batch.drain(..).unzip();
    for (number, one) in numbers.into_iter().zip(site.enqueue(envelopes).await?) {
        match one {
            Ok(one) => tally.accepted(args, one)?,
            Err(refusal) => tally.refused(args, number, &refusal)?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    created: u64,
    duplicates: u64,
    refused: u64,
    /// Kept only when they are waited for.
    ids: VecDeque<JobId>,
}

impl Tally {
    fn accepted(&mut self, args: &Enqueue, one: Accepted) -> Result<(), Failure> {
        let (word, error): (&str, Option<&str>) = match &one.outcome {
            Enqueued::Created => ("created", None),
            Enqueued::Duplicate(_) => ("duplicate", None),
            Enqueued::Rejected(why) => ("rejected", Some(why)),
        };
        match &one.outcome {
            Enqueued::Created => self.created += 1,
            Enqueued::Duplicate(_) => self.duplicates += 1,
            Enqueued::Rejected(_) => self.refused += 1,
        }
        if let Some(why) = error {
            let said = json!({"ok": false, "error": {"kind": "rejected", "message": why}});
            return self.say(args, &said, None, Some(why));
        }
        if args.wait {
            self.ids.push_back(one.id);
        }
        let said = json!({"ok": true, "id": one.id, "outcome": word});
        self.say(args, &said, Some(one.id), None)
    }

    fn refused(&mut self, args: &Enqueue, number: u64, why: &Refusal) -> Result<(), Failure> {
        self.refused += 1;
        let message = &why.says;
        let said = json!({
            "ok": false, "line": number,
            "error": {"kind": "invalid", "message": message, "field": why.field},
        });
        self.say(args, &said, None, Some(&format!("line {number}: {message}")))
    }

    fn say(
        &self,
        args: &Enqueue,
        machine: &Value,
        id: Option<JobId>,
        error: Option<&str>,
    ) -> Result<(), Failure> {
        if args.json {
            output::line(machine)?;
        } else if let Some(id) = id {
            output::line(id)?;
        }
        if let Some(error) = error.filter(|_| !args.json) {
            eprintln!("flotilla: {error}");
        }
        Ok(())
    }
}

/// Waits until each job is finished and shows it; the first bad end decides the exit code.
async fn wait(args: &Enqueue, site: &dyn Site, ids: VecDeque<JobId>) -> Result<Exit, Failure> {
    let limit = args.timeout.unwrap_or(Duration::MAX);
    let waiting = async {
        let mut exit = Exit::Ok;
        let mut changes = site.changes();
        for id in ids {
            loop {
                changes.mark_unchanged();
                let job = known(site, id).await?;
                if job.state.is_finished() {
                    if args.json {
                        output::line(serde_json::to_string(&job)?)?;
                    } else {
                        jobs::show(&job, site.now(), false)?;
                    }
                    if status::verdict(&job) != Exit::Ok {
                        exit = Exit::JobFailed;
                    }
                    break;
                }
                wire::changed(&mut changes).await;
            }
        }
        Ok(exit)
    };
    tokio::time::timeout(limit.min(Duration::from_secs(365 * 86_400)), waiting).await.unwrap_or_else(|_| {
        Err(Failure::unavailable("not finished within --timeout; the jobs stay in the queue: `flotilla status ID --watch`"))
    })
}
