//! Upkeep: due jobs, ended leases, passed deadlines, ended retentions, idle tenants. Each sort is one
//! statement or one transaction, made for two housekeepers at once.

use std::time::Duration;

use deadpool_postgres::Client;
use flotilla_core::clock::{Timestamp, after, before};
use flotilla_core::queue::{HousekeepPolicy, Housekeeping, KEPT_ERRORS};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code::{self, micros, number, to_count};
use crate::error::Done;

const PROMOTE_ALL: &str = include_str!("sql/promote_all.sql");
const RESCUE: &str = include_str!("sql/rescue.sql");
const EXPIRE: &str = include_str!("sql/expire.sql");
const PRUNE: &str = include_str!("sql/prune.sql");
const ABANDONED: &str =
    "SELECT id FROM job WHERE state = 2 AND lease_until <= $1 ORDER BY lane LIMIT $2";
const LATE: &str = "SELECT id FROM job
     WHERE deadline IS NOT NULL AND state IN (0, 1, 3, 4) AND deadline <= $1
     ORDER BY deadline LIMIT $2";
const TIE_LOOSE: &str = "SELECT tie_loose($1, $2, $3)";
const WAKE_FLOWS: &str = "SELECT wake_flows($1, $2, $3)";
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
        let ids = ids(&client, ABANDONED, &[&now_at, &limit]).await?;
        let params: [&(dyn ToSql + Sync); 6] =
            [&now_at, &ids, &poison, &dead_until, &errors, &self.events];
        let ([rescued, quarantined, ended], mut on) =
            self.end(&client, &ids, RESCUE, &params, now).await?;
        let ids = self::ids(&client, LATE, &[&now_at, &limit]).await?;
        let params: [&(dyn ToSql + Sync); 4] = [&now_at, &ids, &dead_until, &self.events];
        let ([expired], woken) = self.end(&client, &ids, EXPIRE, &params, now).await?;
        on += woken;
        for left_over in [TIE_LOOSE, WAKE_FLOWS] {
            let [done] = counts(&client, left_over, &[&limit, &now_at, &self.events]).await?;
            on += done;
        }
        let [pruned] = counts(&client, PRUNE, &[&now_at, &limit, &keep]).await?;

        let forget = client.prepare_cached(FORGET_IDLE).await?;
        client.execute(&forget, &[&limit]).await?;
        for (statement, until) in [
            ("DELETE FROM key_window WHERE until <= $1", now),
            ("DELETE FROM worker WHERE seen_at < $1", before(now, FORGET_WORKER)),
            ("DELETE FROM cell WHERE expires_at <= $1", now),
        ] {
            let forget = client.prepare_cached(statement).await?;
            client.execute(&forget, &[&micros(until)]).await?;
        }
        if promoted + rescued + on > 0 {
            self.tell(News::Claimable);
        } else if ended + expired + pruned > 0 {
            self.tell(News::Changed);
        }
        Ok(Housekeeping { promoted, rescued, quarantined, expired, pruned })
    }

    /// Ends these jobs and does what follows; the numbers of the statement, and how many others
    /// went on.
    async fn end<const N: usize>(
        &self,
        client: &Client,
        ids: &[Uuid],
        statement: &str,
        params: &[&(dyn ToSql + Sync)],
        now: Timestamp,
    ) -> Done<([u64; N], u64)> {
        if ids.is_empty() {
            return Ok(([0; N], 0));
        }
        let statement = client.prepare_cached(statement).await?;
        let (rows, on) = self.linked(client, ids, &statement, params, now).await?;
        Ok((rows.first().map_or(Ok([0; N]), numbers)?, on))
    }
}

/// The numbers in the one row a statement gives.
async fn counts<const N: usize>(
    client: &Client,
    statement: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Done<[u64; N]> {
    let statement = client.prepare_cached(statement).await?;
    numbers(&client.query_one(&statement, params).await?)
}

/// The jobs a statement names.
async fn ids(client: &Client, statement: &str, params: &[&(dyn ToSql + Sync)]) -> Done<Vec<Uuid>> {
    let statement = client.prepare_cached(statement).await?;
    let rows = client.query(&statement, params).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

fn numbers<const N: usize>(row: &Row) -> Done<[u64; N]> {
    let mut counts = [0; N];
    for (n, count) in counts.iter_mut().enumerate() {
        *count = to_count(row.try_get::<_, i64>(n)?)?;
    }
    Ok(counts)
}
