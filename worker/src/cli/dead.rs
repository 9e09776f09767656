//! `flotilla dead` as clap sees it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use flotilla_core::DeadClass;
use flotilla_core::ids::JobId;
use flotilla_core::replay::{Fingerprint, ReplayId};

use super::{Which, duration};

/// Which dead letters: by id, by filter, or all of them.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct WhichDead {
    /// These dead letters
    pub(crate) ids: Vec<JobId>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) like: Like,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// At most so many (10,000 when absent; a replay as an operation: a million)
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only say what it would do
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What only dead letters have.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Like {
    /// Of these classes
    #[arg(long, value_delimiter = ',', value_name = "CLASS,…")]
    pub(crate) class: Vec<DeadClass>,
    /// Of these groups, as `flotilla dead groups` names them
    #[arg(long, value_delimiter = ',', value_name = "GROUP,…")]
    pub(crate) group: Vec<Fingerprint>,
}

/// What a person found about one dead letter of unknown outcome.
#[derive(Debug, Args)]
pub(crate) struct FoundOut {
    /// For one of unknown outcome: whether its effect happened (you have looked)
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) found: Option<WhatFound>,
    /// What the effect gave, JSON: the job goes on with it
    #[arg(long, requires = "found", value_name = "JSON")]
    pub(crate) result: Option<String>,
}

/// Whether an effect happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WhatFound {
    /// It did: it is not made again
    Did,
    /// It did not, and will not any more: it is made
    DidNot,
}

/// How a replay goes. Any of these makes it an operation that the workers lead.
#[derive(Debug, Args, Clone, Default, PartialEq)]
pub(crate) struct How {
    /// Change every payload first: a JSON Patch (RFC 6902)
    #[arg(long, value_name = "FILE")]
    pub(crate) patch: Option<PathBuf>,
    /// Put so many back first, and the rest only when these have not failed
    #[arg(long, value_name = "K")]
    pub(crate) canary: Option<u32>,
    /// Put back so many per second
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// Reach the rate only after so long, as in 2m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ramp: Option<std::time::Duration>,
    /// Stop when more than this share of those that ended has failed, as in 0.2
    #[arg(long, value_name = "RATIO")]
    pub(crate) stop_at: Option<f64>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Show how it goes until it is over; exit code 1 when it stopped or any failed
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Why, and how many: what cannot be taken back is typed out.
#[derive(Debug, Args, Clone)]
pub(crate) struct Sure {
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    /// How many match, as --dry-run says; needed unless they are named by id
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// `flotilla dead`
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// List dead letters, newest first
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        like: Like,
        /// At most so many (1,000 at most)
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Continue below this job
        #[arg(long, value_name = "ID")]
        before: Option<JobId>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Count dead letters by what went wrong
    Groups {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        like: Like,
        /// Show so many groups, the largest ones
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Answer in JSON, with the counts of each hour
        #[arg(long)]
        json: bool,
    },
    /// Show everything known of a dead letter
    Show {
        /// The job
        id: JobId,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a dead letter another payload; without --payload: in $EDITOR
    Edit {
        /// The job
        id: JobId,
        /// The new payload: JSON, @FILE, or - for standard input
        #[arg(long, value_name = "JSON|@FILE|-")]
        payload: Option<String>,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        /// Put it back at once
        #[arg(long)]
        replay: bool,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back into their lanes, attempts reset
    Replay {
        #[command(flatten)]
        which: WhichDead,
        #[command(flatten)]
        word: FoundOut,
        #[command(flatten)]
        how: How,
    },
    /// Look at replays that run or ran, pause, resume and cancel them
    #[command(subcommand)]
    Replays(Replays),
    /// Put dead letters aside: they end as cancelled and stay for their retention
    Discard {
        #[command(flatten)]
        which: WhichDead,
        #[command(flatten)]
        sure: Sure,
    },
    /// Delete dead letters for good
    Purge {
        #[command(flatten)]
        which: WhichDead,
        #[command(flatten)]
        sure: Sure,
    },
}

/// `flotilla dead replays`
#[derive(Debug, Subcommand)]
pub(crate) enum Replays {
    /// List the replays of the last thirty days, newest first
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how a replay stands
    Show {
        /// The replay
        id: ReplayId,
        /// Follow it until it is over or needs a person
        #[arg(long)]
        wait: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Put nothing back until it is resumed
    Pause(Hand),
    /// Go on: after a pause, after it stopped, or without waiting for its canary
    Resume(Hand),
    /// End it: what has not gone back stays dead
    Cancel(Hand),
}

/// A hand on a replay.
#[derive(Debug, Args)]
pub(crate) struct Hand {
    /// The replay
    pub(crate) id: ReplayId,
    /// Why
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}
