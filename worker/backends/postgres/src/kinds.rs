//! What the SQL function `enqueue` fills in for each kind.

use flotilla_core::ids::{Kind, Lane, Priority};
use flotilla_core::queue::QueueError;

use crate::Postgres;
use crate::code::{level, number, small};
use crate::error::Done;

/// What a producer in SQL need not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindDefaults {
    /// The kind.
    pub kind: Kind,
    /// Where its jobs wait.
    pub lane: Lane,
    /// How urgent they are.
    pub priority: Priority,
    /// Runs that may fail before one is dead.
    pub max_attempts: u32,
    /// The present version of the payload.
    pub version: u16,
}

impl Postgres {
    /// Registers kinds for the SQL function `enqueue`, or brings what it knows of them up to date.
    /// Kinds not named stay as they are: another binary of the fleet may run them.
    ///
    /// # Errors
    /// As every write.
    pub async fn upsert_kinds(&self, kinds: &[KindDefaults]) -> Result<(), QueueError> {
        Ok(self.write_kinds(kinds).await?)
    }

    async fn write_kinds(&self, kinds: &[KindDefaults]) -> Done<()> {
        let names: Vec<&str> = kinds.iter().map(|k| k.kind.as_str()).collect();
        let lanes: Vec<&str> = kinds.iter().map(|k| k.lane.as_str()).collect();
        let levels: Vec<i16> = kinds.iter().map(|k| level(k.priority)).collect();
        let attempts: Vec<i32> = kinds.iter().map(|k| small(k.max_attempts.max(1))).collect();
        let versions: Vec<i32> = kinds.iter().map(|k| i32::from(k.version)).collect();
        let client = self.desk().await?;
        client
            .execute(
                "INSERT INTO kind (name, lane, priority, max_attempts, version, max_payload, brokered)
                 SELECT DISTINCT ON (name) k.*, $6::bigint, $7::boolean
                 FROM unnest($1::text[], $2::text[], $3::smallint[], $4::integer[], $5::integer[])
                      AS k (name, lane, priority, max_attempts, version)
                 ORDER BY name
                 ON CONFLICT (name) DO UPDATE SET lane = excluded.lane, priority = excluded.priority,
                     max_attempts = excluded.max_attempts, version = excluded.version,
                     max_payload = excluded.max_payload, brokered = excluded.brokered",
                &[
                    &names,
                    &lanes,
                    &levels,
                    &attempts,
                    &versions,
                    &number(self.capabilities.max_payload),
                    &self.brokered,
                ],
            )
            .await?;
        Ok(())
    }
}
