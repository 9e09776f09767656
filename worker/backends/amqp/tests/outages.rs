//! A broker of its own that is cut off and restarted while jobs are made and done: none is lost,
//! none is done twice by its record, and nobody has to help.

#[expect(dead_code, reason = "each test binary uses its part of the module")]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

use support::{LANE, LEASE, Nothing, claim, complete, job};

const JOBS: usize = 600;
/// Looks, 50 ms apart, after which nothing more is expected: five minutes.
const PATIENCE: usize = 6000;

/// A broker that ends with the test.
struct Server {
    folder: PathBuf,
    port: u16,
    holder: Child,
    url: String,
}

fn script() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    Command::new(root.join("worker/scripts/rabbitmq.sh"))
}

impl Server {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("flotilla-mq-{}", std::process::id()));
        let port = free_port();
        let mut holder = script()
            .args(["hold", &folder.to_string_lossy(), &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("worker/scripts/rabbitmq.sh runs");
        let mut url = String::new();
        let output = holder.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut url).expect("it says its address");
        let url = url.trim().to_owned();
        assert!(url.starts_with("amqp://"), "the broker did not start");
        Self { folder, port, holder, url }
    }

    fn run(&self, arguments: &[&str]) {
        let folder = self.folder.to_string_lossy().into_owned();
        let done = script().args([arguments[0], &folder]).args(&arguments[1..]).output();
        let done = done.expect("worker/scripts/rabbitmq.sh runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _stopped = self.holder.wait();
    }
}

/// Three ports in a row are used; the two above are most likely free too.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port().saturating_sub(3)
}

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
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
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
