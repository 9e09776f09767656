//! `flotilla migrate`: before the first worker of a version that needs a newer schema.

use flotilla_config::Config;

use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

pub(super) async fn run(config: &Config) -> Result<Exit, Failure> {
    output::line(wire::queue::migrate(config).await?)?;
    Ok(Exit::Ok)
}
