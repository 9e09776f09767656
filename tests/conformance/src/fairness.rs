//! Who is next: urgency first, tenants alike, nobody forgotten.

use std::collections::BTreeMap;

use flotilla_core::fair::{TURN, jain};
use flotilla_core::ids::Tenant;
use flotilla_core::queue::NewJob;

use crate::harness::Harness;
use crate::scene::{Scene, ids, priority, secs, tenant};

/// Urgent jobs overtake all that came before them.
pub async fn an_urgent_job_goes_before_older_ones(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut levels: Vec<u8> = (0..10).collect();
    levels.rotate_left(4);
    for level in levels {
        s.add(NewJob { priority: priority(level), ..s.job() }).await;
    }
    let mut order = Vec::new();
    for _ in 0..TURN - 1 {
        order.push(s.claim(1).await[0].priority.level());
    }
    assert_eq!(order, [9, 8, 7, 6, 5, 4, 3]);
}

/// In the answer to one claim too, the more urgent stand first.
pub async fn a_claim_lists_urgent_jobs_first(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for level in [1, 9, 5, 9, 1, 5] {
        s.add(NewJob { priority: priority(level), ..s.job() }).await;
    }
    let levels: Vec<u8> = s.claim(6).await.iter().map(|job| job.priority.level()).collect();
    assert_eq!(levels, [9, 9, 5, 5, 1, 1]);
}

/// However much urgent work there is, the lowest band gets its turn, also from claims of one.
pub async fn a_low_priority_never_starves(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let low = s.add(NewJob { priority: priority(0), ..s.job() }).await;
    for place in 0..TURN * 4 {
        for _ in 0..2 {
            s.add(NewJob { priority: priority(9), ..s.job() }).await;
        }
        if ids(&s.claim(1).await) == [low] {
            assert!(place + 1 >= TURN, "but not before its turn");
            return;
        }
    }
    panic!("{} places were given and the low one had none", TURN * 4);
}

/// Within a tenant and a priority, first in is first out, in batches and across them.
pub async fn one_tenants_jobs_go_in_the_order_they_came(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = s.add_many(30).await;
    s.pass(secs(1));
    for _ in 0..10 {
        all.push(s.add(s.job()).await);
    }
    let mut order = Vec::new();
    for slots in [1, 7, 2, 30] {
        order.extend(ids(&s.claim(slots).await));
    }
    assert_eq!(order, all);
}

/// Jobs that became due since the last look go in the order of their moments.
pub async fn due_jobs_go_in_the_order_of_their_moments(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut all = Vec::new();
    for moment in [30, 10, 20] {
        all.push(s.add(NewJob { run_at: s.later(secs(moment)), ..s.job() }).await);
    }
    s.pass(secs(30));
    assert_eq!(ids(&s.claim(3).await), [all[1], all[2], all[0]]);
}

/// One tenant holds nine tenths of the backlog; while all have work, all are served alike, and
/// the more urgent band still goes first.
pub async fn tenants_at_ninety_to_ten_are_served_alike(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for level in [5, 9] {
        let jobs: Vec<NewJob> = (0..400)
            .map(|n| {
                let name = if n < 360 { "whale".into() } else { format!("small-{}", n % 4) };
                NewJob { tenant: tenant(&name), priority: priority(level), ..s.job() }
            })
            .collect();
        s.enqueue(&jobs).await;
    }
    let mut served: BTreeMap<Tenant, u64> = BTreeMap::new();
    let mut urgent = 0;
    for _ in 0..8 {
        for job in s.claim(5).await {
            *served.entry(job.tenant.clone()).or_default() += 1;
            urgent += u64::from(job.priority.level() == 9);
        }
    }
    let shares: Vec<u64> = served.values().copied().collect();
    assert_eq!(shares.len(), 5, "every tenant was served: {served:?}");
    assert!(jain(&shares) >= 0.95, "{served:?}");
    assert!(urgent >= 36, "seven places of eight are the urgent ones', {urgent} of 40 were");
}

/// "One tenant starves the others": who comes late is served at once, in turn with the whale.
pub async fn a_tenant_that_just_came_is_served_at_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let whale: Vec<NewJob> =
        (0..300).map(|_| NewJob { tenant: tenant("whale"), ..s.job() }).collect();
    s.enqueue(&whale).await;
    s.claim(100).await;
    let late = s.add(NewJob { tenant: tenant("late"), ..s.job() }).await;
    assert!(ids(&s.claim(3).await).contains(&late));
}

/// Idle time is not saved up: who comes back gets its turns, not a burst that stops the others.
pub async fn an_idle_tenant_saves_up_nothing(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.add(NewJob { tenant: tenant("idle"), ..s.job() }).await;
    let busy: Vec<NewJob> =
        (0..200).map(|_| NewJob { tenant: tenant("busy"), ..s.job() }).collect();
    s.enqueue(&busy).await;
    s.claim(100).await;
    let back: Vec<NewJob> = (0..50).map(|_| NewJob { tenant: tenant("idle"), ..s.job() }).collect();
    s.enqueue(&back).await;
    let next = s.claim(40).await;
    let idle = next.iter().filter(|job| job.tenant.as_str() == "idle").count();
    assert!((15..=25).contains(&idle), "{idle} of 40 were the returned tenant's");
}

/// Fairness looks at who has work now: a tenant alone gets every place.
pub async fn no_place_is_kept_for_tenants_without_work(h: &dyn Harness) {
    let s = Scene::new(h).await;
    for name in ["a", "b", "c"] {
        s.add(NewJob { tenant: tenant(name), ..s.job() }).await;
    }
    assert_eq!(s.claim(3).await.len(), 3);
    let alone: Vec<NewJob> = (0..20).map(|_| NewJob { tenant: tenant("a"), ..s.job() }).collect();
    s.enqueue(&alone).await;
    assert_eq!(s.claim(20).await.len(), 20);
}
