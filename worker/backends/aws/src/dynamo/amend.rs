//! Changing dead letters one by one, as the desk and the leaders of replays do.

use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::queue::QueueError;
use flotilla_core::replay::{Amend, Amended, Letter};

use super::row::Row;
use super::tx::{Tx, commit};
use super::{Bounds, Dynamo};

type Keys = Vec<(String, String)>;

impl Tx<'_> {
    /// Makes one change; with it come the keys of parts that nothing names any more.
    async fn amend(
        &mut self,
        change: &Amend,
        bounds: &Bounds,
    ) -> Result<(Amended, Keys), QueueError> {
        let left = |answer: Amended| Ok((answer, Keys::new()));
        let id = change.id;
        let Some(mut row) = self.row(id).await?.cloned() else { return left(Amended::Unknown) };
        self.db.fill(&mut row, false).await?;
        let letter =
            Letter { state: row.state, class: row.class, extra: &row.extra, payload: &row.payload };
        let extra = match change.decide(letter, bounds.max_payload, self.now) {
            Ok(extra) => extra,
            Err(answer) => return left(answer),
        };
        if change.replay
            && let Some(Err(why)) = self.replay(id, bounds).await?
        {
            return left(Amended::Refused(why));
        }
        let before = row.part_keys();
        let row = self.change(id)?;
        row.extra = extra;
        let Some(payload) = &change.payload else { return left(Amended::Done) };
        row.payload = payload.clone();
        row.payload_parts = 0;
        let parts = row.cut_payload();
        let after = row.part_keys();
        self.add_parts(parts);
        Ok((Amended::Done, before.into_iter().filter(|key| !after.contains(key)).collect()))
    }
}

impl Dynamo {
    /// One after the other: the same job may be named twice, and keys have one holder.
    pub(super) async fn amend_all(
        &self,
        changes: &[Amend],
        now: Timestamp,
    ) -> Result<Vec<Amended>, QueueError> {
        let ids: Vec<JobId> = changes.iter().map(|change| change.id).collect();
        let mut rows = self.db.rows(&ids).await?;
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let mut seen: Option<(u64, Row)> = rows.remove(&change.id);
            let (answer, orphans) = commit!(self, now, tx => {
                tx.seed(seen.take());
                tx.amend(change, &self.bounds).await?
            });
            if !orphans.is_empty() {
                self.db.remove(&orphans).await?;
            }
            answers.push(answer);
        }
        self.changed();
        Ok(answers)
    }
}
