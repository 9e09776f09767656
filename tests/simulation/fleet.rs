//! The workers of one run: real engines on lines that fail, with clocks that are off.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use flotilla_core::breaker;
use flotilla_core::event::{Events, Subscriber};
use flotilla_core::limit::Rule;
use flotilla_core::ops::Ops;
use flotilla_core::{Clock, Registry, SeededRng, WorkerId};
use flotilla_engine::quarantine::Isolation;
use flotilla_engine::{Breakers, Engine, Limits, Running, Settings};

use crate::kinds::Alone;
use crate::line::{Bells, Line, Lines, Weather};
use crate::platform::{ACCOUNTS, COMMON, EACH, TOGETHER};
use crate::ports::Ports;
use crate::store::Store;
use crate::time::{Dice, Truth, Watch};
use crate::witness::Witness;

/// What every worker hangs on.
pub(crate) struct Sea {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) truth: Truth,
    pub(crate) bells: Bells,
    pub(crate) registry: Arc<Registry>,
    pub(crate) lines: Lines,
    /// No job has a process of its own: it is poison once it took so many workers down.
    pub(crate) fragile: Option<u32>,
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) engine: Running,
    pub(crate) line: Arc<Line>,
    pub(crate) watch: Arc<Watch>,
}

impl Worker {
    pub(crate) fn is_gone(&self) -> bool {
        self.line.crashed.load(Ordering::Relaxed)
    }
}

impl Sea {
    pub(crate) fn line(&self, worker: &str, dice: &Dice) -> Arc<Line> {
        Arc::new(Line {
            worker: worker.to_owned(),
            store: Arc::clone(&self.store),
            witness: Arc::clone(&self.witness),
            truth: self.truth.clone(),
            bells: self.bells.clone(),
            weather: Mutex::new(Weather::default()),
            dice: Dice::new(dice.seed()),
            poison_after: self.fragile.unwrap_or(100_000),
            engine: OnceLock::new(),
            crashed: false.into(),
        })
    }

    /// How the driver enqueues: on a line that never fails.
    pub(crate) fn ops(&self, dice: &Dice) -> Ops {
        Ops {
            registry: Arc::clone(&self.registry),
            queue: Arc::new(Ports(self.line("driver", dice))),
            clock: Arc::new(self.truth.clone()),
            rng: Arc::new(SeededRng::new(dice.seed())),
        }
    }

    /// A new worker; where clocks are off, its own is too.
    pub(crate) fn start(&self, n: usize, skewed: bool, dice: &Dice) -> Worker {
        let name = format!("w{n}");
        self.launch(&name, self.settings(&name, dice), skewed, dice)
    }

    /// A new worker with settings of its own.
    pub(crate) fn launch(
        &self,
        name: &str,
        settings: Settings,
        skewed: bool,
        dice: &Dice,
    ) -> Worker {
        self.witness.note(|| format!("{name} starts"));
        let line = self.line(name, dice);
        self.lines.lock().unwrap().insert(name.to_owned(), Arc::downgrade(&line));
        let ports = Ports(Arc::clone(&line));
        let watch = Watch::new(self.truth.clone());
        if skewed {
            watch.jump(dice);
        }
        let port = || Arc::new(ports.clone());
        let engine = Engine::start(
            flotilla_engine::Ports {
                queue: port(),
                records: port(),
                cells: port(),
                outbox: Some(port()),
                fleet: port(),
                metrics: prometheus::Registry::new(),
            },
            Arc::clone(&self.registry),
            settings,
            Arc::clone(&watch) as Arc<dyn Clock>,
            Arc::new(SeededRng::new(dice.seed())),
        )
        .unwrap();
        line.engine.set(engine.control()).unwrap();
        Worker { engine, line, watch }
    }
}

impl Sea {
    fn settings(&self, name: &str, dice: &Dice) -> Settings {
        let (registry, witness) = (Arc::clone(&self.registry), Arc::clone(&self.witness));
        let alone = || Arc::new(Alone { registry, witness }) as Arc<dyn Isolation>;
        Settings {
            poison_after: self.fragile.unwrap_or(2),
            quarantine: self.fragile.is_none().then(alone),
            ..settings(name, dice)
        }
    }
}

fn settings(name: &str, dice: &Dice) -> Settings {
    let rules = [
        ("api".to_owned(), format!("{COMMON}/min")),
        ("api/*".to_owned(), format!("{EACH}/min")),
        (format!("api/{}", ACCOUNTS[2]), format!("{TOGETHER} at once")),
    ];
    let rules = rules.map(|(key, quota)| Rule::new(&key, &[quota]).unwrap()).to_vec();
    let second = Duration::from_secs(1);
    let policy = breaker::Policy {
        least: 6,
        pause: second * 15,
        longest: second * 30,
        ramp: second * 10,
        ..breaker::Policy::default()
    };
    let subscriber = Subscriber { name: "ear".into(), ..Subscriber::default() };
    Settings {
        worker: WorkerId::new(name),
        concurrency: 1 + dice.below(8),
        batch: 1 + dice.below(16),
        cpu_slots: 1 + dice.below(2),
        poll: second * 2,
        housekeep_every: second * 2,
        fleet_every: second * 60,
        limits: Limits { rules, ..Limits::default() },
        breakers: Breakers { policy, depth: 2 },
        events: Events { batch: 3, subscribers: vec![subscriber], ..Events::default() },
        ..Settings::default()
    }
}
