//! `[sources]`: from where jobs may read their inputs, and how much.

use std::path::PathBuf;
use std::time::Duration;

use crate::checked::HostPort;
use crate::reader::Section;
use crate::size::ByteSize;

/// From where jobs may read their inputs, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Folders of local files; empty: none may be read.
    pub roots: Vec<PathBuf>,
    /// Largest source in bytes, after decompression.
    pub max_bytes: u64,
    /// Exceptions of the guard against requests into the own network, each `host:port`.
    pub allow_hosts: Vec<String>,
    /// Ports that URLs may name.
    pub ports: Vec<u16>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest time for one fetch, redirects included.
    pub timeout: Duration,
    /// Most redirects.
    pub redirects: u32,
}

impl Sources {
    pub(crate) fn read(mut section: Section<'_, '_>) -> Self {
        let allow_hosts: Vec<HostPort> = section.get("allow_hosts");
        Self {
            roots: section.get("roots"),
            max_bytes: section.get::<ByteSize>("max_bytes").0,
            allow_hosts: allow_hosts.into_iter().map(|host| host.0).collect(),
            ports: section.get("ports"),
            connect_timeout: section.get("connect_timeout"),
            timeout: section.get("timeout"),
            redirects: section.get("redirects"),
        }
    }
}
