//! A fleet under fire: workers killed and frozen, servers restarted, connections cut in the middle of
//! whatever they carry, one worker's clock minutes off. Afterwards: no job lost, none finished
//! twice, every end told under one name, nothing stuck.

mod listener;
mod proxy;
mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use listener::Listener;
use proxy::Proxy;
use serde_json::Value;
use server::Server;

use crate::support::{Dice, Place, Running, seed, skipped};

/// How hot it gets: what a profile's servers bear in the time of a test.
#[derive(Clone, Copy)]
struct Fire {
    /// Jobs before the first fault, and with every fifth.
    jobs: (u64, u64),
    faults: u64,
    /// Whether servers are restarted too: not those that keep nothing.
    restarts: bool,
}

const HOT: Fire = Fire { jobs: (300, 40), faults: 60, restarts: true };
/// The emulator of AWS answers some 200 calls a second.
const WARM: Fire = Fire { jobs: (60, 8), faults: 30, restarts: false };

/// The test ends by itself, whatever happens.
const AT_MOST: Duration = Duration::from_secs(400);
/// Debian's libfaketime: moves the clock of one process.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The servers of one profile, a proxy before each, and who listens.
struct Field {
    place: Place,
    servers: Vec<(Server, Proxy)>,
    listener: Listener,
    config: String,
}

/// What was done to the fleet.
#[derive(Default, Debug)]
struct Ledger {
    kills: u32,
    freezes: u32,
    cuts: u32,
    delays: u32,
    restarts: u32,
    /// Workers that ended by themselves, which a supervisor started again.
    ended: u32,
    enqueues_refused: u32,
}

impl Field {
    /// `urls`: the settings that name the servers, in their order.
    fn new(servers: Vec<Server>, urls: &[&str], backend: &str, seed: u64) -> Self {
        let listener = Listener::start(seed ^ 1);
        let mut place = Place::new()
            .variable("AWS_ACCESS_KEY_ID", "test") // the emulator takes any
            .variable("AWS_SECRET_ACCESS_KEY", "test")
            .variable("AWS_REGION", "eu-west-1")
            .set(&format!("queue.backend={backend}"))
            .set("queue.lease=3s")
            .set("queue.heartbeat=500ms")
            .set("queue.poison_after=100000")
            .set("kinds.\"caption.parse\".max_attempts=100000")
            .set("kinds.\"event.deliver\".max_attempts=100000")
            .set("kinds.\"event.deliver\".backoff.base=100ms")
            .set("kinds.\"event.deliver\".backoff.max=1s")
            .set(&format!("sources.allow_hosts=[\"127.0.0.1:{}\"]", listener.port));
        let servers: Vec<(Server, Proxy)> = servers
            .into_iter()
            .map(|server| {
                let proxy = Proxy::to(server.address());
                (server, proxy)
            })
            .collect();
        for ((server, proxy), key) in servers.iter().zip(urls) {
            place = place.set(&format!("{key}={}", server.through(proxy.port())));
        }
        let subscriber = format!(
            "[[subscriber]]\nname = \"test\"\nto = \"http://127.0.0.1:{}/\"\n\
             secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\nkinds = [\"caption.parse\"]\n",
            listener.port
        );
        let config = place.file("fleet.toml", subscriber).display().to_string();
        Self { place, servers, listener, config }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let mut all = args.to_vec();
        all.extend(["--config", &self.config]);
        all
    }

    /// A worker; `clock` moves its clock, as in `+5m`.
    fn worker(&self, clock: Option<&str>) -> Running {
        let mut command = self.place.command(&self.args(&["worker", "--concurrency", "8"]));
        if let Some(by) = clock {
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", by);
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        }
        Running::of(&mut command)
    }

    /// Enqueues; only what was answered counts as accepted. `false`: not all of it was.
    fn enqueue(&self, dice: &mut Dice, count: u64) -> (BTreeSet<String>, bool) {
        let line = |n| format!("{{\"text\":\"#number{n} for ${}.99\"}}\n", n % 100);
        let lines: String = (0..count).map(|_| line(dice.below(1000))).collect();
        let file = self.place.file("batch.jsonl", lines);
        let ran = self.place.run(&self.args(&[
            "enqueue",
            "caption.parse",
            "--jsonl",
            file.to_str().unwrap(),
        ]));
        (ran.out.lines().map(str::to_owned).collect(), ran.exit() == Some(0))
    }

    fn harm(
        &self,
        dice: &mut Dice,
        workers: &mut [Running],
        clocks: &[Option<&str>],
        done: &mut Ledger,
    ) {
        let (_, proxy) = &self.servers[index(dice, self.servers.len())];
        let victim = index(dice, workers.len());
        self.supervise(workers, clocks, done);
        match dice.below(12) {
            0..=3 => {
                workers[victim].kill();
                workers[victim] = self.worker(clocks[victim]);
                done.kills += 1;
            }
            4 => {
                // Longer than its lease: when it wakes up it believes it still holds its jobs.
                workers[victim].signal("STOP");
                std::thread::sleep(Duration::from_millis(4500));
                workers[victim].signal("CONT");
                done.freezes += 1;
            }
            5..=7 => {
                proxy.cut();
                done.cuts += 1;
            }
            8 | 9 => {
                proxy.cut_after(1 + dice.below(20_000));
                done.cuts += 1;
            }
            _ => {
                proxy.delay(Duration::from_millis(dice.below(60)));
                done.delays += 1;
            }
        }
    }

    /// As systemd or an orchestrator does: a worker that ended is started again.
    fn supervise(&self, workers: &mut [Running], clocks: &[Option<&str>], done: &mut Ledger) {
        for (worker, clock) in workers.iter_mut().zip(clocks) {
            if worker.has_ended() {
                *worker = self.worker(*clock);
                done.ended += 1;
            }
        }
    }

    /// Whether jobs are left that have not ended.
    fn unfinished(&self) -> bool {
        let states = "available,running,scheduled,retryable,parked";
        let args = ["jobs", "list", "--state", states, "--limit", "1", "--json"];
        let left = self.place.run(&self.args(&args));
        let read = |out: &str| serde_json::from_str::<Value>(out).ok();
        read(&left.out).is_none_or(|page| page["jobs"] != Value::Array(Vec::new()))
    }
}

fn index(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).unwrap()
}

fn under_fire(name: &str, field: &Field, fire: Fire, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut done = Ledger::default();
    let started = Instant::now();
    field.place.ok(&field.args(&["migrate"]));

    let skewed = Path::new(FAKETIME).exists();
    if !skewed {
        skipped(name, "libfaketime is not installed: no worker's clock was moved");
    }
    let clocks = [None, skewed.then_some("+5m"), skewed.then_some("-5m")];
    let mut workers: Vec<Running> = clocks.iter().map(|clock| field.worker(*clock)).collect();
    let (mut accepted, all) = field.enqueue(&mut dice, fire.jobs.0);
    assert!(all, "no fault yet");
    for fault in 0..fire.faults {
        std::thread::sleep(Duration::from_millis(50 + dice.below(250)));
        field.harm(&mut dice, &mut workers, &clocks, &mut done);
        if fault % 5 == 0 {
            let (ids, all) = field.enqueue(&mut dice, fire.jobs.1);
            accepted.extend(ids);
            done.enqueues_refused += u32::from(!all);
        }
        if fire.restarts && fault % 20 == 10 {
            field.servers[index(&mut dice, field.servers.len())].0.restart();
            done.restarts += 1;
        }
        assert!(started.elapsed() < AT_MOST, "still under fire after {AT_MOST:?}");
    }
    for (_, proxy) in &field.servers {
        proxy.delay(Duration::ZERO);
    }

    // Left alone, the fleet finishes the rest, and tells of it.
    let told = |accepted: &BTreeSet<String>| {
        let heard = field.listener.heard();
        accepted.iter().all(|id| heard.contains_key(id))
    };
    while field.unfinished() || !told(&accepted) {
        assert!(started.elapsed() < AT_MOST, "stuck: {}", field.stuck());
        std::thread::sleep(Duration::from_millis(300));
        field.supervise(&mut workers, &clocks, &mut done);
    }
    drop(workers);
    field.verdict(name, seed, &accepted, &done);
}

impl Field {
    fn stuck(&self) -> String {
        let states = "available,running,scheduled,retryable,parked,dead";
        self.place.run(&self.args(&["jobs", "list", "--state", states, "--limit", "5"])).out
    }

    fn verdict(&self, name: &str, seed: u64, accepted: &BTreeSet<String>, done: &Ledger) {
        let jobs = self.place.records();
        let captions: Vec<_> = jobs.iter().filter(|j| j["kind"] == "caption.parse").collect();
        let ids: BTreeSet<String> =
            captions.iter().map(|j| j["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), captions.len(), "one record a job");
        let lost: Vec<_> = accepted.difference(&ids).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let mut crashes = 0;
        for job in &captions {
            assert_eq!(job["state"], "completed", "{job}");
            let crashed = job["crashes"].as_u64().unwrap();
            assert_eq!(job["attempt"].as_u64().unwrap(), crashed + 1, "{job}");
            crashes += crashed;
        }
        let heard = self.listener.heard();
        for (job, events) in &heard {
            assert!(ids.contains(job), "an event tells of {job}, which is not there");
            assert_eq!(events.len(), 1, "{job} ended once and was told as {events:?}");
        }
        println!(
            "{name}: seed {seed}, {done:?}: {} jobs, {crashes} attempts lost, 0 jobs lost, {} ends told",
            captions.len(),
            heard.len()
        );
    }
}

/// The server, or the reason why it cannot be had, which is counted as a skip.
fn available(name: &str, server: Result<Server, String>) -> Option<Server> {
    server.map_err(|why| skipped(name, why.lines().last().unwrap_or("no server"))).ok()
}

#[test]
fn a_fleet_on_postgresql_loses_nothing_under_fire() {
    const NAME: &str = "faults::a_fleet_on_postgresql_loses_nothing_under_fire";
    let seed = seed(NAME);
    let Some(records) = available(NAME, Server::postgres("faults-pg")) else { return };
    let field = Field::new(vec![records], &["queue.url"], "postgres", seed);
    under_fire(NAME, &field, HOT, seed);
}

#[test]
fn a_fleet_on_rabbitmq_loses_nothing_under_fire() {
    const NAME: &str = "faults::a_fleet_on_rabbitmq_loses_nothing_under_fire";
    let seed = seed(NAME);
    let Some(records) = available(NAME, Server::postgres("faults-mq-pg")) else { return };
    let Some(broker) = available(NAME, Server::rabbitmq("faults-mq")) else { return };
    let urls = ["queue.url", "queue.broker_url"];
    let field = Field::new(vec![records, broker], &urls, "rabbitmq", seed);
    under_fire(NAME, &field, HOT, seed);
}

#[test]
fn a_fleet_on_sqs_loses_nothing_under_fire() {
    const NAME: &str = "faults::a_fleet_on_sqs_loses_nothing_under_fire";
    let seed = seed(NAME);
    let Some(aws) = available(NAME, Server::aws("faults-aws")) else { return };
    let field = Field::new(vec![aws], &["aws.endpoint"], "sqs", seed);
    under_fire(NAME, &field, WARM, seed);
}
