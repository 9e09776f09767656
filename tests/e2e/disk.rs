//! The disk runs full under load: what was accepted stays, what was refused is told, and when
//! there is room again the fleet goes on.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, skipped};

const TEST: &str = "disk::a_full_disk_loses_nothing_that_was_accepted";

/// A small filesystem of its own, taken away when dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "flotilla-test"])
            .arg(at)
            .output();
        mounted.is_ok_and(|o| o.status.success()).then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_accepted() {
    let place = Place::new();
    let data = place.path().join("data");
    let Some(_small) = Small::mount(&data) else {
        return skipped(TEST, "mounting a small filesystem is not allowed here");
    };
    let filler = data.join("filler");
    std::fs::write(&filler, vec![0u8; 24 << 20]).expect("room for the filler");

    // Fill the rest with jobs until one batch is refused.
    let text = "a caption of some length ".repeat(160);
    let batch: String = (0..100).map(|n| format!("{{\"text\":\"#n{n} {text}\"}}\n")).collect();
    let file = place.file("batch.jsonl", batch);
    let mut accepted: Vec<String> = Vec::new();
    let mut refused = None;
    for _ in 0..40 {
        let ran = place.run(&["enqueue", "caption.parse", "--jsonl", file.to_str().unwrap()]);
        accepted.extend(ran.out.lines().map(str::to_owned));
        if ran.exit() != Some(0) {
            refused = Some(ran);
            break;
        }
    }
    let ran = refused.expect("32 MiB are full before 16 MiB more are in").code(69);
    assert!(ran.err.contains("full") || ran.err.contains("space"), "{}", ran.err);
    assert!(accepted.len() >= 100, "some were accepted before");

    // A worker on the full disk does what it can and loses nothing; then there is room again.
    let mut worker = place.worker(&[]);
    std::thread::sleep(Duration::from_secs(2));
    std::fs::remove_file(&filler).expect("the filler");
    let started = Instant::now();
    loop {
        let ran = place.run(&[
            "jobs",
            "list",
            "--state",
            "available,running,retryable,scheduled",
            "--limit",
            "1",
            "--json",
        ]);
        if ran.exit() == Some(0) && ran.out.contains("\"jobs\": []") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "stuck: {} {}", ran.out, ran.err);
        std::thread::sleep(Duration::from_millis(200));
    }
    worker.kill();
    let completed: BTreeSet<String> = place
        .records()
        .iter()
        .filter(|job| job["state"] == "completed")
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = accepted.iter().filter(|id| !completed.contains(*id)).collect();
    assert!(lost.is_empty(), "accepted and not completed: {lost:?}");
    println!("disk: {} accepted, all completed after there was room again", accepted.len());
}
