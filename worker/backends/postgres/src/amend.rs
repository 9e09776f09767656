//! Changing dead letters one by one, as the desk and the leaders of replays do.

use std::collections::{BTreeMap, HashMap, HashSet};

use flotilla_core::clock::Timestamp;
use flotilla_core::envelope::Payload;
use flotilla_core::ids::JobId;
use flotilla_core::replay::{Amend, Amended, Letter};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Postgres;
use crate::bell::News;
use crate::code;
use crate::error::{Done, Fault};
use crate::replay::{self, PUT_BACK, refusal};

const SELECT: &str = "SELECT id, seq, class, kind, tenant, unique_key, unique_until IS NULL,
                             state, payload, extra
                      FROM job WHERE id = ANY ($1) ORDER BY seq FOR UPDATE";

const WRITE: &str = "UPDATE job SET extra = w.extra, payload = coalesce(w.payload, job.payload)
                     FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS w (id, extra, payload)
                     WHERE job.id = w.id";

/// What is written of the changes that are made.
#[derive(Default)]
struct Writes {
    ids: Vec<Uuid>,
    extras: Vec<String>,
    payloads: Vec<Option<Vec<u8>>>,
    /// Those that go back.
    back: Vec<Uuid>,
}

/// A job as it was read.
struct Seen {
    state: flotilla_core::State,
    letter: replay::Letter,
    payload: Payload,
    extra: BTreeMap<String, Value>,
}

impl Postgres {
    /// Makes the changes, all in one transaction; one answer each, in order.
    pub(crate) async fn change(&self, changes: &[Amend], now: Timestamp) -> Done<Vec<Amended>> {
        let mut client = self.desk().await?;
        let tx = (**client).transaction().await?;
        let ids: Vec<Uuid> = changes.iter().map(|change| code::uuid(change.id)).collect();
        let rows = tx.query(SELECT, &[&ids]).await?;
        let mut seen: HashMap<JobId, Seen> = HashMap::with_capacity(rows.len());
        for row in &rows {
            seen.insert(code::to_id(row.try_get(0)?), read(row)?);
        }
        let max = self.capabilities.max_payload;
        let (mut writes, mut taken) = (Writes::default(), HashSet::new());
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            let Some(job) = seen.get_mut(&change.id) else {
                answers.push(Amended::Unknown);
                continue;
            };
            let letter = Letter {
                state: job.state,
                class: job.letter.class,
                extra: &job.extra,
                payload: &job.payload,
            };
            let extra = match change.decide(letter, max, now) {
                Ok(extra) => extra,
                Err(answer) => {
                    answers.push(answer);
                    continue;
                }
            };
            if change.replay {
                if let Some(why) = refusal(&tx, &job.letter, &taken, now).await? {
                    answers.push(Amended::Refused(why));
                    continue;
                }
                taken.extend(job.letter.key.clone().filter(|_| job.letter.holds));
                writes.back.push(job.letter.id);
                job.state = flotilla_core::State::Available;
            }
            writes.add(change, &extra)?;
            // A later change of the same job sees this one.
            job.extra = extra;
            job.payload = change.payload.clone().unwrap_or_else(|| job.payload.clone());
            answers.push(Amended::Done);
        }
        for part in writes.parts() {
            tx.execute(WRITE, &[&part.0, &part.1, &part.2]).await?;
        }
        tx.execute(PUT_BACK, &[&writes.back, &code::micros(now)]).await?;
        tx.commit().await?;
        if !writes.back.is_empty() {
            self.tell(News::Claimable);
        } else if !writes.ids.is_empty() {
            self.tell(News::Changed);
        }
        Ok(answers)
    }
}

type Part = (Vec<Uuid>, Vec<String>, Vec<Option<Vec<u8>>>);

impl Writes {
    fn add(&mut self, change: &Amend, extra: &BTreeMap<String, Value>) -> Done<()> {
        let text = serde_json::to_string(extra).map_err(|e| {
            Fault::Invalid(format!("the mark of {} cannot be written: {e}", change.id))
        })?;
        self.ids.push(code::uuid(change.id));
        self.extras.push(text);
        self.payloads.push(change.payload.as_ref().map(|payload| payload.bytes().to_vec()));
        Ok(())
    }

    /// Statements that name each job once: of two changes of one job the later goes last.
    fn parts(&self) -> Vec<Part> {
        let (mut parts, mut named): (Vec<Part>, HashSet<Uuid>) = (Vec::new(), HashSet::new());
        for (at, id) in self.ids.iter().enumerate() {
            if parts.is_empty() || !named.insert(*id) {
                named = HashSet::from([*id]);
                parts.push(Part::default());
            }
            if let Some(part) = parts.last_mut() {
                part.0.push(*id);
                part.1.push(self.extras[at].clone());
                part.2.push(self.payloads[at].clone());
            }
        }
        parts
    }
}

fn read(row: &Row) -> Done<Seen> {
    Ok(Seen {
        state: code::to_state(row.try_get(7)?)?,
        letter: replay::letter(row)?,
        payload: Payload::from_bytes(row.try_get::<_, Vec<u8>>(8)?),
        extra: match row.try_get::<_, Option<&str>>(9)? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| Fault::Corrupt(format!("stored extra fields are not JSON: {e}")))?,
        },
    })
}
