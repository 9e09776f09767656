//! Messages of strangers as they come, through the public door.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod formats;
mod hostile;
mod support;
mod wrappers;
