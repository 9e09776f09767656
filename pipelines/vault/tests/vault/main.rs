//! The vault over memory and SQLite: renewals, races, lost answers, keys, secrecy; virtual time.

mod keys;
mod pain;
mod races;
mod renewal;
mod secrecy;
mod storm;
mod support;
