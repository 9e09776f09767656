//! `flotilla workers`: who is there, and asking one to leave.

use std::time::Duration;

use flotilla_config::Config;
use flotilla_core::WorkerId;
use flotilla_core::clock::before;

use crate::cli::Workers;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

const SEEN_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(command: &Workers, config: &Config) -> Result<Exit, Failure> {
    let ports = wire::ports(config).await?;
    let now = ports.now();
    let exit = match command {
        Workers::List { json } => {
            let workers = ports.fleet.workers(before(now, SEEN_WITHIN)).await?;
            if *json {
                output::json(&workers)?;
            } else {
                let rows = workers
                    .iter()
                    .map(|w| {
                        let lanes: Vec<&str> = w.lanes.iter().map(|l| l.as_str()).collect();
                        vec![
                            w.id.to_string(),
                            w.version.clone(),
                            format!("{}/{}", w.running, w.concurrency),
                            output::relative(w.started_at, now),
                            output::relative(w.seen_at, now),
                            if w.draining { "draining" } else { "working" }.to_owned(),
                            lanes.join(","),
                        ]
                    })
                    .collect();
                let heading = ["WORKER", "VERSION", "RUNNING", "STARTED", "SEEN", "STATE", "LANES"];
                output::table(&heading, rows, "no workers: `flotilla worker` starts one")?;
            }
            Exit::Ok
        }
        Workers::Drain { id } => {
            if !ports.fleet.ask_drain(&WorkerId::new(id)).await? {
                ports.close().await;
                return Err(Failure::usage(format!(
                    "no worker \"{id}\": `flotilla workers list` names them"
                )));
            }
            output::line(format!("asked {id} to drain; it ends once its jobs have"))?;
            Exit::Ok
        }
    };
    ports.close().await;
    Ok(exit)
}
