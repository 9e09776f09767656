//! The port of a broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flotilla_core::broker::{Broker, BrokerCapabilities, Delivery, Notice};
use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{LaneDemand, QueueError};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::{late, told};
use crate::line::Line;
use crate::receive::named;
use crate::{Amqp, lock, topology};

#[async_trait]
impl Broker for Amqp {
    fn capabilities(&self) -> &BrokerCapabilities {
        &self.capabilities
    }

    async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError> {
        self.publisher.publish(notices).await
    }

    async fn receive(
        &self,
        lanes: &[LaneDemand],
        _lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.collect(lanes, wait).await
    }

    /// There is no lease to move: a delivery is ours until its channel ends.
    async fn extend(
        &self,
        receipts: &[Receipt],
        _lease: Duration,
    ) -> Result<Vec<bool>, QueueError> {
        let lines = lock(&self.lines);
        let ours = |receipt: &Receipt| {
            let (epoch, tag) = named(receipt)?;
            Some(lines.by_epoch.get(&epoch)?.is_out(tag))
        };
        Ok(receipts.iter().map(|receipt| ours(receipt).unwrap_or(false)).collect())
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        for (line, tags) in self.lines_of(receipts) {
            match timeout(self.settings.answer_timeout, line.ack(&tags)).await {
                Ok(acked) => acked.map_err(told)?,
                Err(_) => return Err(late("take an ack", self.settings.answer_timeout)),
            }
        }
        Ok(())
    }

    async fn nack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        for (line, tags) in self.lines_of(receipts) {
            match timeout(self.settings.answer_timeout, line.nack(&tags)).await {
                Ok(nacked) => nacked.map_err(told)?,
                Err(_) => return Err(late("take a message back", self.settings.answer_timeout)),
            }
        }
        Ok(())
    }

    async fn given_up(&self, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        self.dead(limit).await
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        let connection = self.consuming.connection().await?;
        let mut depth = 0;
        for queue in self.names.of(lane) {
            let ready = topology::ready(&connection, &queue);
            depth += match timeout(self.settings.answer_timeout, ready).await {
                Ok(ready) => u64::from(ready.map_err(told)?.unwrap_or(0)),
                Err(_) => return Err(late("answer", self.settings.answer_timeout)),
            };
        }
        Ok(depth)
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }
}

impl Amqp {
    /// The live lines of these receipts, each with its tags; receipts from before a connection
    /// was made anew are passed over.
    fn lines_of(&self, receipts: &[Receipt]) -> Vec<(Arc<Line>, Vec<u64>)> {
        let mut tags: HashMap<u32, Vec<u64>> = HashMap::new();
        for (epoch, tag) in receipts.iter().filter_map(named) {
            tags.entry(epoch).or_default().push(tag);
        }
        let lines = lock(&self.lines);
        tags.into_iter()
            .filter_map(|(epoch, tags)| {
                let line = lines.by_epoch.get(&epoch).filter(|line| line.is_live())?;
                Some((Arc::clone(line), tags))
            })
            .collect()
    }
}
