//! `flotilla accounts` as clap sees it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use flotilla_core::Timestamp;
use flotilla_core::ids::Tenant;

use super::{duration, key_value};

/// `flotilla accounts`
#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Connect an account, or connect it again: its parked jobs go on
    Add(Box<Add>),
    /// List accounts: when they are renewed, when they end, what is in the way
    List {
        /// Of this tenant only
        #[arg(long, value_name = "T")]
        tenant: Option<Tenant>,
        /// Only those that need somebody: to be connected again, ending, overdue
        #[arg(long)]
        trouble: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of an account; never its secrets
    Show(One),
    /// Renew its token now
    Refresh(One),
    /// Take it out of use: its platform is told to forget the tokens, which are deleted here
    Revoke {
        #[command(flatten)]
        one: One,
        /// Forget the account altogether
        #[arg(long)]
        remove: bool,
    },
    /// Wrap every tenant's key with the present wrapping key
    Rewrap {
        /// Make a new wrapping key first, in the key file
        #[arg(long)]
        new_key: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a tenant's key and accounts: its secrets cannot be read any more, in no copy
    Shred {
        /// Whose
        tenant: Tenant,
        /// It cannot be undone: say that you mean it
        #[arg(long)]
        yes: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which account.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its name here
    pub(crate) name: String,
    /// Whose it is
    #[arg(long, default_value = "default", value_name = "T")]
    pub(crate) tenant: Tenant,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `flotilla accounts add`: no secret is an argument, since every user of a machine sees those.
#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(crate) one: One,
    /// Its platform; `flotilla platforms list` names them
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: String,
    /// Its id there: page, user, person or organisation URN, phone number id
    #[arg(long, value_name = "ID", required_unless_present = "sandbox")]
    pub(crate) external_id: Option<String>,
    /// Its name there, for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) display_name: Option<String>,
    /// The tokens: a file, - for standard input; without it you are asked. Either the JSON that
    /// the platform's token endpoint answered, or the access token on the first line and the
    /// refresh token on the second
    #[arg(long, value_name = "FILE|-", conflicts_with = "tokens_env")]
    pub(crate) tokens: Option<String>,
    /// The tokens, from an environment variable
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) tokens_env: Option<String>,
    /// What it may do
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…")]
    pub(crate) scopes: Vec<String>,
    /// How long the access token holds from now, as in 60d; what the tokens' JSON says goes first
    #[arg(long, value_name = "DURATION", value_parser = span, conflicts_with = "expires_at")]
    pub(crate) expires_in: Option<Duration>,
    /// When the access token ends
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_at: Option<Timestamp>,
    /// How long the refresh token holds from now
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub(crate) refresh_expires_in: Option<Duration>,
    /// What else its platform has to know, as in --fact login=facebook (repeatable)
    #[arg(long, value_name = "NAME=TEXT", value_parser = key_value)]
    pub(crate) fact: Vec<(String, String)>,
    /// A file with the secret of the app it belongs to, where that is not the fleet's; name the
    /// app with `--fact client_id=…`
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// Rehearse: the address of a sandbox (`flotilla sandbox`); without --tokens it is asked for
    /// an account of its own
    #[arg(long, value_name = "URL")]
    pub(crate) sandbox: Option<String>,
}

/// As `duration`, with days.
fn span(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    match days.filter(|days| *days <= 100_000) {
        Some(days) => Ok(Duration::from_secs(days * 86_400)),
        None => duration(text),
    }
}
