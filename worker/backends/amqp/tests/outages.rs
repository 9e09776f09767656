//! A broker of its own that is cut off, restarted, out of memory or impatient while jobs are made
//! and done: none is lost, none is done twice by its record, and nobody has to help.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_amqp::{Amqp, Settings};
use flotilla_brokered::Brokered;
use flotilla_core::clock::{Clock, ManualClock, Timestamp};
use flotilla_core::ids::JobId;
use flotilla_core::queue::{HousekeepPolicy, Queue, Settled};
use flotilla_core::records::{Filter, Records};
use flotilla_core::state::State;
use flotilla_memory::Memory;

use support::server::Server;
use support::{LANE, LEASE, Nothing, claim, claim_until, complete, job};

const JOBS: usize = 600;
/// Looks, 50 ms apart, after which nothing more is expected: five minutes.
const PATIENCE: usize = 6000;

/// How often each job was completed.
type Ledger = Arc<Mutex<BTreeMap<JobId, u32>>>;

/// Claims and completes until told to stop, whatever fails.
async fn work(queue: Arc<dyn Queue>, ledger: Ledger, now: Timestamp) {
    loop {
        let jobs = claim(&*queue, &LANE, 20, now).await;
        if jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for job in jobs {
            if complete(&*queue, &job, now).await == Settled::Applied {
                *ledger.lock().expect("no panic").entry(job.held.id).or_default() += 1;
            }
        }
    }
}

async fn keep_house(queue: Arc<dyn Queue>, now: Timestamp) {
    let policy = HousekeepPolicy { poison_after: 2, keep_dead: LEASE * 1000, batch: 500 };
    loop {
        queue.housekeep(&policy, now).await.expect("a broker that is down fails no housekeeping");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn make(queue: &dyn Queue, from: usize, to: usize, now: Timestamp) {
    for n in from..to {
        let made = queue.enqueue(&[job(&n.to_string(), now)], now).await;
        made.expect("a broker that is down fails no enqueue");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn done(ledger: &Ledger, wanted: usize) {
    for _ in 0..PATIENCE {
        if ledger.lock().expect("no panic").len() >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} of {wanted} jobs were done in five minutes", ledger.lock().expect("no panic").len());
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_and_restarts_lose_nothing_and_need_no_help() {
    let server = tokio::task::spawn_blocking(|| Server::start(&[])).await.unwrap();
    let server = Arc::new(server);
    let now = ManualClock::default().now();
    let broker = Amqp::connect(Settings::new(server.url.clone())).await.unwrap();
    let store = Arc::new(Memory::new(flotilla_memory::Settings::default()));
    let settings = flotilla_brokered::Settings {
        stale: Duration::ZERO,
        ..flotilla_brokered::Settings::new("rabbitmq+memory")
    };
    let queue = Arc::new(Brokered::new(broker, store, Arc::new(Nothing), settings));
    let ledger = Ledger::default();
    let tasks = [
        tokio::spawn(work(Arc::<Brokered<_, _>>::clone(&queue), Arc::clone(&ledger), now)),
        tokio::spawn(work(Arc::<Brokered<_, _>>::clone(&queue), Arc::clone(&ledger), now)),
        tokio::spawn(keep_house(Arc::<Brokered<_, _>>::clone(&queue), now)),
    ];

    let part = JOBS / 3;
    make(&*queue, 0, part, now).await;
    for _ in 0..2 {
        let cut = Arc::clone(&server);
        let cutting = tokio::task::spawn_blocking(move || {
            cut.run(&["ctl", "close_all_connections", "a test"]);
        });
        make(&*queue, part, part * 2, now).await;
        cutting.await.unwrap();
    }
    done(&ledger, part * 2).await;

    let down = Arc::clone(&server);
    let restarting = tokio::task::spawn_blocking(move || {
        down.run(&["stop"]);
        std::thread::sleep(Duration::from_secs(1));
        down.run(&["start", &down.port.to_string()]);
    });
    make(&*queue, part * 2, JOBS, now).await;
    restarting.await.unwrap();
    done(&ledger, JOBS).await;

    tasks.iter().for_each(|task| task.abort());
    let twice = ledger.lock().unwrap().values().filter(|n| **n != 1).count();
    assert_eq!(twice, 0, "an outcome is recorded once");
    let completed = Filter { states: vec![State::Completed], ..Filter::default() };
    assert_eq!(queue.count(&completed).await.unwrap(), JOBS as u64);
}

/// The usual settings, not patient with the broker.
async fn pair(server: &Server) -> Arc<Brokered<Amqp, Memory>> {
    let amqp =
        Settings { answer_timeout: Duration::from_secs(3), ..Settings::new(server.url.clone()) };
    let broker = Amqp::connect(amqp).await.expect("the broker is there");
    let store = Arc::new(Memory::new(flotilla_memory::Settings::default()));
    let settings = flotilla_brokered::Settings {
        stale: Duration::ZERO,
        sweep_every: Duration::ZERO,
        ..flotilla_brokered::Settings::new("rabbitmq+memory")
    };
    Arc::new(Brokered::new(broker, store, Arc::new(Nothing), settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_out_of_memory_stops_no_enqueue_and_no_running_job() {
    let server = Arc::new(tokio::task::spawn_blocking(|| Server::start(&[])).await.unwrap());
    let now = ManualClock::default().now();
    let queue = pair(&server).await;
    make(&*queue, 0, 4, now).await;
    let held = claim_until(&*queue, &LANE, 2, now).await;
    assert_eq!(held.len(), 2);

    server.control(&["set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    make(&*queue, 4, 8, now).await;
    for job in &held {
        assert_eq!(complete(&*queue, job, now).await, Settled::Applied, "acks still go through");
    }

    server.control(&["set_vm_memory_high_watermark", "0.9"]).await;
    let ledger = Ledger::default();
    let tasks = [
        tokio::spawn(work(Arc::<Brokered<_, _>>::clone(&queue), Arc::clone(&ledger), now)),
        tokio::spawn(keep_house(Arc::<Brokered<_, _>>::clone(&queue), now)),
    ];
    done(&ledger, 6).await;
    tasks.iter().for_each(|task| task.abort());
    assert!(ledger.lock().unwrap().values().all(|n| *n == 1), "each of the others once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_outlasts_the_consumer_timeout_is_settled_and_runs_once() {
    let server = Arc::new(tokio::task::spawn_blocking(|| Server::start(&[])).await.unwrap());
    // The broker closes the channel of who does not ack within a second or two.
    for setting in ["consumer_timeout", "channel_tick_interval"] {
        let expression = format!("application:set_env(rabbit, {setting}, 1000).");
        server.control(&["eval", &expression]).await;
    }
    let now = ManualClock::default().now();
    let queue = pair(&server).await;
    make(&*queue, 0, 1, now).await;
    let held = claim_until(&*queue, &LANE, 1, now).await;
    assert_eq!(held.len(), 1);

    tokio::time::sleep(Duration::from_secs(8)).await; // the broker's time, not ours
    make(&*queue, 1, 2, now).await;
    let other = claim_until(&*queue, &LANE, 1, now).await;
    assert_eq!(other.iter().map(|job| job.held.id).collect::<Vec<_>>(), [job("1", now).id]);
    for job in held.iter().chain(&other) {
        assert_eq!(complete(&*queue, job, now).await, Settled::Applied);
    }
    assert!(claim(&*queue, &LANE, 5, now).await.is_empty(), "what came again was over");
}
