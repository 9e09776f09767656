//! `[events]` and `[[subscriber]]`: who is told when jobs have ended, and how.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::checked::Name;
use crate::choice::{Choice, choice};
use crate::reader::Section;
use crate::secret::Secret;
use crate::size::ByteSize;

choice! {
    /// What a subscriber can be told of a job.
    pub enum Told ("type of event") {
        /// It is done.
        Completed = "completed",
        /// An attempt failed; it will run again.
        Failed = "failed",
        /// It is a dead letter.
        Dead = "dead",
        /// It is no longer wanted.
        Cancelled = "cancelled",
        /// It says how far it is.
        Progress = "progress",
        /// An account has to be connected again, will end, was connected again, or revoked.
        Account = "account",
    }
}

choice! {
    /// What a subscriber hears in order.
    pub enum HeardInOrder ("order of events") {
        /// All of a tenant, one thing after the other.
        Subscriber = "subscriber",
        /// What there is to tell of one job.
        Job = "job",
    }
}

/// How events are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// The `source` of every event: a URI reference that names the fleet.
    pub source: String,
    /// Largest result that travels in an event, in bytes.
    pub max_result: usize,
    /// Most events in one delivery; at least 1.
    pub batch: usize,
    /// How long ends wait to be told while nobody is subscribed.
    pub unheard: Duration,
    /// The RabbitMQ of subscribers with an exchange; `queue.broker_url` when it is not set.
    pub amqp_url: Option<Secret>,
    /// The PostgreSQL of subscribers with a channel; `queue.url` when it is not set.
    pub postgres_url: Option<Secret>,
}

impl Events {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        Self {
            source: section.get("source"),
            max_result: section.get::<ByteSize>("max_result").in_memory(),
            batch: section.get::<NonZeroUsize>("batch").get(),
            unheard: section.get("unheard"),
            amqp_url: section.get("amqp_url"),
            postgres_url: section.get("postgres_url"),
        }
    }
}

/// Where a subscriber listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// An HTTP endpoint, told as Standard Webhooks describes.
    Webhook {
        /// Its address.
        url: String,
        /// The secret it was given, `whsec_…`.
        secret: Option<Secret>,
        /// A file with its secrets, one a line: all of them sign while one takes over from another.
        secret_file: Option<PathBuf>,
    },
    /// A topic of SNS, by its ARN.
    Sns {
        /// The ARN.
        topic: String,
    },
    /// An exchange of RabbitMQ.
    Amqp {
        /// Its name.
        exchange: String,
    },
    /// A channel of PostgreSQL.
    Notify {
        /// Its name.
        channel: String,
    },
}

/// Who is told, and of what; an empty list means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// Unique among the entries.
    pub name: String,
    /// Where it listens.
    pub sink: Sink,
    /// Of what; empty: of the ends.
    pub types: Vec<Told>,
    /// Of these kinds.
    pub kinds: Vec<String>,
    /// Of these lanes.
    pub lanes: Vec<String>,
    /// Of these tenants.
    pub tenants: Vec<String>,
    /// What it hears in order.
    pub order: HeardInOrder,
}

impl Subscriber {
    /// The secrets that sign its events, of its key and of its file; none for other sinks.
    ///
    /// # Errors
    /// The file cannot be read or holds none.
    pub fn read_secrets(&self) -> Result<Vec<Secret>, String> {
        let Sink::Webhook { secret, secret_file, .. } = &self.sink else { return Ok(Vec::new()) };
        let mut secrets: Vec<Secret> = secret.iter().cloned().collect();
        if let Some(path) = secret_file {
            let text = std::fs::read_to_string(path)
                .map_err(|e| format!("secret_file: cannot read {}: {e}", path.display()))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            secrets.extend(lines.map(Secret::new));
            if secrets.is_empty() {
                return Err(format!("secret_file: {} holds no secret", path.display()));
            }
        }
        Ok(secrets)
    }

    /// `None` when a key that is needed is missing or wrong; the section has noted it then.
    pub(crate) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let name = section.required::<Name>("name");
        let sink = Sink::read(&mut section);
        let types = section.optional("types");
        let names = |names: Option<Vec<Name>>| -> Vec<String> {
            names.unwrap_or_default().into_iter().map(|name| name.0).collect()
        };
        let kinds = names(section.optional("kinds"));
        let lanes = names(section.optional("lanes"));
        let tenants = names(section.optional("tenants"));
        let order = section.optional("order").unwrap_or(HeardInOrder::Subscriber);
        Some(Self {
            name: name?.0,
            sink: sink?,
            types: types.unwrap_or_default(),
            kinds,
            lanes,
            tenants,
            order,
        })
    }
}

impl Sink {
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let secret = section.optional("secret");
        let secret_file = section.optional("secret_file");
        let to = section.required::<String>("to")?;
        if let Some(exchange) = to.strip_prefix("exchange:").filter(|name| !name.is_empty()) {
            return Some(Self::Amqp { exchange: exchange.to_owned() });
        }
        if let Some(channel) = to.strip_prefix("channel:").filter(|name| !name.is_empty()) {
            return Some(Self::Notify { channel: channel.to_owned() });
        }
        if to.starts_with("arn:") && to.contains(":sns:") {
            return Some(Self::Sns { topic: to });
        }
        if !to.starts_with("https://") && !to.starts_with("http://") {
            section.wrong(
                "to",
                "is no place to tell: write https://…, arn:aws:sns:…, exchange:NAME or channel:NAME",
            );
            return None;
        }
        if secret.is_none() && secret_file.is_none() {
            section.wrong("to", "needs a secret to sign with: give secret_file, or secret");
            return None;
        }
        Some(Self::Webhook { url: to, secret, secret_file })
    }
}
