//! Measures the port itself, without the engine: enqueue rate, drain rate, pickup latency.
//!
//! `cargo run --release -p flotilla-sqlite --example drain -- [jobs] [folder] [mode]`. Modes:
//! `full` (default), `normal`; `enqueue`, `work` and `latency` do only that part, so that several
//! processes can share one folder; `idle` sleeps 10 s with the file open.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_conformance::gauge::{Gauge, Outcome, rate};
use flotilla_core::ids::Lane;
use flotilla_sqlite::{Settings, Sqlite, Synchronous};

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let jobs: usize = words.first().map_or(Ok(100_000), |word| word.parse())?;
    let folder =
        words.get(1).map_or_else(|| std::env::temp_dir().join("flotilla-drain"), PathBuf::from);
    let mode = words.get(2).map_or("full", String::as_str);
    let synchronous = if mode == "normal" { Synchronous::Normal } else { Synchronous::Full };
    let path = folder.join("jobs.db");
    let queue = Sqlite::open(&path, Settings { synchronous, ..Settings::default() })?;
    let gauge = Gauge::new(queue.clone(), Lane::from_static("default"), 8);

    if mode == "idle" {
        tokio::time::sleep(Duration::from_secs(10)).await;
        return Ok(());
    }
    if !matches!(mode, "work" | "latency") {
        rate("enqueue, batches of 1000", jobs, gauge.enqueue(jobs, 1000, 2)).await?;
    }
    if !matches!(mode, "enqueue" | "latency") {
        rate("drain", jobs, gauge.drain(None)).await?;
    }
    if matches!(mode, "full" | "normal") {
        let few = jobs / 10;
        rate("enqueue one by one, 100 at once", few, gauge.enqueue(few, 1, 100)).await?;
        rate("drain", few, gauge.drain(None)).await?;
    }
    if matches!(mode, "full" | "normal" | "latency") {
        gauge.latency(500, Duration::from_secs(10)).await?;
    }
    let log = std::fs::metadata(folder.join("jobs.db-wal")).map_or(0, |m| m.len() >> 20);
    let main = std::fs::metadata(&path).map_or(0, |m| m.len() >> 20);
    println!("file {main} MiB, log {log} MiB");
    queue.close();
    Ok(())
}
