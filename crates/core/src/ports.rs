//! Which host port a preview gets.

use std::collections::BTreeSet;

use crate::ids::HostPort;

/// A range of host ports for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    first: HostPort,
    size: u16,
}

/// How many ports a pool has, unless the numbers end before.
const POOL_SIZE: u16 = 1000;

impl Pool {
    /// The thousand ports from `first` on.
    pub fn from(first: HostPort) -> Self {
        let left = u16::MAX - first.get() + 1;
        Self { first, size: POOL_SIZE.min(left) }
    }

    /// Its ports in order.
    pub fn ports(self) -> impl Iterator<Item = HostPort> {
        (0..self.size).filter_map(move |offset| HostPort::new(self.first.get() + offset))
    }

    /// The next free port: not taken, and one that binds now. `None` when the pool is used up.
    pub fn next_free(self, taken: &BTreeSet<HostPort>, mut binds: impl FnMut(HostPort) -> bool) -> Option<HostPort> {
        self.ports().find(|port| !taken.contains(port) && binds(*port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn port(number: u16) -> HostPort {
        HostPort::new(number).unwrap()
    }

    #[test]
    fn the_lowest_port_that_is_free_and_binds() {
        let pool = Pool::from(port(8000));
        let taken = [port(8000), port(8002)].into();
        assert_eq!(pool.next_free(&taken, |p| p != port(8001)), Some(port(8003)));
        assert_eq!(pool.next_free(&taken, |_| false), None);
        assert_eq!(pool.ports().count(), 1000);
    }

    proptest! {
        #[test]
        fn never_a_taken_one_never_outside(first in 1u16.., taken in proptest::collection::btree_set(1u16.., 0..50)) {
            let pool = Pool::from(port(first));
            let taken: BTreeSet<HostPort> = taken.into_iter().map(port).collect();
            if let Some(found) = pool.next_free(&taken, |_| true) {
                prop_assert!(!taken.contains(&found) && found >= port(first));
            }
        }
    }
}
