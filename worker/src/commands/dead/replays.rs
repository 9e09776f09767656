//! `flotilla dead replays`: how operations stand, and hands on them.

use std::time::Duration;

use flotilla_core::replay::{Operation, ReplayId, ReplayState};

use crate::cli::Replays;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Turn};

/// Between two looks of one who waits.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(command: &Replays, site: &dyn Site) -> Result<Exit, Failure> {
    let (hand, turn) = match command {
        Replays::List { json } => return list(site, *json).await,
        Replays::Show { id, wait: true, json } => return wait(site, *id, *json).await,
        Replays::Show { id, json, .. } => {
            let found = site.operation(*id).await?;
            if *json {
                output::json(&found)?;
            } else {
                show(site, &found)?;
            }
            return Ok(Exit::Ok);
        }
        Replays::Pause(hand) => (hand, Turn::Pause),
        Replays::Resume(hand) => (hand, Turn::Resume),
        Replays::Cancel(hand) => (hand, Turn::Cancel),
    };
    let done = site.turn(hand.id, turn, &hand.reason).await?;
    output::line(format!("replay {} is {}", done.id, done.state))?;
    Ok(Exit::Ok)
}

async fn list(site: &dyn Site, as_json: bool) -> Result<Exit, Failure> {
    let now = site.now();
    let all = site.replays().await?;
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

fn show(site: &dyn Site, operation: &Operation) -> Result<(), Failure> {
    let now = site.now();
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
pub(super) async fn wait(site: &dyn Site, id: ReplayId, as_json: bool) -> Result<Exit, Failure> {
    let mut said = String::new();
    let over = loop {
        let operation = site.operation(id).await?;
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
