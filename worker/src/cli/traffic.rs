//! `flotilla limits` and `flotilla breakers` as clap sees them.

use clap::Subcommand;
use flotilla_core::LimitKey;

use super::duration;

/// `flotilla limits`
#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    /// List the quotas, and the keys that were used lately
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Set the quotas of a key for the whole fleet, instead of the configuration's
    Set {
        /// The key, broadest part first; * stands for one part, as in web/* or instagram/42
        key: String,
        /// As in 6/min, "10/s burst 5", 15/day@Europe/Berlin, "3 at once"; none lifts the limit
        quotas: Vec<String>,
    },
    /// Let the configuration decide again
    Unset {
        /// The key, as it was set
        key: String,
    },
}

/// `flotilla platforms`
#[derive(Debug, Subcommand)]
pub(crate) enum Platforms {
    /// List the platforms and what they can do
    List {
        /// Only those that can do all of these, as in `--can story,first_comment`
        #[arg(long, value_delimiter = ',', value_name = "CAPABILITY,…")]
        can: Vec<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of one: hosts, version, bounds, quotas, how its tokens live
    Show {
        /// The platform
        name: String,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// `flotilla breakers`
#[derive(Debug, Subcommand)]
pub(crate) enum Breakers {
    /// List breakers that are open or had trouble lately
    List {
        /// Also how each was turned within a week: when, by whom, why
        #[arg(long)]
        history: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Call somebody no more: jobs of the key are parked
    Open {
        /// The key, as in web/example.com
        key: LimitKey,
        /// Why
        #[arg(long, default_value = "opened by hand")]
        reason: String,
        /// Let a few jobs try after this; without it: when it is closed
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        pause: Option<std::time::Duration>,
    },
    /// Call them again, few jobs at first
    Close {
        /// The key
        key: LimitKey,
        /// Why
        #[arg(long, default_value = "closed by hand")]
        reason: String,
    },
}
