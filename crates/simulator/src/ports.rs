//! Ports for servers that tests start, and for those that must not be there.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Above the ports that Linux gives to connections by default (`net.ipv4.ip_local_port_range`): a port of these stays free
/// until its server binds it.
const FIRST: u16 = 61_000;
const COUNT: u16 = u16::MAX - FIRST;

/// A port of the loopback address that nobody listens on, and that this process gets only once: two tests side by side, or
/// two servers of one test, never meet on it. Where processes begin to look depends on their ids.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(process::id().wrapping_mul(97) % u32::from(COUNT)).unwrap_or_default();
    let next = || {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(given < COUNT, "all {COUNT} ports were given to this process already");
        // Both are below COUNT, so that their sum may not fit.
        FIRST + u16::try_from((u32::from(start) + u32::from(given)) % u32::from(COUNT)).unwrap_or_default()
    };
    std::iter::repeat_with(next)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_or_taken() {
        let first = free_port();
        let taken: Vec<_> = (first + 1..=first.saturating_add(3))
            .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
            .collect();
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        assert!(!ports.contains(&first));
        assert!(taken.iter().all(|listener| !ports.contains(&listener.local_addr().unwrap().port())));
        assert!(ports.iter().all(|port| *port >= FIRST));
    }
}
