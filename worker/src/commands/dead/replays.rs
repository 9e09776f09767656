//! `flotilla dead replays`: how operations stand, and hands on them.

use std::time::Duration;

use flotilla_core::replay::{Desk, DeskError, Operation, ReplayId, ReplayState, Word};

use crate::cli::{Hand, Replays};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

/// Between two looks of one who waits.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(command: &Replays, ports: &Ports) -> Result<Exit, Failure> {
    let (desk, now) = (Desk::new(&*ports.cells), ports.now());
    let by = wire::user();
    let word = |hand: &Hand| Word { by: by.clone(), why: hand.reason.clone() };
    let done = match command {
        Replays::List { json } => return list(ports, *json).await,
        Replays::Show { id, wait: true, json } => return wait(ports, *id, *json).await,
        Replays::Show { id, json, .. } => {
            let found = operation(ports, *id).await?;
            if *json {
                output::json(&found)?;
            } else {
                show(ports, &found)?;
            }
            return Ok(Exit::Ok);
        }
        Replays::Pause(hand) => desk.pause(hand.id, &word(hand), now).await,
        Replays::Resume(hand) => desk.resume(hand.id, &word(hand), now).await,
        Replays::Cancel(hand) => desk.cancel(hand.id, &word(hand), now).await,
    };
    let done = done.map_err(failure)?;
    tracing::info!(
        target: "audit", who = by, what = "replay", id = %done.id, after = %done.state,
        reason = done.steps.last().map_or("", |step| step.why.as_str()),
    );
    output::line(format!("replay {} is {}", done.id, done.state))?;
    Ok(Exit::Ok)
}

/// What a fault of the desk means to the command.
pub(super) fn failure(error: DeskError) -> Failure {
    match error {
        DeskError::Port(error) => error.into(),
        other => Failure::usage(other),
    }
}

async fn operation(ports: &Ports, id: ReplayId) -> Result<Operation, Failure> {
    let found = Desk::new(&*ports.cells).get(id, ports.now()).await?;
    found.map(|kept| kept.operation).ok_or_else(|| failure(DeskError::Unknown(id)))
}

async fn list(ports: &Ports, as_json: bool) -> Result<Exit, Failure> {
    let now = ports.now();
    let all = Desk::new(&*ports.cells).list(now).await?;
    if as_json {
        output::json(&all)?;
        return Ok(Exit::Ok);
    }
    let row = |operation: &Operation| {
        let counts = &operation.counts;
        vec![
            operation.id.to_string(),
            operation.state.to_string(),
            format!("{}/{}", counts.handled(), operation.plan.letters),
            counts.succeeded.to_string(),
            counts.failed.to_string(),
            counts.refused.to_string(),
            output::relative(operation.created_at, now),
            operation.request.by.clone(),
            output::clip(&operation.request.reason, 40),
        ]
    };
    let heading =
        ["REPLAY", "STATE", "DONE", "SUCCEEDED", "FAILED", "REFUSED", "BEGUN", "BY", "WHY"];
    output::table(&heading, all.iter().map(row).collect(), "no replays")?;
    Ok(Exit::Ok)
}

fn show(ports: &Ports, operation: &Operation) -> Result<(), Failure> {
    let now = ports.now();
    output::line(format!("replay {} is {}", operation.id, progress(operation)))?;
    for step in &operation.steps {
        let (at, to) = (output::relative(step.at, now), step.to);
        let line = format!("  {at}: {to} by {} ({})", step.by, step.why);
        output::line(line.trim_end_matches(" ()"))?;
    }
    let request = &operation.request;
    if let Some(rate) = request.rate {
        output::line(format!("  at most {rate} a second"))?;
    }
    if let Some(ratio) = request.stop_at {
        output::line(format!("  stops when more than {:.0} % fail", ratio * 100.0))?;
    }
    if let Some(lease) = operation.lease.as_ref().filter(|lease| lease.until > now) {
        output::line(format!("  led by {}", lease.worker))?;
    }
    for (reason, n) in &operation.counts.reasons {
        output::line(format!("  refused {n}: {reason}"))?;
    }
    let unknown = operation.plan.outcome_unknown;
    if unknown > 0 {
        output::line(format!("  {unknown} of unknown outcome are left alone"))?;
    }
    Ok(())
}

fn progress(operation: &Operation) -> String {
    let counts = &operation.counts;
    let mut text = format!(
        "{}: {} of {} went back, {} succeeded, {} failed",
        operation.state, counts.replayed, operation.plan.letters, counts.succeeded, counts.failed
    );
    for (n, what) in [
        (counts.failing, "wait after a failure"),
        (counts.cancelled, "were cancelled"),
        (counts.gone, "are gone"),
        (counts.refused, "were refused"),
        (counts.skipped, "were no dead letters any more"),
    ] {
        if n > 0 {
            text.push_str(&format!(", {n} {what}"));
        }
    }
    text
}

/// Shows how an operation goes until it is over or stopped, or somebody paused it.
pub(super) async fn wait(ports: &Ports, id: ReplayId, as_json: bool) -> Result<Exit, Failure> {
    let mut said = String::new();
    let over = loop {
        let operation = operation(ports, id).await?;
        let now = progress(&operation);
        if !as_json && now != said {
            output::line(&now)?;
            said = now;
        }
        if !operation.state.moves() {
            break operation;
        }
        tokio::time::sleep(LOOK).await;
    };
    if as_json {
        output::json(&over)?;
    } else if let Some(step) = over.steps.last() {
        output::line(format!("{}: {}", step.to, step.why))?;
    }
    let good = over.state == ReplayState::Done && over.counts.failed + over.counts.refused == 0;
    Ok(if good { Exit::Ok } else { Exit::JobFailed })
}
