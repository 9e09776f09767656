//! `flotilla workers`: who is there, and asking one to leave.

use flotilla_config::Config;
use flotilla_core::WorkerId;

use crate::cli::Workers;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};

pub(super) async fn run(
    command: &Workers,
    config: &Config,
    target: &Target,
) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = act(command, &*site).await;
    site.close().await;
    result
}

async fn act(command: &Workers, site: &dyn Site) -> Result<Exit, Failure> {
    let now = site.now();
    match command {
        Workers::List { json } => {
            let workers = site.workers().await?;
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
        }
        Workers::Drain { id } => {
            if !site.drain(&WorkerId::new(id)).await? {
                return Err(Failure::usage(format!(
                    "no worker \"{id}\": `flotilla workers list` names them"
                )));
            }
            output::line(format!("asked {id} to drain; it ends once its jobs have"))?;
        }
    }
    Ok(Exit::Ok)
}
