//! `flotilla doctor`: what would keep this place from working, and how to mend it.

use std::path::Path;
use std::time::Duration;

use flotilla_config::{Backend, Config};
use flotilla_core::clock::before;
use flotilla_core::records::Filter;
use flotilla_core::{State, Timestamp};
use flotilla_media::MediaError;
use serde::Serialize;

use crate::cli::Doctor;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Ports};

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

pub(super) async fn run(args: &Doctor, config: &Config) -> Result<Exit, Failure> {
    let mut findings = vec![Finding::ok("configuration", "it holds")];
    findings.push(folder("blobs", &config.blobs_dir()));
    for root in &config.sources.roots {
        findings.push(if root.is_dir() {
            Finding::ok("source folder", root.display().to_string())
        } else {
            Finding::warning(
                "source folder",
                format!("{} is not there", root.display()),
                "make it, or take it out of sources.roots",
            )
        });
    }
    findings.extend(media(config));
    match wire::ports(config).await {
        Ok(ports) => {
            findings.extend(queue(config, &ports).await);
            ports.close().await;
        }
        Err(failure) => {
            let place = match config.queue.backend {
                Backend::Sqlite => config.queue_path().display().to_string(),
                Backend::Postgres => "the PostgreSQL server".to_owned(),
                Backend::Rabbitmq => "RabbitMQ and the PostgreSQL server".to_owned(),
                Backend::Sqs => "SQS and DynamoDB".to_owned(),
                Backend::Memory => "memory".to_owned(),
            };
            findings.push(Finding::fault(
                "queue",
                format!("{place}: {failure}"),
                "mend what the message says, or name another place with queue.path or queue.url",
            ));
        }
    }
    say(args, &findings)?;
    let faulty = findings.iter().any(|f| f.grade == Grade::Fault);
    Ok(if faulty { Exit::Unavailable } else { Exit::Ok })
}

/// A folder must exist, or be possible to make, and take a file.
fn folder(what: &'static str, dir: &Path) -> Finding {
    let probe = dir.join(".doctor");
    let tried = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&probe, b"probe"));
    let _ = std::fs::remove_file(&probe);
    match tried {
        Ok(()) => Finding::ok(what, dir.display().to_string()),
        Err(e) => Finding::fault(
            what,
            format!("cannot write to {}: {e}", dir.display()),
            "give this user the right to write there, or name another folder with data.dir",
        ),
    }
}

/// The programs of speech and videos; without them other kinds run all the same.
fn media(config: &Config) -> Vec<Finding> {
    let tools = wire::media::tools(config);
    let told = |what, needed: &str, probed: Result<String, MediaError>| match probed {
        Ok(version) => Finding::ok(what, version),
        Err(error) => {
            Finding::warning(what, error.to_string(), format!("{needed} fails until then"))
        }
    };
    vec![
        told("ffmpeg", "video.render", tools.probe_ffmpeg()),
        told("espeak-ng", "speech with the voice \"espeak\"", tools.probe_espeak()),
    ]
}

async fn queue(config: &Config, ports: &Ports) -> Vec<Finding> {
    let now = ports.now();
    let mut findings = Vec::new();
    if config.queue.backend == Backend::Memory {
        findings.push(Finding::warning(
            "queue",
            "in memory: jobs end with the process",
            "set queue.backend to \"sqlite\" for anything but a trial",
        ));
    }
    match ports.check().await {
        Ok(found) => findings.extend(found.into_iter().map(|f| Finding {
            grade: if f.ok { Grade::Ok } else { Grade::Fault },
            what: f.what,
            found: f.says,
            mend: String::new(), // the check says it in its own words
        })),
        Err(failure) => findings.push(Finding::fault(
            "queue",
            failure.to_string(),
            "stop all workers, restore the file from a backup",
        )),
    }
    findings.extend(lanes(ports, now).await.unwrap_or_else(|e| {
        vec![Finding::fault("lanes", e.to_string(), "see the queue's finding")]
    }));
    findings
}

/// Backlogs that nobody serves, pauses that were forgotten, dead letters.
async fn lanes(ports: &Ports, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let workers = ports.fleet.workers(before(now, Duration::from_secs(60))).await?;
    let mut findings =
        vec![Finding::ok("workers", format!("{} seen within a minute", workers.len()))];
    for info in ports.records.lanes().await? {
        let lane = &info.lane;
        let waiting = info.counts.get(&State::Available).copied().unwrap_or(0);
        let served = workers.iter().any(|w| w.lanes.contains(lane));
        if waiting > 0 && !served {
            findings.push(Finding::warning(
                "lane",
                format!("{lane}: {waiting} jobs wait and no worker serves it"),
                format!("start one: flotilla worker --lanes {lane}"),
            ));
        }
        if let Some(pause) = &info.paused {
            let since = output::relative(pause.since, now);
            findings.push(Finding::warning(
                "lane",
                format!("{lane} is paused by {} since {since}: {}", pause.by, pause.reason),
                format!("flotilla queues resume {lane}"),
            ));
        }
    }
    let dead = ports.records.count(&Filter::default().dead()).await?;
    findings.push(if dead == 0 {
        Finding::ok("dead letters", "none")
    } else {
        Finding::warning("dead letters", format!("{dead}"), "flotilla dead list")
    });
    Ok(findings)
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
