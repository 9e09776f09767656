//! Accounts that fall due in the same hour, twenty replicas, no unique key to help them. A thousand
//! accounts unless `FLOTILLA_TEST_STORM` says how many; ten thousand take a minute or two.

#![expect(clippy::unwrap_used, reason = "a test may fail where it unwraps")]

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::account::Accounts;
use flotilla_core::clock::between;
use flotilla_core::{Clock, JobError, Tenant};
use flotilla_vault::{Due, Vault};
use tokio::time::sleep;

use crate::support::{DAY, HOUR, Scene, acme};

const REPLICAS: usize = 20;

async fn connect(scene: &Scene, accounts: usize) -> Vec<String> {
    let vault = scene.replica(0);
    let mut names = Vec::with_capacity(accounts);
    for n in 0..accounts {
        let name = format!("a{n}");
        vault.add(scene.account(&name)).await.unwrap();
        names.push(name);
    }
    names
}

fn accounts() -> usize {
    let given = std::env::var("FLOTILLA_TEST_STORM").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// Each account at its moment, by a replica that knows nothing of the others.
async fn renew_all(vault: Vault, clock: Arc<dyn Clock>, due: Arc<Vec<Due>>) -> usize {
    let mut renewed = 0;
    for it in due.iter() {
        sleep(between(clock.now(), it.at)).await;
        loop {
            match vault.refresh_due(&it.tenant, &it.id).await {
                Ok((_, true)) => renewed += 1,
                Ok((_, false)) => {}
                Err(JobError::Snooze { .. }) => {
                    sleep(Duration::from_secs(5)).await;
                    continue;
                }
                Err(error) => panic!("{error:?}"),
            }
            break;
        }
    }
    renewed
}

#[tokio::test(start_paused = true)]
async fn accounts_due_in_one_hour_on_twenty_replicas_are_renewed_once_each() {
    let (scene, accounts) = (Scene::new(), accounts());
    connect(&scene, accounts).await;
    sleep(DAY - 9 * HOUR).await;
    let (mut due, mut next) = (Vec::new(), None::<String>);
    let vault = scene.replica(0);
    loop {
        let page = vault.sweep(next.as_deref(), 2 * HOUR).await.unwrap();
        due.extend(page.due);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(due.len(), accounts);
    // The next one walks the index: the same accounts, and none a day before they are due.
    let (mut again, mut next) = (0, None::<String>);
    loop {
        let page = vault.sweep(next.as_deref(), 2 * HOUR).await.unwrap();
        assert_eq!(page.seen, page.due.len(), "nothing is read in vain");
        again += page.due.len();
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(again, accounts);
    assert_eq!(vault.sweep(None, Duration::ZERO).await.unwrap().seen, 0);
    due.sort_by_key(|it| it.at);
    let due = Arc::new(due);
    let replicas: Vec<_> = (0..REPLICAS)
        .map(|at| {
            let (vault, clock) = (scene.replica(at as u64), Arc::clone(&scene.clock));
            tokio::spawn(renew_all(vault, clock, Arc::clone(&due)))
        })
        .collect();
    let mut renewed = 0;
    for replica in replicas {
        renewed += replica.await.unwrap();
    }
    let counts = scene.platform.counts();
    println!(
        "{accounts} accounts, 20 replicas: {} exchanges, {} at once at most, {} in a second at most, {} families killed",
        counts.calls, counts.most_at_once, counts.most_in_a_second, counts.killed
    );
    let calls = usize::try_from(counts.calls).unwrap();
    assert_eq!((renewed, calls, counts.killed), (accounts, accounts, 0));
    assert!(counts.grants.values().all(|grants| *grants == 1));
    assert!(counts.most_at_once <= 80 && counts.most_in_a_second <= 30);
}

#[tokio::test(start_paused = true)]
async fn when_all_tokens_have_ended_at_once_the_token_endpoint_sees_no_more_than_its_room() {
    let scene = Scene::new();
    let names = Arc::new(connect(&scene, accounts() / 4).await);
    sleep(2 * DAY).await;
    let tasks: Vec<_> = (0..REPLICAS)
        .flat_map(|at| {
            let vault = scene.replica(at as u64);
            names.iter().map(move |name| (vault.clone(), name.clone())).collect::<Vec<_>>()
        })
        .map(|(vault, name)| tokio::spawn(post(vault, acme(), name)))
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 2);
    }
    let counts = scene.platform.counts();
    println!(
        "{} ended tokens wanted by 20 replicas at once: {} exchanges, {} at once at most, {} in a second at most",
        names.len(),
        counts.calls,
        counts.most_at_once,
        counts.most_in_a_second
    );
    assert_eq!((usize::try_from(counts.calls).unwrap(), counts.killed), (names.len(), 0));
    let room = REPLICAS * scene.settings.concurrency;
    assert!(counts.most_at_once <= room, "{}", counts.most_at_once);
}

/// What a job does, put off until it has a token.
async fn post(vault: Vault, tenant: Tenant, name: String) -> u64 {
    loop {
        match vault.credential(&tenant, &name).await {
            Ok(credential) => return credential.version,
            Err(JobError::Snooze { .. }) => sleep(Duration::from_secs(3)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}
