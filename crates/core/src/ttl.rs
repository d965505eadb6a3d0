//! When a preview is too old.
//!
//! Wall clocks jump: a virtual machine wakes up in the future, a wrong time server moves it by years. So age is measured by
//! wall clock but believed only when two looks at it, a sweep's interval apart by a clock that can't jump, agree.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Whether more than `ttl` has passed. A clock that runs backwards makes nothing old.
pub fn overdue(active_at: Timestamp, ttl: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(active_at) > ttl
}

/// When it will be too old, for showing.
pub fn expires_at(active_at: Timestamp, ttl: SignedDuration) -> Timestamp {
    active_at.saturating_add(ttl).unwrap_or(Timestamp::MAX)
}

/// Remembers since when, by the monotonic clock, each of `K` has looked too old.
#[derive(Debug)]
pub struct Sweeps<K> {
    suspected: BTreeMap<K, Duration>,
    interval: Duration,
}

impl<K: Ord + Clone> Sweeps<K> {
    /// Two looks must lie at least `interval` apart.
    pub fn new(interval: Duration) -> Self {
        Self { suspected: BTreeMap::new(), interval }
    }

    /// Takes a look: `at` is the time since any fixed moment. Gives whether it may be believed.
    pub fn look(&mut self, key: &K, overdue: bool, at: Duration) -> bool {
        if !overdue {
            self.suspected.remove(key);
            return false;
        }
        let first = *self.suspected.entry(key.clone()).or_insert(at);
        at.saturating_sub(first) >= self.interval
    }

    /// Forgets what no longer exists.
    pub fn retain(&mut self, exists: impl Fn(&K) -> bool) {
        self.suspected.retain(|key, _| exists(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_there_and_back_expires_nothing() {
        let mut sweeps = Sweeps::new(Duration::from_secs(60));
        assert!(!sweeps.look(&1, true, Duration::from_secs(0)));
        assert!(!sweeps.look(&1, false, Duration::from_secs(30)));
        assert!(!sweeps.look(&1, true, Duration::from_secs(70)));
        assert!(sweeps.look(&1, true, Duration::from_secs(130)));
    }

    #[test]
    fn age_is_measured_from_the_last_activity() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let ttl = SignedDuration::from_secs(10);
        let after = |seconds| start.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        assert!(!overdue(start, ttl, after(10)));
        assert!(overdue(start, ttl, after(11)));
        assert!(!overdue(start, ttl, after(-1000)));
        assert_eq!(expires_at(start, SignedDuration::MAX), Timestamp::MAX);
    }
}
