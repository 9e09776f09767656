//! `flotilla why`: what a job waits for, in one screen.

use flotilla_config::Config;
use flotilla_engine::why::Why;

use crate::cli::WhyArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target, known};

pub(super) async fn run(args: &WhyArgs, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = tell(args, &*site).await;
    site.close().await;
    result
}

async fn tell(args: &WhyArgs, site: &dyn Site) -> Result<Exit, Failure> {
    let record = known(site, args.id).await?;
    let why = site.why(&record).await?;
    if args.json {
        output::json(&why)?;
        return Ok(Exit::Ok);
    }
    let Why { id, state, because, start, .. } = why;
    output::line(format!("{id} ({}) is {state}", record.kind))?;
    for reason in because {
        output::line(format!("  {reason}"))?;
    }
    let now = site.now();
    if let Some(start) = start.filter(|start| *start > now) {
        let left = output::short(flotilla_core::clock::between(now, start));
        output::line(format!("  about {left} to go"))?;
    }
    Ok(Exit::Ok)
}
