//! Changing a cell by a pure function: read, change, write if nobody else did, else again.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::after;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{Clock, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Tries before it is left to a later call.
const TRIES: usize = 32;

/// What becomes of a cell.
pub(crate) enum Keep {
    /// As it was.
    AsIs,
    /// Deleted.
    Nothing,
    /// Written, and gone after so long unless written again.
    For(Duration),
    /// Written, for good.
    Always,
}

/// Changes the cell `key` by `change`; one that is absent or unreadable begins as default.
pub(crate) async fn alter<S, T>(
    cells: &dyn Cells,
    clock: &dyn Clock,
    key: &str,
    mut change: impl FnMut(&mut S, Timestamp) -> (T, Keep),
) -> Result<T, QueueError>
where
    S: Default + Serialize + DeserializeOwned,
{
    let key = key.to_owned();
    for _ in 0..TRIES {
        let now = clock.now();
        let cell = cells.read(std::slice::from_ref(&key), now).await?.into_iter().next().flatten();
        let expect = cell.as_ref().map_or(0, |cell| cell.version);
        let mut state: S =
            cell.and_then(|cell| serde_json::from_slice(&cell.value).ok()).unwrap_or_default();
        let (answer, keep) = change(&mut state, now);
        let (write, expires_at) = match keep {
            Keep::AsIs => return Ok(answer),
            Keep::Nothing if expect == 0 => return Ok(answer),
            Keep::Nothing => (false, None),
            Keep::For(long) => (true, Some(after(now, long))),
            Keep::Always => (true, None),
        };
        let value = write.then(|| serde_json::to_vec(&state)).transpose().map_err(|error| {
            QueueError::new(QueueErrorKind::Invalid, format!("cell {key} cannot be written"), error)
        })?;
        let change =
            CellWrite { key: key.clone(), expect, value: value.map(Bytes::from), expires_at };
        let written = cells.write(std::slice::from_ref(&change), now).await?;
        if written.first() == Some(&true) || sabotage::committed(Bug::GrantTwice) {
            return Ok(answer);
        }
        tokio::task::yield_now().await;
    }
    let message = format!("too many workers change cell {key} at once");
    Err(QueueError::plain(QueueErrorKind::Unavailable, message))
}

/// Every cell below a prefix that can be read.
pub(crate) async fn all<S: DeserializeOwned>(
    cells: &dyn Cells,
    prefix: &str,
    now: Timestamp,
) -> Result<Vec<(String, S)>, QueueError> {
    const PAGE: usize = 1000;
    let mut found = Vec::new();
    let mut last: Option<String> = None;
    loop {
        let page = cells.list(prefix, last.as_deref(), PAGE, now).await?;
        let full = page.len() >= PAGE;
        last = page.last().map(|(key, _)| key.clone());
        found.extend(page.into_iter().filter_map(|(key, cell)| {
            let name = key.strip_prefix(prefix)?.to_owned();
            Some((name, serde_json::from_slice(&cell.value).ok()?))
        }));
        if !full {
            return Ok(found);
        }
    }
}
