//! The `flotilla` binary: read the command line, load the configuration, run one command.

mod cli;
mod commands;
mod exit;
mod output;
mod remote;
mod telemetry;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use flotilla_media::voice::helper;

use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    // The voice espeak-ng speaks in a process of its own: this program, started by itself.
    if std::env::args_os().nth(1).is_some_and(|first| first == helper::COMMAND) {
        return helper::main();
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no failure.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit.into();
        }
    };
    flotilla_platforms::install_crypto();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Failure::bug(error)),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(failure) => report(failure),
    }
}

fn report(failure: Failure) -> ExitCode {
    if failure.is_closed_pipe() {
        return Exit::Ok.into(); // `flotilla … | head` is no failure
    }
    eprintln!("flotilla: {failure}");
    failure.exit.into()
}
