//! One run: a fleet at work, faults drawn from a seed, a look at everything after every step; then
//! the faults end, and all has to come to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::clock::{Clock, after};
use flotilla_core::event::{DELIVER, EventType};
use flotilla_core::ops::Ops;
use flotilla_core::queue::Enqueued;
use flotilla_core::records::{Cancel, Filter, JobRecord, Pause};
use flotilla_core::sabotage::{self, Bug};
use flotilla_core::{DeadClass, Envelope, Job, JobId, Kind, Lane, Payload, State};

use crate::fleet::{Sea, Worker};
use crate::kinds::{Ask, Hands, Heard, Publish, Split, Work};
use crate::line::{Bells, Lines, Weather};
use crate::platform::{ACCOUNTS, Platform};
use crate::store::{Over, at_once, open};
use crate::time::{Dice, Truth};
use crate::witness::Witness;

const SECOND: Duration = Duration::from_secs(1);
/// After the last fault everything ends within this, or hangs.
const BOUND: u32 = 1200;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) over: Over,
    pub(crate) bug: Option<Bug>,
    /// How often something new happens.
    pub(crate) steps: usize,
    /// Keeps a trace.
    pub(crate) tells: bool,
}

impl Plan {
    /// What this seed stands for: one in 32 is over SQLite.
    pub(crate) fn of(seed: u64) -> Self {
        let over = if (seed / 8).is_multiple_of(32) { Over::Sqlite } else { Over::Memory };
        Self { seed, over, bug: None, steps: 16, tells: false }
    }
}

/// How it went.
pub(crate) struct Ended {
    pub(crate) fault: Option<String>,
    pub(crate) trace: Vec<String>,
    /// One number for the whole trace.
    pub(crate) hash: u64,
}

/// Runs it, on a runtime of its own.
pub(crate) fn run(plan: Plan) -> Ended {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    sabotage::commit(plan.bug);
    let ended = runtime.unwrap().block_on(async {
        let (mut run, _folder) = Run::new(plan);
        let fault = run.through(plan.steps).await.err();
        let (trace, hash) = run.sea.witness.told();
        Ended { fault, trace, hash }
    });
    sabotage::commit(None);
    ended
}

struct Run {
    sea: Sea,
    platform: Arc<Platform>,
    heard: Heard,
    ops: Ops,
    dice: Dice,
    /// Clocks are off.
    skewed: bool,
    workers: Vec<Worker>,
    started: usize,
    accepted: BTreeMap<JobId, Kind>,
    paused: bool,
}

impl Run {
    fn new(plan: Plan) -> (Self, Option<tempfile::TempDir>) {
        let dice = Dice::new(plan.seed);
        let truth = Truth::begin();
        let (store, folder) = open(plan.over);
        let witness = Witness::new(truth.clone(), plan.tells);
        let platform = Platform::new(Arc::clone(&witness), truth.clone(), Dice::new(dice.seed()));
        let (heard, lines) = (Heard::default(), Lines::default());
        let fragile = dice.chance(0.2).then_some(3);
        let hands = Hands {
            witness: Arc::clone(&witness),
            platform: Arc::clone(&platform),
            heard: Arc::clone(&heard),
            snoozed: Arc::default(),
            store: Arc::clone(&store),
            lines: Arc::clone(&lines),
            kills: fragile.unwrap_or(1),
        };
        let registry = Arc::new(hands.registry());
        let bells = Bells::default();
        let sea = Sea { store, witness, truth, bells, registry, lines, fragile };
        let (ops, skewed) = (sea.ops(&dice), dice.chance(0.3));
        let (workers, started, accepted, paused) = Default::default();
        let run =
            Self { sea, platform, heard, ops, dice, skewed, workers, started, accepted, paused };
        (run, folder)
    }

    async fn through(&mut self, steps: usize) -> Result<(), String> {
        self.start();
        for _ in 0..steps {
            self.step().await;
            if self.dice.chance(0.8) {
                tokio::time::sleep(self.dice.up_to(SECOND * 5)).await;
            }
            self.workers.retain(|worker| !worker.is_gone());
            self.look()?;
        }
        self.calm();
        self.start();
        self.end().await?;
        self.workers.retain(|worker| !worker.is_gone());
        for (id, kind) in &self.accepted {
            self.judge(kind, &self.record(*id)?)?;
        }
        self.platform.check(self.skewed);
        self.look()
    }

    fn start(&mut self) {
        self.workers.push(self.sea.start(self.started, self.skewed, &self.dice));
        self.started += 1;
    }

    async fn step(&mut self) {
        let account = self.dice.one_of(&ACCOUNTS);
        if self.paused && self.dice.chance(0.5) {
            self.pause(false);
        }
        match self.dice.below(21) {
            0 | 1 => self.enqueue_work().await,
            2..=4 => self.enqueue_asks(account).await,
            5 | 6 => {
                let readable = self.dice.chance(0.7);
                self.enqueue(&Publish { readable }, 1, None).await;
            }
            7 if self.workers.len() < 3 => self.start(),
            8 if !self.workers.is_empty() => {
                let worker = self.workers.swap_remove(self.dice.below(self.workers.len()));
                worker.line.crash();
            }
            9 if !self.workers.is_empty() => {
                let worker = self.workers.swap_remove(self.dice.below(self.workers.len()));
                worker.engine.drain();
                if self.dice.chance(0.5) {
                    worker.line.set(Weather::default());
                    worker.engine.finished().await;
                } // else it crashes while it drains
            }
            10 | 11 | 16 if !self.workers.is_empty() => self.change_weather(),
            12 => self.platform.set_down(self.dice.chance(0.5)),
            13 if self.dice.chance(0.5) => {
                self.platform.storm(account, 1 + self.dice.below(20) as u32);
            }
            13 => self.platform.calm(),
            14 if !self.accepted.is_empty() => self.cancel_one(),
            17 => self.pause(true),
            18 => {
                let children = 1 + self.dice.below(5);
                self.enqueue(&Split { children }, 1, None).await;
            }
            19 => {
                let ms = self.dice.one_of(&[0, 1000]);
                self.enqueue(&Work { act: "kill".into(), ms, order: None }, 1, None).await;
            }
            15 if self.skewed => self.workers.iter().for_each(|w| w.watch.jump(&self.dice)),
            _ => {}
        }
    }

    fn change_weather(&self) {
        let worker = &self.workers[self.dice.below(self.workers.len())];
        let cut = self.dice.chance(0.25).then(|| self.dice.up_to(SECOND * 40));
        worker.line.set(Weather {
            bad: self.dice.one_of(&[0.0, 0.05, 0.2, 0.4]),
            late: self.dice.one_of(&[0.0, 0.2, 0.6]),
            crash: self.dice.one_of(&[0.0, 0.05, 0.3]),
            cut: cut.map(|long| after(self.sea.truth.now(), long)),
        });
    }

    async fn enqueue<J: Job>(&mut self, job: &J, times: usize, order: Option<String>) {
        for _ in 0..times {
            let envelope = Envelope {
                order: order.clone(),
                ..Envelope::new(J::KIND, Payload::of(job).unwrap())
            };
            let job = self.ops.prepare(envelope, self.sea.truth.now()).unwrap();
            if let Some(order) = &order {
                self.sea.witness.lines_up(order, job.id);
            }
            let sent = std::slice::from_ref(&job);
            let answer = self.ops.enqueue_prepared(sent).await.unwrap();
            assert_eq!(answer[0].outcome, Enqueued::Created);
            if self.dice.chance(0.1) {
                let again = self.ops.enqueue_prepared(sent).await.unwrap();
                assert_eq!(again[0].outcome, Enqueued::Duplicate(job.id));
            }
            self.sea.witness.note(|| format!("accepted {} {}", job.kind, job.id));
            self.accepted.insert(job.id, J::KIND);
        }
    }

    async fn enqueue_work(&mut self) {
        let acts = ["ok", "ok", "ok", "flaky", "fail", "moot", "snooze", "heed"];
        let order = self.dice.chance(0.3).then(|| self.dice.one_of(&["x", "y"]).to_owned());
        let ms = self.dice.one_of(&[0, 50, 2000, 25_000]);
        let work = Work { act: self.dice.one_of(&acts).into(), ms, order: order.clone() };
        self.enqueue(&work, 1 + self.dice.below(4), order).await;
    }

    async fn enqueue_asks(&mut self, account: &str) {
        let ask = Ask { account: account.into(), ms: self.dice.one_of(&[10, 100, 1500]) };
        self.enqueue(&ask, 1 + self.dice.below(10), None).await;
    }

    /// Not one that publishes: what that did would not be known.
    fn cancel_one(&self) {
        let (id, kind) = self.accepted.iter().nth(self.dice.below(self.accepted.len())).unwrap();
        if *kind != Publish::KIND {
            let now = self.sea.truth.now();
            let answers = at_once(self.sea.store.cancel(&[*id], "by dice", now)).unwrap();
            self.sea.witness.note(|| format!("cancel {id}: {answers:?}"));
            if answers == [Cancel::Asked] {
                self.sea.witness.asked(*id);
            }
        }
    }

    /// Pauses the lane, or resumes it.
    fn pause(&mut self, paused: bool) {
        let (store, lane, since) =
            (&self.sea.store, Lane::from_static("default"), self.sea.truth.now());
        if !paused {
            at_once(store.resume(&lane)).unwrap();
        } else if !sabotage::committed(Bug::ServePaused) {
            let pause = Pause { by: "dice".into(), reason: "to see".into(), since };
            at_once(store.pause(&lane, pause)).unwrap();
        }
        self.paused = paused;
        self.sea.witness.paused(paused);
    }

    /// No faults from now on.
    fn calm(&mut self) {
        self.pause(false);
        self.workers.iter().for_each(|worker| worker.line.set(Weather::default()));
        self.platform.set_down(false);
        self.platform.calm();
    }

    /// Nothing accepted has disappeared, and nothing was seen that does not hold.
    fn look(&self) -> Result<(), String> {
        if let Some(fault) = self.sea.witness.fault() {
            return Err(fault);
        }
        let ids: Vec<JobId> = self.accepted.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let there = at_once(self.sea.store.count(&Filter { ids, ..Filter::default() })).unwrap();
        let accepted = self.accepted.len() as u64;
        if there == accepted {
            Ok(())
        } else {
            Err(format!("{accepted} jobs were accepted, {there} are there"))
        }
    }

    /// Everything ends, and every end is told.
    async fn end(&mut self) -> Result<(), String> {
        let states = State::ALL.into_iter().filter(|state| !state.is_finished()).collect();
        let open = Filter { states, ..Filter::default() };
        for _ in 0..BOUND {
            tokio::time::sleep(SECOND).await;
            self.look()?;
            self.workers.retain(|worker| !worker.is_gone());
            if self.workers.is_empty() {
                self.start();
            }
            let untold = at_once(self.sea.store.untold(1)).unwrap();
            if untold.is_empty() && at_once(self.sea.store.count(&open)).unwrap() == 0 {
                return Ok(());
            }
        }
        let page = flotilla_core::records::Page { limit: 3, before: None };
        let left = at_once(flotilla_core::Records::list(&*self.sea.store, &open, page)).unwrap();
        Err(format!("after {BOUND} s without faults not all has ended: {:#?}", left.jobs))
    }

    fn record(&self, id: JobId) -> Result<JobRecord, String> {
        at_once(self.sea.store.get(id)).unwrap().ok_or(format!("{id} has disappeared"))
    }

    /// One job at its end.
    fn judge(&self, kind: &Kind, record: &JobRecord) -> Result<(), String> {
        self.sea.witness.charged(record);
        if record.attempt > record.max_attempts {
            return Err(format!("more attempts than there are: {record:#?}"));
        }
        let poison = record.class == Some(DeadClass::Poison);
        let killer = record.payload["act"] == "kill";
        let cut_off =
            record.state == State::Cancelled || record.class == Some(DeadClass::Exhausted);
        let least = self.sea.fragile.unwrap_or(1);
        if poison && (record.crashes < least || self.sea.fragile.is_none() && !killer) {
            return Err(format!("is not poison: {record:#?}"));
        }
        if killer && !poison && !cut_off {
            return Err(format!("does not kill: {record:#?}"));
        }
        if *kind == Split::KIND && record.state == State::Completed {
            let children = Filter { parents: vec![record.id], ..Filter::default() };
            let there = at_once(self.sea.store.count(&children)).unwrap();
            if record.payload["children"] != there {
                return Err(format!("{there} children are there: {record:#?}"));
            }
        }
        if *kind == Publish::KIND {
            let (posts, readable) =
                (self.platform.posts(record.id), record.payload["readable"] == true);
            let right = match (record.state, record.class) {
                (State::Completed, _) => posts == 1,
                (State::Dead, Some(DeadClass::Poison)) => posts <= 1,
                (State::Dead, Some(DeadClass::OutcomeUnknown)) => posts <= 1 && !readable,
                _ => false,
            };
            if !right {
                return Err(format!("published {posts} times: {record:#?}"));
            }
        }
        let heard = self.heard.lock().unwrap();
        let told = heard.get(&record.id.to_string()).map_or(&[][..], Vec::as_slice);
        let what = EventType::of(record.state).map_or("", EventType::name);
        // Where innocents are taken for poison, what was to be told may be among them.
        let untold = told.is_empty() && self.sea.fragile.is_none();
        if untold || told.iter().any(|told| told != what) {
            return Err(format!("told of {} as {told:?}, it is {what}", record.id));
        }
        debug_assert_ne!(record.kind, DELIVER, "deliveries are not accepted by the driver");
        Ok(())
    }
}
