//! Publishing: all of a batch is sent, then the confirmations are awaited.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::broker::Notice;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, Connection};
use tokio::time::timeout;

use crate::error::{is_other_arguments, late, told};
use crate::link::Link;
use crate::settings::Settings;
use crate::topology::{self, Names};
use crate::{lock, message};

pub(crate) struct Publisher {
    link: Link,
    names: Names,
    patience: Duration,
    open: tokio::sync::Mutex<Option<Open>>,
}

/// A channel in confirm mode, and what is known of the queues since it was opened.
#[derive(Clone)]
struct Open {
    connection: Arc<Connection>,
    channel: Channel,
    queues: Arc<Mutex<Queues>>,
}

#[derive(Default)]
struct Queues {
    declared: HashSet<String>,
    /// There with other arguments: never used.
    refused: HashSet<String>,
}

impl Publisher {
    pub(crate) fn new(link: Link, names: Names, settings: &Settings) -> Self {
        Self { link, names, patience: settings.answer_timeout, open: Default::default() }
    }

    /// `true` for each notice the broker has on disk.
    pub(crate) async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError> {
        let open = self.open().await?;
        if open.connection.status().blocked() {
            return Err(QueueError::plain(
                QueueErrorKind::Unavailable,
                "RabbitMQ takes no messages: it is out of memory or disk space; free some, or \
                 raise its limits",
            ));
        }
        let queues: Vec<String> = notices
            .iter()
            .map(|notice| self.names.queue(&notice.lane, topology::band(notice.priority)))
            .collect();
        let sending = async {
            self.declare(&open, &queues).await?;
            send(&open, notices, &queues).await
        };
        let result = match timeout(self.patience, sending).await {
            Ok(result) => result.map_err(told),
            Err(_) => Err(late("confirm", self.patience)),
        };
        if result.is_err() {
            self.forget(&open).await;
        }
        result
    }

    async fn open(&self) -> Result<Open, QueueError> {
        let mut state = self.open.lock().await;
        if let Some(open) = state.as_ref().filter(|open| open.channel.status().connected()) {
            return Ok(open.clone());
        }
        *state = None;
        let connection = self.link.connection().await?;
        let opening = async {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        let channel = match timeout(self.patience, opening).await {
            Ok(channel) => channel.map_err(told)?,
            Err(_) => return Err(late("open a channel", self.patience)),
        };
        let open = Open { connection: Arc::clone(&connection), channel, queues: Arc::default() };
        *state = Some(open.clone());
        Ok(open)
    }

    /// The next call opens another channel.
    async fn forget(&self, open: &Open) {
        let mut state = self.open.lock().await;
        if state.as_ref().is_some_and(|now| Arc::ptr_eq(&now.queues, &open.queues)) {
            *state = None;
        }
    }

    /// Makes the queues that were not seen since the channel was opened.
    async fn declare(&self, open: &Open, queues: &[String]) -> lapin::Result<()> {
        let mut unknown: Vec<&String> = {
            let known = lock(&open.queues);
            queues
                .iter()
                .filter(|queue| !known.declared.contains(*queue) && !known.refused.contains(*queue))
                .collect()
        };
        unknown.sort_unstable();
        unknown.dedup();
        for queue in unknown {
            let with_dead = [self.names.dead(), queue.clone()];
            match topology::declare(&open.connection, &self.names, &with_dead).await {
                Ok(()) => {
                    lock(&open.queues).declared.insert(queue.clone());
                }
                Err(error) if is_other_arguments(&error) => {
                    tracing::error!(queue, %error, "not used: it has other arguments; run: flotilla doctor");
                    lock(&open.queues).refused.insert(queue.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.open.lock().await.take();
        self.link.close().await;
    }
}

async fn send(open: &Open, notices: &[Notice], queues: &[String]) -> lapin::Result<Vec<bool>> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut confirms = Vec::with_capacity(notices.len());
    for (notice, queue) in notices.iter().zip(queues) {
        if lock(&open.queues).refused.contains(queue) {
            confirms.push(None);
            continue;
        }
        let properties = message::properties(notice);
        let sent = open
            .channel
            .basic_publish("".into(), queue.as_str().into(), options, &notice.body, properties)
            .await?;
        confirms.push(Some(sent));
    }
    let mut taken = Vec::with_capacity(notices.len());
    for (confirm, queue) in confirms.into_iter().zip(queues) {
        let Some(confirm) = confirm else {
            taken.push(false);
            continue;
        };
        let answer = confirm.await?;
        taken.push(answer == Confirmation::Ack(None));
        if let Some(returned) = answer.take_message() {
            // Deleted since it was declared: the next call makes it again.
            tracing::warn!(queue, reason = %returned.reply_text, "a job could not be routed");
            lock(&open.queues).declared.remove(queue);
        }
    }
    Ok(taken)
}
