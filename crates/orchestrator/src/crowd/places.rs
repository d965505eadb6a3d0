//! Connections at one time: so many in all, and a part of them for each source, so that nobody can take all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Source;

/// One source gets at most this part of all places: one in four.
const PART: usize = 4;

/// Places for connections. Clones share them.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    each: usize,
    taken: Arc<Taken>,
}

type Taken = Mutex<HashMap<Source, usize>>;

/// A connection's place, given back when dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    source: Source,
    taken: Arc<Taken>,
}

/// A place for whoever comes next.
pub(crate) struct Free(OwnedSemaphorePermit);

impl Places {
    /// So many in all.
    pub(crate) fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each: all.div_ceil(PART), taken: Arc::default() }
    }

    /// Waits for a place; whoever it is for waits in the kernel's queue meanwhile.
    pub(crate) async fn free(&self) -> Free {
        Free(self.all.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// Gives the place to a connection; `None` when its source has as many as one may have. This machine is exempt: what stands
    /// in front of us here brings everybody.
    pub(crate) fn seat(&self, free: Free, address: IpAddr) -> Option<Place> {
        let source = Source::from(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(source).or_default();
        if *count >= self.each && !source.is_this_machine() {
            return None;
        }
        *count += 1;
        Some(Place { _permit: free.0, source, taken: self.taken.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Takes a place if there is one at once.
    fn take(places: &Places, address: &str) -> Option<Place> {
        places.seat(places.free().now_or_never()?, address.parse().unwrap())
    }

    #[test]
    fn one_source_cannot_take_all_places() {
        let places = Places::new(8);
        let greedy: Vec<Place> = (0..8).map_while(|_| take(&places, "192.0.2.1")).collect();
        assert_eq!(greedy.len(), 2);
        let other = take(&places, "192.0.2.2");
        assert!(other.is_some(), "another finds one");
        drop(greedy);
        assert!(take(&places, "192.0.2.1").is_some(), "places come back");
        drop(other);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is remembered of who has gone");
    }

    #[test]
    fn all_together_have_an_end_too() {
        let places = Places::new(8);
        let local: Vec<Place> = (0..9).map_while(|_| take(&places, "127.0.0.1")).collect();
        assert_eq!(local.len(), 8);
        assert!(take(&places, "192.0.2.2").is_none());
    }
}
