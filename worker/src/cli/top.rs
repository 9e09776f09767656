//! `flotilla top` as clap sees it.

use clap::Args;

/// `flotilla top`
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print one frame as text and end; so it does where the output is no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// Look again after so long
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = super::duration)]
    pub(crate) every: std::time::Duration,
}
