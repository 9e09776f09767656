//! Which fleet a command speaks to, as clap sees it. No secret is an argument.

use std::path::PathBuf;

use clap::Args;

/// The fleet of this machine's configuration, or one behind its API.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Another fleet")]
pub(crate) struct Reach {
    /// Speak to the fleet behind this address instead, as in <https://flotilla.example.com>
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The file that holds the token for --server
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The environment variable that holds the token for --server
    #[arg(long, global = true, value_name = "VARIABLE")]
    pub(crate) token_env: Option<String>,
    /// Certificates (PEM) that --server may show, beside those this machine trusts
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Speak to the fleet of this profile of yours
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Your profiles (TOML) [default: ~/.config/flotilla/profiles.toml]
    #[arg(long, global = true, env = "FLOTILLA_PROFILES", value_name = "FILE")]
    pub(crate) profiles: Option<PathBuf>,
}
