//! flotilla-models: the client of OpenAI-compatible endpoints: structured output within a budget.
//!
//! A model only ever adds to what the local rules found. [`Model::ask`] sends a strict JSON Schema,
//! reads the answer into a type that knows no other fields, lets a wrong one be mended once, and
//! otherwise says in [`Declined`] why there is none; the caller then keeps its local result. What a
//! caption says is data: it travels as a JSON string, and what comes back is held against it
//! ([`caption::merge`], [`tags::merge`]).

mod answer;
mod budget;
pub mod caption;
mod client;
mod prompt;
mod settings;
pub mod tags;
#[cfg(test)]
mod tests;
mod transport;

pub use client::{Declined, Model};
pub use prompt::{Image, Prompt};
pub use settings::Settings;
pub use transport::{Answer, Ask, NoAnswer, Transport};
