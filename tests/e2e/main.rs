//! The real binary, used as a person uses it. Each file holds one side of that.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod accounts;
mod admin;
mod api;
mod architecture;
mod cli;
mod clients;
mod console;
mod crash;
mod deploy;
mod disk;
mod doctor;
mod documents;
mod external;
#[cfg(all(feature = "postgres", feature = "rabbitmq"))]
mod faults;
mod first_steps;
mod openapi;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "chaos")]
mod quarantine;
mod remote;
mod replay;
mod shutdown;
mod social;
mod support;
mod telemetry;
mod thumbnails;
mod top;
mod traffic;
mod video;
