//! Ports for servers that tests start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections (32768 and up on Linux, RFC 6335's 49152
/// elsewhere), so that no client takes one between this answer and the server's start.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The first of `row` ports in a row that nobody listens on now. Other test processes look elsewhere
/// first, and one process never gets the same twice.
///
/// # Panics
/// When there are none.
pub fn free_ports(row: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = (std::process::id() % u32::from(COUNT / 8)) * 8;
    let own = u16::try_from(own).expect("less than the count");
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(row, Ordering::Relaxed) % COUNT;
        let first = FIRST + (own + step) % (COUNT - row);
        if (first..first + row).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {row} free ports in a row from {FIRST} on");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_a_port_twice() {
        let (one, two) = (free_ports(3), free_ports(3));
        assert!(one.abs_diff(two) >= 3, "{one} and {two}");
        assert!((FIRST..FIRST + COUNT).contains(&one));
    }
}
