//! `Idempotency-Key`: the same request sent twice is done once and answered alike
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A key is first claimed with the digest of its body, then the jobs are enqueued under ids that
//! follow from the key, then the answer is kept. A crash in between costs nothing: the next try
//! finds its claim and enqueues the same ids again.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use flotilla_core::JobId;
use flotilla_core::cells::{Cell, CellWrite, MAX_CELL_VALUE};
use flotilla_core::clock::after;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::enqueue::{Outcome, Taken};
use super::problem::Problem;

/// Longest key, in bytes.
const MAX_KEY: usize = 255;

/// Most jobs whose answer one cell holds.
pub(crate) const MAX_JOBS: usize = 1000;

/// How often a write that somebody else was faster with is looked at again.
const TRIES: usize = 3;

/// A key of one caller, with the body it came with.
pub(crate) struct Key {
    cell: String,
    body: String,
}

/// What a key stands for already.
pub(crate) enum Kept {
    /// Done: the answer it was given.
    Answer(Vec<Taken>),
    /// Ours to do, under this version of its cell.
    Begun(u64),
}

/// One job of an answer as it is kept: short, since a cell has to hold [`MAX_JOBS`] of them.
type Short = (JobId, Outcome, Option<String>);

#[derive(Serialize, Deserialize)]
struct Entry {
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<Vec<Short>>,
}

impl Entry {
    fn answer(self) -> Option<Vec<Taken>> {
        let all = self.taken?.into_iter();
        Some(all.map(|(id, outcome, detail)| Taken { id, outcome, detail }).collect())
    }
}

impl Key {
    /// The key of a request, if it has one.
    pub(crate) fn read(
        headers: &HeaderMap,
        caller: &Arc<str>,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
        let key = value.to_str().unwrap_or_default().trim();
        if key.is_empty() || key.len() > MAX_KEY {
            let detail = format!("the key must have 1 to {MAX_KEY} plain ASCII characters");
            return Err(Problem::bad_request("Idempotency-Key", detail));
        }
        let name = blake3::hash(format!("{caller}\n{key}").as_bytes()).to_hex();
        let body = blake3::hash(body).to_hex();
        Ok(Some(Self { cell: format!("idempotency/{name}"), body: body.to_string() }))
    }

    /// The id of the `index`th job of the request.
    pub(crate) fn job(&self, index: usize) -> JobId {
        JobId::derived(&format!("{}/{}/{index}", self.cell, self.body))
    }

    /// Claims the key, or finds what it stands for.
    pub(crate) async fn begin(&self, shared: &Shared) -> Result<Kept, Problem> {
        for _ in 0..TRIES {
            if let Some((entry, version)) = self.look(shared).await? {
                return Ok(entry.answer().map_or(Kept::Begun(version), Kept::Answer));
            }
            self.write(shared, 0, None).await?;
        }
        Err(busy())
    }

    /// Keeps the answer. Where another try of the same request was faster, its answer stands.
    pub(crate) async fn finish(
        &self,
        shared: &Shared,
        version: u64,
        taken: Vec<Taken>,
    ) -> Result<Vec<Taken>, Problem> {
        if self.write(shared, version, Some(&taken)).await? {
            return Ok(taken);
        }
        let kept = self.look(shared).await?.and_then(|(entry, _)| entry.answer());
        Ok(kept.unwrap_or(taken))
    }

    async fn look(&self, shared: &Shared) -> Result<Option<(Entry, u64)>, Problem> {
        let now = shared.api.ops.clock.now();
        let mut cells = shared.api.cells.read(std::slice::from_ref(&self.cell), now).await?;
        let Some(Cell { value, version, .. }) = cells.pop().flatten() else { return Ok(None) };
        let entry: Entry = serde_json::from_slice(&value).map_err(|_| busy())?;
        if entry.body == self.body {
            return Ok(Some((entry, version)));
        }
        let detail = "this Idempotency-Key came before with another body: use a new key for it";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Err(Problem::new(status, "idempotency-key", "the key stands for another request", detail))
    }

    async fn write(
        &self,
        shared: &Shared,
        expect: u64,
        taken: Option<&[Taken]>,
    ) -> Result<bool, Problem> {
        let now = shared.api.ops.clock.now();
        let change = CellWrite {
            key: self.cell.clone(),
            expect,
            value: Some(self.encoded(taken)),
            expires_at: Some(after(now, shared.api.settings.idempotency)),
        };
        let written = shared.api.cells.write(&[change], now).await?;
        Ok(written.first().copied().unwrap_or(false))
    }

    fn encoded(&self, taken: Option<&[Taken]>) -> Bytes {
        let encode = |details: bool| {
            let short = |one: &Taken| (one.id, one.outcome, one.detail.clone().filter(|_| details));
            let taken = taken.map(|all| all.iter().map(short).collect());
            serde_json::to_vec(&Entry { body: self.body.clone(), taken }).unwrap_or_default()
        };
        let value = encode(true);
        // Refusals may say more than a cell holds; ids and outcomes always fit.
        if value.len() <= MAX_CELL_VALUE { value.into() } else { encode(false).into() }
    }
}

fn busy() -> Problem {
    let detail = "another request with this Idempotency-Key is being taken: send it again";
    Problem::new(StatusCode::CONFLICT, "idempotency-busy", "the key is in use", detail)
}
