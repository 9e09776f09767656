//! What all platforms of the sandbox share: the world, its accounts, posts, quotas and faults.

pub(crate) mod account;
pub(crate) mod call;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod limits;
pub(crate) mod media;
pub(crate) mod post;
pub(crate) mod settings;
pub(crate) mod wire;
pub(crate) mod world;
