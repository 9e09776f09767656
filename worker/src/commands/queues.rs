//! `flotilla queues`: lanes at a glance, pause and resume.

use flotilla_config::Config;
use flotilla_core::records::LaneInfo;
use flotilla_core::{State, Timestamp};

use crate::cli::Queues;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};

pub(super) async fn run(
    command: &Queues,
    config: &Config,
    target: &Target,
) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site).await;
    site.close().await;
    result
}

async fn act(command: &Queues, site: &dyn Site) -> Result<Exit, Failure> {
    let now = site.now();
    match command {
        Queues::List { json } => {
            let lanes = site.lanes().await?;
            if *json {
                output::json(&lanes)?;
            } else {
                let rows = lanes.iter().map(|lane| row(lane, now)).collect();
                let heading = [
                    "LANE",
                    "AVAILABLE",
                    "RUNNING",
                    "SCHEDULED",
                    "RETRYABLE",
                    "PARKED",
                    "COMPLETED",
                    "CANCELLED",
                    "DEAD",
                    "OLDEST",
                    "PAUSED",
                ];
                output::table(&heading, rows, "no lanes yet: `flotilla enqueue` makes the first")?;
            }
        }
        Queues::Pause { lane, reason } => {
            warn_if_empty(site, lane.as_str()).await?;
            site.pause(lane, reason).await?;
            output::line(format!(
                "paused {lane}; `flotilla queues resume {lane}` gives its jobs out again"
            ))?;
        }
        Queues::Resume { lane } => {
            let was = site.resume(lane).await?;
            output::line(if was {
                format!("resumed {lane}")
            } else {
                format!("{lane} was not paused")
            })?;
        }
    }
    Ok(Exit::Ok)
}

async fn warn_if_empty(site: &dyn Site, lane: &str) -> Result<(), Failure> {
    let lanes = site.lanes().await?;
    let known: Vec<&str> = lanes.iter().map(|info| info.lane.as_str()).collect();
    if !known.contains(&lane) {
        let hint = flotilla_core::suggest::hint(lane, known);
        eprintln!("flotilla: no job is or was in lane \"{lane}\"{hint}; pausing it all the same");
    }
    Ok(())
}

fn row(info: &LaneInfo, now: Timestamp) -> Vec<String> {
    let count = |state| info.counts.get(&state).copied().unwrap_or(0).to_string();
    vec![
        info.lane.to_string(),
        count(State::Available),
        count(State::Running),
        count(State::Scheduled),
        count(State::Retryable),
        count(State::Parked),
        count(State::Completed),
        count(State::Cancelled),
        count(State::Dead),
        info.oldest_available.map(|at| output::relative(at, now)).unwrap_or_default(),
        info.paused
            .as_ref()
            .map(|p| format!("by {}: {}", p.by, output::clip(&p.reason, 40)))
            .unwrap_or_default(),
    ]
}
