//! flotilla-vault: credentials of accounts, sealed in the fleet's cells and renewed once for all.
//!
//! Each tenant has a data key, wrapped by a key of a [`KeyProvider`]; each account is one cell
//! with its secrets sealed under that data key. Deleting a tenant's data key shreds its secrets,
//! wherever copies of the cells are.
//!
//! A token is renewed by one worker of the fleet at a time: a lease in the account's cell, with a
//! fence. The new token is in the cell before anybody uses it; whoever waited reads it there. An
//! answer in hand is stored as long as nobody stored a newer one, whoever holds the lease by then.

mod cells;
mod due;
mod error;
mod keys;
mod manage;
mod ports;
mod record;
mod renew;
mod seal;
mod settings;
mod store;
mod sweep;
mod vault;

pub use error::VaultError;
pub use keys::{KeyFile, KeyProvider, KeyRing, Wrapped};
pub use manage::{Added, NewAccount, Rewrapped, Shredded};
pub use ports::{
    Exchange, ExchangeError, Fresh, Happened, Notice, Outlet, Probe, Renewal, Rule, Tokens,
};
pub use seal::Key;
pub use settings::Settings;
pub use sweep::{Due, Listed, Stopped, Swept};
pub use vault::{Parts, Vault};
