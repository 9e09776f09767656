//! A broker in memory that can be told to fail, and a queue on it with a store in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotilla_brokered::{Brokered, Settings};
use flotilla_core::broker::{Adopt, Broker, BrokerCapabilities, Delivery, Notice, Unreadable};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::{JobId, Kind, Lane, Receipt};
use flotilla_core::queue::{LaneDemand, NewJob, QueueError, QueueErrorKind};
use flotilla_memory::Memory;
use tokio::sync::watch;

/// Messages of each lane, and what is out.
#[derive(Debug, Default)]
struct Messages {
    ready: BTreeMap<Lane, VecDeque<Delivery>>,
    out: BTreeMap<u64, Delivery>,
    next: u64,
    dead: Vec<Delivery>,
}

/// First in, first out; what is out comes back only by `nack` or `crash`.
#[derive(Debug)]
pub(crate) struct Messenger {
    capabilities: BrokerCapabilities,
    messages: Mutex<Messages>,
    down: AtomicBool,
    published: AtomicU64,
    wakes: watch::Sender<u64>,
}

impl Messenger {
    pub(crate) fn new(extends: bool, longest_lease: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            capabilities: BrokerCapabilities {
                name: "messenger",
                max_body: 64 * 1024,
                max_delay: Duration::ZERO,
                extends,
                longest_lease,
            },
            messages: Mutex::default(),
            down: AtomicBool::new(false),
            published: AtomicU64::new(0),
            wakes: watch::Sender::new(0),
        })
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// How many messages were taken so far.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::SeqCst)
    }

    /// What a stranger sends.
    pub(crate) fn send(&self, lane: &Lane, body: impl Into<Bytes>) {
        let mut messages = self.messages.lock().expect("no test panicked");
        messages.push(lane, body.into());
    }

    /// All messages of a lane get lost.
    pub(crate) fn lose(&self, lane: &Lane) {
        self.messages.lock().expect("no test panicked").ready.remove(lane);
    }

    /// The broker gives up on all that waits in a lane.
    pub(crate) fn give_up(&self, lane: &Lane) {
        let mut messages = self.messages.lock().expect("no test panicked");
        let given_up = messages.ready.remove(lane).unwrap_or_default();
        messages.dead.extend(given_up);
    }

    /// Every consumer is gone: what was out is offered again.
    pub(crate) fn crash(&self) {
        let mut messages = self.messages.lock().expect("no test panicked");
        for (_, mut delivery) in std::mem::take(&mut messages.out).into_iter().rev() {
            delivery.redelivered += 1;
            messages.ready.entry(delivery.lane.clone()).or_default().push_front(delivery);
        }
    }

    /// Messages waiting and messages out.
    pub(crate) fn held(&self) -> (usize, usize) {
        let messages = self.messages.lock().expect("no test panicked");
        (messages.ready.values().map(VecDeque::len).sum(), messages.out.len())
    }

    fn check(&self) -> Result<(), QueueError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(QueueError::plain(QueueErrorKind::Unavailable, "the messenger is down"));
        }
        Ok(())
    }
}

impl Messages {
    fn push(&mut self, lane: &Lane, body: Bytes) {
        let delivery = Delivery {
            receipt: Receipt::None,
            lane: lane.clone(),
            body,
            attributes: BTreeMap::new(),
            redelivered: 0,
        };
        self.ready.entry(lane.clone()).or_default().push_back(delivery);
    }
}

#[async_trait::async_trait]
impl Broker for Messenger {
    fn capabilities(&self) -> &BrokerCapabilities {
        &self.capabilities
    }

    async fn publish(&self, notices: &[Notice]) -> Result<Vec<bool>, QueueError> {
        self.check()?;
        let mut messages = self.messages.lock().expect("no test panicked");
        for notice in notices {
            messages.push(&notice.lane, notice.body.clone());
        }
        self.published.fetch_add(notices.len() as u64, Ordering::SeqCst);
        self.wakes.send_modify(|n| *n += 1);
        Ok(vec![true; notices.len()])
    }

    async fn receive(
        &self,
        lanes: &[LaneDemand],
        _lease: Duration,
        _wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.check()?;
        let mut messages = self.messages.lock().expect("no test panicked");
        let mut given = Vec::new();
        for demand in lanes {
            for _ in 0..demand.slots {
                let ready = messages.ready.entry(demand.lane.clone()).or_default();
                let Some(mut delivery) = ready.pop_front() else { break };
                messages.next += 1;
                let tag = messages.next;
                delivery.receipt = Receipt::Number(tag);
                messages.out.insert(tag, delivery.clone());
                given.push(delivery);
            }
        }
        Ok(given)
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        _lease: Duration,
    ) -> Result<Vec<bool>, QueueError> {
        self.check()?;
        let messages = self.messages.lock().expect("no test panicked");
        let ours = |receipt: &Receipt| match receipt {
            Receipt::Number(tag) => messages.out.contains_key(tag),
            _ => false,
        };
        Ok(receipts.iter().map(ours).collect())
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.check()?;
        let mut messages = self.messages.lock().expect("no test panicked");
        for receipt in receipts {
            if let Receipt::Number(tag) = receipt {
                messages.out.remove(tag);
            }
        }
        Ok(())
    }

    async fn nack(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.check()?;
        let mut messages = self.messages.lock().expect("no test panicked");
        for receipt in receipts {
            if let Receipt::Number(tag) = receipt
                && let Some(delivery) = messages.out.remove(tag)
            {
                messages.ready.entry(delivery.lane.clone()).or_default().push_front(delivery);
            }
        }
        Ok(())
    }

    async fn given_up(&self, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut messages = self.messages.lock().expect("no test panicked");
        let some = messages.dead.len().min(limit);
        Ok(messages.dead.drain(..some).collect())
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        self.check()?;
        let messages = self.messages.lock().expect("no test panicked");
        Ok(messages.ready.get(lane).map_or(0, |ready| ready.len() as u64))
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }
}

/// Reads `KIND WORDS` as one job, `KIND` alone and `none` as no job, `KIND * N` as N jobs.
#[derive(Debug)]
pub(crate) struct Plain;

impl Adopt for Plain {
    fn adopt(&self, delivery: &Delivery, now: Timestamp) -> Result<Vec<NewJob>, Unreadable> {
        let text = std::str::from_utf8(&delivery.body)
            .map_err(|_| Unreadable { reason: "not text: send UTF-8".into() })?;
        let words: Vec<&str> = text.split(' ').collect();
        let many = match words[..] {
            ["none"] => 0,
            [_, "*", n] => n.parse().unwrap_or(0),
            [_, _] => 1,
            _ => return Err(Unreadable { reason: format!("\"{text}\" is not a job") }),
        };
        let kind = Kind::new(words[0]).map_err(|e| Unreadable { reason: e.to_string() })?;
        let job = |n: usize| {
            NewJob::new(
                JobId::derived(&format!("{text}/{n}")),
                kind.clone(),
                delivery.lane.clone(),
                now,
            )
        };
        Ok((0..many).map(job).collect())
    }
}

/// A queue on these.
pub(crate) fn queue(
    messenger: &Arc<Messenger>,
    memory: Memory,
    change: impl FnOnce(&mut Settings),
) -> Arc<Brokered<Messenger, Memory>> {
    let mut settings =
        Settings { sweep_every: Duration::ZERO, ..Settings::new("messenger+memory") };
    change(&mut settings);
    Arc::new(Brokered::new(Arc::clone(messenger), Arc::new(memory), Arc::new(Plain), settings))
}
