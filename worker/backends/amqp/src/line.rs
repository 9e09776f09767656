//! The channel of one lane: what came, what is out, how much may be out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use flotilla_core::fair;
use flotilla_core::ids::Priority;
use futures_util::future::{join_all, try_join_all};
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
    BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::acks::{Ack, Acks};
use crate::lock;
use crate::settings::Settings;

/// Acks that wait for slower ones below them wait no longer than this.
const FLUSH: Duration = Duration::from_millis(5);
/// Messages fetched one by one are asked for so many at a time.
const FETCH: usize = 64;
/// Up to here the prefetch is what is needed; above, the next power of two.
const EXACT: usize = 32;

pub(crate) struct Line {
    /// The number its receipts carry.
    pub(crate) epoch: u32,
    /// The most urgent first.
    queues: Vec<String>,
    channel: Channel,
    state: Mutex<State>,
    widening: tokio::sync::Mutex<()>,
    sending: tokio::sync::Mutex<()>,
    broken: AtomicBool,
    flushing: AtomicBool,
    wakes: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    acks: Acks,
    /// Handed over by the broker, not yet by us; one for each queue.
    at_hand: Vec<VecDeque<Delivery>>,
    consumers: Vec<Consumer>,
    /// One for each consumer.
    pumps: Vec<AbortOnDropHandle<()>>,
    prefetch: u16,
    /// A consumer was cancelled, or failed.
    ended: bool,
    /// Places given so far: carries the turns of the bands.
    served: u64,
}

impl Line {
    pub(crate) async fn open(
        connection: &Connection,
        queues: Vec<String>,
        epoch: u32,
        wakes: Arc<watch::Sender<u64>>,
    ) -> lapin::Result<Self> {
        let at_hand = queues.iter().map(|_| VecDeque::new()).collect();
        Ok(Self {
            epoch,
            channel: connection.create_channel().await?,
            state: Mutex::new(State { at_hand, ..State::default() }),
            queues,
            widening: tokio::sync::Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            broken: AtomicBool::new(false),
            flushing: AtomicBool::new(false),
            wakes,
        })
    }

    /// Whether its receipts still settle anything.
    pub(crate) fn is_live(&self) -> bool {
        self.channel.status().connected() && !self.broken.load(Ordering::Acquire)
    }

    /// The next call opens another line.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Whether this delivery is still ours.
    pub(crate) fn is_out(&self, tag: u64) -> bool {
        self.is_live() && lock(&self.state).acks.is_out(tag)
    }

    /// Up to `slots` messages that were handed over ahead.
    pub(crate) fn pop(&self, slots: usize) -> Vec<Delivery> {
        let mut state = lock(&self.state);
        state.look();
        if state.ended {
            self.give_up();
        }
        let priorities = [9, 5, 0].map(|level| Priority::new(level).unwrap_or_default());
        let backlog: Vec<(usize, (Priority, usize))> = state
            .at_hand
            .iter()
            .zip(priorities)
            .enumerate()
            .filter(|(_, (at_hand, _))| !at_hand.is_empty())
            .map(|(band, (at_hand, priority))| (band, (priority, at_hand.len())))
            .collect();
        let sizes: Vec<(Priority, usize)> = backlog.iter().map(|(_, size)| *size).collect();
        let shares = fair::bands(&sizes, slots, state.served);
        let mut popped = Vec::new();
        for ((band, _), share) in backlog.into_iter().zip(shares) {
            popped.extend(state.at_hand[band].drain(..share));
        }
        state.served = state.served.wrapping_add(popped.len() as u64);
        popped
    }

    /// Lets the broker hand over so much ahead that `slots` more jobs can be held.
    pub(crate) async fn widen(
        self: &Arc<Self>,
        slots: usize,
        settings: &Settings,
    ) -> lapin::Result<()> {
        if self.wider(slots, settings).is_none() {
            return Ok(());
        }
        let _one_at_a_time = self.widening.lock().await;
        let Some(prefetch) = self.wider(slots, settings) else { return Ok(()) };
        self.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (mut consumers, mut pumps) = (Vec::new(), Vec::new());
        for (band, queue) in self.queues.iter().enumerate() {
            let options = BasicConsumeOptions::default();
            let consumer = self
                .channel
                .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
                .await?;
            let pump = pump(Arc::downgrade(self), band, consumer.clone());
            pumps.push(AbortOnDropHandle::new(tokio::spawn(pump)));
            consumers.push(consumer);
        }
        let (former, former_pumps) = {
            let mut state = lock(&self.state);
            state.prefetch = prefetch;
            let former = std::mem::replace(&mut state.consumers, consumers);
            (former, std::mem::replace(&mut state.pumps, pumps))
        };
        for (band, mut consumer) in former.into_iter().enumerate() {
            self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
            // What it was handed until now is taken over; nothing comes after the answer.
            let mut state = lock(&self.state);
            while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                state.take_over(band, delivery);
            }
        }
        drop(former_pumps);
        Ok(())
    }

    /// The prefetch that is needed, where it is more than the present one.
    fn wider(&self, slots: usize, settings: &Settings) -> Option<u16> {
        let state = lock(&self.state);
        let ahead: usize = state.at_hand.iter().map(VecDeque::len).sum();
        let needed = state.acks.len().saturating_sub(ahead).saturating_add(slots);
        let rounded = if needed > EXACT { needed.next_power_of_two() } else { needed };
        let least = settings.prefetch_least.max(1);
        let wanted = u16::try_from(rounded)
            .unwrap_or(u16::MAX)
            .clamp(least, settings.prefetch_most.max(least));
        (wanted > state.prefetch).then_some(wanted)
    }

    /// Whether the broker hands over no more until something is acked.
    pub(crate) fn is_full(&self) -> bool {
        let state = lock(&self.state);
        state.acks.len() >= usize::from(state.prefetch)
    }

    /// Up to `slots` messages, fetched one by one: nothing is handed over ahead.
    pub(crate) async fn fetch(&self, slots: usize) -> lapin::Result<Vec<Delivery>> {
        let mut fetched = Vec::new();
        // Every eighth place begins at the other end, so that nobody starves.
        let served = lock(&self.state).served;
        let turn = (served..).take(slots).any(|place| place % fair::TURN == fair::TURN - 1);
        if turn {
            for queue in self.queues.iter().skip(1).rev() {
                let one = 1.min(slots - fetched.len());
                fetched.extend(self.get(queue, one).await?);
            }
        }
        for queue in &self.queues {
            fetched.extend(self.get(queue, slots - fetched.len()).await?);
        }
        let mut state = lock(&self.state);
        state.served = state.served.wrapping_add(fetched.len() as u64);
        Ok(fetched)
    }

    async fn get(&self, queue: &str, most: usize) -> lapin::Result<Vec<Delivery>> {
        let mut got = Vec::new();
        while got.len() < most {
            let asked = FETCH.min(most - got.len());
            let gets = (0..asked)
                .map(|_| self.channel.basic_get(queue.into(), BasicGetOptions::default()));
            let answers = join_all(gets).await;
            let mut some = 0;
            for answer in answers {
                if let Some(message) = answer? {
                    lock(&self.state).acks.delivered(message.delivery.delivery_tag);
                    got.push(message.delivery);
                    some += 1;
                }
            }
            if some < asked {
                break;
            }
        }
        Ok(got)
    }

    /// How many messages the broker has not handed over. What it handed over before it answered
    /// is at hand then.
    pub(crate) async fn waiting(&self) -> lapin::Result<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let ask = |queue: &String| {
            self.channel.queue_declare(queue.as_str().into(), options, FieldTable::default())
        };
        let answers = try_join_all(self.queues.iter().map(ask)).await?;
        Ok(answers.iter().map(lapin::Queue::message_count).sum())
    }

    /// Done with these; those that wait for slower ones are held back for a moment.
    pub(crate) async fn ack(self: &Arc<Self>, tags: &[u64]) -> lapin::Result<()> {
        // An ack must not overtake one of all below it: its tag would be unknown by then.
        let _in_order = self.sending.lock().await;
        let (acks, holds_back) = {
            let mut state = lock(&self.state);
            (state.acks.done(tags.iter().copied()), state.acks.holds_back())
        };
        if holds_back && !self.flushing.swap(true, Ordering::AcqRel) {
            let line = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(FLUSH).await;
                line.flushing.store(false, Ordering::Release);
                line.flush().await;
            });
        }
        self.send(acks).await
    }

    /// Sends the acks that were held back. Those of a broken channel mean nothing any more.
    pub(crate) async fn flush(&self) {
        let _in_order = self.sending.lock().await;
        let acks = lock(&self.state).acks.flush();
        if let Err(error) = self.send(acks).await {
            tracing::debug!(%error, "not acked: what was done comes again and is found to be over");
        }
    }

    async fn send(&self, acks: Vec<Ack>) -> lapin::Result<()> {
        let send =
            |ack: Ack| self.channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple });
        try_join_all(acks.into_iter().map(send)).await.map(drop)
    }

    /// Offers these again.
    pub(crate) async fn nack(&self, tags: &[u64]) -> lapin::Result<()> {
        let options = BasicNackOptions { multiple: false, requeue: true };
        let _in_order = self.sending.lock().await;
        let ours: Vec<u64> = {
            let mut state = lock(&self.state);
            let ours = tags.iter().copied().filter(|tag| state.acks.is_out(*tag)).collect();
            tags.iter().for_each(|tag| state.acks.returned(*tag));
            ours
        };
        try_join_all(ours.into_iter().map(|tag| self.channel.basic_nack(tag, options)))
            .await
            .map(drop)
    }

    fn ring(&self) {
        self.wakes.send_modify(|n| *n = n.wrapping_add(1));
    }
}

impl State {
    /// Takes over what the library has received since the last look.
    fn look(&mut self) {
        for band in 0..self.consumers.len() {
            while let Some(came) = self.consumers[band].next().now_or_never() {
                let Some(Ok(delivery)) = came else {
                    self.ended = true;
                    break;
                };
                self.take_over(band, delivery);
            }
        }
    }

    fn take_over(&mut self, band: usize, delivery: Delivery) {
        self.acks.delivered(delivery.delivery_tag);
        self.at_hand[band].push_back(delivery);
    }
}

/// Rings when messages came, so that waiting claimers need not ask. Ends with its consumer.
async fn pump(line: Weak<Line>, band: usize, mut consumer: Consumer) {
    loop {
        let came = poll_fn(|cx| match line.upgrade() {
            Some(line) => line.poll(band, &mut consumer, cx),
            None => Poll::Ready(false),
        })
        .await;
        let Some(line) = line.upgrade() else { return };
        if !came {
            let is_present = {
                let state = lock(&line.state);
                state.consumers.get(band).is_none_or(|present| present.tag() == consumer.tag())
            };
            if is_present {
                line.give_up();
            }
        }
        line.ring();
        if !came {
            return;
        }
    }
}

impl Line {
    /// Under the lock of the state, so that no message is ever between the library and `at_hand`.
    fn poll(&self, band: usize, consumer: &mut Consumer, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = lock(&self.state);
        let mut came = false;
        loop {
            match consumer.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(delivery))) => {
                    state.take_over(band, delivery);
                    came = true;
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(false),
                Poll::Pending if came => return Poll::Ready(true),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
