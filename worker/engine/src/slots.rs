//! Admission arithmetic: how many jobs to ask for, of which lanes and kinds. Pure: it counts, and
//! knows neither ports nor tasks nor time.
//!
//! Two limits hold at any moment: at most `concurrency` handlers run, and of a kind at most as
//! many as its policy allows. Beyond what runs, a worker may hold one batch of jobs that have not
//! begun, and only while jobs are so short that the batch is worked off within [`AHEAD`]; a fleet
//! does not wait for jobs that one of its workers sits on.
//!
//! A kind whose room is smaller than what a claim asks for is asked for apart from the others, so
//! that it neither exceeds its room nor keeps the others of its lane waiting.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long the work held beyond the running jobs may last.
pub(crate) const AHEAD: Duration = Duration::from_millis(100);

/// One part of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) lane: usize,
    /// The kind asked for by itself, or none for all kinds with room to spare.
    pub(crate) alone: Option<usize>,
    pub(crate) kinds: Vec<usize>,
    pub(crate) slots: usize,
}

/// What to claim now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) asks: Vec<Ask>,
    /// Asks left out because the slots did not reach: their turn comes with the next plans.
    pub(crate) skipped: usize,
    /// A kind has no room: its jobs may wait unseen.
    pub(crate) excluded: bool,
}

/// The counts of one engine.
#[derive(Debug)]
pub(crate) struct Slots {
    concurrency: usize,
    batch: usize,
    kinds: Vec<KindSlots>,
    running: usize,
    waiting: usize,
    /// Moving average of how long a handler runs; none before the first has ended.
    pace: Option<Duration>,
    turn: usize,
    expected: BTreeMap<(usize, Option<usize>), usize>,
}

#[derive(Debug, Default)]
struct KindSlots {
    cap: Option<usize>,
    running: usize,
    waiting: usize,
}

impl Slots {
    /// `caps`: how many of each kind may run at once.
    pub(crate) fn new(
        concurrency: usize,
        batch: usize,
        caps: impl IntoIterator<Item = Option<usize>>,
    ) -> Self {
        let kinds = caps.into_iter().map(|cap| KindSlots { cap, ..KindSlots::default() });
        Self {
            concurrency,
            batch,
            kinds: kinds.collect(),
            running: 0,
            waiting: 0,
            pace: None,
            turn: 0,
            expected: BTreeMap::new(),
        }
    }

    /// A job was claimed and has not begun.
    pub(crate) fn held(&mut self, kind: usize) {
        self.waiting += 1;
        self.kinds[kind].waiting += 1;
    }

    /// Whether a job of that kind may begin.
    pub(crate) fn may_begin(&self, kind: usize) -> bool {
        let kind = &self.kinds[kind];
        self.running < self.concurrency && kind.cap.is_none_or(|cap| kind.running < cap)
    }

    /// A held job begins.
    pub(crate) fn began(&mut self, kind: usize) {
        self.given_back(kind);
        self.running += 1;
        self.kinds[kind].running += 1;
    }

    /// A held job was given back without having begun.
    pub(crate) fn given_back(&mut self, kind: usize) {
        self.waiting -= 1;
        self.kinds[kind].waiting -= 1;
    }

    /// A handler has ended; `ran` feeds the pace.
    pub(crate) fn ended(&mut self, kind: usize, ran: Duration) {
        self.running -= 1;
        self.kinds[kind].running -= 1;
        self.pace = Some(self.pace.map_or(ran, |pace| (pace * 7 + ran) / 8));
    }

    /// Jobs turned out to be longer than thought: hold none beyond the running ones for now.
    pub(crate) fn slow_down(&mut self) {
        self.pace = Some(Duration::from_secs(3600));
    }

    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Neither running nor held.
    pub(crate) fn is_empty(&self) -> bool {
        self.running + self.waiting == 0
    }

    /// How many jobs may be held beyond the running ones.
    fn ahead(&self) -> usize {
        let Some(pace) = self.pace else { return 0 };
        let batch = u32::try_from(self.batch).unwrap_or(u32::MAX);
        let concurrency = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        if pace.saturating_mul(batch) / concurrency.max(1) <= AHEAD { self.batch } else { 0 }
    }

    /// Jobs that may be claimed now.
    pub(crate) fn free(&self) -> usize {
        (self.concurrency + self.ahead()).saturating_sub(self.running + self.waiting)
    }

    /// Whether a claim is worth its transaction: with jobs in hand, only once half of what may be
    /// held is used up.
    pub(crate) fn worth_claiming(&self) -> bool {
        self.free() >= (self.ahead() / 2).max(1)
    }

    /// How many more of a kind may be held.
    fn room(&self, kind: usize) -> usize {
        let kind = &self.kinds[kind];
        kind.cap.map_or(usize::MAX, |cap| cap.saturating_sub(kind.running + kind.waiting))
    }

    /// What to ask of `lanes` lanes, at most `max` jobs in all. Lanes take turns at what does not
    /// divide evenly.
    pub(crate) fn plan(&mut self, lanes: usize, max: usize) -> Plan {
        let free = self.free().min(self.batch).min(max);
        self.turn = self.turn.wrapping_add(1);
        if free == 0 || lanes == 0 {
            return Plan::default();
        }
        let mut open = Vec::new();
        let mut tight = Vec::new();
        let mut excluded = false;
        for kind in 0..self.kinds.len() {
            match self.room(kind) {
                0 => excluded = true,
                room if room < free => tight.push((kind, room)),
                _ => open.push(kind),
            }
        }
        let mut asks = Vec::new();
        let mut most = Vec::new();
        for lane in 0..lanes {
            if !open.is_empty() {
                asks.push(Ask { lane, alone: None, kinds: open.clone(), slots: 0 });
                most.push(free);
            }
            for (kind, room) in &tight {
                let first = (lane + self.turn) % lanes;
                asks.push(Ask { lane, alone: Some(*kind), kinds: vec![*kind], slots: 0 });
                most.push(room / lanes + usize::from(first < room % lanes));
            }
        }
        let expected: Vec<usize> = asks
            .iter()
            .map(|ask| self.expected.get(&(ask.lane, ask.alone)).copied().unwrap_or(free))
            .collect();
        for (ask, slots) in asks.iter_mut().zip(share(free, &most, &expected, self.turn)) {
            ask.slots = slots;
        }
        let all = asks.len();
        asks.retain(|ask| ask.slots > 0);
        Plan { skipped: all - asks.len(), asks, excluded }
    }

    /// What an ask gave; the next plan expects at most a little more than twice as much, or
    /// anything when it gave all it was asked for.
    pub(crate) fn answered(&mut self, ask: &Ask, got: usize) {
        let next = if got >= ask.slots { usize::MAX } else { got * 2 + 1 };
        self.expected.insert((ask.lane, ask.alone), next);
    }
}

/// Shares `free` places: none gets more than its `most`; up to what each is `expected` to need
/// they are shared evenly, and what is left after that is shared evenly too. `start` says who
/// comes first where it does not divide.
pub(crate) fn share(free: usize, most: &[usize], expected: &[usize], start: usize) -> Vec<usize> {
    let mut given = vec![0; most.len()];
    let soft: Vec<usize> = most.iter().zip(expected).map(|(m, e)| *m.min(e)).collect();
    let left = fill(free, &soft, &mut given, start);
    fill(left, most, &mut given, start);
    given
}

/// Raises `given` evenly towards `limits` until `free` is used up; answers what is left.
fn fill(mut free: usize, limits: &[usize], given: &mut [usize], start: usize) -> usize {
    let n = limits.len();
    loop {
        let open: Vec<usize> =
            (0..n).map(|i| (start + i) % n).filter(|i| given[*i] < limits[*i]).collect();
        if open.is_empty() || free == 0 {
            return free;
        }
        let each = (free / open.len()).max(1);
        for i in open {
            let more = each.min(limits[i] - given[i]).min(free);
            given[i] += more;
            free -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHORT: Duration = Duration::from_micros(5);

    fn asked(plan: &Plan) -> Vec<(usize, Option<usize>, usize)> {
        plan.asks.iter().map(|a| (a.lane, a.alone, a.slots)).collect()
    }

    #[test]
    fn one_lane_gets_every_free_slot() {
        let mut slots = Slots::new(4, 100, [None]);
        assert_eq!(asked(&slots.plan(1, 100)), [(0, None, 4)]);
        slots.held(0);
        slots.began(0);
        assert_eq!(asked(&slots.plan(1, 100)), [(0, None, 3)]);
        assert_eq!(slots.running(), 1);
    }

    #[test]
    fn a_kind_at_its_cap_is_left_out_and_one_near_it_is_asked_for_apart() {
        let mut slots = Slots::new(8, 100, [None, Some(2)]);
        let plan = slots.plan(1, 100);
        assert_eq!(plan.asks[1], Ask { lane: 0, alone: Some(1), kinds: vec![1], slots: 2 });
        assert!(!plan.excluded);
        for _ in 0..2 {
            slots.held(1);
        }
        let plan = slots.plan(1, 100);
        assert_eq!(plan.asks, [Ask { lane: 0, alone: None, kinds: vec![0], slots: 6 }]);
        assert!(plan.excluded);
    }

    #[test]
    fn a_busy_lane_takes_what_an_idle_one_leaves() {
        let mut slots = Slots::new(10, 100, [None]);
        let plan = slots.plan(2, 100);
        slots.answered(&plan.asks[0], 5);
        slots.answered(&plan.asks[1], 0);
        assert_eq!(asked(&slots.plan(2, 100)), [(0, None, 9), (1, None, 1)]);
    }

    #[test]
    fn with_one_slot_the_lanes_take_turns() {
        let mut slots = Slots::new(1, 100, [None]);
        let mut seen: Vec<usize> = Vec::new();
        for _ in 0..3 {
            let plan = slots.plan(3, 100);
            assert_eq!(plan.asks.len(), 1);
            assert_eq!(plan.skipped, 2);
            seen.push(plan.asks[0].lane);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_batch_is_held_ahead_only_while_jobs_are_short() {
        let mut slots = Slots::new(4, 100, [None]);
        assert_eq!(slots.free(), 4);
        slots.held(0);
        slots.began(0);
        slots.ended(0, SHORT);
        assert_eq!(slots.free(), 104);
        for _ in 0..80 {
            slots.held(0);
        }
        assert!(!slots.worth_claiming());
        slots.slow_down();
        assert_eq!(slots.free(), 0);
        slots.began(0);
        slots.ended(0, Duration::from_secs(1));
        assert_eq!(slots.free(), 0);
    }

    proptest! {
        #[test]
        fn shares_are_within_bounds_and_use_everything(
            free in 0usize..300,
            lanes in proptest::collection::vec((0usize..50, 0usize..50), 1..8),
            start in 0usize..20,
        ) {
            let (most, expected): (Vec<_>, Vec<_>) = lanes.into_iter().unzip();
            let given = share(free, &most, &expected, start);
            prop_assert!(given.iter().zip(&most).all(|(g, m)| g <= m));
            prop_assert_eq!(given.iter().sum::<usize>(), free.min(most.iter().sum()));
            // Nobody who could take more is more than one place behind somebody within his
            // expectation.
            for i in 0..given.len() {
                for j in 0..given.len() {
                    let hungry = given[i] < most[i].min(expected[i]);
                    prop_assert!(!hungry || given[j] <= given[i] + 1);
                }
            }
        }

        #[test]
        fn no_limit_is_ever_exceeded(
            concurrency in 1usize..20,
            batch in 1usize..40,
            caps in proptest::collection::vec(proptest::option::of(1usize..5), 1..5),
            lanes in 1usize..4,
            steps in proptest::collection::vec((0u8..4, 0usize..100), 1..200),
        ) {
            let mut slots = Slots::new(concurrency, batch, caps.clone());
            let mut waiting: Vec<usize> = Vec::new();
            let mut running: Vec<usize> = Vec::new();
            for (what, pick) in steps {
                match what {
                    0 | 1 => {
                        let plan = slots.plan(lanes, usize::MAX);
                        let total: usize = plan.asks.iter().map(|a| a.slots).sum();
                        prop_assert!(total <= slots.free().min(batch));
                        for ask in &plan.asks {
                            // The backend may give anything up to what was asked for.
                            let got = pick % (ask.slots + 1);
                            slots.answered(ask, got);
                            for n in 0..got {
                                let kind = ask.kinds[(pick + n) % ask.kinds.len()];
                                slots.held(kind);
                                waiting.push(kind);
                            }
                        }
                    }
                    2 => {
                        if let Some(i) = waiting.iter().position(|k| slots.may_begin(*k)) {
                            let kind = waiting.remove(i);
                            slots.began(kind);
                            running.push(kind);
                        }
                    }
                    _ if !running.is_empty() => {
                        slots.ended(running.remove(pick % running.len()), SHORT);
                    }
                    _ => {}
                }
                prop_assert!(running.len() <= concurrency);
                prop_assert!(running.len() + waiting.len() <= concurrency + batch);
                for (kind, cap) in caps.iter().enumerate() {
                    let held = running.iter().chain(&waiting).filter(|k| **k == kind).count();
                    prop_assert!(cap.is_none_or(|cap| held <= cap), "kind {kind} holds {held}");
                }
                prop_assert_eq!(slots.is_empty(), running.is_empty() && waiting.is_empty());
            }
        }
    }
}
