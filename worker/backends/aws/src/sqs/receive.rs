//! Messages out of queues. A long poll that has begun is never given up: what it brings would stay
//! hidden from everyone for a whole lease. It goes on by itself, and the next call finds its catch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as System};
use bytes::Bytes;
use flotilla_core::blob::{BlobError, BlobKey};
use flotilla_core::broker::Delivery;
use flotilla_core::ids::{Lane, Receipt};
use flotilla_core::queue::{LaneDemand, QueueError};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::publish::{CLAIM, CLAIMS};
use super::wire::Handle;
use super::{BATCH, LONGEST_LEASE, Shared, seconds};
use crate::connect::{ANSWER, failed};

/// The shortest poll that waits: SQS counts in seconds.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// The longest poll SQS knows.
const LONGEST_POLL: Duration = Duration::from_secs(20);

/// What polls have brought and nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    lines: Mutex<HashMap<Lane, Line>>,
    news: Notify,
}

#[derive(Debug)]
struct Line {
    /// Polls on their way that wait.
    long: usize,
    /// Polls on their way that do not.
    short: usize,
    /// Long polls at once: more while they come back full.
    width: usize,
    /// Polls begun so far: the number of the latest one.
    begun: u64,
    /// The latest poll that came back with nothing, or failed.
    empty: u64,
    arrived: VecDeque<(Instant, Delivery)>,
    error: Option<QueueError>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            long: 0,
            short: 0,
            width: 1,
            begun: 0,
            empty: 0,
            arrived: VecDeque::new(),
            error: None,
        }
    }
}

/// What a call still wants of a lane.
#[derive(Clone, Debug)]
struct Want {
    lane: Lane,
    slots: usize,
    /// The latest poll of the lane when the call began: what that one finds proves nothing.
    since: u64,
    /// How many polls the call has begun itself.
    own: usize,
}

impl Desk {
    fn lines(&self) -> MutexGuard<'_, HashMap<Lane, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants(&self, lanes: &[LaneDemand]) -> Vec<Want> {
        let lines = self.lines();
        let some = lanes.iter().filter(|demand| demand.slots > 0);
        some.map(|demand| Want {
            lane: demand.lane.clone(),
            slots: demand.slots,
            since: lines.get(&demand.lane).map_or(0, |line| line.begun),
            own: 0,
        })
        .collect()
    }

    /// What has arrived and is wanted, and the receipts of what lay here for too long.
    fn take(
        &self,
        wants: &mut [Want],
        fresh: Duration,
        now: Instant,
    ) -> (Vec<Delivery>, Vec<Receipt>) {
        let (mut taken, mut stale) = (Vec::new(), Vec::new());
        let mut lines = self.lines();
        for want in wants {
            let Some(line) = lines.get_mut(&want.lane) else { continue };
            while want.slots > 0
                && let Some((since, delivery)) = line.arrived.pop_front()
            {
                if now.saturating_duration_since(since) > fresh {
                    stale.push(delivery.receipt);
                } else {
                    taken.push(delivery);
                    want.slots -= 1;
                }
            }
        }
        (taken, stale)
    }

    /// The numbers of the polls to begin for a lane now.
    fn begin(&self, want: &mut Want, parallel: usize, short: bool) -> std::ops::Range<u64> {
        let mut lines = self.lines();
        let line = lines.entry(want.lane.clone()).or_default();
        let wanted = want.slots.div_ceil(BATCH).min(parallel);
        let more = if !short {
            wanted.min(line.width).saturating_sub(line.long)
        } else if line.empty > want.since {
            0 // it is known to have no more
        } else {
            wanted.saturating_sub(line.short).max(usize::from(want.own == 0))
        };
        *(if short { &mut line.short } else { &mut line.long }) += more;
        want.own += more;
        let first = line.begun + 1;
        line.begun += more as u64;
        first..line.begun + 1
    }

    fn end(&self, poll: &Poll, parallel: usize, found: Result<Vec<Delivery>, QueueError>) {
        let mut lines = self.lines();
        let line = lines.entry(poll.lane.clone()).or_default();
        if poll.wait.is_zero() {
            line.short -= 1;
        } else {
            line.long -= 1;
        }
        match found {
            Ok(found) => {
                line.width = match found.len() {
                    0 => 1,
                    BATCH.. => (line.width * 2).min(parallel),
                    _ => line.width,
                };
                if found.is_empty() {
                    line.empty = line.empty.max(poll.number);
                }
                let now = Instant::now();
                line.arrived.extend(found.into_iter().map(|delivery| (now, delivery)));
            }
            Err(error) => {
                line.empty = line.empty.max(poll.number);
                line.error = Some(error);
            }
        }
        drop(lines);
        self.news.notify_waiters();
    }

    /// Takes away the wants that are met, and those whose lane has nothing just now and nothing
    /// on its way.
    fn settle(&self, wants: &mut Vec<Want>) {
        let lines = self.lines();
        let open = |want: &Want| {
            lines.get(&want.lane).is_none_or(|line| line.empty <= want.since || line.short > 0)
        };
        wants.retain(|want| want.slots > 0 && open(want));
    }

    /// Nothing of these lanes is on its way any more.
    fn is_quiet(&self, wants: &[Want]) -> bool {
        let lines = self.lines();
        let idle = |want: &Want| lines.get(&want.lane).is_none_or(|l| l.long + l.short == 0);
        wants.iter().all(idle)
    }

    fn error(&self, wants: &[Want]) -> Option<QueueError> {
        let mut lines = self.lines();
        wants.iter().find_map(|want| lines.get_mut(&want.lane)?.error.take())
    }
}

/// As [`Broker::receive`](flotilla_core::broker::Broker::receive). A call that may wait answers
/// with what comes first; one that may not answers with all there is, as far as a poll shows it.
pub(super) async fn receive(
    shared: &Arc<Shared>,
    lanes: &[LaneDemand],
    lease: Duration,
    wait: Duration,
) -> Result<Vec<Delivery>, QueueError> {
    let until = Instant::now() + wait;
    let give_up = until + ANSWER;
    let short = wait < SHORTEST_POLL;
    let mut wants = shared.desk.wants(lanes);
    let (mut taken, mut begun) = (Vec::new(), 0);
    loop {
        let news = shared.desk.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        let (some, stale) = shared.desk.take(&mut wants, lease / 2, Instant::now());
        taken.extend(some);
        if !stale.is_empty()
            && let Err(error) = shared.hide(&stale, 0).await
        {
            tracing::warn!(%error, "messages that waited too long come back later");
        }
        if taken.is_empty()
            && let Some(error) = shared.desk.error(&wants)
        {
            return Err(error);
        }
        if short {
            shared.desk.settle(&mut wants);
        }
        let left = until.saturating_duration_since(Instant::now());
        let over = if short { Instant::now() >= give_up } else { !taken.is_empty() };
        if over || wants.is_empty() {
            return Ok(taken);
        }
        if short || left >= SHORTEST_POLL || begun == 0 {
            begun += begin(shared, &mut wants, lease, if short { Duration::ZERO } else { left });
        }
        if !short && (shared.desk.is_quiet(&wants) || left.is_zero() && begun == 0) {
            return Ok(taken);
        }
        // What this call began it waits for; what an earlier one began may last longer than it.
        let end = if begun > 0 { give_up } else { until };
        let _late = tokio::time::timeout_at(end, news).await;
        if !short && Instant::now() >= end && begun > 0 {
            return Ok(taken);
        }
    }
}

/// Begins as many polls as these lanes want; answers how many.
fn begin(shared: &Arc<Shared>, wants: &mut [Want], lease: Duration, wait: Duration) -> usize {
    let wait = if wait < SHORTEST_POLL { Duration::ZERO } else { wait.min(LONGEST_POLL) };
    let mut begun = 0;
    for want in wants {
        let most = want.slots.min(BATCH);
        for number in shared.desk.begin(want, shared.settings.parallel, wait.is_zero()) {
            let poll = Poll { number, lane: want.lane.clone(), most, lease, wait };
            tokio::spawn(poll.run(Arc::downgrade(shared)));
            begun += 1;
        }
    }
    begun
}

/// One call to SQS.
struct Poll {
    /// Among those of its lane.
    number: u64,
    lane: Lane,
    most: usize,
    lease: Duration,
    /// Zero, or seconds.
    wait: Duration,
}

impl Poll {
    /// To its end, also when nobody waits for it any more.
    async fn run(self, shared: Weak<Shared>) {
        let Some(here) = shared.upgrade() else { return };
        let parallel = here.settings.parallel;
        let request = match here.queues.url(&self.lane).await {
            Ok(url) => here
                .client
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(i32::try_from(self.most).unwrap_or(1))
                .visibility_timeout(seconds(self.lease, LONGEST_LEASE))
                .wait_time_seconds(i32::try_from(self.wait.as_secs()).unwrap_or(0))
                .message_attribute_names("All")
                .message_system_attribute_names(System::All),
            Err(error) => return here.desk.end(&self, parallel, Err(error)),
        };
        drop(here); // who closes the broker need not wait for this poll
        let found = request.send().await.map_err(|error| failed("receiving", error));
        let Some(here) = shared.upgrade() else { return };
        let found = match found {
            Ok(found) => {
                let mut deliveries = Vec::new();
                for message in found.messages.unwrap_or_default() {
                    deliveries.extend(here.delivery(&self.lane, message).await);
                }
                Ok(deliveries)
            }
            Err(error) => Err(error),
        };
        let any = found.as_ref().is_ok_and(|found| !found.is_empty());
        here.desk.end(&self, parallel, found);
        if any {
            here.wake();
        }
    }
}

impl Shared {
    /// A message as the port shows it; `None`: it was a leftover, or its body cannot be had now.
    async fn delivery(&self, lane: &Lane, message: Message) -> Option<Delivery> {
        let system = message.attributes.unwrap_or_default();
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in message.message_attributes.unwrap_or_default() {
            attributes.extend(value.string_value.map(|text| (name, text)));
        }
        for (name, from) in [
            ("sqs.group", System::MessageGroupId),
            ("sqs.sent_at", System::SentTimestamp),
            ("traceparent", System::AwsTraceHeader),
        ] {
            if let Some(text) = system.get(&from) {
                attributes.entry(name.into()).or_insert_with(|| text.clone());
            }
        }
        attributes.extend(message.message_id.map(|id| ("sqs.message_id".into(), id)));
        let received: u32 =
            system.get(&System::ApproximateReceiveCount).and_then(|n| n.parse().ok()).unwrap_or(1);
        let claim = attributes.remove(CLAIM);
        // A stranger's message must not lead to other blobs: neither to their bytes nor to their end.
        let ours = format!("{CLAIMS}{lane}/");
        let claim = match claim.map(|key| (key.starts_with(&ours), key)) {
            Some((true, key)) => Some(key),
            Some((false, key)) => {
                tracing::warn!(key, "a message names a blob outside of {ours}: taken as it is");
                None
            }
            None => None,
        };
        let handle = Handle {
            lane: lane.clone(),
            blob: claim.clone(),
            receipt: message.receipt_handle.unwrap_or_default(),
        };
        let receipt = handle.to_receipt();
        let body = match claim {
            None => Bytes::from(message.body.unwrap_or_default()),
            Some(key) => self.claimed(&key, &receipt).await?,
        };
        let redelivered = received.saturating_sub(1);
        Some(Delivery { receipt, lane: lane.clone(), body, attributes, redelivered })
    }

    /// The body that lies among the blobs. Where it is gone, the message was acked before.
    async fn claimed(&self, key: &str, receipt: &Receipt) -> Option<Bytes> {
        let blobs = self.blobs.as_ref()?;
        let key = BlobKey::new(key).ok()?;
        match blobs.get(&key, self.settings.max_body as u64).await {
            Ok(body) => return Some(body),
            Err(BlobError::NotFound(_) | BlobError::TooLarge { .. }) => {
                self.ack_quietly(receipt).await;
            }
            // The message comes again when its lease ends.
            Err(error) => tracing::warn!(%error, "the body of a message cannot be read now"),
        }
        None
    }

    async fn ack_quietly(&self, receipt: &Receipt) {
        if let Err(error) = self.ack(std::slice::from_ref(receipt)).await {
            tracing::warn!(%error, "a leftover message was not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::from_static("main");

    fn want(slots: usize) -> Want {
        Want { lane: LANE, slots, since: 0, own: 0 }
    }

    fn poll(number: u64, wait: u64) -> Poll {
        let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(wait));
        Poll { number, lane: LANE, most: 10, lease, wait }
    }

    fn delivery(n: u64) -> Delivery {
        Delivery {
            receipt: Receipt::Number(n),
            lane: LANE,
            body: Bytes::new(),
            attributes: BTreeMap::new(),
            redelivered: 0,
        }
    }

    #[test]
    fn long_polls_widen_while_they_come_back_full_and_narrow_when_empty() {
        let desk = Desk::default();
        let begin = |slots, short| desk.begin(&mut want(slots), 8, short);
        assert_eq!(begin(100, false), 1..2, "one to begin with");
        assert!(begin(100, false).is_empty(), "it is on its way");
        assert_eq!(begin(25, true), 2..5, "those that do not wait take what is there");
        desk.end(&poll(1, 20), 8, Ok((0..10).map(delivery).collect()));
        assert_eq!(begin(100, false), 5..7);
        desk.end(&poll(5, 20), 8, Ok(Vec::new()));
        desk.end(&poll(6, 20), 8, Ok(Vec::new()));
        assert!(!desk.is_quiet(&[want(1)]));
        (2..5).for_each(|n| desk.end(&poll(n, 0), 8, Ok(Vec::new())));
        assert!(desk.is_quiet(&[want(1)]));
        assert_eq!(begin(100, false), 7..8);
    }

    #[test]
    fn a_want_is_over_when_it_is_met_or_a_poll_of_its_own_time_found_nothing() {
        let desk = Desk::default();
        let mut wants = vec![want(20)];
        assert_eq!(desk.begin(&mut wants[0], 8, true), 1..3);
        desk.end(&poll(1, 0), 8, Ok(Vec::new()));
        desk.settle(&mut wants);
        assert_eq!(wants.len(), 1, "another one is on its way");
        assert!(desk.begin(&mut wants[0], 8, true).is_empty(), "no more are begun");
        // A call that begins now learns nothing from those that began before it.
        let demand = LaneDemand { lane: LANE, slots: 20, kinds: Vec::new() };
        let mut later = desk.wants(&[demand]);
        desk.end(&poll(2, 0), 8, Ok(vec![delivery(1)]));
        assert_eq!(desk.take(&mut wants, Duration::from_secs(9), Instant::now()).0.len(), 1);
        desk.settle(&mut wants);
        assert!(wants.is_empty());
        desk.settle(&mut later);
        assert_eq!(desk.begin(&mut later[0], 8, true), 3..5);
    }

    #[test]
    fn what_lay_too_long_is_given_back() {
        let desk = Desk::default();
        desk.begin(&mut want(10), 8, false);
        desk.end(&poll(1, 20), 8, Ok(vec![delivery(1), delivery(2)]));
        let (fresh, now) = (Duration::from_secs(7), Instant::now());
        let (taken, stale) = desk.take(&mut [want(1)], fresh, now);
        assert_eq!((taken.len(), stale.len()), (1, 0));
        let later = now + Duration::from_secs(8);
        let (taken, stale) = desk.take(&mut [want(1)], fresh, later);
        assert_eq!((taken.len(), stale), (0, vec![Receipt::Number(2)]));
    }
}
