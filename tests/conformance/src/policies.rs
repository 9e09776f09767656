//! Quotas and breakers of a fleet over the cells of a backend: many workers that ask at the same
//! moment get no more between them than there is.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::breaker::{self, Breaker, Pass};
use flotilla_core::cells::{CellWrite, Cells};
use flotilla_core::clock::Timestamp;
use flotilla_core::ids::JobId;
use flotilla_core::limit::Quota;
use flotilla_core::meter::{Grant, KeyState};
use serde_json::Value;

use crate::harness::Harness;
use crate::scene::{LONG, Scene};

/// Askers of one race.
const ASKERS: usize = 40;

/// Changes a cell by a function of JSON, again and again until nobody else was faster.
async fn alter<T>(
    cells: &dyn Cells,
    key: &str,
    now: Timestamp,
    change: impl Fn(Option<Value>) -> (Value, T),
) -> T {
    loop {
        let found = cells.read(&[key.to_owned()], now).await.expect("cells are read").remove(0);
        let expect = found.as_ref().map_or(0, |cell| cell.version);
        let state = found.map(|cell| serde_json::from_slice(&cell.value).expect("it is JSON"));
        tokio::task::yield_now().await; // others may read the same version
        let (state, answer) = change(state);
        let value = Some(Bytes::from(serde_json::to_vec(&state).expect("JSON is written")));
        let write = CellWrite { key: key.to_owned(), expect, value, expires_at: None };
        if cells.write(&[write], now).await.expect("cells are written")[0] {
            return answer;
        }
    }
}

/// Each asks once, all at the same moment, over all stores; their answers.
async fn race<T: Send + 'static>(
    stores: &[Arc<dyn Cells>],
    key: &'static str,
    now: Timestamp,
    ask: impl Fn(Option<Value>, JobId) -> (Value, T) + Clone + Send + Sync + 'static,
) -> Vec<T> {
    let askers: Vec<_> = (0..ASKERS)
        .map(|n| {
            let (cells, ask) = (Arc::clone(&stores[n % stores.len()]), ask.clone());
            let job = JobId::derived(&format!("{key} {n}"));
            tokio::spawn(async move { alter(&*cells, key, now, |state| ask(state, job)).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asker in askers {
        answers.push(asker.await.expect("the asker does not panic"));
    }
    answers
}

/// The races of this file over one store or several.
pub(crate) async fn races(stores: &[Arc<dyn Cells>], now: Timestamp, later: Timestamp) {
    for (key, quota, most) in [
        ("limit/day", "10/day@UTC", 10),
        ("limit/at-once", "3 at once", 3),
        ("limit/rate", "6/min", 1),
    ] {
        let quotas: [Quota; 1] = [quota.parse().expect("a quota")];
        let take = move |state: Option<Value>, job| {
            let mut state: KeyState = state
                .map(|state| serde_json::from_value(state).expect("it was written"))
                .unwrap_or_default();
            let grant = state.take(&quotas, 1, (job, later), now, now);
            let granted = matches!(grant, Grant::Slice(_));
            (serde_json::to_value(&state).expect("JSON is written"), granted)
        };
        let granted = race(stores, key, now, take).await;
        let granted = granted.into_iter().filter(|granted| *granted).count();
        assert_eq!(granted, most, "{quota} for {ASKERS} at the same moment");
    }
    let policy = breaker::Policy::default();
    let probe = move |state: Option<Value>, job| {
        let mut breaker: Breaker = state
            .map(|state| serde_json::from_value(state).expect("it was written"))
            .unwrap_or_default();
        if breaker == Breaker::default() {
            breaker.open("fleet", "it was down", Some(now), now);
        }
        let pass = breaker.pass(&policy, (job, later), now);
        (serde_json::to_value(&breaker).expect("JSON is written"), pass)
    };
    let passes = race(stores, "breaker/api", now, probe).await;
    let probes = passes.iter().filter(|pass| **pass == Pass::Probe).count();
    assert_eq!(probes, policy.probes as usize, "probes of a half-open breaker");
    assert!(!passes.contains(&Pass::Run), "nobody but them passes");
}

/// No quota is overshot and no probe is one too many when many ask at the same moment.
pub async fn quotas_and_probes_are_given_out_once(h: &dyn Harness) {
    let s = Scene::new(h).await;
    races(&[Arc::clone(&s.ports.cells)], s.now(), s.later(LONG)).await;
}
