//! Posts through the real binary to `flotilla sandbox`, over HTTP: what is published there, by
//! whom, how often.

mod kills;
mod quota;
mod stage;
mod trouble;
mod types;
mod webhooks;
mod words;
