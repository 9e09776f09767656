//! The engine over the in-memory backend, in virtual time: tokio's clock is paused and moves only
//! when everything waits, so hours cost milliseconds and every run is the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, as tests do")]

mod admission;
mod breakers;
mod drains;
mod effects;
mod events;
mod faults;
mod flows;
mod leases;
mod limits;
mod outcomes;
mod replays;
mod retries;
mod schedules;
mod simulation;
mod storms;
mod why;
mod world;
