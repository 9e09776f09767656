//! How often a platform may be posted to: exact counts in sliding windows, kept in one cell of the
//! fleet for each key. The engine's own limits spread starts evenly; a day's quota of posts is
//! wanted as it comes, and a job that only looks whether its film is ready must not use it up.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::{after, before};
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_core::queue::QueueError;
use flotilla_core::{Account, Timestamp};
use jiff::tz::TimeZone;

use crate::registry::Spec;

/// Most moments that are kept of one key; a quota above this is not held here.
const MOST: usize = 2000;
/// How often a cell is tried again when others change it at the same moment.
const TRIES: u32 = 8;

/// Permission for one call: where it is counted, and when it arrives at the latest.
#[derive(Debug)]
pub struct Permit {
    cells: Vec<String>,
    latest: Timestamp,
}

/// Takes one permission to make the call `what`; otherwise the moment to ask again at. Until it is
/// [settled](settle) it counts as if the call arrived at `latest`.
///
/// # Errors
/// When the cells cannot be reached.
pub async fn take(
    cells: &dyn Cells,
    spec: &Spec,
    account: &Account,
    what: &str,
    now: Timestamp,
    latest: Timestamp,
) -> Result<Result<Permit, Timestamp>, QueueError> {
    let mut permit = Permit { cells: Vec::new(), latest };
    for rule in spec.rules() {
        let own = LimitKey::of(&[&spec.name, &account.id, what]);
        let Some(key) = own.path().find(|key| rule.matches(key)) else { continue };
        let cell = match key.path().count() {
            1 => format!("posts/{key}"),
            _ => format!("posts/{}/{key}", account.tenant),
        };
        if let Err(until) = count(cells, cell.clone(), &rule, now, latest).await? {
            settle(cells, &permit, None, now).await;
            return Ok(Err(until));
        }
        permit.cells.push(cell);
    }
    Ok(Ok(permit))
}

/// Says when the call of a permission was answered; `None`: it does not count. If that cannot be
/// written down, it counts for a little longer than it must.
pub async fn settle(cells: &dyn Cells, permit: &Permit, at: Option<Timestamp>, now: Timestamp) {
    for cell in &permit.cells {
        let change = |moments: &mut Vec<Timestamp>| {
            let latest = whole(permit.latest);
            if let Some(own) = moments.iter().position(|moment| *moment == latest) {
                moments.swap_remove(own);
                moments.extend(at);
            }
            Ok(())
        };
        let _ = changed(cells, cell, now, change).await;
    }
}

async fn count(
    cells: &dyn Cells,
    key: String,
    rule: &Rule,
    now: Timestamp,
    latest: Timestamp,
) -> Result<Result<(), Timestamp>, QueueError> {
    let change = |moments: &mut Vec<Timestamp>| {
        if let Some(until) = next(moments, &rule.quotas, now) {
            return Err(until);
        }
        moments.push(latest);
        Ok(())
    };
    changed(cells, &key, now, change).await
}

/// Reads the moments of a cell, lets `change` have its way, writes them back.
async fn changed(
    cells: &dyn Cells,
    key: &str,
    now: Timestamp,
    change: impl Fn(&mut Vec<Timestamp>) -> Result<(), Timestamp> + Send + Sync,
) -> Result<Result<(), Timestamp>, QueueError> {
    let key = key.to_owned();
    for _ in 0..TRIES {
        let read = cells.read(std::slice::from_ref(&key), now).await?;
        let cell = read.into_iter().next().flatten();
        let version = cell.as_ref().map_or(0, |cell| cell.version);
        let mut moments = cell.map(|cell| decode(&cell.value)).unwrap_or_default();
        if let Err(until) = change(&mut moments) {
            return Ok(Err(until));
        }
        let horizon = before(now, Duration::from_secs(25 * 3600));
        moments.retain(|at| *at > horizon);
        moments.sort_unstable();
        let surplus = moments.len().saturating_sub(MOST);
        moments.drain(..surplus);
        let change = CellWrite {
            key: key.clone(),
            expect: version,
            value: Some(encode(&moments)),
            expires_at: Some(after(now, Duration::from_secs(26 * 3600))),
        };
        if cells.write(&[change], now).await?.first() == Some(&true) {
            return Ok(Ok(()));
        }
    }
    Ok(Err(after(now, Duration::from_millis(500))))
}

/// When the next one may be made; `None`: now.
fn next(moments: &[Timestamp], quotas: &[Quota], now: Timestamp) -> Option<Timestamp> {
    quotas.iter().filter_map(|quota| free_at(moments, quota, now)).max()
}

fn free_at(moments: &[Timestamp], quota: &Quota, now: Timestamp) -> Option<Timestamp> {
    match quota {
        Quota::Rate { count, per, .. } => {
            let within: Vec<_> = moments.iter().filter(|at| after(**at, *per) > now).collect();
            let over = within.len().checked_sub(usize::try_from(*count).ok()?)?;
            // A call that is under way may be answered at once.
            Some(after((**within.get(over)?).min(now), *per))
        }
        Quota::Daily { count, zone } => {
            let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
            let today = now.to_zoned(zone.clone());
            let used = moments.iter().filter(|at| at.to_zoned(zone.clone()).date() == today.date());
            if used.count() < usize::try_from(*count).ok()? {
                return None;
            }
            let morning = today.tomorrow().and_then(|day| day.start_of_day());
            Some(morning.map_or_else(|_| after(now, Duration::from_secs(3600)), |z| z.timestamp()))
        }
        Quota::AtOnce(_) => None,
    }
}

/// A begun second counts as over, so that no window is too full.
fn whole(at: Timestamp) -> Timestamp {
    let begun = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second() + begun).unwrap_or(at)
}

/// Whole seconds, four bytes each.
fn encode(moments: &[Timestamp]) -> Bytes {
    let seconds = |at: &Timestamp| u32::try_from(whole(*at).as_second()).unwrap_or(0).to_le_bytes();
    moments.iter().flat_map(seconds).collect()
}

fn decode(bytes: &[u8]) -> Vec<Timestamp> {
    let four = bytes.chunks_exact(4).filter_map(|four| four.try_into().ok());
    four.filter_map(|four| Timestamp::from_second(i64::from(u32::from_le_bytes(four))).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use flotilla_core::clock::{Clock, ManualClock};
    use flotilla_core::scratch::Scratch;

    use super::*;

    #[tokio::test]
    async fn no_window_of_a_quota_holds_more_than_it_allows() {
        let (cells, clock) = (Scratch::default(), ManualClock::default());
        let rule = Rule::new("tiktok/*/publish", &["6/min", "15/day"]).unwrap();
        let mut made = Vec::new();
        for _ in 0..2000 {
            let now = clock.now();
            match count(&cells, "posts/t".into(), &rule, now, now).await.unwrap() {
                Ok(()) => made.push(now),
                Err(until) => assert!(until > now),
            }
            clock.advance(Duration::from_secs(3));
        }
        assert_eq!(made.len(), 15, "a day's worth");
        let minute = Duration::from_secs(60);
        let fullest = made.iter().map(|from| {
            made.iter().filter(|at| **at >= *from && **at < after(*from, minute)).count()
        });
        assert_eq!(fullest.max(), Some(6));
    }

    #[tokio::test]
    async fn a_call_counts_from_its_answer_and_not_at_all_when_it_was_not_made() {
        let (cells, clock) = (Scratch::default(), ManualClock::default());
        let rule = Rule::new("x/*/publish", &["1/min"]).unwrap();
        let begun = clock.now();
        let latest = after(begun, Duration::from_secs(30));
        let permit = Permit { cells: vec!["posts/x".into()], latest };
        let take = async |now| {
            let latest = after(now, Duration::from_secs(30));
            count(&cells, "posts/x".into(), &rule, now, latest).await.unwrap()
        };
        assert_eq!(take(begun).await, Ok(()));
        assert_eq!(take(begun).await, Err(after(begun, Duration::from_secs(60))));
        let answered = after(begun, Duration::from_secs(2));
        settle(&cells, &permit, Some(answered), answered).await;
        assert_eq!(take(answered).await, Err(after(begun, Duration::from_secs(62))));
        let again = Permit { cells: vec!["posts/x".into()], latest: answered };
        settle(&cells, &again, None, answered).await;
        assert_eq!(take(answered).await, Ok(()));
    }

    #[tokio::test]
    async fn a_day_ends_where_it_is_counted() {
        let clock = ManualClock::at("2026-11-21T23:59:00Z".parse().unwrap());
        let cells = Scratch::default();
        let rule = Rule::new("linkedin/*/publish", &["1/day@UTC"]).unwrap();
        let take = async |now| count(&cells, "posts/l".into(), &rule, now, now).await.unwrap();
        assert_eq!(take(clock.now()).await, Ok(()));
        let morning = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(take(clock.now()).await, Err(morning));
        assert_eq!(take(morning).await, Ok(()));
    }
}
