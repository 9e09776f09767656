//! How often a platform may be posted to: exact counts in sliding windows, kept in one cell of the
//! fleet for each key. The engine's own limits spread starts evenly; a day's quota of posts is
//! wanted as it comes, and a job that only looks whether its film is ready must not use it up.
//!
//! Jobs that find a quota used up are given turns, in a cell beside the count: each wakes up when
//! something is free for it, instead of all of them for the first that is.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::{after, before, between};
use flotilla_core::limit::{LimitKey, Quota, Rule};
use flotilla_core::queue::QueueError;
use flotilla_core::{Account, JobId, Timestamp};
use jiff::tz::TimeZone;

use crate::registry::Spec;

/// Most moments that are kept of one key; a quota above this is not held here.
const MOST: usize = 2000;
/// How often a cell is tried again when others change it at the same moment.
const TRIES: u32 = 8;
/// What is free sooner needs no turn.
const NEAR: Duration = Duration::from_secs(1);
/// Who has not called so long after its turn will not.
const MISSED: Duration = Duration::from_secs(20);

/// Permission for one call: where it is counted, and when it arrives at the latest.
#[derive(Debug)]
pub struct Permit {
    cells: Vec<String>,
    latest: Timestamp,
}

/// Takes one permission for `job` to make the call `what`; otherwise the moment to ask again at.
/// Until it is [settled](settle) it counts as if the call arrived at `latest`.
///
/// # Errors
/// When the cells cannot be reached.
pub async fn take(
    cells: &dyn Cells,
    spec: &Spec,
    account: &Account,
    (job, what): (&JobId, &str),
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
            if between(now, until) <= NEAR {
                return Ok(Err(until));
            }
            return Ok(Err(queue(cells, &cell, &rule.quotas, turn_of(job), now).await?));
        }
        leave(cells, &cell, turn_of(job), now).await?;
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

/// The name under which a job has its turn.
fn turn_of(job: &JobId) -> u64 {
    let mut name = [0; 8];
    name.copy_from_slice(&blake3::hash(job.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(name)
}

/// Turns of waiting jobs, by the cell of their count.
fn turns(cell: &str) -> String {
    format!("turns/{cell}")
}

/// Gives a job its turn, behind all that wait already; one that comes too early for its own keeps
/// its place. Gives the moment of it.
async fn queue(
    cells: &dyn Cells,
    cell: &str,
    quotas: &[Quota],
    name: u64,
    now: Timestamp,
) -> Result<Timestamp, QueueError> {
    let keys = [cell.to_owned(), turns(cell)];
    let mut turn = now;
    for _ in 0..TRIES {
        let mut read = cells.read(&keys, now).await?.into_iter();
        let (counted, waiting) = (read.next().flatten(), read.next().flatten());
        let version = waiting.as_ref().map_or(0, |cell| cell.version);
        let mut waiting = waiting.map(|cell| decode_turns(&cell.value)).unwrap_or_default();
        let gone = before(now, MISSED);
        waiting.retain(|(_, at)| *at > gone);
        let own = waiting.iter().position(|(whose, _)| *whose == name);
        let own = own.map(|at| waiting.swap_remove(at).1);
        let ahead = waiting.iter().map(|(_, at)| *at).filter(|at| own.is_none_or(|own| *at < own));
        let mut moments = counted.map(|cell| decode(&cell.value)).unwrap_or_default();
        moments.extend(ahead);
        moments.sort_unstable();
        turn = free(&moments, quotas, now);
        if waiting.len() >= MOST {
            break; // it wakes up too early rather than not at all
        }
        waiting.push((name, turn));
        let change = CellWrite {
            key: keys[1].clone(),
            expect: version,
            value: Some(encode_turns(&waiting)),
            expires_at: Some(after(turn, Duration::from_secs(26 * 3600))),
        };
        if cells.write(&[change], now).await?.first() == Some(&true) {
            break;
        }
    }
    Ok(turn)
}

/// Takes a job's turn away: it has what it waited for.
async fn leave(cells: &dyn Cells, cell: &str, name: u64, now: Timestamp) -> Result<(), QueueError> {
    let key = turns(cell);
    for _ in 0..TRIES {
        let read = cells.read(std::slice::from_ref(&key), now).await?;
        let Some(found) = read.into_iter().next().flatten() else { return Ok(()) };
        let mut waiting = decode_turns(&found.value);
        let Some(own) = waiting.iter().position(|(whose, _)| *whose == name) else { return Ok(()) };
        waiting.swap_remove(own);
        let change = CellWrite {
            key: key.clone(),
            expect: found.version,
            value: (!waiting.is_empty()).then(|| encode_turns(&waiting)),
            expires_at: found.expires_at,
        };
        if cells.write(&[change], now).await?.first() == Some(&true) {
            return Ok(());
        }
    }
    Ok(()) // it counts for a little longer than it must
}

/// The first moment at which one more fits between those.
fn free(moments: &[Timestamp], quotas: &[Quota], now: Timestamp) -> Timestamp {
    let mut at = now;
    for _ in 0..MOST {
        match next(moments, quotas, at) {
            Some(later) if later > at => at = later,
            _ => break,
        }
    }
    at
}

/// A name of eight bytes and a moment of four each.
fn encode_turns(waiting: &[(u64, Timestamp)]) -> Bytes {
    let entry = |(name, at): &(u64, Timestamp)| {
        let seconds = u32::try_from(whole(*at).as_second()).unwrap_or(0);
        [&name.to_le_bytes()[..], &seconds.to_le_bytes()[..]].concat()
    };
    waiting.iter().flat_map(entry).collect()
}

fn decode_turns(bytes: &[u8]) -> Vec<(u64, Timestamp)> {
    let entries = bytes.chunks_exact(12).filter_map(|entry| {
        let name = u64::from_le_bytes(entry[..8].try_into().ok()?);
        let seconds = u32::from_le_bytes(entry[8..].try_into().ok()?);
        Some((name, Timestamp::from_second(i64::from(seconds)).ok()?))
    });
    entries.collect()
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
    async fn who_waits_is_woken_when_it_is_its_turn_and_nothing_is_left_unused() {
        let (cells, clock) = (Scratch::default(), ManualClock::default());
        let rule = Rule::new("tiktok/*/publish", &["6/min"]).unwrap();
        let (mut made, mut asked) = (Vec::new(), 0);
        // Twenty jobs, each of which sleeps until the moment it was told.
        let mut jobs: Vec<_> = (0..20_u64).map(|name| (clock.now(), name)).collect();
        while !jobs.is_empty() {
            jobs.sort_unstable();
            let (at, name) = jobs.remove(0);
            clock.advance(between(clock.now(), at));
            let now = clock.now();
            asked += 1;
            if count(&cells, "posts/t".into(), &rule, now, now).await.unwrap().is_ok() {
                leave(&cells, "posts/t", name, now).await.unwrap();
                made.push(now);
            } else {
                let turn = queue(&cells, "posts/t", &rule.quotas, name, now).await.unwrap();
                assert!(turn > now, "{turn}");
                jobs.push((turn, name));
            }
        }
        let minute = Duration::from_secs(60);
        let fullest = made.iter().map(|from| {
            made.iter().filter(|at| **at >= *from && **at < after(*from, minute)).count()
        });
        assert_eq!(fullest.max(), Some(6));
        assert_eq!(between(made[0], made[19]), minute * 3, "no minute went unused");
        assert_eq!(asked, 20 + 14, "each that waited was woken once");
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
