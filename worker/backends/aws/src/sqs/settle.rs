//! Keeping, giving back and finishing deliveries, ten a call.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry as Hide,
    DeleteMessageBatchRequestEntry as Delete,
};
use flotilla_core::blob::BlobKey;
use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::wire::Handle;
use super::{BATCH, Shared};
use crate::connect::failed;

/// How often entries SQS could not do are tried again within one call.
const TRIES: u32 = 5;

/// A delivery and its place in the call.
type Placed = (usize, Handle);

/// What is done to deliveries.
#[derive(Clone, Copy)]
enum Act {
    /// Hidden for so many seconds from now.
    Hide(i32),
    Delete,
}

impl Shared {
    /// Hides deliveries for so many seconds from now; `false`: no longer ours.
    pub(super) async fn hide(
        &self,
        receipts: &[Receipt],
        seconds: i32,
    ) -> Result<Vec<bool>, QueueError> {
        self.all(receipts, Act::Hide(seconds)).await
    }

    pub(super) async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.all(receipts, Act::Delete).await?;
        let Some(blobs) = self.blobs.as_ref() else { return Ok(()) };
        for handle in receipts.iter().filter_map(Handle::of) {
            let Some(key) = handle.blob.and_then(|key| BlobKey::new(key).ok()) else { continue };
            // What stays behind costs room only; a lifecycle rule of the bucket clears it.
            if let Err(error) = blobs.delete(&key).await {
                tracing::warn!(%error, "the body of a finished message was not removed");
            }
        }
        Ok(())
    }

    async fn all(&self, receipts: &[Receipt], act: Act) -> Result<Vec<bool>, QueueError> {
        let mut lanes = HashMap::<Lane, Vec<Placed>>::new();
        for (at, receipt) in receipts.iter().enumerate() {
            if let Some(handle) = Handle::of(receipt) {
                lanes.entry(handle.lane.clone()).or_default().push((at, handle));
            }
        }
        let mut batches = Vec::new();
        for (lane, mut some) in lanes {
            let url = self.queues.url(&lane).await?;
            while !some.is_empty() {
                let rest = some.split_off(some.len().min(BATCH));
                batches.push((url.clone(), std::mem::replace(&mut some, rest)));
            }
        }
        let calls: Vec<_> =
            batches.into_iter().map(|(url, batch)| self.batch(url, batch, act)).collect();
        let done: Vec<Vec<usize>> =
            stream::iter(calls).buffer_unordered(self.settings.parallel).try_collect().await?;
        let mut ours = vec![false; receipts.len()];
        done.into_iter().flatten().for_each(|at| ours[at] = true);
        Ok(ours)
    }

    /// The places of the deliveries that were still ours.
    async fn batch(
        &self,
        url: String,
        mut batch: Vec<Placed>,
        act: Act,
    ) -> Result<Vec<usize>, QueueError> {
        let mut ours = Vec::with_capacity(batch.len());
        for attempt in 0..TRIES {
            let (done, failures) = self.call(&url, &batch, act).await?;
            ours.extend(done.iter().filter_map(|id| id.parse::<usize>().ok()));
            let again: Vec<&str> =
                failures.iter().filter(|f| !f.sender_fault).map(|f| f.id.as_str()).collect();
            batch.retain(|(at, _)| again.contains(&at.to_string().as_str()));
            if batch.is_empty() {
                return Ok(ours);
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
        }
        // "Not ours any more" would stop jobs that run; this says only that SQS is busy.
        Err(QueueError::plain(
            QueueErrorKind::Unavailable,
            format!("SQS could not change {} messages just now", batch.len()),
        ))
    }

    async fn call(
        &self,
        url: &str,
        batch: &[Placed],
        act: Act,
    ) -> Result<(Vec<String>, Vec<BatchResultErrorEntry>), QueueError> {
        match act {
            Act::Hide(seconds) => {
                let entries = batch.iter().map(|(at, handle)| {
                    let entry = Hide::builder().id(at.to_string()).visibility_timeout(seconds);
                    entry.receipt_handle(&handle.receipt).build()
                });
                let entries = entries.collect::<Result<Vec<_>, _>>().map_err(unbuilt)?;
                let request = self.client.change_message_visibility_batch().queue_url(url);
                let answer = request.set_entries(Some(entries)).send().await;
                let answer = answer.map_err(|error| failed("keeping messages hidden", error))?;
                Ok((answer.successful.into_iter().map(|done| done.id).collect(), answer.failed))
            }
            Act::Delete => {
                let entries = batch.iter().map(|(at, handle)| {
                    let entry = Delete::builder().id(at.to_string());
                    entry.receipt_handle(&handle.receipt).build()
                });
                let entries = entries.collect::<Result<Vec<_>, _>>().map_err(unbuilt)?;
                let request = self.client.delete_message_batch().queue_url(url);
                let answer = request.set_entries(Some(entries)).send().await;
                let answer = answer.map_err(|error| failed("removing messages", error))?;
                Ok((answer.successful.into_iter().map(|done| done.id).collect(), answer.failed))
            }
        }
    }
}

fn unbuilt(error: aws_sdk_sqs::error::BuildError) -> QueueError {
    QueueError::new(QueueErrorKind::Invalid, "not a receipt of SQS", error)
}
