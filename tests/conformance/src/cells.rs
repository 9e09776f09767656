//! Small shared state: compare-and-swap, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::cells::{Cell, CellWrite, Cells, MAX_CELL_KEY, MAX_CELL_VALUE};
use flotilla_core::clock::Timestamp;
use flotilla_core::queue::QueueErrorKind;

use crate::harness::Harness;
use crate::scene::{LONG, Scene, secs};

fn put(key: &str, expect: u64, value: &str) -> CellWrite {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    CellWrite { key: key.into(), expect, value, expires_at: None }
}

fn delete(key: &str, expect: u64) -> CellWrite {
    CellWrite { value: None, ..put(key, expect, "") }
}

impl Scene {
    pub(crate) async fn cell(&self, key: &str) -> Option<Cell> {
        let found = self.ports.cells.read(&[key.to_owned()], self.now()).await;
        let mut found = found.expect("cells are read");
        assert_eq!(found.len(), 1, "one answer per key");
        found.remove(0)
    }

    async fn change(&self, change: CellWrite) -> bool {
        let done = self.ports.cells.write(&[change], self.now()).await.expect("cells are written");
        assert_eq!(done.len(), 1, "one answer per change");
        done[0]
    }

    /// Writes a cell whatever was there, and says its version.
    pub(crate) async fn set_cell(&self, key: &str, value: &str) -> u64 {
        let was = self.cell(key).await.map_or(0, |cell| cell.version);
        assert!(self.change(put(key, was, value)).await, "nobody else writes it");
        self.cell(key).await.expect("it was just written").version
    }

    async fn listed_cells(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let found = self.ports.cells.list(prefix, after, limit, self.now()).await;
        found.expect("cells are listed").into_iter().map(|(key, _)| key).collect()
    }
}

/// Any bytes, one answer per key in order, absent ones too.
pub async fn a_cell_comes_back_as_it_was_written(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let value = Bytes::from((0..=255).collect::<Vec<u8>>());
    let expires_at = Some(s.later(secs(60)));
    let odd = "limit/účet '%_\" \\ 42";
    let write = CellWrite { key: odd.into(), expect: 0, value: Some(value.clone()), expires_at };
    assert!(s.change(write).await);
    assert!(s.change(put("empty", 0, "")).await);
    let keys = ["nothing", odd, "empty", odd].map(str::to_owned);
    let found = s.ports.cells.read(&keys, s.now()).await.expect("cells are read");
    let shown = |cell: &Option<Cell>| cell.clone().map(|cell| (cell.value, cell.expires_at));
    assert_eq!(shown(&found[0]), None);
    assert_eq!(shown(&found[1]), Some((value, expires_at)));
    assert_eq!(shown(&found[2]), Some((Bytes::new(), None)));
    assert_eq!(found[3], found[1]);
    assert!(found.iter().flatten().all(|cell| cell.version >= 1));
}

/// Only who has read the latest may write; the others hear that somebody was faster.
pub async fn a_write_needs_the_version_that_was_read(h: &dyn Harness) {
    let s = Scene::new(h).await;
    assert!(!s.change(put("k", 7, "made up")).await, "there was none");
    assert!(s.change(put("k", 0, "first")).await);
    assert!(!s.change(put("k", 0, "another first")).await);
    let first = s.cell("k").await.expect("it is there");
    assert_eq!(first.value, "first");
    assert!(s.change(put("k", first.version, "second")).await);
    assert!(!s.change(put("k", first.version, "late")).await);
    assert!(!s.change(delete("k", first.version)).await);
    assert_eq!(s.cell("k").await.expect("it is there").value, "second");
}

/// Deleted is as if it had never been.
pub async fn a_deleted_cell_is_absent(h: &dyn Harness) {
    let s = Scene::new(h).await;
    assert!(s.change(delete("k", 0)).await, "nothing was there, nothing is");
    let version = s.set_cell("k", "x").await;
    assert!(s.change(delete("k", version)).await);
    assert_eq!(s.cell("k").await, None);
    assert!(s.listed_cells("", None, 10).await.is_empty());
    assert!(!s.change(put("k", version, "y")).await);
    assert!(s.change(put("k", 0, "y")).await);
}

/// At its moment, to readers, lists and writers alike; and housekeeping clears it away.
pub async fn an_expired_cell_is_absent(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let until = CellWrite { expires_at: Some(s.later(secs(10))), ..put("k", 0, "x") };
    assert!(s.change(until.clone()).await);
    assert!(s.change(CellWrite { key: "other".into(), ..until }).await);
    s.pass(secs(9));
    let version = s.cell("k").await.expect("not yet").version;
    s.pass(secs(1));
    assert_eq!(s.cell("k").await, None);
    assert!(s.listed_cells("", None, 10).await.is_empty());
    assert!(!s.change(put("k", version, "y")).await, "what was read is gone");
    assert!(s.change(put("k", 0, "y")).await);
    s.housekeep().await;
    assert_eq!(s.cell("k").await.expect("it is new").expires_at, None);
    assert_eq!(s.listed_cells("", None, 10).await, ["k"]);
}

/// Each change alone, later ones on what earlier ones left.
pub async fn changes_of_one_call_happen_in_order(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let changes = [
        put("a", 0, "1"),
        put("a", 0, "2"),
        put("b", 9, "3"),
        put("c", 0, "4"),
        delete("gone", 0),
        put("gone", 0, "5"),
    ];
    let done = s.ports.cells.write(&changes, s.now()).await.expect("cells are written");
    assert_eq!(done, [true, false, false, true, true, true]);
    assert_eq!(s.cell("a").await.expect("it is there").value, "1");
    assert_eq!(s.listed_cells("", None, 10).await, ["a", "c", "gone"]);
    let none = s.ports.cells.write(&[], s.now()).await.expect("nothing is fine");
    assert!(none.is_empty());
}

/// Key and value have a bound; over it the call is wrong and nothing of it was done.
pub async fn a_change_over_its_bound_changes_nothing(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let (key, value) = ("k".repeat(MAX_CELL_KEY), "v".repeat(MAX_CELL_VALUE));
    assert!(s.change(put(&key, 0, &value)).await, "at the bound");
    assert_eq!(s.cell(&key).await.expect("it is there").value.len(), MAX_CELL_VALUE);
    let long_key = put(&format!("{key}k"), 0, "x");
    let long_value = put("v", 0, &format!("{value}v"));
    for wrong in [long_key, long_value] {
        let error = s.ports.cells.write(&[put("good", 0, "x"), wrong], s.now()).await;
        assert_eq!(error.expect_err("over the bound").kind, QueueErrorKind::Invalid);
        assert_eq!(s.cell("good").await, None);
    }
}

/// By key, byte for byte; signs that are wildcards elsewhere mean themselves.
pub async fn cells_are_listed_by_prefix_in_order(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let all = ["a", "b%/1", "b%/2", "b/1", "b/10", "b/2", "bx/1", "b\u{10ffff}", "č", "B/1"];
    for key in all {
        s.set_cell(key, key).await;
    }
    assert_eq!(s.listed_cells("b/", None, 10).await, ["b/1", "b/10", "b/2"]);
    assert_eq!(s.listed_cells("b%/", None, 10).await, ["b%/1", "b%/2"]);
    assert_eq!(s.listed_cells("b_/", None, 10).await, [""; 0]);
    assert_eq!(s.listed_cells("b/", Some("b/1"), 1).await, ["b/10"]);
    assert_eq!(s.listed_cells("b/", Some("b/2"), 10).await, [""; 0]);
    assert_eq!(s.listed_cells("b", Some("a"), 2).await, ["b%/1", "b%/2"]);
    assert_eq!(s.listed_cells("b/", None, 0).await, [""; 0]);
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    assert_eq!(s.listed_cells("", None, 100).await, sorted);
    let found = s.ports.cells.list("č", None, 1, s.now()).await.expect("cells are listed");
    assert_eq!(found[0].1.value, "č");
}

/// Every write is another version, also one that changes nothing.
pub async fn versions_of_a_key_never_repeat_while_it_stays(h: &dyn Harness) {
    let s = Scene::new(h).await;
    let mut versions = Vec::new();
    for _ in 0..20 {
        versions.push(s.set_cell("k", "same").await);
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 20);
}

/// Fifty writers that add one each: every version is won by one of them, so the sum is right.
pub(crate) async fn race_for_one_cell(stores: &[Arc<dyn Cells>], now: Timestamp) {
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let cells = Arc::clone(&stores[n % stores.len()]);
            tokio::spawn(async move {
                let mut won = Vec::new();
                while won.len() < 4 {
                    let found = cells.read(&["sum".into()], now).await.expect("it is read");
                    let (version, sum) = found[0].as_ref().map_or((0, 0), |cell| {
                        (cell.version, String::from_utf8_lossy(&cell.value).parse().unwrap_or(0))
                    });
                    tokio::task::yield_now().await; // others may read the same version
                    let change = put("sum", version, &(sum + 1_u64).to_string());
                    if cells.write(&[change], now).await.expect("it is written")[0] {
                        won.push(version);
                    }
                }
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for writer in writers {
        won.extend(writer.await.expect("the writer does not panic"));
    }
    won.sort_unstable();
    won.dedup();
    assert_eq!(won.len(), 200, "each version was won once");
    let found = stores[0].read(&["sum".into()], now).await.expect("it is read");
    assert_eq!(found[0].as_ref().expect("it is there").value, "200");
}

/// "Two at once read, both write": one of them hears that it was late.
pub async fn of_fifty_writers_at_once_one_wins_each_version(h: &dyn Harness) {
    let s = Scene::new(h).await;
    race_for_one_cell(&[Arc::clone(&s.ports.cells)], s.now()).await;
}

/// Housekeeping takes what has expired and nothing else, however old.
pub async fn upkeep_takes_no_cell_that_lives(h: &dyn Harness) {
    let s = Scene::new(h).await;
    s.set_cell("stays", "x").await;
    let until = CellWrite { expires_at: Some(s.later(LONG * 2)), ..put("later", 0, "x") };
    assert!(s.change(until).await);
    s.pass(LONG);
    s.housekeep().await;
    assert_eq!(s.listed_cells("", None, 10).await, ["later", "stays"]);
}
