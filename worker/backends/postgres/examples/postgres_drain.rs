//! Measures the port itself, without the engine: enqueue rate, drain rate, pickup latency.
//!
//! `cargo run --release -p flotilla-postgres --example postgres_drain -- URL [jobs] [mode] [workers]`. Modes:
//! `all` (default); `enqueue`, `work` and `latency` do only that part. `workers` claimers share the
//! one lane, each with connections of its own. Makes the schema `flotilla_drain` and leaves it.

use std::time::Duration;

use flotilla_conformance::gauge::{Gauge, Outcome, rate};
use flotilla_core::ids::Lane;
use flotilla_postgres::{Postgres, Settings};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let url = words.first().ok_or("say the address of the server first")?;
    let jobs: usize = words.get(1).map_or(Ok(100_000), |word| word.parse())?;
    let mode = words.get(2).map_or("all", String::as_str);
    let workers: usize = words.get(3).map_or(Ok(1), |word| word.parse())?;
    let settings = Settings { schema: "flotilla_drain".into(), ..Settings::new(url) };
    Postgres::migrate(&settings).await?;
    let mut fleet = Vec::new();
    for _ in 0..workers.max(1) {
        let queue = Postgres::connect(settings.clone()).await?;
        fleet.push(Gauge::new(queue, Lane::from_static("default"), 4));
    }
    let first = &fleet[0];

    if !matches!(mode, "work" | "latency") {
        rate("enqueue, batches of 1000", jobs, first.enqueue(jobs, 1000, 2)).await?;
    }
    if !matches!(mode, "enqueue" | "latency") {
        rate("drain", jobs, drain(&fleet)).await?;
    }
    if mode == "all" {
        let few = jobs / 10;
        rate("enqueue one by one, 100 at once", few, first.enqueue(few, 1, 100)).await?;
        rate("drain", few, drain(&fleet)).await?;
    }
    if matches!(mode, "all" | "latency") {
        first.latency(500, Duration::from_secs(10)).await?;
    }
    Ok(())
}

async fn drain(fleet: &[Gauge]) -> Outcome<()> {
    let mut workers = JoinSet::new();
    for gauge in fleet {
        let gauge = gauge.clone();
        workers.spawn(async move { gauge.drain(None).await });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}
