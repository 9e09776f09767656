//! Who does not answer is not called: jobs park without using attempts, a few try, a ramp follows.

use std::sync::atomic::Ordering;
use std::time::Duration;

use flotilla_core::breaker::Policy;
use flotilla_core::clock::between;
use flotilla_core::records::{Filter, Records};
use flotilla_core::{State, Timestamp};
use flotilla_engine::{Breakers, Running, Settings};

use crate::limits::{Api, ask, world};
use crate::world::{SECOND, World};

fn fleet(world: &World, workers: usize) -> Vec<Running> {
    let policy = Policy {
        least: 10,
        pause: Duration::from_secs(20),
        ramp: Duration::from_secs(30),
        ..Policy::default()
    };
    let breakers = Breakers { policy, depth: 2 };
    let start = |n| world.start(Settings { breakers, ..World::settings(&format!("w{n}")) });
    (0..workers).map(start).collect()
}

/// Calls of account a after an instant.
fn since(api: &Api, then: Timestamp) -> usize {
    api.calls.lock().unwrap().iter().filter(|(at, of, _)| *at > then && of == "a").count()
}

async fn in_state(world: &World, state: State) -> u64 {
    let filter = Filter { states: vec![state], ..Filter::default() };
    world.memory.count(&filter).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_for_a_while_costs_only_what_opened_the_breaker() {
    let (world, api) = world();
    let _fleet = fleet(&world, 4);
    api.down.store(true, Ordering::SeqCst);
    let first = ask(&world, "a", 50, 30).await;
    tokio::time::sleep(SECOND * 8).await;
    let opened = world.clock.now();
    let jobs = ask(&world, "a", 50, 800).await;
    let others = ask(&world, "b", 50, 5).await;
    tokio::time::sleep(SECOND * 10).await;
    assert!(since(&api, opened) <= 3, "{} calls while open", since(&api, opened));
    assert!(in_state(&world, State::Parked).await >= 800);
    let record = world.record(jobs[0]).await;
    assert_eq!(record.parked_under.as_deref(), Some("breaker:api/a"));
    assert!(record.reason.unwrap().contains("open since"), "it says why");

    // Two pauses later: still down, at most the probes were made, each pause longer.
    tokio::time::sleep(SECOND * 50).await;
    assert!(since(&api, opened) <= 2 * 3, "{} calls", since(&api, opened));
    api.down.store(false, Ordering::SeqCst);
    let restored = world.clock.now();
    let mut used = 0;
    for id in jobs {
        let record = world.until(id, State::Completed).await;
        used += record.attempt - 1;
    }
    assert!(used <= 6, "only probes may use attempts: {used}");
    for id in first.iter().chain(&others) {
        world.until_record(*id, |record| record.state.is_finished()).await;
    }
    let calls = api.calls.lock().unwrap().clone();
    let second = |n: u32| {
        let (from, to) = (SECOND * n, SECOND * (n + 1));
        let at = calls.iter().map(|(at, ..)| between(restored, *at)).filter(|at| !at.is_zero());
        at.filter(|at| (from..to).contains(at)).count()
    };
    let busiest: Vec<usize> = (0..120).map(second).collect();
    let first = busiest.iter().position(|n| *n > 3).unwrap();
    assert!(busiest[first] <= 40, "the ramp begins low: {busiest:?}");
    assert_eq!(in_state(&world, State::Parked).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_refused_opens_the_breaker_of_its_account_alone() {
    let (world, api) = world();
    let _fleet = fleet(&world, 2);
    api.answers.lock().unwrap().insert("a".into(), (401, String::new()));
    ask(&world, "a", 10, 6).await;
    tokio::time::sleep(SECOND * 3).await;
    let parked = ask(&world, "a", 10, 5).await;
    let fine = ask(&world, "b", 10, 5).await;
    for id in fine {
        world.until(id, State::Completed).await;
    }
    let record = world.until(parked[0], State::Parked).await;
    assert!(record.reason.unwrap().contains("credentials in a row were refused"));
    api.answers.lock().unwrap().clear();
    for id in parked {
        assert_eq!(world.until(id, State::Completed).await.attempt, 1);
    }
}
