//! The engine over the in-memory backend, in virtual time: tokio's clock is paused and moves only
//! when everything waits, so hours cost milliseconds and every run is the same.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, as tests do")]

mod admission;
mod drains;
mod faults;
mod leases;
mod outcomes;
mod schedules;
mod simulation;
mod world;
