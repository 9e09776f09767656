//! Receiving: from what was handed over ahead, or by fetching.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::broker::Delivery;
use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{LaneDemand, QueueError, QueueErrorKind};
use tokio::time::timeout;

use crate::error::{is_other_arguments, late, told};
use crate::line::Line;
use crate::{Amqp, lock, message, topology};

/// A receipt is the number of the line, then the tag of the delivery in so many bits.
const TAG_BITS: u32 = 40;
/// How often a thorough look asks for messages the broker says it has and may hand over: they are
/// on their way, so the bound is only for a broker that misbehaves.
const LOOKS: usize = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Names a delivery.
pub(crate) fn receipt(epoch: u32, tag: u64) -> Receipt {
    Receipt::Number((u64::from(epoch) << TAG_BITS) | tag)
}

/// What a receipt names.
pub(crate) fn named(receipt: &Receipt) -> Option<(u32, u64)> {
    let Receipt::Number(number) = receipt else { return None };
    let epoch = u32::try_from(number >> TAG_BITS).ok()?;
    Some((epoch, number & ((1 << TAG_BITS) - 1)))
}

impl Amqp {
    /// With `wait`, what the broker has is waited for too; without, what is at hand is given.
    pub(crate) async fn collect(
        &self,
        demands: &[LaneDemand],
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let mut wakes = self.wakes.subscribe();
        let mut deliveries = self.look(demands, !wait.is_zero()).await?;
        if deliveries.is_empty() && !wait.is_zero() && timeout(wait, wakes.changed()).await.is_ok()
        {
            deliveries = self.look(demands, false).await?;
        }
        Ok(deliveries)
    }

    async fn look(
        &self,
        demands: &[LaneDemand],
        thorough: bool,
    ) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = Vec::new();
        let mut fault = None;
        for demand in demands.iter().filter(|demand| demand.slots > 0) {
            match self.look_at(demand, thorough).await {
                Ok(some) => deliveries.extend(some),
                // One lane with a wrong queue does not keep the others from their work.
                Err(error) if error.kind == QueueErrorKind::Invalid => fault = Some(error),
                Err(error) if deliveries.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a claim gives what came before");
                    break;
                }
            }
        }
        match fault {
            Some(fault) if deliveries.is_empty() && demands.len() == 1 => Err(fault),
            _ => Ok(deliveries),
        }
    }

    async fn look_at(
        &self,
        demand: &LaneDemand,
        thorough: bool,
    ) -> Result<Vec<Delivery>, QueueError> {
        let patience = self.settings.answer_timeout;
        let line = self.line(&demand.lane).await?;
        let looking = async {
            if self.settings.prefetch_most == 0 {
                return line.fetch(demand.slots).await;
            }
            line.widen(demand.slots, &self.settings).await?;
            let mut got = line.pop(demand.slots);
            for _ in 0..LOOKS {
                if !thorough || got.len() >= demand.slots {
                    break;
                }
                let waiting = line.waiting().await?;
                got.extend(line.pop(demand.slots - got.len()));
                if waiting == 0 || line.is_full() {
                    break;
                }
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            Ok(got)
        };
        let got = match timeout(patience, looking).await {
            Ok(got) => got.map_err(told)?,
            Err(_) => {
                // Nobody knows what was half done: a new channel gets back what this one held.
                line.give_up();
                return Err(late("answer", patience));
            }
        };
        Ok(got.into_iter().map(|delivery| handed_over(&line, &demand.lane, delivery)).collect())
    }

    /// The line of a lane, made anew if the last is broken.
    async fn line(&self, lane: &Lane) -> Result<Arc<Line>, QueueError> {
        if let Some(line) = self.live(lane) {
            return Ok(line);
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(line) = self.live(lane) {
            return Ok(line);
        }
        let queues = self.names.of(lane);
        let line = self.open_line(Some(lane.clone()), queues).await?;
        let mut lines = lock(&self.lines);
        lines.reported.remove(lane);
        if let Some(former) = lines.by_lane.insert(lane.clone(), Arc::clone(&line)) {
            lines.by_epoch.remove(&former.epoch);
        }
        Ok(line)
    }

    fn live(&self, lane: &Lane) -> Option<Arc<Line>> {
        lock(&self.lines).by_lane.get(lane).filter(|line| line.is_live()).cloned()
    }

    async fn open_line(
        &self,
        lane: Option<Lane>,
        queues: Vec<String>,
    ) -> Result<Arc<Line>, QueueError> {
        let connection = self.consuming.connection().await?;
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed) & ((1 << (63 - TAG_BITS)) - 1);
        let opening = async {
            let mut declared = vec![self.names.dead()];
            if lane.is_some() {
                declared.extend(queues.iter().cloned());
            }
            topology::declare(&connection, &self.names, &declared).await?;
            Line::open(&connection, queues, epoch, Arc::clone(&self.wakes)).await
        };
        let line = match timeout(self.settings.answer_timeout, opening).await {
            Ok(Ok(line)) => Arc::new(line),
            Ok(Err(error)) if is_other_arguments(&error) => {
                return Err(self.not_used(lane, error));
            }
            Ok(Err(error)) => return Err(told(error)),
            Err(_) => return Err(late("open a channel", self.settings.answer_timeout)),
        };
        lock(&self.lines).by_epoch.insert(epoch, Arc::clone(&line));
        Ok(line)
    }

    /// Reports a queue with other arguments, once until it is mended.
    fn not_used(&self, lane: Option<Lane>, error: lapin::Error) -> QueueError {
        if let Some(lane) = lane
            && lock(&self.lines).reported.insert(lane.clone())
        {
            tracing::error!(%lane, %error, "not served: a queue has other arguments; run: flotilla doctor");
        }
        let message =
            "a queue has other arguments than it should, so it is not used; run: flotilla doctor";
        QueueError::new(QueueErrorKind::Invalid, message, error)
    }

    /// Messages that were given up, at most `limit`.
    pub(crate) async fn dead(&self, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        let line = {
            let _one_at_a_time = self.opening.lock().await;
            let known = lock(&self.lines).dead.clone().filter(|line| line.is_live());
            match known {
                Some(line) => line,
                None => {
                    let line = self.open_line(None, vec![self.names.dead()]).await?;
                    let mut lines = lock(&self.lines);
                    if let Some(former) = lines.dead.replace(Arc::clone(&line)) {
                        lines.by_epoch.remove(&former.epoch);
                    }
                    line
                }
            }
        };
        let patience = self.settings.answer_timeout;
        let got = match timeout(patience, line.fetch(limit)).await {
            Ok(got) => got.map_err(told)?,
            Err(_) => return Err(late("answer", patience)),
        };
        const NOWHERE: Lane = Lane::from_static("dead");
        let dead = got.into_iter().map(|delivery| {
            let queue = message::died_in(&delivery.properties);
            let lane = queue.and_then(|queue| self.names.lane(&queue)).unwrap_or(NOWHERE);
            let attributes = message::all_attributes(&delivery.properties);
            Delivery { attributes, ..handed_over(&line, &lane, delivery) }
        });
        Ok(dead.collect())
    }
}

fn handed_over(line: &Line, lane: &Lane, delivery: lapin::message::Delivery) -> Delivery {
    Delivery {
        receipt: receipt(line.epoch, delivery.delivery_tag),
        lane: lane.clone(),
        redelivered: message::redelivered(&delivery.properties, delivery.redelivered),
        attributes: message::attributes(&delivery.properties),
        body: Bytes::from(delivery.data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_its_line_and_its_delivery() {
        let tag = (1 << TAG_BITS) - 1;
        assert_eq!(named(&receipt(7, tag)), Some((7, tag)));
        assert_eq!(named(&Receipt::None), None);
    }
}
