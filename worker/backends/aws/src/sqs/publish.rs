//! Notices into queues, ten a call; large bodies into blobs.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry as Entry};
use bytes::Bytes;
use flotilla_core::blob::BlobKey;
use flotilla_core::broker::Notice;
use flotilla_core::ids::Lane;
use flotilla_core::queue::QueueError;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::wire::{group, text};
use super::{BATCH, LONGEST_DELAY, MOST_BYTES, Shared, seconds};
use crate::connect::failed;

/// The attribute of a message whose body lies among the blobs: its key.
pub(crate) const CLAIM: &str = "flotilla.blob";
/// Where those blobs lie.
pub(crate) const CLAIMS: &str = "queue/";
/// What the name and type of [`CLAIM`] and a key add to a message, and some room.
const CLAIM_BYTES: usize = 1024;
/// How often entries SQS could not take are sent again within one call.
const TRIES: u32 = 5;

/// An entry and the place of its notice in the call.
type Placed = (usize, Entry);

impl Shared {
    pub(super) async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError> {
        let mut lanes = BTreeMap::<&Lane, Vec<(usize, &Notice)>>::new();
        for (at, notice) in notices.iter().enumerate() {
            lanes.entry(&notice.lane).or_default().push((at, notice));
        }
        let calls: Vec<_> =
            lanes.into_iter().map(|(lane, some)| self.publish_lane(lane, some)).collect();
        let done: Vec<Vec<usize>> =
            stream::iter(calls).buffer_unordered(self.settings.parallel).try_collect().await?;
        let mut taken = vec![false; notices.len()];
        done.into_iter().flatten().for_each(|at| taken[at] = true);
        Ok(taken)
    }

    /// The places of the notices that were taken.
    async fn publish_lane(
        &self,
        lane: &Lane,
        notices: Vec<(usize, &Notice)>,
    ) -> Result<Vec<usize>, QueueError> {
        let url = self.queues.url(lane).await?;
        let fifo = self.queues.is_fifo(lane);
        let mut entries = Vec::with_capacity(notices.len());
        for (at, notice) in notices {
            if let Some(entry) = self.entry(at, notice, fifo).await? {
                entries.push((at, entry));
            }
        }
        // In a FIFO queue a batch goes after the one before it.
        let at_once = if fifo { 1 } else { self.settings.parallel };
        let calls: Vec<_> =
            batches(entries).into_iter().map(|batch| self.send(&url, batch)).collect();
        let taken: Vec<Vec<usize>> = stream::iter(calls).buffered(at_once).try_collect().await?;
        Ok(taken.into_iter().flatten().collect())
    }

    /// The entry of a notice; `None`: SQS cannot take it.
    async fn entry(
        &self,
        at: usize,
        notice: &Notice,
        fifo: bool,
    ) -> Result<Option<Entry>, QueueError> {
        if fifo && !notice.delay.is_zero() {
            return Ok(None);
        }
        let fits = |body: &String| body.len() <= self.settings.max_message;
        let mut entry = Entry::builder().id(at.to_string());
        entry = match text(&notice.body).filter(fits) {
            Some(body) => entry.message_body(body),
            None => {
                let Some(key) = self.claim_check(notice).await? else { return Ok(None) };
                let value = MessageAttributeValue::builder().data_type("String");
                let value = value.string_value(key.as_str()).build();
                let value = value.map_err(|error| invalid(error.to_string()))?;
                entry
                    .message_body(format!("{{\"blob\":\"{key}\"}}"))
                    .message_attributes(CLAIM, value)
            }
        };
        if fifo {
            let name = notice.order.as_deref().unwrap_or(notice.tenant.as_str());
            // A job comes more than once: SQS must not take its retry for a duplicate.
            let unlike = format!("{}-{:016x}", notice.id, self.rng.next_u64());
            entry = entry.message_group_id(group(name)).message_deduplication_id(unlike);
        } else {
            if self.settings.fair {
                entry = entry.message_group_id(notice.tenant.as_str());
            }
            entry = entry.delay_seconds(seconds(notice.delay, LONGEST_DELAY));
        }
        entry.build().map(Some).map_err(|error| invalid(error.to_string()))
    }

    /// Puts a body among the blobs, under a name of its own; `None`: it cannot be kept.
    async fn claim_check(&self, notice: &Notice) -> Result<Option<BlobKey>, QueueError> {
        let Some(blobs) = self.blobs.as_ref() else { return Ok(None) };
        if notice.body.len() > self.settings.max_body {
            return Ok(None);
        }
        let name = format!("{CLAIMS}{}/{}-{:016x}", notice.lane, notice.id, self.rng.next_u64());
        let key = BlobKey::new(name).map_err(|error| invalid(error.to_string()))?;
        let body: Bytes = notice.body.clone();
        match blobs.put(&key, body, "application/json").await {
            Ok(()) => Ok(Some(key)),
            Err(error) => Err(QueueError::new(
                flotilla_core::queue::QueueErrorKind::Unavailable,
                "keeping a large job among the blobs failed",
                error,
            )),
        }
    }

    /// Sends one batch; entries that failed through no fault of theirs are sent again.
    async fn send(&self, url: &str, mut batch: Vec<Placed>) -> Result<Vec<usize>, QueueError> {
        let mut taken = Vec::with_capacity(batch.len());
        for attempt in 0..TRIES {
            let entries = batch.iter().map(|(_, entry)| entry.clone()).collect();
            let request = self.client.send_message_batch().queue_url(url);
            let answer = request.set_entries(Some(entries)).send().await;
            let answer = answer.map_err(|error| failed("publishing", error))?;
            let mut again = Vec::new();
            for failure in answer.failed {
                if failure.sender_fault {
                    tracing::warn!(
                        code = failure.code,
                        message = failure.message,
                        "SQS refused a message"
                    );
                } else {
                    again.push(failure.id);
                }
            }
            taken.extend(answer.successful.iter().filter_map(|done| done.id.parse::<usize>().ok()));
            batch.retain(|(at, _)| again.contains(&at.to_string()));
            if batch.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        Ok(taken)
    }
}

fn invalid(message: String) -> QueueError {
    QueueError::plain(flotilla_core::queue::QueueErrorKind::Invalid, message)
}

/// As many as fit into one call, by number and by size.
fn batches(entries: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut all: Vec<Vec<Placed>> = Vec::new();
    let mut bytes = 0;
    for (at, entry) in entries {
        let claim = if entry.message_attributes().is_some() { CLAIM_BYTES } else { 0 };
        let size = entry.message_body().len() + claim;
        match all.last_mut().filter(|last| last.len() < BATCH && bytes + size <= MOST_BYTES) {
            Some(last) => last.push((at, entry)),
            None => {
                all.push(vec![(at, entry)]);
                bytes = 0;
            }
        }
        bytes += size;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: usize, size: usize) -> Placed {
        let body = "x".repeat(size);
        (at, Entry::builder().id(at.to_string()).message_body(body).build().unwrap())
    }

    #[test]
    fn batches_hold_ten_and_one_mebibyte_in_order() {
        let sizes = |all: &[Vec<Placed>]| all.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&batches((0..25).map(|n| entry(n, 10)).collect())), [10, 10, 5]);
        let large = batches((0..4).map(|n| entry(n, 500_000)).collect());
        assert_eq!(sizes(&large), [2, 2]);
        let order: Vec<usize> = large.iter().flatten().map(|(at, _)| *at).collect();
        assert_eq!(order, [0, 1, 2, 3]);
        assert!(batches(Vec::new()).is_empty());
    }
}
