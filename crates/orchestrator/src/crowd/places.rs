//! Connections at one time: so many in all, and a part of them for each source, so that nobody can take all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Source;

/// One source gets at most this part of all places: one in four.
const PART: usize = 4;
/// After an error of `accept` (out of file descriptors, say) it is tried again so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

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

impl Places {
    /// So many in all.
    pub(crate) fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each: all.div_ceil(PART), taken: Arc::default() }
    }

    /// The next connection that may stay, and its place. As long as none is free, those who come wait in the kernel's queue; whose
    /// source has as many as it may have is let go at once. Nobody is lost when the wait is given up.
    pub(crate) async fn next(&self, listener: &TcpListener) -> (TcpStream, IpAddr, Place) {
        loop {
            let free = self.free().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if let Some(place) = self.seat(free, peer.ip()) {
                        return (stream, peer.ip(), place);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; trying again");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// Waits for a place.
    async fn free(&self) -> OwnedSemaphorePermit {
        self.all.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives the place to a connection; `None` when its source has as many as one may have. This machine is exempt: what stands
    /// in front of us here brings everybody.
    fn seat(&self, free: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let source = Source::from(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(source).or_default();
        if *count >= self.each && !source.is_this_machine() {
            return None;
        }
        *count += 1;
        Some(Place { _permit: free, source, taken: self.taken.clone() })
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
