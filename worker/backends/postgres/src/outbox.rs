//! Ends nobody was told of yet. They are marked by the statements that end jobs, while the backend
//! is opened with `events`.

use flotilla_core::ids::{Fence, JobId};
use flotilla_core::outbox::Untold;
use uuid::Uuid;

use crate::Postgres;
use crate::code::{self, number, to_count};
use crate::error::Done;
use crate::records::{RECORD, record};

const TOLD: &str = "UPDATE job SET untold = NULL
     FROM unnest($1::uuid[], $2::bigint[]) AS t (id, fence)
     WHERE job.id = t.id AND job.fence = t.fence AND job.untold";

/// The longest list.
const MOST: usize = 1000;

impl Postgres {
    pub(crate) async fn ends_untold(&self, limit: usize) -> Done<Vec<Untold>> {
        let client = self.hot().await?;
        let statement = format!("{RECORD} WHERE untold ORDER BY finished_at, id LIMIT $1");
        let select = client.prepare_cached(&statement).await?;
        let rows = client.query(&select, &[&number(limit.min(MOST))]).await?;
        let end = |row: &tokio_postgres::Row| {
            let fence = Fence(to_count(row.try_get::<_, i64>("fence")?)?);
            Ok(Untold { record: record(row)?, fence })
        };
        rows.iter().map(end).collect()
    }

    pub(crate) async fn mark_told(&self, ends: &[(JobId, Fence)]) -> Done<()> {
        let mut ends = ends.to_vec();
        ends.sort_unstable();
        let ids: Vec<Uuid> = ends.iter().map(|(id, _)| code::uuid(*id)).collect();
        let fences: Vec<i64> =
            ends.iter().map(|(_, fence)| i64::try_from(fence.0).unwrap_or(-1)).collect();
        let client = self.hot().await?;
        let told = client.prepare_cached(TOLD).await?;
        client.execute(&told, &[&ids, &fences]).await?;
        Ok(())
    }
}
