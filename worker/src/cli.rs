//! The command line as clap sees it. The names are fixed: other programs rely on them.

mod accounts;
mod dead;
mod reach;
mod tokens;
mod top;
mod traffic;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use flotilla_core::ids::{JobId, Kind, Lane, Priority, Tenant};
use flotilla_core::{State, Timestamp};

pub(crate) use accounts::{Accounts, Add as AddAccount, One};
pub(crate) use dead::{Dead, FoundOut, How, Like, Replays, Sure, WhatFound, WhichDead};
pub(crate) use reach::Reach;
pub(crate) use tokens::Tokens;
pub(crate) use top::Top;
pub(crate) use traffic::{Breakers, Limits, Platforms};

/// Run typed jobs from a durable queue.
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file (TOML); without it: the embedded profile
    #[arg(long, short, global = true, env = "FLOTILLA_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one configuration key, as in --set worker.concurrency=8 (repeatable)
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Folder of the embedded queue and blobs, short for --set data.dir=DIR
    #[arg(long, global = true, env = "FLOTILLA_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The options of every command, as they were given: for a process with the same configuration.
    pub(crate) fn common(&self) -> Vec<OsString> {
        let path = |name: &str, path: &Option<PathBuf>| {
            let given = path.iter().map(|path| path.clone().into_os_string());
            given.flat_map(|path| [name.into(), path]).collect::<Vec<OsString>>()
        };
        let mut words = path("--config", &self.config);
        words.extend(path("--data", &self.data));
        for (key, value) in &self.set {
            words.extend(["--set".into(), format!("{key}={value}").into()]);
        }
        words
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// The commands, in the order people meet them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send real photos and captions through a durable queue, with a live view
    Demo(Demo),
    /// Take jobs from the queue and run them
    Worker(Worker),
    /// Put jobs into the queue
    Enqueue(Enqueue),
    /// Run a kind here and now, without a queue: one JSON line out per line in, same order
    Try(Try),
    /// Show where a job stands; exit code 1 when it is dead or cancelled
    Status(Status),
    /// Look at jobs, or cancel them
    #[command(subcommand)]
    Jobs(Jobs),
    /// Look at lanes, pause and resume them
    #[command(subcommand)]
    Queues(Queues),
    /// Look at the workers of the fleet, or ask one to drain
    #[command(subcommand)]
    Workers(Workers),
    /// The overview, live: what needs somebody, lanes, workers, dead letters
    Top(Top),
    /// Say why a job is where it is: what it waits for, who is before it, when it may start
    Why(WhyArgs),
    /// Connect accounts of platforms, look after their tokens
    #[command(subcommand)]
    Accounts(Accounts),
    /// Look at the platforms: what each can do, and within which bounds
    #[command(subcommand)]
    Platforms(Platforms),
    /// Look at quotas of the fleet and what is left of them, or set others
    #[command(subcommand)]
    Limits(Limits),
    /// Look at circuit breakers, open and close them by hand
    #[command(subcommand)]
    Breakers(Breakers),
    /// Inspect dead letters, put them back, put them aside, delete them
    #[command(subcommand, alias = "dlq")]
    Dead(Dead),
    /// JSON Schema of a kind's payload and result; without a kind: the list of kinds
    Schema(Schema),
    /// Measure the queue on this machine
    Bench(Bench),
    /// Make tokens for the API and the console
    #[command(subcommand)]
    Tokens(Tokens),
    /// Check the configuration, or show it with where each value comes from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Bring the schema of the queue's database up to date
    Migrate,
    /// Say whether this build can read every job that is in the queue now; exit code 69 when not
    Preflight(Preflight),
    /// Look for what would keep this machine from working, and say how to mend it
    Doctor(Doctor),
    /// Ask the worker of this machine whether it is well, as the health check of a container does
    Probe(Probe),
    /// Train a classifier on labelled texts, or see how good one is
    #[command(subcommand)]
    Classifier(Classifier),
    /// Stand in for the social platforms and a model endpoint, over HTTP on this machine
    Sandbox(Sandbox),
    /// What a worker starts for a job whose worker fell before
    #[command(hide = true)]
    Suspect,
    /// Print the completions of a shell, to be saved where it looks for them
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// `flotilla demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Photos of your own (JPEG, PNG, WebP) instead of the bundled ones
    #[arg(long, value_name = "DIR")]
    pub(crate) photos: Option<PathBuf>,
    /// Captions of your own: one JSON object {"text": …} per line, or plain lines
    #[arg(long, value_name = "FILE")]
    pub(crate) captions: Option<PathBuf>,
    /// Where queue and outputs go; a new temporary folder when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `flotilla worker`
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Serve only these lanes
    #[arg(long, value_delimiter = ',', value_name = "LANE,…")]
    pub(crate) lanes: Vec<Lane>,
    /// Jobs at once
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
    /// End when nothing is left to do
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Serve /metrics, /livez and /readyz on this address
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

/// `flotilla enqueue`
#[derive(Debug, Args)]
pub(crate) struct Enqueue {
    /// What to run; `flotilla schema` lists the kinds
    pub(crate) kind: Kind,
    /// The payload: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "jsonl")]
    pub(crate) payload: Option<String>,
    /// One job per line: a payload each
    #[arg(long, value_name = "FILE|-")]
    pub(crate) jsonl: Option<String>,
    /// Not before this instant, as in 2026-12-24T18:00:00Z or …+01:00
    #[arg(long, value_name = "TIME", conflicts_with = "in_")]
    pub(crate) at: Option<Timestamp>,
    /// Not before so long from now, as in 10m or 1h30m
    #[arg(long = "in", id = "in_", value_name = "DURATION", value_parser = duration)]
    pub(crate) in_: Option<std::time::Duration>,
    /// Dead as expired unless begun within so long from now
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) expires: Option<std::time::Duration>,
    /// Same key while unfinished: same job
    #[arg(long, value_name = "KEY")]
    pub(crate) unique: Option<String>,
    /// Jobs with the same key run one at a time, in the order they were enqueued
    #[arg(long, value_name = "KEY")]
    pub(crate) order: Option<String>,
    /// 0 (last) to 9 (first)
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<Priority>,
    /// On whose behalf
    #[arg(long, value_name = "T")]
    pub(crate) tenant: Option<Tenant>,
    /// Another lane than the kind's own
    #[arg(long, value_name = "LANE")]
    pub(crate) lane: Option<Lane>,
    /// Wait until all are finished and show their results; exit code 1 when one failed
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait at most so long (exit code 69)
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "wait")]
    pub(crate) timeout: Option<std::time::Duration>,
    /// Answer in JSON: one line per job
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla try`
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// What to run; `flotilla schema` lists the kinds
    pub(crate) kind: Kind,
    /// The payload: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "jsonl")]
    pub(crate) payload: Option<String>,
    /// One payload per line
    #[arg(long, value_name = "FILE|-")]
    pub(crate) jsonl: Option<String>,
    /// Where blobs go, by key; a folder under the temporary one when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Payloads at once; as many as cores when absent
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<usize>,
}

/// `flotilla status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The job
    pub(crate) id: JobId,
    /// Follow it until it is finished
    #[arg(long)]
    pub(crate) watch: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which jobs: values of one option are joined by "or", options by "and".
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Which {
    /// In these lanes
    #[arg(long, value_delimiter = ',', value_name = "LANE,…")]
    pub(crate) lane: Vec<Lane>,
    /// Of these kinds
    #[arg(long, value_delimiter = ',', value_name = "KIND,…")]
    pub(crate) kind: Vec<Kind>,
    /// Of these tenants
    #[arg(long, value_delimiter = ',', value_name = "TENANT,…")]
    pub(crate) tenant: Vec<Tenant>,
    /// Enqueued at or after this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Enqueued before this instant
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Whose last error contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
}

/// `flotilla jobs`
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List jobs, newest first
    List {
        #[command(flatten)]
        which: Which,
        /// In these states
        #[arg(long, value_delimiter = ',', value_name = "STATE,…")]
        state: Vec<State>,
        /// At most so many (1,000 at most)
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Continue below this job
        #[arg(long, value_name = "ID")]
        before: Option<JobId>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show everything known of a job
    Show {
        /// The job
        id: JobId,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Run jobs now that wait for a moment: scheduled ones, and retries
    RunNow {
        /// The jobs
        #[arg(required = true)]
        ids: Vec<JobId>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Cancel jobs that wait, ask running ones to stop
    Cancel {
        /// The jobs
        #[arg(required = true)]
        ids: Vec<JobId>,
        /// Why
        #[arg(long, default_value = "cancelled by hand")]
        reason: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// `flotilla queues`
#[derive(Debug, Subcommand)]
pub(crate) enum Queues {
    /// List lanes with what waits in them
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Give out no more jobs of a lane; running ones go on
    Pause {
        /// The lane
        lane: Lane,
        /// Why
        #[arg(long, default_value = "paused by hand")]
        reason: String,
    },
    /// Give them out again
    Resume {
        /// The lane
        lane: Lane,
    },
}

/// `flotilla workers`
#[derive(Debug, Subcommand)]
pub(crate) enum Workers {
    /// List workers seen within the last minute
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a worker to finish what it runs and end
    Drain {
        /// The worker, as `workers list` names it
        id: String,
    },
}

/// `flotilla why`
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The job
    pub(crate) id: JobId,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla schema`
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// The kind
    pub(crate) kind: Option<Kind>,
    /// Answer in JSON (a kind's schema always is)
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla bench`
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Which queue: embedded (SQLite, every accepted job fsynced) or memory
    #[arg(long, default_value = "embedded")]
    pub(crate) profile: String,
    /// Jobs to enqueue and drain
    #[arg(long, default_value_t = 100_000)]
    pub(crate) jobs: usize,
    /// Jobs at once
    #[arg(long, default_value_t = 512)]
    pub(crate) concurrency: usize,
    /// What a job does: none, cpu:1ms, sleep:5ms
    #[arg(long, default_value = "none")]
    pub(crate) work: String,
    /// Jobs of the latency part, at 500 a second; 0: leave it out
    #[arg(long, default_value_t = 5_000)]
    pub(crate) latency_jobs: usize,
    /// Where the queue goes; a new temporary folder when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration holds; exit code 64 when it does not
    Check,
    /// Show every key with its value and where it comes from; secrets are hidden
    Show {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// `flotilla preflight`
#[derive(Debug, Args)]
pub(crate) struct Preflight {
    /// Jobs whose payloads are decoded, newest first; all are counted by kind
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) sample: usize,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The systemd units whose stop timeout has to fit; those of the machine when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) unit: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla probe`
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// Ask whether it can work (/readyz) and not only whether it is there (/livez)
    #[arg(long)]
    pub(crate) ready: bool,
    /// Where it listens, when it was started with --admin; else as admin.listen says
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

/// `flotilla sandbox`
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// Where it listens; --anywhere lets it be no loopback address
    #[arg(long, default_value = "127.0.0.1:9200", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Fault rules, TOML or JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Decides which calls rules with a probability meet
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long each answer takes
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub(crate) latency: std::time::Duration,
    /// Listen on an address that others may reach: it asks for no password
    #[arg(long)]
    pub(crate) anywhere: bool,
}

/// `flotilla classifier`
#[derive(Debug, Subcommand)]
pub(crate) enum Classifier {
    /// Train on one labelled text per line: {"text": …, "label": …, "description"?: …}
    Train {
        /// The labelled texts
        #[arg(long, value_name = "FILE|-")]
        data: String,
        /// Where the model goes, as a file
        #[arg(long, value_name = "FILE", required_unless_present = "name")]
        out: Option<PathBuf>,
        /// Store it for jobs that name it so
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Whose it is
        #[arg(long, value_name = "T", requires = "name")]
        tenant: Option<Tenant>,
        /// The same seed and texts give the same model
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare a model's answers with labelled texts
    Eval {
        /// The labelled texts
        #[arg(long, value_name = "FILE|-")]
        data: String,
        /// The model's file
        #[arg(long, value_name = "FILE")]
        model: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let signed: jiff::SignedDuration =
        text.parse().map_err(|_| "write it as 10s, 5m, 2h or 1h30m".to_owned())?;
    std::time::Duration::try_from(signed).map_err(|_| "it must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        assert!(duration("-1s").is_err() && duration("soon").is_err());
    }

    #[test]
    fn every_command_may_name_a_fleet_and_bench_keeps_its_own_profile() {
        let cli = Cli::parse_from(["flotilla", "jobs", "list", "--profile", "prod"]);
        assert_eq!(cli.reach.profile.as_deref(), Some("prod"));
        let cli = Cli::parse_from(["flotilla", "bench", "--profile", "memory"]);
        assert!(matches!(cli.command, Command::Bench(bench) if bench.profile == "memory"));
    }
}
