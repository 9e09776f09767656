//! Each way against the real thing: what is sent is what another program hears.
//!
//! `FLOTILLA_TEST_POSTGRES_URL`, `FLOTILLA_TEST_AMQP_URL` and `FLOTILLA_TEST_AWS_ENDPOINT` name
//! servers that are there (`worker/scripts/test.sh` starts them); a test without its server is
//! skipped and says so.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod amqp;
mod postgres;
mod sns;

use std::io::Write as _;
use std::time::Duration;

use flotilla_core::event::CloudEvent;
use serde_json::json;

/// Longest wait for what was sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The address a variable names; without one the test process says so and ends, skipped.
pub(crate) fn address(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(url) if !url.is_empty() => url,
        _ => skip(&format!("{variable} is not set")),
    }
}

fn skip(why: &str) -> ! {
    let _shown = writeln!(std::io::stderr(), "skipped: {why}");
    if let Some(log) = std::env::var_os("FLOTILLA_SKIP_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(log)
    {
        let _logged = writeln!(log, "flotilla-events: {why}");
    }
    std::process::exit(0)
}

/// A name nobody else uses.
pub(crate) fn unique(what: &str) -> String {
    format!("events-{what}-{}", std::process::id())
}

/// An event whose result has so many bytes.
pub(crate) fn event(id: &str, result: usize) -> CloudEvent {
    serde_json::from_value(json!({
        "specversion": "1.0", "id": id, "source": "/flotilla", "type": "flotilla.job.completed",
        "subject": "019a9c1e-7d52-7c3b-9f65-2b1c6a0d4e11", "datacontenttype": "application/json",
        "data": {"kind": "caption.parse", "tenant": "acme", "result": "é".repeat(result / 2)}}))
    .unwrap()
}
