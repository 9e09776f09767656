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
mod top;
mod try_;
mod why;
mod worker;
mod workers;

use std::ffi::OsString;
use std::path::Path;

use flotilla_config::{Config, LoadOptions};

use crate::cli::{Accounts, Cli, Command};
use crate::exit::{Exit, Failure};
use crate::remote::Target;
use crate::telemetry::{self, Volume};

/// Loads the configuration and runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    refuse(&cli)?;
    let target = target(&cli)?;
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
        Command::Demo(_) | Command::Top(_) => Volume::Silent,
        _ => Volume::Warnings,
    };
    let telemetry = telemetry::install(&config, volume)?;
    let ended = dispatch(command, config, common, &target).await;
    telemetry.close().await;
    ended
}

async fn dispatch(
    command: Command,
    config: Config,
    common: Vec<OsString>,
    target: &Target,
) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, &config).await,
        Command::Worker(args) => worker::run(&args, &config, common).await,
        Command::Enqueue(args) => enqueue::run(&args, &config, target).await,
        Command::Try(args) => try_::run(&args, &config).await,
        Command::Status(args) => status::run(&args, &config, target).await,
        Command::Jobs(command) => jobs::run(&command, &config, target).await,
        Command::Queues(command) => queues::run(&command, &config, target).await,
        Command::Workers(command) => workers::run(&command, &config, target).await,
        Command::Top(args) => top::run(&args, &config, target).await,
        Command::Why(args) => why::run(&args, &config, target).await,
        Command::Accounts(command) => accounts::run(&command, &config, target).await,
        Command::Platforms(command) => platforms::run(&command, &config),
        Command::Limits(command) => limits::run(&command, &config, target).await,
        Command::Breakers(command) => breakers::run(&command, &config, target).await,
        Command::Dead(command) => dead::run(&command, &config, target).await,
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

/// The fleet that the command line names. `bench` has a `--profile` of its own.
fn target(cli: &Cli) -> Result<Target, Failure> {
    match cli.command {
        Command::Bench(_) => Ok(Target::Here),
        _ => Target::of(&cli.reach),
    }
}

/// What works on this machine only says so, rather than do something else than was meant.
fn refuse(cli: &Cli) -> Result<(), Failure> {
    let profile = cli.reach.profile.is_some() && !matches!(cli.command, Command::Bench(_));
    if cli.reach.server.is_none() && !profile {
        return Ok(());
    }
    match local_only(&cli.command) {
        None => Ok(()),
        Some(name) => Err(Failure::usage(format!(
            "`flotilla {name}` works with this machine's configuration only: leave --server and \
             --profile out, or run it where the fleet is"
        ))),
    }
}

/// The name of a command that has nothing to ask of a fleet far away.
fn local_only(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::Enqueue(_)
        | Command::Status(_)
        | Command::Jobs(_)
        | Command::Queues(_)
        | Command::Workers(_)
        | Command::Why(_)
        | Command::Top(_)
        | Command::Limits(_)
        | Command::Breakers(_)
        | Command::Dead(_)
        | Command::Accounts(Accounts::List { .. } | Accounts::Show(_)) => return None,
        Command::Accounts(Accounts::Add(_)) => "accounts add",
        Command::Accounts(Accounts::Refresh(_)) => "accounts refresh",
        Command::Accounts(Accounts::Revoke { .. }) => "accounts revoke",
        Command::Accounts(Accounts::Rewrap { .. }) => "accounts rewrap",
        Command::Accounts(Accounts::Shred { .. }) => "accounts shred",
        Command::Demo(_) => "demo",
        Command::Worker(_) => "worker",
        Command::Try(_) => "try",
        Command::Platforms(_) => "platforms",
        Command::Schema(_) => "schema",
        Command::Bench(_) => "bench",
        Command::Tokens(_) => "tokens",
        Command::Config(_) => "config",
        Command::Migrate => "migrate",
        Command::Preflight(_) => "preflight",
        Command::Doctor(_) => "doctor",
        Command::Probe(_) => "probe",
        Command::Classifier(_) => "classifier",
        Command::Sandbox(_) => "sandbox",
        Command::Suspect => "suspect",
        Command::Completions { .. } => "completions",
    })
}
