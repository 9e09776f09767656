//! `flotilla status`: where one job stands, once or until it is finished.

use flotilla_config::Config;
use flotilla_core::records::JobRecord;
use flotilla_core::{State, Timestamp};

use crate::cli::Status;
use crate::commands::{jobs, known};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

pub(super) async fn run(args: &Status, config: &Config) -> Result<Exit, Failure> {
    let ports = wire::ports(config).await?;
    let result = if args.watch { watch(args, &ports).await } else { once(args, &ports).await };
    ports.close().await;
    result
}

async fn once(args: &Status, ports: &Ports) -> Result<Exit, Failure> {
    let job = known(&*ports.records, args.id).await?;
    jobs::show(&job, ports.now(), args.json)?;
    Ok(verdict(&job))
}

/// One line (or one JSON line) for each change, the whole record at the end.
async fn watch(args: &Status, ports: &Ports) -> Result<Exit, Failure> {
    let mut changes = ports.records.changes();
    let mut last = String::new();
    loop {
        changes.mark_unchanged();
        let job = known(&*ports.records, args.id).await?;
        let now = ports.now();
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
