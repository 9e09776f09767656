//! Logs on stderr: text for a terminal, JSON for everything else, unless told otherwise.

use std::io::IsTerminal;

use flotilla_config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// How much a command logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// As `log.level` says: a worker.
    Configured,
    /// Warnings and worse: commands that end by themselves.
    Warnings,
    /// Nothing: a live view would be torn, and it shows what goes wrong itself.
    Silent,
}

/// Installs the subscriber once.
pub(crate) fn install(config: &Config, volume: Volume) -> Result<(), Failure> {
    let level = match volume {
        Volume::Configured => config.log.level.as_str(),
        Volume::Warnings => "warn",
        Volume::Silent => "off",
    };
    let filter = EnvFilter::try_new(level)
        .map_err(|e| Failure::config(format!("log.level = \"{level}\" is not a filter: {e}")))?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed =
        if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    installed.map_err(Failure::bug)
}
