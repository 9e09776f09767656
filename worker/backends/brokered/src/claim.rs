//! Receiving messages and taking the jobs they name.

use std::collections::HashSet;
use std::time::Duration;

use flotilla_core::broker::{Broker, Delivery, Store, Taken};
use flotilla_core::clock::{Timestamp, after};
use flotilla_core::ids::{Receipt, WorkerId};
use flotilla_core::queue::{Claimed, Claims, LaneDemand, NewJob, QueueError};

use crate::hold::{Hold, What};
use crate::sweep::notice;
use crate::{Brokered, Offer, lock, wire};

/// How often one claim asks the broker again because messages gave no job: duplicates, leftovers,
/// kinds that were not asked for.
const ROUNDS: usize = 64;

/// Who claims, until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term<'a> {
    pub(crate) worker: &'a WorkerId,
    pub(crate) lease: Duration,
    pub(crate) now: Timestamp,
}

impl Term<'_> {
    pub(crate) fn until(&self) -> Timestamp {
        after(self.now, self.lease)
    }
}

/// Messages of one call, sorted.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Of recorded jobs.
    recorded: Vec<Offer>,
    /// Of jobs that get a record now.
    strange: Vec<Offer>,
    /// Of jobs that have none.
    light: Vec<Offer>,
    /// Of kinds nobody asked for.
    unwanted: Vec<Offer>,
    /// Gave no job: there may be more behind them.
    leftovers: usize,
}

impl<B: Broker, S: Store> Brokered<B, S> {
    /// Takes jobs of each lane until `now + lease`.
    pub(crate) async fn take(
        &self,
        demands: &[LaneDemand],
        term: Term<'_>,
    ) -> Result<Claims, QueueError> {
        let found = self.sweep(demands, term.worker, term.lease, term.now).await?;
        let mut want: Vec<LaneDemand> = demands
            .iter()
            .filter(|demand| demand.slots > 0 && !found.paused.contains(&demand.lane))
            .cloned()
            .collect();
        let mut jobs: Vec<Claimed> = Vec::new();
        for _ in 0..ROUNDS {
            if want.is_empty() {
                break;
            }
            match self.round(&want, term).await {
                Ok((some, leftovers)) => {
                    for job in &some {
                        if let Some(demand) = want.iter_mut().find(|d| d.lane == job.lane) {
                            demand.slots = demand.slots.saturating_sub(1);
                        }
                    }
                    want.retain(|demand| demand.slots > 0);
                    jobs.extend(some);
                    if leftovers == 0 {
                        break;
                    }
                }
                // What was taken before must be handed out; the failure shows in the next claim.
                Err(error) if !jobs.is_empty() => {
                    tracing::warn!(%error, "a claim ended early");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        // More urgent ones first; stable, so otherwise as they came.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.priority));
        Ok(Claims { jobs, next_due: found.next_due })
    }

    /// One look at the messages at hand and at the broker: the jobs, and how many messages gave none.
    async fn round(
        &self,
        want: &[LaneDemand],
        term: Term<'_>,
    ) -> Result<(Vec<Claimed>, usize), QueueError> {
        let mut sorted = Sorted::default();
        let mut ask = want.to_vec();
        for demand in &mut ask {
            for offer in self.take_from_aside(demand) {
                demand.slots -= 1;
                self.sort_offer(offer, &mut sorted);
            }
        }
        ask.retain(|demand| demand.slots > 0);
        if !ask.is_empty() {
            let wait = if sorted.is_empty() { self.settings.wait } else { Duration::ZERO };
            match self.broker.receive(&ask, term.lease, wait).await {
                Ok(deliveries) => {
                    if let Err(error) = self.sort(deliveries, &ask, term.now, &mut sorted).await {
                        self.put_back(sorted.all());
                        return Err(error);
                    }
                }
                Err(error) if sorted.is_empty() => return Err(error),
                Err(error) => tracing::warn!(%error, "a claim gives what was at hand"),
            }
        }
        sorted.leftovers += sorted.unwanted.len();
        self.set_aside(std::mem::take(&mut sorted.unwanted)).await;
        let (mut over, mut jobs) = (Vec::new(), Vec::new());
        for (make, offers) in [
            (false, std::mem::take(&mut sorted.recorded)),
            (true, std::mem::take(&mut sorted.strange)),
        ] {
            if offers.is_empty() {
                continue;
            }
            let wanted: Vec<NewJob> = offers.iter().map(|offer| offer.job.clone()).collect();
            match self.store.take(&wanted, make, term.worker, term.lease, term.now).await {
                Ok(answers) => self.taken(offers, answers, term, &mut jobs, &mut over),
                Err(error) => {
                    self.put_back(offers);
                    if jobs.is_empty() {
                        self.put_back(sorted.all());
                        self.ack(&over).await;
                        return Err(error);
                    }
                    tracing::warn!(%error, "a claim gives a part");
                }
            }
        }
        let light = std::mem::take(&mut sorted.light);
        jobs.extend(self.hand_out_light(light, term, &mut over, &mut sorted.leftovers).await);
        let leftovers = sorted.leftovers + over.len();
        if self.broker.capabilities().extends {
            over.extend(self.let_go_of(&jobs));
        }
        self.ack(&over).await;
        Ok((jobs, leftovers))
    }

    /// Messages at hand that somebody asks for now.
    fn take_from_aside(&self, demand: &LaneDemand) -> Vec<Offer> {
        let mut aside = lock(&self.aside);
        let Some(offers) = aside.get_mut(&demand.lane) else { return Vec::new() };
        let (mut given, mut kept) = (Vec::new(), Vec::new());
        for offer in std::mem::take(offers) {
            if given.len() < demand.slots && demand.kinds.contains(&offer.job.kind) {
                given.push(offer);
            } else {
                kept.push(offer);
            }
        }
        *offers = kept;
        given
    }

    /// Reads messages; those that stand for no job of their lane are dealt with here.
    async fn sort(
        &self,
        deliveries: Vec<Delivery>,
        asked: &[LaneDemand],
        now: Timestamp,
        sorted: &mut Sorted,
    ) -> Result<(), QueueError> {
        let mut unread = Vec::new();
        for delivery in deliveries {
            let said = match wire::read(&delivery.body) {
                Some(said) => Ok((vec![said.job], said.recorded)),
                None => self.adopt.adopt(&delivery, now).map(|jobs| (jobs, false)),
            };
            match said {
                Ok((mut jobs, recorded)) if jobs.len() == 1 && jobs[0].lane == delivery.lane => {
                    let job = jobs.swap_remove(0);
                    let Delivery { receipt, lane, redelivered, .. } = delivery;
                    let offer = Offer { receipt, lane, redelivered, job, recorded };
                    let kinds = |d: &LaneDemand| d.kinds.contains(&offer.job.kind);
                    if asked.iter().filter(|d| d.lane == offer.lane).any(kinds) {
                        self.sort_offer(offer, sorted);
                    } else {
                        sorted.unwanted.push(offer);
                    }
                }
                Ok((jobs, _)) => {
                    sorted.leftovers += 1;
                    // First durable under their own names, then the message may go.
                    if !jobs.is_empty() {
                        self.make_all(&jobs, &delivery, now).await?;
                    }
                    self.ack(std::slice::from_ref(&delivery.receipt)).await;
                }
                Err(unreadable) => unread.push((delivery, unreadable)),
            }
        }
        sorted.leftovers += unread.len();
        self.bury_unreadable(unread, now).await
    }

    fn sort_offer(&self, offer: Offer, sorted: &mut Sorted) {
        let light = self.is_light(&offer.lane)
            && !offer.recorded
            && offer.redelivered < self.settings.poison_after;
        let bin = match (light, offer.recorded) {
            (true, _) => &mut sorted.light,
            (false, true) => &mut sorted.recorded,
            (false, false) => &mut sorted.strange,
        };
        bin.push(offer);
    }

    /// What the store said to each.
    fn taken(
        &self,
        offers: Vec<Offer>,
        answers: Vec<Taken>,
        term: Term<'_>,
        jobs: &mut Vec<Claimed>,
        over: &mut Vec<Receipt>,
    ) {
        let mut seen = HashSet::new();
        for (offer, answer) in offers.into_iter().zip(answers) {
            match answer {
                Taken::Claimed(claimed) if seen.insert(claimed.held.id) => {
                    let linked = offer.job.order.is_some()
                        || claimed.parent.is_some()
                        || claimed.children > 0;
                    let hold = Hold {
                        since: term.now,
                        until: term.until(),
                        receipt: Some(offer.receipt),
                        what: What::Recorded { linked },
                    };
                    lock(&self.holds).insert(&claimed.held, hold);
                    jobs.push(*claimed);
                }
                Taken::Refused(reason) => {
                    tracing::info!(job = %offer.job.id, reason, "a message from outside makes no job");
                    over.push(offer.receipt);
                }
                _ => over.push(offer.receipt),
            }
        }
    }

    /// Recorded jobs whose lease is in the record alone from now on.
    fn let_go_of(&self, jobs: &[Claimed]) -> Vec<Receipt> {
        let mut holds = lock(&self.holds);
        let recorded = jobs.iter().filter_map(|job| {
            let hold = holds.get_mut(&job.held)?;
            matches!(hold.what, What::Recorded { .. }).then(|| hold.receipt.take()).flatten()
        });
        recorded.collect()
    }

    /// Keeps messages of kinds that were not asked for; what there is no room for goes to the end.
    async fn set_aside(&self, unwanted: Vec<Offer>) {
        let (mut surplus, mut twice) = (Vec::new(), Vec::new());
        {
            let mut aside = lock(&self.aside);
            for offer in unwanted {
                let kept = aside.entry(offer.lane.clone()).or_default();
                if offer.recorded && kept.iter().any(|known| known.job.id == offer.job.id) {
                    twice.push(offer.receipt);
                } else if kept.len() < self.settings.aside {
                    kept.push(offer);
                } else {
                    surplus.push(offer);
                }
            }
        }
        self.ack(&twice).await;
        if surplus.is_empty() {
            return;
        }
        let max = self.broker.capabilities().max_body;
        let (offers, notices): (Vec<_>, Vec<_>) = surplus
            .into_iter()
            .filter_map(|offer| Some((notice(&offer.job, offer.recorded, max)?, offer)))
            .map(|(notice, offer)| (offer, notice))
            .unzip();
        let moved = self.broker.publish(&notices).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "jobs of kinds that were not asked for are kept at hand");
            vec![false; notices.len()]
        });
        let mut gone = Vec::new();
        for (offer, moved) in offers.into_iter().zip(moved) {
            if moved {
                gone.push(offer.receipt);
            } else {
                self.put_back([offer]);
            }
        }
        self.ack(&gone).await;
    }

    /// Messages of a claim that failed are kept at hand for the next.
    pub(crate) fn put_back(&self, offers: impl IntoIterator<Item = Offer>) {
        let mut aside = lock(&self.aside);
        for offer in offers {
            aside.entry(offer.lane.clone()).or_default().push(offer);
        }
    }
}

impl Sorted {
    fn is_empty(&self) -> bool {
        self.recorded.is_empty() && self.strange.is_empty() && self.light.is_empty()
    }
    fn all(self) -> impl Iterator<Item = Offer> {
        let Self { recorded, strange, light, unwanted, .. } = self;
        recorded.into_iter().chain(strange).chain(light).chain(unwanted)
    }
}
