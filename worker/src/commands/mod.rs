//! One file per subcommand.

mod accounts;
mod bench;
mod breakers;
mod classifier;
mod completions;
mod config;
mod dead;
mod demo;
mod doctor;
mod enqueue;
mod jobs;
mod limits;
mod migrate;
mod platforms;
mod preflight;
mod probe;
mod queues;
mod sandbox;
mod schema;
mod status;
mod suspect;
mod tokens;
mod try_;
mod why;
mod worker;
mod workers;

use std::ffi::OsString;
use std::path::Path;

use flotilla_config::{Config, LoadOptions};
use flotilla_core::JobId;
use flotilla_core::records::{JobRecord, Records};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::telemetry::{self, Volume};

/// Loads the configuration and runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    let loaded = load(&cli);
    let common = cli.common();
    let command = match cli.command {
        // These two work without a valid configuration.
        Command::Completions { shell } => return completions::run(shell),
        Command::Config(command) => return config::run(&command, loaded),
        other => other,
    };
    if let (Command::Doctor(args), Err(failure)) = (&command, &loaded) {
        return doctor::misconfigured(args, failure);
    }
    let config = loaded?;
    let volume = match command {
        Command::Worker(_) => Volume::Configured,
        Command::Demo(_) => Volume::Silent,
        _ => Volume::Warnings,
    };
    let telemetry = telemetry::install(&config, volume)?;
    let ended = dispatch(command, config, common).await;
    telemetry.close().await;
    ended
}

async fn dispatch(
    command: Command,
    config: Config,
    common: Vec<OsString>,
) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, &config).await,
        Command::Worker(args) => worker::run(&args, &config, common).await,
        Command::Enqueue(args) => enqueue::run(&args, &config).await,
        Command::Try(args) => try_::run(&args, &config).await,
        Command::Status(args) => status::run(&args, &config).await,
        Command::Jobs(command) => jobs::run(&command, &config).await,
        Command::Queues(command) => queues::run(&command, &config).await,
        Command::Workers(command) => workers::run(&command, &config).await,
        Command::Why(args) => why::run(&args, &config).await,
        Command::Accounts(command) => accounts::run(&command, &config).await,
        Command::Platforms(command) => platforms::run(&command, &config),
        Command::Limits(command) => limits::run(&command, &config).await,
        Command::Breakers(command) => breakers::run(&command, &config).await,
        Command::Dead(command) => dead::run(&command, &config).await,
        Command::Schema(args) => schema::run(&args, &config),
        Command::Bench(args) => bench::run(&args, &config).await,
        Command::Classifier(command) => classifier::run(&command, &config).await,
        Command::Migrate => migrate::run(&config).await,
        Command::Preflight(args) => preflight::run(&args, &config).await,
        Command::Doctor(args) => doctor::run(&args, &config).await,
        Command::Probe(args) => probe::run(&args, &config).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Suspect => suspect::run(&config).await,
        Command::Tokens(command) => tokens::run(&command),
        Command::Completions { .. } | Command::Config(_) => Ok(Exit::Ok),
    }
}

fn load(cli: &Cli) -> Result<Config, Failure> {
    let mut overrides = cli.set.clone();
    if let Some(dir) = &cli.data {
        overrides.push(("data.dir".into(), text_of(dir)?));
    }
    let options =
        LoadOptions { file: cli.config.clone(), env: std::env::vars().collect(), overrides };
    Config::load(options).map_err(Failure::config)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| Failure::usage("the folder's name is not UTF-8"))?;
    Ok(text.to_owned())
}

/// The job of that id, or a failure that says what to do.
async fn known(records: &dyn Records, id: JobId) -> Result<JobRecord, Failure> {
    records.get(id).await?.ok_or_else(|| {
        Failure::usage(format!("no job {id} here: `flotilla jobs list` shows those there are; is --data or --config the right one?"))
    })
}
