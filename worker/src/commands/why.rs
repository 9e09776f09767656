//! `flotilla why`: what a job waits for, in one screen.

use flotilla_config::Config;
use flotilla_engine::why::{self, Sources, Why};

use crate::cli::WhyArgs;
use crate::commands::known;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

pub(super) async fn run(args: &WhyArgs, config: &Config) -> Result<Exit, Failure> {
    let ports = wire::ports(config).await?;
    let result = tell(args, &ports, config).await;
    ports.close().await;
    result
}

async fn tell(args: &WhyArgs, ports: &Ports, config: &Config) -> Result<Exit, Failure> {
    let settings = wire::engine::settings(config)?;
    let record = known(&*ports.records, args.id).await?;
    let sources = Sources {
        records: &*ports.records,
        fleet: &*ports.fleet,
        cells: &*ports.cells,
        registry: &wire::kinds_offline(config)?,
        rules: &settings.limits.rules,
        depth: settings.breakers.depth,
    };
    let now = ports.now();
    let facts = why::gather(&sources, &record, now).await?;
    let why = why::why(&record, &facts, now);
    if args.json {
        output::json(&why)?;
        return Ok(Exit::Ok);
    }
    let Why { id, state, because, start, .. } = why;
    output::line(format!("{id} ({}) is {state}", record.kind))?;
    for reason in because {
        output::line(format!("  {reason}"))?;
    }
    if let Some(start) = start.filter(|start| *start > now) {
        output::line(format!(
            "  about {} to go",
            output::short(flotilla_core::clock::between(now, start))
        ))?;
    }
    Ok(Exit::Ok)
}
