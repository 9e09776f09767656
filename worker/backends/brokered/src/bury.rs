//! Dead letters of messages that became no job: nobody can read them, or the broker gave them up.

use flotilla_core::broker::{Broker, Burial, Delivery, Store, UNREADABLE, Unreadable};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::envelope::Payload;
use flotilla_core::ids::JobId;
use flotilla_core::queue::{NewJob, QueueError};
use flotilla_core::state::DeadClass;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Brokered, receipts, wire};

/// Of a body nobody can read, so much is kept.
const KEPT: usize = 128 * 1024;

/// What came, as the dead letter holds it.
#[derive(Serialize)]
struct Came<'a> {
    lane: &'a str,
    attributes: &'a BTreeMap<String, String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_hex: Option<String>,
}

impl<B: Broker, S: Store> Brokered<B, S> {
    /// Keeps messages as dead letters with the reason, then acks them.
    pub(crate) async fn bury_unreadable(
        &self,
        unread: Vec<(Delivery, Unreadable)>,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        if unread.is_empty() {
            return Ok(());
        }
        let keep_until = after(now, self.settings.keep_dead);
        let burials: Vec<Burial> = unread
            .iter()
            .map(|(delivery, why)| Burial {
                job: remains(delivery, now),
                class: DeadClass::Invalid,
                error: why.reason.clone(),
                keep_until,
            })
            .collect();
        self.store.bury(&burials, now).await?;
        let receipts: Vec<_> = unread.into_iter().map(|(delivery, _)| delivery.receipt).collect();
        self.ack(&receipts).await;
        Ok(())
    }

    /// Keeps what the broker set aside. A job that has a record is published again: its crashes
    /// are counted there.
    pub(crate) async fn bury_given_up(
        &self,
        given_up: &[Delivery],
        now: Timestamp,
    ) -> Result<(), QueueError> {
        if given_up.is_empty() {
            return Ok(());
        }
        let keep_until = after(now, self.settings.keep_dead);
        let (mut burials, mut recorded) = (Vec::new(), Vec::new());
        for delivery in given_up {
            let error = match delivery.attributes.get("x-first-death-reason") {
                Some(reason) => format!("the broker gave it up: {reason}"),
                None => "the broker gave it up".into(),
            };
            let jobs = match wire::read(&delivery.body) {
                Some(said) if said.recorded => {
                    recorded.push(said.job.id);
                    continue;
                }
                Some(said) => vec![said.job],
                None => self.adopt.adopt(delivery, now).unwrap_or_default(),
            };
            let jobs = if jobs.is_empty() { vec![remains(delivery, now)] } else { jobs };
            burials.extend(jobs.into_iter().map(|job| Burial {
                job,
                class: DeadClass::Poison,
                error: error.clone(),
                keep_until,
            }));
        }
        if !burials.is_empty() {
            self.store.bury(&burials, now).await?;
        }
        if !recorded.is_empty() {
            self.store.republish(&recorded).await?;
        }
        self.ack(&receipts(given_up)).await;
        Ok(())
    }
}

/// A record for what nobody can read. The same message gives the same id.
fn remains(delivery: &Delivery, now: Timestamp) -> NewJob {
    let kept = &delivery.body[..delivery.body.len().min(KEPT)];
    let text = std::str::from_utf8(kept).ok();
    let hex = || {
        kept.iter().take(KEPT / 2).fold(String::with_capacity(KEPT), |mut hex, byte| {
            let _in_memory = write!(hex, "{byte:02x}");
            hex
        })
    };
    let came = Came {
        lane: delivery.lane.as_str(),
        attributes: &delivery.attributes,
        bytes: delivery.body.len(),
        body: text,
        body_hex: text.is_none().then(hex),
    };
    let payload = serde_json::to_vec(&came).unwrap_or_default();
    let id = JobId::derived(&format!("unreadable:{}", String::from_utf8_lossy(&payload)));
    NewJob {
        payload: Payload::from_bytes(payload),
        max_attempts: 1,
        ..NewJob::new(id, UNREADABLE, delivery.lane.clone(), now)
    }
}
