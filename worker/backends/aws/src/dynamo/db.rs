//! Calls to DynamoDB, within their limits: 100 items a read, 25 a plain write, pages of a query.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeysAndAttributes, Select, WriteRequest,
};
use flotilla_core::ids::JobId;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::rng::Rng;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::row::{Row, id_of, partition};
use super::table::Index;
use crate::connect::failed;

/// An item of the table.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// What DynamoDB reads in one call.
const READ: usize = 100;
/// What DynamoDB writes in one call without conditions.
const WRITE: usize = 25;
/// How often what it could not do just now is asked again.
const TRIES: u32 = 8;

/// The table, and what makes writes distinct.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) client: Client,
    pub(crate) table: String,
    /// Calls at once.
    pub(crate) parallel: usize,
    pub(crate) rng: Arc<dyn Rng>,
    arrivals: AtomicU64,
}

/// A part of one partition of an index, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) index: Index,
    pub(crate) partition: String,
    /// Only what sorts before this.
    pub(crate) below: Option<String>,
    pub(crate) backwards: bool,
}

impl Range {
    pub(crate) fn all(index: Index, partition: String) -> Self {
        Self { index, partition, below: None, backwards: false }
    }
}

pub(crate) fn corrupt(message: String) -> QueueError {
    QueueError::plain(QueueErrorKind::Corrupt, message)
}

pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(crate) fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// Waits longer each time, and not as long as others do.
pub(crate) async fn pause(attempt: u32, salt: u64) {
    let most = 10u64 << attempt.min(6);
    tokio::time::sleep(Duration::from_millis(1 + salt % most)).await;
}

fn busy() -> QueueError {
    QueueError::plain(QueueErrorKind::Unavailable, "DynamoDB is too busy just now")
}

impl Db {
    pub(crate) fn new(client: Client, table: String, parallel: usize, rng: Arc<dyn Rng>) -> Self {
        Self { client, table, parallel: parallel.max(1), rng, arrivals: AtomicU64::new(0) }
    }

    /// The next number of arrival in this process: the order among jobs of one moment.
    pub(crate) fn arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// One item, as it is now.
    pub(crate) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, QueueError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let found = request.set_key(Some(key(pk, sk))).send().await;
        Ok(found.map_err(|error| failed("reading", error))?.item)
    }

    /// These items as they are now, in no order; those that are not there are left out.
    pub(crate) async fn get_all(&self, keys: &[(String, String)]) -> Result<Vec<Item>, QueueError> {
        let calls: Vec<_> = keys.chunks(READ).map(|some| self.get_some(some)).collect();
        let found: Vec<Vec<Item>> =
            stream::iter(calls).buffer_unordered(self.parallel).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn get_some(&self, keys: &[(String, String)]) -> Result<Vec<Item>, QueueError> {
        let mut wanted: Vec<Item> = keys.iter().map(|(pk, sk)| key(pk, sk)).collect();
        let mut found = Vec::with_capacity(wanted.len());
        for attempt in 0..TRIES {
            let these = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(wanted));
            let these = these.build().map_err(|error| corrupt(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(&self.table, these);
            let answer = answer.send().await.map_err(|error| failed("reading", error))?;
            let items = answer.responses.and_then(|mut all| all.remove(&self.table));
            found.extend(items.unwrap_or_default());
            let rest = answer.unprocessed_keys.and_then(|mut all| all.remove(&self.table));
            match rest.map(|rest| rest.keys).filter(|rest| !rest.is_empty()) {
                Some(rest) => wanted = rest,
                None => return Ok(found),
            }
            pause(attempt + 2, self.rng.next_u64()).await;
        }
        Err(busy())
    }

    /// The rows of these jobs and their versions.
    pub(crate) async fn rows(
        &self,
        ids: &[JobId],
    ) -> Result<HashMap<JobId, (u64, Row)>, QueueError> {
        let mut keys: Vec<_> = ids.iter().map(|id| (partition(*id), "row".to_owned())).collect();
        keys.sort();
        keys.dedup();
        let items = self.get_all(&keys).await?;
        let rows = items.into_iter().map(|item| {
            let (version, row) = Row::of_item(item)?;
            Ok((row.id, (version, row)))
        });
        rows.collect()
    }

    /// A page of a range: at most `limit` keys, and where the next page begins.
    pub(crate) async fn page(
        &self,
        range: &Range,
        limit: usize,
        from: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), QueueError> {
        let [first, second] = range.index.attributes();
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(range.index.name())
            .expression_attribute_names("#p", first)
            .expression_attribute_values(":p", AttributeValue::S(range.partition.clone()))
            .scan_index_forward(!range.backwards)
            .limit(i32::try_from(limit.max(1)).unwrap_or(i32::MAX))
            .set_exclusive_start_key(from);
        request = match &range.below {
            None => request.key_condition_expression("#p = :p"),
            Some(below) => request
                .key_condition_expression("#p = :p AND #s < :below")
                .expression_attribute_names("#s", second)
                .expression_attribute_values(":below", AttributeValue::S(below.clone())),
        };
        let found = request.send().await.map_err(|error| failed("looking through jobs", error))?;
        Ok((found.items.unwrap_or_default(), found.last_evaluated_key))
    }

    /// All items of a partition of the table as they are now, in their order: those whose second
    /// key begins with `prefix` and comes after `after`, at most `limit`.
    pub(crate) async fn partition(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Item>, QueueError> {
        let (mut all, mut from) = (Vec::new(), None);
        let after = after.filter(|after| *after >= prefix);
        loop {
            let mut request = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .expression_attribute_values(":p", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(from);
            let bound = |text: &str| AttributeValue::S(text.to_owned());
            request = match (after, prefix) {
                (Some(after), _) => request
                    .key_condition_expression("pk = :p AND sk > :a")
                    .expression_attribute_values(":a", bound(after)),
                (None, "") => request.key_condition_expression("pk = :p"),
                (None, prefix) => request
                    .key_condition_expression("pk = :p AND begins_with(sk, :a)")
                    .expression_attribute_values(":a", bound(prefix)),
            };
            let found = request.send().await.map_err(|error| failed("reading", error))?;
            for item in found.items.unwrap_or_default() {
                if !text(&item, "sk").is_some_and(|sk| sk.starts_with(prefix)) {
                    return Ok(all);
                }
                all.push(item);
            }
            from = found.last_evaluated_key;
            if from.is_none() || all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
        }
    }

    /// Up to `limit` keys of a range.
    pub(crate) async fn keys(&self, range: &Range, limit: usize) -> Result<Vec<Item>, QueueError> {
        let (mut all, mut from) = (Vec::new(), None);
        while all.len() < limit {
            let (some, next) = self.page(range, limit - all.len(), from).await?;
            all.extend(some);
            from = next;
            if from.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Up to `limit` jobs of a range.
    pub(crate) async fn ids(&self, range: &Range, limit: usize) -> Result<Vec<JobId>, QueueError> {
        Ok(self.keys(range, limit).await?.iter().filter_map(id_of).collect())
    }

    /// How many keys a partition of an index has; counts no further than `most`.
    pub(crate) async fn count(
        &self,
        index: Index,
        partition: &str,
        most: u64,
    ) -> Result<u64, QueueError> {
        let (mut count, mut from) = (0, None);
        while count < most {
            let request = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(index.name())
                .select(Select::Count)
                .key_condition_expression("#p = :p")
                .expression_attribute_names("#p", index.attributes()[0])
                .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
                .set_exclusive_start_key(from);
            let found = request.send().await.map_err(|error| failed("counting jobs", error))?;
            count += u64::try_from(found.count).unwrap_or(0);
            from = found.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(count)
    }

    /// Removes items whatever they hold.
    pub(crate) async fn remove(&self, keys: &[(String, String)]) -> Result<(), QueueError> {
        for some in keys.chunks(WRITE) {
            let mut requests = Vec::with_capacity(some.len());
            for (pk, sk) in some {
                let delete = DeleteRequest::builder().set_key(Some(key(pk, sk))).build();
                let delete = delete.map_err(|error| corrupt(error.to_string()))?;
                requests.push(WriteRequest::builder().delete_request(delete).build());
            }
            for attempt in 0..TRIES {
                let call = self.client.batch_write_item();
                let call = call.request_items(&self.table, std::mem::take(&mut requests));
                let answer = call.send().await.map_err(|error| failed("removing", error))?;
                let rest = answer.unprocessed_items.and_then(|mut all| all.remove(&self.table));
                requests = rest.unwrap_or_default();
                if requests.is_empty() {
                    break;
                }
                if attempt + 1 == TRIES {
                    return Err(busy());
                }
                pause(attempt + 2, self.rng.next_u64()).await;
            }
        }
        Ok(())
    }

    /// Reads what lies in items of its own: the payload of a row, and its result.
    pub(crate) async fn fill(&self, row: &mut Row, with_result: bool) -> Result<(), QueueError> {
        use super::row::{payload_part, result_part};
        if row.payload_parts > 0 && row.payload.bytes().is_empty() {
            let names: Vec<String> = (0..row.payload_parts).map(payload_part).collect();
            row.payload = self.joined(row.id, names).await?;
        }
        if let Some((fence, n)) = row.result_parts.filter(|_| with_result && row.result.is_none()) {
            let names: Vec<String> = (0..n).map(|part| result_part(fence, part)).collect();
            row.result = Some(self.joined(row.id, names).await?);
        }
        Ok(())
    }

    async fn joined(
        &self,
        id: JobId,
        names: Vec<String>,
    ) -> Result<flotilla_core::envelope::Payload, QueueError> {
        let pk = partition(id);
        let keys: Vec<_> = names.into_iter().map(|sk| (pk.clone(), sk)).collect();
        let mut parts = self.get_all(&keys).await?;
        parts.sort_by(|a, b| text(a, "sk").cmp(&text(b, "sk")));
        if parts.len() != keys.len() {
            return Err(corrupt(format!("a part of the payload or result of job {id} is missing")));
        }
        let bytes = parts.iter().filter_map(|part| part.get("bytes")?.as_b().ok());
        let whole: Vec<u8> = bytes.flat_map(|blob| blob.as_ref().iter().copied()).collect();
        Ok(flotilla_core::envelope::Payload::from_bytes(whole))
    }
}
