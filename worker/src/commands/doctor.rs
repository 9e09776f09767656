//! `flotilla doctor`: what would keep this place from working, and how to mend it.

mod external;
mod fleet;
mod place;
mod reach;
mod settings;

use flotilla_config::{Backend, Config};
use serde::Serialize;

use crate::cli::Doctor;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

/// What came of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Ok,
    Warning,
    Fault,
}

#[derive(Debug, Serialize)]
struct Finding {
    grade: Grade,
    what: &'static str,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mend: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, what, found: found.into(), mend: String::new() }
    }

    fn warning(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, what, found: found.into(), mend: mend.into() }
    }

    fn fault(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { grade: Grade::Fault, what, found: found.into(), mend: mend.into() }
    }
}

/// A configuration that does not hold is a finding like others; nothing else can be looked at.
pub(super) fn misconfigured(args: &Doctor, failure: &Failure) -> Result<Exit, Failure> {
    let mend = "change the keys it names; `flotilla config show` says where each value comes from";
    say(args, &[Finding::fault("configuration", failure.to_string(), mend)])?;
    Ok(failure.exit)
}

pub(super) async fn run(args: &Doctor, config: &Config) -> Result<Exit, Failure> {
    let mut findings = vec![Finding::ok("configuration", "it holds")];
    findings.extend(settings::look(config));
    findings.extend(place::look(config, &args.unit));
    findings.extend(reach::look(config).await);
    findings.extend(external::look(config).await);
    match wire::ports(config).await {
        Ok(ports) => {
            findings.extend(fleet::look(config, &ports).await);
            ports.close().await;
        }
        Err(failure) => findings.push(unopened(config, &failure)),
    }
    say(args, &findings)?;
    let faulty = findings.iter().any(|f| f.grade == Grade::Fault);
    Ok(if faulty { Exit::Unavailable } else { Exit::Ok })
}

fn unopened(config: &Config, failure: &Failure) -> Finding {
    let place = match config.queue.backend {
        Backend::Sqlite => config.queue_path().display().to_string(),
        Backend::Postgres => "the PostgreSQL server".to_owned(),
        Backend::Rabbitmq => "RabbitMQ and the PostgreSQL server".to_owned(),
        Backend::Sqs => "SQS and DynamoDB".to_owned(),
        Backend::Memory => "memory".to_owned(),
    };
    let found = format!("{place}: {failure}");
    let mend = if found.contains("flotilla migrate") {
        "run `flotilla migrate` with this build, before its workers start"
    } else {
        "mend what the message says, or name another place with queue.path or queue.url"
    };
    Finding::fault("queue", found, mend)
}

fn say(args: &Doctor, findings: &[Finding]) -> Result<(), Failure> {
    if args.json {
        output::json(&findings)?;
        return Ok(());
    }
    for finding in findings {
        let mark = match finding.grade {
            Grade::Ok => "ok     ",
            Grade::Warning => "warning",
            Grade::Fault => "FAULT  ",
        };
        output::line(format!("{mark}  {}: {}", finding.what, finding.found))?;
        if !finding.mend.is_empty() {
            output::line(format!("         → {}", finding.mend))?;
        }
    }
    Ok(())
}
