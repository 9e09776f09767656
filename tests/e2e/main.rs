//! The real binary, used as a person uses it. Each file holds one side of that.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod accounts;
mod api;
mod architecture;
mod cli;
mod crash;
mod disk;
mod documents;
#[cfg(all(feature = "postgres", feature = "rabbitmq"))]
mod faults;
mod first_steps;
#[cfg(feature = "postgres")]
mod postgres;
mod shutdown;
mod support;
mod thumbnails;
mod traffic;
