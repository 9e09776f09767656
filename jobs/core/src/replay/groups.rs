//! Dead letters by fingerprint: how many, since when, hour by hour, and some to look at. Memory is
//! bounded by the number of groups and hours, not by the number of dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, normalise};
use super::select::Selection;
use crate::clock::{Timestamp, before, from_micros};
use crate::ids::{JobId, Kind};
use crate::queue::QueueError;
use crate::records::{JobRecord, Page, Records};
use crate::state::DeadClass;

/// Dead letters read at once.
const PAGE: usize = 1000;
/// Ids shown of each group: the newest ones.
const SAMPLES: usize = 5;
/// How much of an error is shown as an example, in characters.
const EXAMPLE: usize = 400;

const HOUR: i64 = 3_600_000_000;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many dead letters, the newest ones.
    pub letters: u64,
    /// At most so many groups; what fits in none of them is counted apart.
    pub groups: usize,
    /// So many hours back are counted hour by hour.
    pub hours: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { letters: 1_000_000, groups: 500, hours: 48 }
    }
}

/// Dead letters with one fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, for `--group`.
    pub fingerprint: Fingerprint,
    /// Of this kind.
    pub kind: Kind,
    /// Of this class.
    pub class: Option<DeadClass>,
    /// What their last errors have in common.
    pub message: String,
    /// The last error of the newest one, cut.
    pub example: String,
    /// How many.
    pub count: u64,
    /// When the first of them died.
    pub first: Timestamp,
    /// When the last of them died.
    pub last: Timestamp,
    /// The newest ones.
    pub samples: Vec<JobId>,
    /// How many died in each hour, by its beginning; hours without any are left out.
    pub hours: BTreeMap<Timestamp, u64>,
}

/// All groups, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The groups.
    pub groups: Vec<Group>,
    /// How many dead letters were looked at.
    pub looked: u64,
    /// How many of these belong to groups that are not shown.
    pub beyond: u64,
    /// All that match were looked at.
    pub complete: bool,
}

/// Groups the dead letters that are meant.
///
/// # Errors
/// When the records cannot be read.
pub async fn groups(
    records: &dyn Records,
    selection: &Selection,
    bounds: Bounds,
    now: Timestamp,
) -> Result<Groups, QueueError> {
    let (filter, mut page) = (selection.filter(), Page { limit: PAGE, before: None });
    let since = before(now, Duration::from_secs(3600) * bounds.hours);
    let mut answer = Groups::default();
    let mut found: BTreeMap<Fingerprint, Group> = BTreeMap::new();
    loop {
        let listed = records.list(&filter, page).await?;
        for record in &listed.jobs {
            let (letter, mine) = Found::of(record);
            if !selection.groups.is_empty() && !selection.groups.contains(&mine) {
                continue;
            }
            answer.looked += 1;
            if found.len() >= bounds.groups && !found.contains_key(&mine) {
                answer.beyond += 1;
                continue;
            }
            let group = found.entry(mine.clone()).or_insert_with(|| letter.group(mine));
            letter.join(group, since);
        }
        page.before = listed.next;
        if page.before.is_none() {
            answer.complete = true;
            break;
        }
        if answer.looked >= bounds.letters {
            break;
        }
    }
    answer.groups = found.into_values().collect();
    answer.groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.last)));
    Ok(answer)
}

/// A dead letter as a group sees it.
struct Found<'a> {
    record: &'a JobRecord,
    error: &'a str,
    died: Timestamp,
}

impl<'a> Found<'a> {
    fn of(record: &'a JobRecord) -> (Self, Fingerprint) {
        let error = record.errors.last().map_or("", |last| last.error.as_str());
        let died = record.finished_at.unwrap_or(record.enqueued_at);
        (Self { record, error, died }, Fingerprint::new(&record.kind, record.class, error))
    }

    fn group(&self, fingerprint: Fingerprint) -> Group {
        Group {
            fingerprint,
            kind: self.record.kind.clone(),
            class: self.record.class,
            message: normalise(self.error),
            example: self.error.chars().take(EXAMPLE).collect(),
            count: 0,
            first: self.died,
            last: self.died,
            samples: Vec::new(),
            hours: BTreeMap::new(),
        }
    }

    fn join(&self, group: &mut Group, since: Timestamp) {
        group.count += 1;
        group.first = group.first.min(self.died);
        group.last = group.last.max(self.died);
        if group.samples.len() < SAMPLES {
            group.samples.push(self.record.id);
        }
        if self.died >= since {
            let at = self.died.as_microsecond();
            *group.hours.entry(from_micros(at - at.rem_euclid(HOUR))).or_default() += 1;
        }
    }
}
