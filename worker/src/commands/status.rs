//! `flotilla status`: where one job stands, once or until it is finished.

use flotilla_config::Config;
use flotilla_core::records::JobRecord;
use flotilla_core::{State, Timestamp};

use crate::cli::Status;
use crate::commands::jobs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target, known};
use crate::wire;

pub(super) async fn run(args: &Status, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let result = if args.watch { watch(args, &*site).await } else { once(args, &*site).await };
    site.close().await;
    result
}

async fn once(args: &Status, site: &dyn Site) -> Result<Exit, Failure> {
    let job = known(site, args.id).await?;
    jobs::show(&job, site.now(), args.json)?;
    Ok(verdict(&job))
}

/// One line (or one JSON line) for each change, the whole record at the end.
async fn watch(args: &Status, site: &dyn Site) -> Result<Exit, Failure> {
    let mut changes = site.changes();
    let mut last = String::new();
    loop {
        changes.mark_unchanged();
        let job = known(site, args.id).await?;
        let now = site.now();
        let seen = summary(&job, now);
        if seen != last {
            if args.json {
                output::line(serde_json::to_string(&job)?)?;
            } else {
                output::line(&seen)?;
            }
            last = seen;
        }
        if job.state.is_finished() {
            if !args.json {
                jobs::show(&job, now, false)?;
            }
            return Ok(verdict(&job));
        }
        wire::changed(&mut changes).await;
    }
}

fn summary(job: &JobRecord, now: Timestamp) -> String {
    let mut text = format!("{} attempt {}/{}", job.state, job.attempt, job.max_attempts);
    if matches!(job.state, State::Scheduled | State::Retryable) {
        text.push_str(&format!(", due {}", output::relative(job.run_at, now)));
    }
    if let (State::Running, Some(progress)) = (job.state, &job.progress) {
        text.push_str(&format!(", {:.0} % {}", progress.fraction * 100.0, progress.message));
    }
    if let Some(error) = job.errors.last() {
        text.push_str(&format!(", last error: {}", output::clip(&error.error, 80)));
    }
    text
}

/// Exit code 1 for a job that ended badly.
pub(super) fn verdict(job: &JobRecord) -> Exit {
    match job.state {
        State::Dead | State::Cancelled => Exit::JobFailed,
        _ => Exit::Ok,
    }
}
