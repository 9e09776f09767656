//! Keeping leases.

use std::collections::HashMap;

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::Fence;
use flotilla_core::queue::{Extension, Held, Lease};
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros};
use crate::error::Done;

const EXTEND: &str = include_str!("sql/extend.sql");

/// The number of a lease as its column takes it; one that cannot be there matches none.
pub(crate) fn fence(held: &Held) -> i64 {
    i64::try_from(held.fence.0).unwrap_or(-1)
}

impl Postgres {
    /// Moves the end of leases to `until`.
    pub(crate) async fn keep(&self, leases: &[Extension], until: Timestamp) -> Done<Vec<Lease>> {
        // One entry per lease, with the latest progress; in one order for all callers.
        let mut order: Vec<&Extension> = leases.iter().collect();
        order.sort_by_key(|lease| (lease.held.id, lease.held.fence));
        let mut ids: Vec<Uuid> = Vec::with_capacity(order.len());
        let mut fences: Vec<i64> = Vec::with_capacity(order.len());
        let mut fractions: Vec<Option<f64>> = Vec::with_capacity(order.len());
        let mut messages: Vec<Option<_>> = Vec::with_capacity(order.len());
        for same in order.chunk_by(|a, b| a.held == b.held) {
            let progress = same.iter().rev().find_map(|lease| lease.progress.as_ref());
            ids.push(code::uuid(same[0].held.id));
            fences.push(fence(&same[0].held));
            fractions.push(progress.map(|p| p.fraction));
            messages.push(progress.map(|p| code::text(&p.message)));
        }
        let client = self.hot().await?;
        let extend = client.prepare_cached(EXTEND).await?;
        let rows =
            client.query(&extend, &[&micros(until), &ids, &fences, &fractions, &messages]).await?;
        let mut kept = HashMap::with_capacity(rows.len());
        for row in &rows {
            let fence: Fence = Fence(code::to_count(row.try_get::<_, i64>(1)?)?);
            kept.insert((code::to_id(row.try_get(0)?), fence), row.try_get::<_, bool>(2)?);
        }
        if fractions.iter().any(Option::is_some) {
            self.tell(News::Changed);
        }
        let answer = |lease: &Extension| match kept.get(&(lease.held.id, lease.held.fence)) {
            Some(cancel) => Lease::Kept { cancel: *cancel },
            None => Lease::Lost,
        };
        Ok(leases.iter().map(answer).collect())
    }
}
