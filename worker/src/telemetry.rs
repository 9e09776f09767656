//! Logs on stderr: text for a terminal, JSON for everything else, unless told otherwise.

use std::io::IsTerminal;

use flotilla_config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::exit::Failure;

/// Installs the subscriber once. `quiet`: warnings and worse only, for commands with a live view.
pub(crate) fn install(config: &Config, quiet: bool) -> Result<(), Failure> {
    let level = if quiet { "warn" } else { config.log.level.as_str() };
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
