//! The ceiling of the embedded backend: its very schema, claims and settles in groups, one fsync
//! per group (`synchronous=FULL`), no engine, one thread, one process.
//! Prints one line of JSON. `bench-ceiling N`, in the file `$DATABASE`.

use std::error::Error;
use std::time::Instant;

use rusqlite::{Connection, params};

const SCHEMA: &str = include_str!("../../../../worker/backends/sqlite/src/schema.sql");
/// Jobs in a transaction.
const GROUP: usize = 500;

// States as the schema numbers them.
const AVAILABLE: u8 = 1;
const RUNNING: u8 = 2;
const COMPLETED: u8 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let jobs: usize = std::env::args().nth(1).ok_or("usage: bench-ceiling N")?.parse()?;
    let file = std::env::var("DATABASE")?;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{suffix}"));
    }
    let database = Connection::open(&file)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.pragma_update(None, "cache_size", -16_000)?; // as the backend
    database.execute_batch(SCHEMA)?;

    let enqueue_per_s = rate(jobs, || enqueue(&database, jobs))?;
    let drain_per_s = rate(jobs, || drain(&database))?;
    println!(r#"{{"enqueue_per_s":{enqueue_per_s},"drain_per_s":{drain_per_s}}}"#);
    Ok(())
}

fn rate(jobs: usize, work: impl FnOnce() -> rusqlite::Result<()>) -> rusqlite::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(jobs as f64 / start.elapsed().as_secs_f64())
}

fn enqueue(database: &Connection, jobs: usize) -> rusqlite::Result<()> {
    let mut job = database.prepare(
        "INSERT INTO job (seq, id, state, lane, priority, tag, at, kind, tenant, max_attempts,
                          version, enqueued_at, run_at)
         VALUES (?1, ?2, ?3, 'bench', 0, ?1, ?1, 'noop', '', 5, 1, ?1, ?1)",
    )?;
    let mut body = database.prepare("INSERT INTO body (seq, payload) VALUES (?1, ?2)")?;
    for from in (0..jobs).step_by(GROUP) {
        database.execute_batch("BEGIN IMMEDIATE")?;
        for n in from..jobs.min(from + GROUP) {
            let payload = format!(r#"{{"n":{n},"text":"{:x<170}"}}"#, "");
            job.execute(params![n as i64, (n as u128).to_be_bytes(), AVAILABLE])?;
            body.execute(params![n as i64, payload.as_bytes()])?;
        }
        database.execute_batch("COMMIT")?;
    }
    Ok(())
}

/// Each transaction settles what the one before it claimed, then claims the next group.
fn drain(database: &Connection) -> rusqlite::Result<()> {
    let mut choose = database.prepare(
        "SELECT seq FROM job WHERE lane = 'bench' AND state = 1
         ORDER BY priority DESC, tag, seq LIMIT ?1",
    )?;
    let mut claim = database.prepare(
        "UPDATE job SET state = ?2, at = ?3, fence = fence + 1, attempt = attempt + 1,
                        started_at = ?3, holder = 1
         WHERE seq = ?1 RETURNING fence",
    )?;
    let mut payload = database.prepare("SELECT payload FROM body WHERE seq = ?1")?;
    let mut settle = database.prepare(
        "UPDATE job SET state = ?3, at = ?4, finished_at = ?4, holder = NULL
         WHERE seq = ?1 AND fence = ?2 AND state = 2",
    )?;

    let mut held: Vec<(i64, i64)> = Vec::with_capacity(GROUP);
    loop {
        database.execute_batch("BEGIN IMMEDIATE")?;
        for (seq, fence) in held.drain(..) {
            settle.execute(params![seq, fence, COMPLETED, 2])?;
        }
        let chosen: Vec<i64> =
            choose.query_map([GROUP as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for seq in chosen {
            let fence = claim.query_row(params![seq, RUNNING, 1], |row| row.get(0))?;
            payload.query_row([seq], |row| row.get::<_, Vec<u8>>(0))?;
            held.push((seq, fence));
        }
        database.execute_batch("COMMIT")?;
        if held.is_empty() {
            return Ok(());
        }
    }
}
