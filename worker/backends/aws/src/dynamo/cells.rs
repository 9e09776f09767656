//! Small pieces of shared state, changed by compare-and-swap: one conditional write each.
//!
//! Expired cells are absent at once; DynamoDB removes them by their time to live, within days.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite, Cells, MAX_CELL_KEY, MAX_CELL_VALUE};
use flotilla_core::clock::{Timestamp, from_micros};
use flotilla_core::queue::{QueueError, QueueErrorKind};
use futures_util::future::try_join_all;

use super::Dynamo;
use super::db::{Db, Item, key, number, text};
use super::queue::{chains, gather};
use super::table::TTL;
use crate::connect::failed;

/// Over how many partitions the cells are spread.
const SHARDS: u8 = 16;
/// The longest list.
const MOST: usize = 1000;

fn shard(name: &str) -> String {
    format!("cell#{}", blake3::hash(name.as_bytes()).as_bytes()[0] % SHARDS)
}

/// The cell of an item, unless it has expired.
fn cell_of(item: &Item, now: Timestamp) -> Option<Cell> {
    let expires_at = item.get("expires").and_then(|n| n.as_n().ok()?.parse().ok()).map(from_micros);
    if expires_at.is_some_and(|at| at <= now) {
        return None;
    }
    let value = item.get("value")?.as_b().ok()?;
    Some(Cell {
        value: Bytes::copy_from_slice(value.as_ref()),
        version: number(item, "v")?,
        expires_at,
    })
}

fn check(change: &CellWrite) -> Result<(), QueueError> {
    let size = change.value.as_ref().map_or(0, |value| value.len());
    if change.key.is_empty() || change.key.len() > MAX_CELL_KEY || size > MAX_CELL_VALUE {
        let message = format!(
            "a cell has a key of 1 to {MAX_CELL_KEY} bytes and a value of at most {MAX_CELL_VALUE}; \
             these have {} and {size}",
            change.key.len()
        );
        return Err(QueueError::plain(QueueErrorKind::Invalid, message));
    }
    Ok(())
}

/// The condition under which nobody was faster, and what it names.
fn condition(change: &CellWrite, now: Timestamp) -> (&'static str, Item) {
    let number = |n: String| AttributeValue::N(n);
    let mut named = Item::from([(":now".to_owned(), number(now.as_microsecond().to_string()))]);
    if change.expect == 0 {
        return ("attribute_not_exists(pk) OR expires <= :now", named);
    }
    named.insert(":v".into(), number(change.expect.to_string()));
    ("v = :v AND (attribute_not_exists(expires) OR expires > :now)", named)
}

async fn write(db: &Db, change: &CellWrite, now: Timestamp) -> Result<bool, QueueError> {
    let (condition, named) = condition(change, now);
    let mut item = key(&shard(&change.key), &change.key);
    let code = match &change.value {
        None => {
            let call = db.client.delete_item().table_name(&db.table).set_key(Some(item));
            let call = call.condition_expression(condition);
            let done = call.set_expression_attribute_values(Some(named)).send().await;
            done.map(|_| ()).map_err(|e| (e.code().map(str::to_owned), failed("writing", e)))
        }
        Some(value) => {
            // Above every former version, also of a cell of that key that was deleted since.
            let version = u64::try_from(now.as_microsecond()).unwrap_or(0).max(change.expect + 1);
            let number = |n: String| AttributeValue::N(n);
            item.insert("value".into(), AttributeValue::B(Blob::new(value.to_vec())));
            item.insert("v".into(), number(version.to_string()));
            if let Some(at) = change.expires_at {
                item.insert("expires".into(), number(at.as_microsecond().to_string()));
                item.insert(TTL.into(), number((at.as_second() + 1).to_string()));
            }
            let call = db.client.put_item().table_name(&db.table).set_item(Some(item));
            let call = call.condition_expression(condition);
            let done = call.set_expression_attribute_values(Some(named)).send().await;
            done.map(|_| ()).map_err(|e| (e.code().map(str::to_owned), failed("writing", e)))
        }
    };
    match code {
        Ok(()) => Ok(true),
        Err((Some(code), _)) if code == "ConditionalCheckFailedException" => Ok(false),
        Err((_, error)) => Err(error),
    }
}

async fn write_chain(
    db: &Db,
    chain: Vec<(usize, &CellWrite)>,
    now: Timestamp,
) -> Result<Vec<(usize, bool)>, QueueError> {
    let mut answers = Vec::with_capacity(chain.len());
    for (at, change) in chain {
        answers.push((at, write(db, change, now).await?));
    }
    Ok(answers)
}

#[async_trait]
impl Cells for Dynamo {
    async fn read(&self, keys: &[String], now: Timestamp) -> Result<Vec<Option<Cell>>, QueueError> {
        let valid = |key: &&String| !key.is_empty() && key.len() <= MAX_CELL_KEY;
        let mut wanted: Vec<_> =
            keys.iter().filter(valid).map(|key| (shard(key), key.clone())).collect();
        wanted.sort();
        wanted.dedup();
        let items = self.db.get_all(&wanted).await?;
        let found = |key: &String| items.iter().find(|item| text(item, "sk") == Some(key));
        Ok(keys.iter().map(|key| found(key).and_then(|item| cell_of(item, now))).collect())
    }

    async fn write(&self, changes: &[CellWrite], now: Timestamp) -> Result<Vec<bool>, QueueError> {
        changes.iter().try_for_each(check)?;
        let chains = chains(changes.iter().map(|change| (change.key.as_str(), change)));
        let mut calls = Vec::with_capacity(chains.len());
        for chain in chains {
            calls.push(write_chain(&self.db, chain, now));
        }
        gather(self.db.parallel, calls).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(String, Cell)>, QueueError> {
        let limit = limit.min(MOST);
        let mut calls = Vec::new();
        for shard in 0..SHARDS {
            // Expired ones are passed over below, so a shard is read further than the limit.
            let partition = format!("cell#{shard}");
            calls.push(
                async move { self.db.partition(&partition, prefix, after, usize::MAX).await },
            );
        }
        let items: Vec<Item> = try_join_all(calls).await?.into_iter().flatten().collect();
        let cells = items
            .iter()
            .filter_map(|item| Some((text(item, "sk")?.to_owned(), cell_of(item, now)?)));
        let mut cells: Vec<(String, Cell)> = cells.collect();
        cells.sort_by(|a, b| a.0.cmp(&b.0));
        cells.truncate(limit);
        Ok(cells)
    }
}
