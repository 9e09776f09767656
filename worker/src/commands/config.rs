//! `flotilla config`: does it hold, and where does each value come from.

use flotilla_config::Config;

use crate::cli::ConfigCommand;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

pub(super) fn run(
    command: &ConfigCommand,
    loaded: Result<Config, Failure>,
) -> Result<Exit, Failure> {
    let config = loaded?;
    match command {
        ConfigCommand::Check => {
            wire::adopt::adopter(&config)?; // routes and kinds agree
            output::line("the configuration holds")?;
        }
        ConfigCommand::Show { json: true } => output::json(&config.keys())?,
        ConfigCommand::Show { json: false } => {
            let keys = config.keys();
            let width =
                keys.iter().map(|k| k.key.len() + k.value.len() + 3).max().unwrap_or(0).min(60);
            for key in keys {
                let setting = format!("{} = {}", key.key, key.value);
                output::line(format!("{setting:<width$}  # {}", key.origin))?;
            }
        }
    }
    Ok(Exit::Ok)
}
