//! `flotilla jobs`: list, show, cancel.

use flotilla_config::Config;
use flotilla_core::records::{Cancel, Filter, JobRecord, Page, RunNow};
use flotilla_core::{State, Timestamp};
use serde_json::json;

use crate::cli::{Jobs, Which};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target, known};

pub(super) async fn run(command: &Jobs, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site).await;
    site.close().await;
    result
}

async fn act(command: &Jobs, site: &dyn Site) -> Result<Exit, Failure> {
    let now = site.now();
    let mut exit = Exit::Ok;
    match command {
        Jobs::List { which, state, limit, before, json } => {
            let filter = Filter { states: state.clone(), ..filter(which) };
            let listed = site.jobs(&filter, Page { limit: *limit, before: *before }).await?;
            if *json {
                output::json(&json!({"jobs": listed.jobs, "next": listed.next}))?;
            } else {
                table(&listed.jobs, now, "no jobs match")?;
                if let Some(next) = listed.next {
                    output::line(format!("more: --before {next}"))?;
                }
            }
        }
        Jobs::Show { id, json } => show(&known(site, *id).await?, now, *json)?,
        Jobs::RunNow { ids, json } => {
            let answers = site.run_now(ids).await?;
            if answers.iter().any(|answer| *answer != RunNow::Due) {
                exit = Exit::JobFailed;
            }
            for (id, answer) in ids.iter().zip(answers) {
                if *json {
                    output::line(json!({"id": id, "outcome": answer}))?;
                    continue;
                }
                let said = match answer {
                    RunNow::Due => "is due now",
                    RunNow::NotWaiting => {
                        "does not wait for a moment: `flotilla why` says for what"
                    }
                    RunNow::Unknown => "is not known",
                };
                output::line(format!("{id} {said}"))?;
            }
        }
        Jobs::Cancel { ids, reason, json } => {
            let answers = site.cancel(ids, reason).await?;
            let missed = answers.iter().any(|a| matches!(a, Cancel::Finished | Cancel::Unknown));
            if missed {
                exit = Exit::JobFailed;
            }
            for (id, answer) in ids.iter().zip(answers) {
                if *json {
                    output::line(json!({"id": id, "outcome": answer}))?;
                    continue;
                }
                let said = match answer {
                    Cancel::Cancelled => "cancelled",
                    Cancel::Asked => "is running: its worker was told to stop it",
                    Cancel::Finished => "was finished already",
                    Cancel::Unknown => "is not known",
                };
                output::line(format!("{id} {said}"))?;
            }
        }
    }
    Ok(exit)
}

/// The filter that the options of a command name.
pub(super) fn filter(which: &Which) -> Filter {
    Filter {
        lanes: which.lane.clone(),
        kinds: which.kind.clone(),
        tenants: which.tenant.clone(),
        since: which.since,
        until: which.until,
        error: which.error.clone(),
        ..Filter::default()
    }
}

/// Jobs as a table, one line each.
pub(super) fn table(jobs: &[JobRecord], now: Timestamp, empty: &str) -> Result<(), Failure> {
    let rows = jobs
        .iter()
        .map(|job| {
            let state = job.class.map_or(job.state.to_string(), |c| format!("{} ({c})", job.state));
            let word = job
                .errors
                .last()
                .map(|e| e.error.as_str())
                .or(job.reason.as_deref())
                .or(job.progress.as_ref().map(|p| p.message.as_str()))
                .unwrap_or_default();
            vec![
                job.id.to_string(),
                job.kind.to_string(),
                job.lane.to_string(),
                state,
                format!("{}/{}", job.attempt, job.max_attempts),
                output::relative(job.enqueued_at, now),
                output::clip(word, 60),
            ]
        })
        .collect();
    let heading = ["ID", "KIND", "LANE", "STATE", "ATTEMPT", "ENQUEUED", "LAST WORD"];
    output::table(&heading, rows, empty)?;
    Ok(())
}

/// One job, everything known of it.
pub(super) fn show(job: &JobRecord, now: Timestamp, json: bool) -> Result<(), Failure> {
    if json {
        output::json(job)?;
        return Ok(());
    }
    let mut lines = vec![
        ("id", job.id.to_string()),
        ("kind", format!("{} (version {})", job.kind, job.version)),
        ("state", job.class.map_or(job.state.to_string(), |c| format!("{} ({c})", job.state))),
        ("lane", format!("{}, priority {}, tenant {}", job.lane, job.priority.level(), job.tenant)),
        ("attempt", format!("{} of {}", job.attempt, job.max_attempts)),
        ("enqueued", format!("{} ({})", job.enqueued_at, output::relative(job.enqueued_at, now))),
    ];
    let mut at = |name, when: Option<Timestamp>| {
        if let Some(when) = when {
            lines.push((name, format!("{when} ({})", output::relative(when, now))));
        }
    };
    let due = if job.state == State::Retryable { "next attempt" } else { "due" };
    at(due, (!job.state.is_finished()).then_some(job.run_at));
    at("started", job.started_at);
    at("finished", job.finished_at);
    at("deadline", job.deadline);
    at("lease ends", job.lease_until);
    let mut text = |name, value: Option<String>| lines.extend(value.map(|v| (name, v)));
    text("worker", job.worker.as_ref().map(ToString::to_string));
    text("crashes", (job.crashes > 0).then(|| job.crashes.to_string()));
    text("reason", job.reason.clone());
    text("parked under", job.parked_under.clone());
    text("unique key", job.unique_key.clone());
    text(
        "progress",
        job.progress.as_ref().map(|p| format!("{:.0} % {}", p.fraction * 100.0, p.message)),
    );
    text("cancel", job.cancel_requested.then(|| "asked for".to_owned()));
    text("trace", job.trace.traceparent.clone());
    for (name, value) in lines {
        output::line(format!("{name:<13} {value}"))?;
    }
    for error in &job.errors {
        output::line(format!(
            "attempt {:<5} failed {}: {}",
            error.attempt,
            output::relative(error.at, now),
            error.error
        ))?;
    }
    output::line(format!("payload       {}", serde_json::to_string(&job.payload)?))?;
    if let Some(result) = &job.result {
        output::line(format!("result        {}", serde_json::to_string_pretty(result)?))?;
    }
    Ok(())
}
