//! What platforms tell by themselves: that a message was delivered, that a post is public. One file
//! for each platform says how its calls are proved and what they mean; what was told is kept in one
//! cell of the fleet for each post that is waited for, where the post's job and a later look find it.
//!
//! To add a platform: one file below `webhooks/` and a line in [`by_name`].

mod tiktok;
mod whatsapp;

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::after;
use flotilla_core::queue::QueueError;
use flotilla_core::{JobId, Secret, Tenant, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most statuses that are kept of one post; a platform has half as many.
const MOST: usize = 16;
/// How long they are kept: longer than any dead letter that could be replayed.
const KEEP: Duration = Duration::from_secs(90 * 86_400);
/// How often a cell is tried again when others change it at the same moment.
const TRIES: u32 = 8;

/// How a platform calls, and what it says.
pub trait Webhook: Send + Sync + std::fmt::Debug {
    /// Whether the platform itself sent `body`, by the app's secret. `header` finds a header by
    /// its lower-case name.
    fn proves(
        &self,
        secret: &Secret,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> bool;

    /// The answer to the call by which the platform makes sure that this address is ours; `token`
    /// is what we told it to show. `None`: it did not, or has no such call.
    fn challenge(&self, query: &[(String, String)], token: &Secret) -> Option<String> {
        let _ = (query, token);
        None
    }

    /// What it says, of posts that may be ours; the rest is left out.
    ///
    /// # Errors
    /// A sentence, when it is not what the platform's documents show.
    fn read(&self, body: &[u8]) -> Result<Vec<Status>, String>;
}

/// The webhooks of that platform, where this build reads them.
#[must_use]
pub fn by_name(platform: &str) -> Option<&'static dyn Webhook> {
    Some(match platform {
        "tiktok" => &tiktok::TikTok,
        "whatsapp" => &whatsapp::WhatsApp,
        _ => return None,
    })
}

/// What became of a post after it was taken.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It left the platform.
    Sent,
    /// It reached who it was for.
    Delivered,
    /// They have read it.
    Read,
    /// It waits with its creator.
    Inbox,
    /// It is published.
    Published,
    /// Everybody can see it.
    Public,
    /// It cannot be seen any more.
    Withdrawn,
    /// It failed for good.
    Failed,
}

/// One thing a platform said of a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// What it is about, by the name we gave it or the handle it was made under.
    pub subject: String,
    /// What became of it.
    pub state: State,
    /// Its id on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The platform's code for what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it said of that, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When, by the platform's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A post that is waited for, and what was said of it so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The job that made it.
    pub job: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// On which account.
    pub account: String,
    /// What was said, in the order it came; each thing once.
    pub statuses: Vec<Status>,
}

impl Heard {
    /// What was said of a failure.
    #[must_use]
    pub fn failure(&self) -> Option<&Status> {
        self.statuses.iter().find(|status| status.state == State::Failed)
    }

    /// Its id, where one was said.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.statuses.iter().find_map(|status| status.id.as_deref())
    }
}

/// Where a post's statuses lie.
#[must_use]
pub fn cell(platform: &str, subject: &str) -> String {
    format!("webhook/{platform}/{}", blake3::hash(subject.as_bytes()).to_hex())
}

/// What was heard of a post; `None`: nobody waits for it.
///
/// # Errors
/// While the cells cannot be reached.
pub async fn heard(
    cells: &dyn Cells,
    platform: &str,
    subject: &str,
    now: Timestamp,
) -> Result<Option<Heard>, QueueError> {
    Ok(read(cells, &cell(platform, subject), now).await?.map(|(heard, _)| heard))
}

/// Makes ready for what will be said of a post, before it is handed over.
///
/// # Errors
/// While the cells cannot be reached.
pub async fn expect(
    cells: &dyn Cells,
    platform: &str,
    subject: &str,
    waiting: &Heard,
    now: Timestamp,
) -> Result<(), QueueError> {
    // Whoever was here before, this job in an earlier attempt, did the same.
    write(cells, cell(platform, subject), 0, waiting, now).await.map(|_| ())
}

/// Writes down what was said of a post that is waited for; a thing that was said before changes
/// nothing. `None`: nobody waits for it, or others change it all the time.
///
/// # Errors
/// While the cells cannot be reached.
pub async fn note(
    cells: &dyn Cells,
    platform: &str,
    status: &Status,
    now: Timestamp,
) -> Result<Option<Heard>, QueueError> {
    let key = cell(platform, &status.subject);
    for _ in 0..TRIES {
        let Some((mut heard, version)) = read(cells, &key, now).await? else { return Ok(None) };
        let known =
            heard.statuses.iter().any(|one| one.state == status.state && one.id == status.id);
        if known || heard.statuses.len() >= MOST {
            return Ok(Some(heard));
        }
        heard.statuses.push(status.clone());
        if write(cells, key.clone(), version, &heard, now).await? {
            return Ok(Some(heard));
        }
    }
    Ok(None)
}

async fn read(
    cells: &dyn Cells,
    key: &str,
    now: Timestamp,
) -> Result<Option<(Heard, u64)>, QueueError> {
    let read = cells.read(&[key.to_owned()], now).await?;
    let cell = read.into_iter().next().flatten();
    // One of another build says nothing.
    Ok(cell.and_then(|cell| Some((serde_json::from_slice(&cell.value).ok()?, cell.version))))
}

async fn write(
    cells: &dyn Cells,
    key: String,
    expect: u64,
    heard: &Heard,
    now: Timestamp,
) -> Result<bool, QueueError> {
    let value = serde_json::to_vec(heard).map(Bytes::from).unwrap_or_default();
    let change = CellWrite { key, expect, value: Some(value), expires_at: Some(after(now, KEEP)) };
    Ok(cells.write(&[change], now).await?.first() == Some(&true))
}

/// The text of a platform as it is kept.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// Bytes written in hexadecimal; `None`: it is not.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

/// Whether `signature`, in hexadecimal, is that of `text` under `secret`; takes as long whatever
/// is wrong with it.
fn signed(secret: &Secret, text: &[u8], signature: &str) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes());
    let Some(tag) = unhex(signature) else { return false };
    ring::hmac::verify(&key, text, &tag).is_ok()
}

/// Whether two secrets are the same; takes as long whatever differs.
fn same(one: &str, other: &str) -> bool {
    blake3::hash(one.as_bytes()) == blake3::hash(other.as_bytes()) // compares in constant time
}

#[cfg(test)]
mod tests {
    use flotilla_core::clock::{Clock, ManualClock};
    use flotilla_core::scratch::Scratch;

    use super::*;

    #[tokio::test]
    async fn what_is_said_twice_is_kept_once_and_what_nobody_waits_for_not_at_all() {
        let (cells, now) = (Scratch::default(), ManualClock::default().now());
        let status = |subject: &str, state| Status {
            subject: subject.to_owned(),
            state,
            id: Some("wamid.1".to_owned()),
            code: None,
            message: None,
            at: Some(now),
        };
        let waiting = Heard {
            job: JobId::derived("a"),
            tenant: Tenant::default(),
            account: "phone".to_owned(),
            statuses: Vec::new(),
        };
        expect(&cells, "whatsapp", "job:a", &waiting, now).await.unwrap();
        for state in [State::Delivered, State::Sent, State::Delivered] {
            note(&cells, "whatsapp", &status("job:a", state), now).await.unwrap();
        }
        expect(&cells, "whatsapp", "job:a", &waiting, now).await.unwrap();
        let heard = heard(&cells, "whatsapp", "job:a", now).await.unwrap().unwrap();
        let states: Vec<_> = heard.statuses.iter().map(|status| status.state).collect();
        assert_eq!(states, [State::Delivered, State::Sent]);
        assert_eq!((heard.id(), heard.failure()), (Some("wamid.1"), None));
        let other = note(&cells, "whatsapp", &status("job:b", State::Sent), now).await.unwrap();
        assert_eq!(other, None);
    }

    #[test]
    fn hexadecimal_is_read_whole_or_not_at_all() {
        assert_eq!(unhex("00fF10"), Some(vec![0, 255, 16]));
        assert_eq!((unhex("0"), unhex("zz"), unhex("")), (None, None, Some(Vec::new())));
    }
}
