//! Which lanes and kinds there are, and which lanes are paused: one small partition, so that
//! nothing else needs a scan.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use flotilla_core::ids::{Kind, Lane};
use flotilla_core::queue::{NewJob, QueueError};
use flotilla_core::records::Pause;
use serde::{Deserialize, Serialize};

use super::db::Range;
use super::db::{Db, corrupt, key, text};
use super::row::Row;
use super::table::Index;
use crate::connect::failed;

const PARTITION: &str = "lanes";

/// What this process has written down already.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<HashSet<(Lane, Kind)>>);

/// The lanes and their kinds, and the pauses.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) kinds: BTreeMap<Lane, BTreeSet<Kind>>,
    pub(crate) paused: BTreeMap<Lane, Pause>,
}

/// As stored: the port's own type is only written.
#[derive(Serialize, Deserialize)]
struct Stored {
    by: String,
    reason: String,
    since: flotilla_core::clock::Timestamp,
}

impl Known {
    /// Writes down lanes and kinds that are new to this process.
    pub(crate) async fn note<'j>(
        &self,
        db: &Db,
        jobs: impl Iterator<Item = &'j NewJob>,
    ) -> Result<(), QueueError> {
        let new: HashSet<(Lane, Kind)> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let all = jobs.map(|job| (job.lane.clone(), job.kind.clone()));
            all.filter(|pair| !known.contains(pair)).collect()
        };
        for (lane, kind) in new {
            let item = key(PARTITION, &format!("kind#{lane}#{kind}"));
            let put = db.client.put_item().table_name(&db.table).set_item(Some(item));
            put.send().await.map_err(|error| failed("writing", error))?;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((lane, kind));
        }
        Ok(())
    }
}

impl Lanes {
    /// As they are now.
    pub(crate) async fn read(db: &Db) -> Result<Self, QueueError> {
        let mut lanes = Self::default();
        for item in db.partition(PARTITION, "", None, usize::MAX).await? {
            let mut parts = text(&item, "sk").unwrap_or_default().splitn(3, '#');
            let what = parts.next();
            let Some(lane) = parts.next().and_then(|lane| Lane::new(lane).ok()) else { continue };
            match what {
                Some("pause") => {
                    let doc = text(&item, "doc").unwrap_or_default();
                    let Stored { by, reason, since } =
                        serde_json::from_str(doc).map_err(|e| corrupt(e.to_string()))?;
                    lanes.paused.insert(lane, Pause { by, reason, since });
                }
                _ => {
                    let kind = parts.next().and_then(|kind| Kind::new(kind).ok());
                    lanes.kinds.entry(lane).or_default().extend(kind);
                }
            }
        }
        Ok(lanes)
    }

    /// Which of these lanes are paused.
    pub(crate) async fn paused(db: &Db, lanes: &[Lane]) -> Result<BTreeSet<Lane>, QueueError> {
        if lanes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut keys: Vec<_> =
            lanes.iter().map(|lane| (PARTITION.to_owned(), format!("pause#{lane}"))).collect();
        keys.sort();
        keys.dedup();
        let found = db.get_all(&keys).await?;
        let named = |item| Lane::new(text(item, "sk")?.strip_prefix("pause#")?).ok();
        Ok(found.iter().filter_map(named).collect())
    }

    pub(crate) async fn pause(db: &Db, lane: &Lane, pause: Pause) -> Result<(), QueueError> {
        let Pause { by, reason, since } = pause;
        let doc = serde_json::to_string(&Stored { by, reason, since });
        let doc = doc.map_err(|e| corrupt(e.to_string()))?;
        let mut item = key(PARTITION, &format!("pause#{lane}"));
        item.insert("doc".into(), AttributeValue::S(doc));
        let put = db.client.put_item().table_name(&db.table).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(|error| failed("pausing a lane", error))
    }

    /// `false`: it was not paused.
    pub(crate) async fn resume(db: &Db, lane: &Lane) -> Result<bool, QueueError> {
        let call = db.client.delete_item().table_name(&db.table);
        let call = call.set_key(Some(key(PARTITION, &format!("pause#{lane}"))));
        let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        let was = call.send().await.map_err(|error| failed("resuming a lane", error))?;
        Ok(was.attributes.is_some_and(|old| !old.is_empty()))
    }

    /// One range per lane.
    pub(crate) fn ranges(&self, index: Index, name: impl Fn(&Lane) -> String) -> Vec<Range> {
        self.kinds.keys().map(|lane| Range::all(index, name(lane))).collect()
    }
}

/// The partition of a lane and a kind among what may be claimed.
pub(crate) fn ready(lane: &Lane, kind: &Kind) -> String {
    format!("{lane}#{kind}")
}

/// Whether a row is what a claim may take.
pub(crate) fn is_open(row: &Row, now: flotilla_core::clock::Timestamp) -> bool {
    row.state == flotilla_core::state::State::Available && !row.too_late(now)
}
