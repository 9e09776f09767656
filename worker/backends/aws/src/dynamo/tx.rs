//! Optimistic transactions: read what is needed, decide in memory, write all of it or nothing.
//!
//! Each item has a version, a random number that every write replaces. A commit is conditional on
//! the versions that were read; when somebody was faster it says so and the caller decides anew.
//! One changed item is one conditional write; several are one transaction of DynamoDB, at most
//! 100 items. A write whose answer was lost finds its own version and counts as done.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure as OnFailure,
    TransactWriteItem,
};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::db::{Db, Item, corrupt, key, number, pause, text};
use super::row::{Row, partition};
use super::table::TTL;
use crate::connect::failed;

/// The most items DynamoDB changes in one transaction.
pub(crate) const MOST_ITEMS: usize = 100;
/// How often a decision is taken anew before the caller is told to come later.
const TRIES: u32 = 40;

/// Who holds a unique key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) id: JobId,
    /// `None`: while the job is unfinished.
    pub(crate) until: Option<Timestamp>,
}

/// The unfinished jobs of one ordering key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Those that do not stand in line: one, unless somebody woke others by hand.
    pub(crate) first: Vec<JobId>,
    /// Those behind, in the order in which they came.
    pub(crate) behind: Vec<JobId>,
}

/// An item as it was read, and what it shall be.
#[derive(Debug)]
struct Slot<T> {
    /// `None`: it was not there.
    version: Option<u64>,
    /// `None`: it shall not be there.
    value: Option<T>,
    changed: bool,
}

/// One transaction.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    pub(crate) db: &'a Db,
    pub(crate) now: Timestamp,
    rows: BTreeMap<JobId, Slot<Row>>,
    holds: BTreeMap<String, Slot<Hold>>,
    lines: BTreeMap<String, Slot<Line>>,
    /// Parts of payloads and results.
    parts: Vec<Item>,
    /// The version of all it writes.
    token: u64,
    /// Jobs whose unfinished children nobody wants any more.
    pub(crate) swept: Vec<JobId>,
}

/// One change of a commit.
struct Write {
    item: Item,
    delete: bool,
    /// `None`: whatever is there.
    expect: Option<Option<u64>>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(db: &'a Db, now: Timestamp) -> Self {
        Self {
            db,
            now,
            rows: BTreeMap::new(),
            holds: BTreeMap::new(),
            lines: BTreeMap::new(),
            parts: Vec::new(),
            token: db.rng.next_u64() | 1,
            swept: Vec::new(),
        }
    }

    /// Takes over what was read before; if it has changed since, the commit says so.
    pub(crate) fn seed(&mut self, row: Option<(u64, Row)>) {
        if let Some((version, row)) = row {
            let id = row.id;
            let slot = Slot { version: Some(version), value: Some(row), changed: false };
            self.rows.insert(id, slot);
        }
    }

    /// A job, read when it was not yet.
    pub(crate) async fn row(&mut self, id: JobId) -> Result<Option<&Row>, QueueError> {
        if !self.rows.contains_key(&id) {
            let found = self.db.get(&partition(id), "row").await?.map(Row::of_item).transpose()?;
            let (version, value) = found.map_or((None, None), |(v, row)| (Some(v), Some(row)));
            self.rows.insert(id, Slot { version, value, changed: false });
        }
        Ok(self.rows.get(&id).and_then(|slot| slot.value.as_ref()))
    }

    /// A job that was read, where it is there.
    pub(crate) fn seen(&self, id: JobId) -> Option<&Row> {
        self.rows.get(&id).and_then(|slot| slot.value.as_ref())
    }

    /// A job that was read and is there, to be changed.
    pub(crate) fn change(&mut self, id: JobId) -> Result<&mut Row, QueueError> {
        let row = self.rows.get_mut(&id).and_then(|slot| {
            slot.changed = true;
            slot.value.as_mut()
        });
        row.ok_or_else(|| corrupt(format!("job {id} was changed before it was read")))
    }

    /// A job that was read and is not there, to be made.
    pub(crate) fn make(&mut self, mut row: Row) {
        self.parts.extend(row.cut_payload());
        let version = self.rows.get(&row.id).and_then(|slot| slot.version);
        self.rows.insert(row.id, Slot { version, value: Some(row), changed: true });
    }

    /// A job that was read, to be removed; answers the keys of its parts.
    pub(crate) fn remove(&mut self, id: JobId) -> Vec<(String, String)> {
        let Some(slot) = self.rows.get_mut(&id) else { return Vec::new() };
        slot.changed = true;
        slot.value.take().map(|row| row.part_keys()).unwrap_or_default()
    }

    pub(crate) fn add_parts(&mut self, parts: Vec<Item>) {
        self.parts.extend(parts);
    }

    /// Who holds a unique key.
    pub(crate) async fn hold(&mut self, key: &str) -> Result<Option<Hold>, QueueError> {
        read(self.db, &mut self.holds, key, "hold").await
    }

    pub(crate) fn set_hold(&mut self, key: &str, hold: Option<Hold>) {
        set(&mut self.holds, key, hold);
    }

    /// The unfinished jobs of an ordering key.
    pub(crate) async fn line(&mut self, order: &str) -> Result<Line, QueueError> {
        let key = blake3::hash(order.as_bytes()).to_hex().to_string();
        Ok(read(self.db, &mut self.lines, &key, "line").await?.unwrap_or_default())
    }

    pub(crate) fn set_line(&mut self, order: &str, line: Line) {
        let key = blake3::hash(order.as_bytes()).to_hex().to_string();
        let empty = line.first.is_empty() && line.behind.is_empty();
        set(&mut self.lines, &key, (!empty).then_some(line));
    }

    /// Writes what was changed; `false`: somebody was faster and nothing was written.
    pub(crate) async fn commit(&mut self) -> Result<bool, QueueError> {
        let mut writes = Vec::new();
        for (id, slot) in self.rows.iter().filter(|(_, slot)| slot.changed) {
            let item = match &slot.value {
                Some(row) => Some(row.to_item()?),
                None => None,
            };
            writes.push(write(key(&partition(*id), "row"), item, slot.version));
        }
        for (name, slot) in self.holds.iter().filter(|(_, slot)| slot.changed) {
            let item = slot.value.as_ref().map(|hold| document("hold", name, hold)).transpose()?;
            let mut one = write(key(&format!("hold#{name}"), "hold"), item, slot.version);
            if let Some(until) = slot.value.as_ref().and_then(|hold| hold.until) {
                let lapses = AttributeValue::N((until.as_second() + 1).to_string());
                one.item.insert(TTL.into(), lapses);
            }
            writes.push(one);
        }
        for (name, slot) in self.lines.iter().filter(|(_, slot)| slot.changed) {
            let item = slot.value.as_ref().map(|line| document("line", name, line)).transpose()?;
            writes.push(write(key(&format!("line#{name}"), "line"), item, slot.version));
        }
        let parts = std::mem::take(&mut self.parts);
        writes.extend(parts.into_iter().map(|item| Write { item, delete: false, expect: None }));
        for one in writes.iter_mut().filter(|one| !one.delete) {
            one.item.insert("v".into(), AttributeValue::N(self.token.to_string()));
        }
        match writes.len() {
            0 => Ok(true),
            1 => self.write_one(writes.remove(0)).await,
            _ => self.write_all(writes).await,
        }
    }

    async fn write_one(&self, write: Write) -> Result<bool, QueueError> {
        let (condition, expected) = condition(write.expect);
        if write.delete {
            let call = self.db.client.delete_item().table_name(&self.db.table);
            let call = call.set_condition_expression(condition);
            let call = call.set_expression_attribute_values(expected).set_key(Some(write.item));
            return match call.send().await {
                Ok(_) => Ok(true),
                Err(error) if is_conflict(error.code()) => Ok(false),
                Err(error) => Err(failed("writing", error)),
            };
        }
        let call = self.db.client.put_item().table_name(&self.db.table);
        let call = call.set_condition_expression(condition).set_item(Some(write.item));
        let call = call.set_expression_attribute_values(expected);
        let call = call.return_values_on_condition_check_failure(OnFailure::AllOld);
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(error.code()) => {
                use aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException as Unlike;
                let there = match error.as_service_error() {
                    Some(Unlike(found)) => found.item.as_ref().and_then(|item| number(item, "v")),
                    _ => None,
                };
                // Sent twice because the first answer was lost: it is done.
                Ok(there == Some(self.token))
            }
            Err(error) => Err(failed("writing", error)),
        }
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<bool, QueueError> {
        if writes.len() > MOST_ITEMS {
            return Err(QueueError::plain(
                QueueErrorKind::Invalid,
                format!("{} items in one change; DynamoDB takes {MOST_ITEMS}", writes.len()),
            ));
        }
        let mut items = Vec::with_capacity(writes.len());
        for write in writes {
            let (condition, expected) = condition(write.expect);
            let item = TransactWriteItem::builder();
            items.push(if write.delete {
                let delete = Delete::builder().table_name(&self.db.table).set_key(Some(write.item));
                let delete = delete.set_condition_expression(condition);
                let delete = delete.set_expression_attribute_values(expected).build();
                item.delete(delete.map_err(|e| corrupt(e.to_string()))?).build()
            } else {
                let put = Put::builder().table_name(&self.db.table).set_item(Some(write.item));
                let put = put.set_condition_expression(condition);
                let put = put.set_expression_attribute_values(expected).build();
                item.put(put.map_err(|e| corrupt(e.to_string()))?).build()
            });
        }
        let call = self.db.client.transact_write_items().set_transact_items(Some(items));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_cancelled_by_others(&error) => Ok(false),
            Err(error) => Err(failed("writing", error)),
        }
    }
}

/// Decides again and again until it is written, or until it is time to let others go first.
#[derive(Debug, Default)]
pub(crate) struct Tries(u32);

impl Tries {
    /// Waits before the next one.
    pub(crate) async fn pause(&mut self, db: &Db) -> Result<(), QueueError> {
        self.0 += 1;
        if self.0 >= TRIES {
            return Err(QueueError::plain(
                QueueErrorKind::Unavailable,
                "too many change the same jobs just now: try again",
            ));
        }
        pause(self.0, db.rng.next_u64()).await;
        Ok(())
    }
}

/// `decide!(self, now, tx => decision)`: decides and writes, again when somebody was faster.
/// Answers the decision, and the jobs whose children are to be looked after.
macro_rules! decide {
    ($dynamo:expr, $now:expr, $tx:ident => $decision:expr) => {{
        let mut tries = $crate::dynamo::tx::Tries::default();
        loop {
            let mut $tx = $crate::dynamo::tx::Tx::new(&$dynamo.db, $now);
            let answer = $decision;
            if $tx.commit().await? {
                break (answer, std::mem::take(&mut $tx.swept));
            }
            tries.pause(&$dynamo.db).await?;
        }
    }};
}
pub(crate) use decide;

/// As `decide!`, and looks after the children.
macro_rules! commit {
    ($dynamo:expr, $now:expr, $tx:ident => $decision:expr) => {{
        let (answer, swept) = $crate::dynamo::tx::decide!($dynamo, $now, $tx => $decision);
        $dynamo.sweep(swept, $now).await?;
        answer
    }};
}
pub(crate) use commit;

async fn read<T: DeserializeOwned + Clone>(
    db: &Db,
    slots: &mut BTreeMap<String, Slot<T>>,
    name: &str,
    sort: &str,
) -> Result<Option<T>, QueueError> {
    if !slots.contains_key(name) {
        let (mut version, mut value) = (None, None);
        if let Some(item) = db.get(&format!("{sort}#{name}"), sort).await? {
            version = number(&item, "v");
            let doc = text(&item, "doc").unwrap_or_default();
            value = Some(serde_json::from_str(doc).map_err(|e| corrupt(e.to_string()))?);
        }
        slots.insert(name.to_owned(), Slot { version, value, changed: false });
    }
    Ok(slots.get(name).and_then(|slot| slot.value.clone()))
}

fn set<T>(slots: &mut BTreeMap<String, Slot<T>>, name: &str, value: Option<T>) {
    if let Some(slot) = slots.get_mut(name) {
        // Nothing there before and nothing after is nothing to write.
        slot.changed = slot.version.is_some() || value.is_some();
        slot.value = value;
    }
}

fn document(sort: &str, name: &str, value: &impl Serialize) -> Result<Item, QueueError> {
    let doc = serde_json::to_string(value).map_err(|e| corrupt(e.to_string()))?;
    let mut item = key(&format!("{sort}#{name}"), sort);
    item.insert("doc".into(), AttributeValue::S(doc));
    Ok(item)
}

fn write(key: Item, item: Option<Item>, version: Option<u64>) -> Write {
    let delete = item.is_none();
    Write { item: item.unwrap_or(key), delete, expect: Some(version) }
}

type Condition = (Option<String>, Option<Item>);

fn condition(expect: Option<Option<u64>>) -> Condition {
    match expect {
        None => (None, None),
        Some(None) => (Some("attribute_not_exists(pk)".into()), None),
        Some(Some(version)) => {
            let version = AttributeValue::N(version.to_string());
            (Some("v = :v".into()), Some(Item::from([(":v".to_owned(), version)])))
        }
    }
}

fn is_conflict(code: Option<&str>) -> bool {
    matches!(code, Some("ConditionalCheckFailedException" | "TransactionConflictException"))
}

/// Nothing was wrong with the transaction itself.
fn is_cancelled_by_others<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return false;
    };
    let reasons = cancelled.cancellation_reasons();
    let codes = || reasons.iter().filter_map(|reason| reason.code.as_deref());
    codes().any(|code| code.starts_with("ConditionalCheckFailed") || code == "TransactionConflict")
}
