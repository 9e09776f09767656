//! Upkeep: due jobs, ended leases, passed deadlines, ended retentions, idle tenants. Each sort is one
//! statement that leaves alone what another housekeeper is at.

use std::time::Duration;

use deadpool_postgres::Client;
use flotilla_core::clock::{Timestamp, after, before};
use flotilla_core::queue::{HousekeepPolicy, Housekeeping, KEPT_ERRORS};
use tokio_postgres::types::ToSql;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros, number, to_count};
use crate::error::Done;

const PROMOTE_ALL: &str = include_str!("sql/promote_all.sql");
const RESCUE: &str = include_str!("sql/rescue.sql");
const EXPIRE: &str = include_str!("sql/expire.sql");
const PRUNE: &str = include_str!("sql/prune.sql");
const FORGET_IDLE: &str = include_str!("sql/forget_idle.sql");

/// Workers not seen for this long are forgotten.
const FORGET_WORKER: Duration = Duration::from_secs(24 * 60 * 60);

impl Postgres {
    /// One round of upkeep.
    pub(crate) async fn keep_house(
        &self,
        policy: &HousekeepPolicy,
        now: Timestamp,
    ) -> Done<Housekeeping> {
        let client = self.hot().await?;
        let (limit, now_at) = (number(policy.batch), micros(now));
        let dead_until = micros(after(now, policy.keep_dead));
        let keep =
            i64::try_from(policy.keep_dead.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 2);
        let poison = code::small(policy.poison_after);
        let errors = i32::try_from(KEPT_ERRORS).unwrap_or(i32::MAX);

        let [promoted] = counts(&client, PROMOTE_ALL, &[&limit, &now_at]).await?;
        let [rescued, quarantined, ended] =
            counts(&client, RESCUE, &[&now_at, &limit, &poison, &dead_until, &errors]).await?;
        let [expired] = counts(&client, EXPIRE, &[&now_at, &limit, &dead_until]).await?;
        let [pruned] = counts(&client, PRUNE, &[&now_at, &limit, &keep]).await?;

        let forget = client.prepare_cached(FORGET_IDLE).await?;
        client.execute(&forget, &[&limit]).await?;
        for (statement, until) in [
            ("DELETE FROM key_window WHERE until <= $1", now),
            ("DELETE FROM worker WHERE seen_at < $1", before(now, FORGET_WORKER)),
        ] {
            let forget = client.prepare_cached(statement).await?;
            client.execute(&forget, &[&micros(until)]).await?;
        }
        if promoted + rescued > 0 {
            self.tell(News::Claimable);
        } else if ended + expired + pruned > 0 {
            self.tell(News::Changed);
        }
        Ok(Housekeeping { promoted, rescued, quarantined, expired, pruned })
    }
}

/// The numbers in the one row a statement gives.
async fn counts<const N: usize>(
    client: &Client,
    statement: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Done<[u64; N]> {
    let statement = client.prepare_cached(statement).await?;
    let row = client.query_one(&statement, params).await?;
    let mut counts = [0; N];
    for (n, count) in counts.iter_mut().enumerate() {
        *count = to_count(row.try_get::<_, i64>(n)?)?;
    }
    Ok(counts)
}
