//! Which port serves which preview at this moment, and how many requests are under way to each.
//!
//! Looking a preview up and counting the request are one step under one lock: a request that was sent to an old port is
//! counted there before the new table can hold, so draining after a switch misses none.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use preview_core::ids::{DeploymentId, HostPort};
use preview_core::route::RouteTable;
use tokio::sync::watch;

/// The table that holds, and the counters of its ports and of those that still have requests.
#[derive(Debug, Default)]
pub(super) struct Traffic(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    table: RouteTable,
    under_way: HashMap<HostPort, Counter>,
}

type Counter = Arc<watch::Sender<usize>>;

/// One request that is under way to a port, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    port: HostPort,
    counter: Counter,
}

impl UnderWay {
    /// Where it goes.
    pub(super) fn port(&self) -> HostPort {
        self.port
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counter.send_modify(|count| *count -= 1);
    }
}

impl Traffic {
    /// Makes this table hold for every request from now on.
    pub(super) fn switch(&self, table: &RouteTable) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if state.table == *table {
            return;
        }
        state.under_way.retain(|_, counter| *counter.borrow() > 0);
        for route in table {
            state.under_way.entry(route.port).or_default();
        }
        state.table = table.clone();
    }

    /// The table that holds.
    pub(super) fn table(&self) -> RouteTable {
        self.0.read().unwrap_or_else(PoisonError::into_inner).table.clone()
    }

    /// Begins a request to the preview; `None` when there is none.
    pub(super) fn enter(&self, id: &DeploymentId) -> Option<UnderWay> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let port = state.table.get(id)?;
        let counter = state.under_way.get(&port)?.clone();
        counter.send_modify(|count| *count += 1);
        Some(UnderWay { port, counter })
    }

    /// Waits until no request to the port is under way, at most so long.
    pub(super) async fn drain(&self, port: HostPort, at_most: Duration) {
        let counter = self.0.read().unwrap_or_else(PoisonError::into_inner).under_way.get(&port).cloned();
        let Some(counter) = counter else { return };
        let mut count = counter.subscribe();
        // Running out of time is the caller's "at most", not an error.
        let _ = tokio::time::timeout(at_most, count.wait_for(|count| *count == 0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preview_core::route::Route;

    fn table(port: u16) -> RouteTable {
        [Route { deployment: "a-1".parse().unwrap(), port: HostPort::new(port).unwrap() }].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn draining_a_retired_port_waits_for_what_was_sent_there_before_the_switch() {
        let traffic = Traffic::default();
        traffic.switch(&table(8000));
        let id = "a-1".parse().unwrap();
        let old = HostPort::new(8000).unwrap();
        let request = traffic.enter(&id).unwrap();
        traffic.switch(&table(8001));
        assert_eq!(traffic.enter(&id).unwrap().port().get(), 8001);

        let began = tokio::time::Instant::now();
        traffic.drain(old, Duration::from_secs(30)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(30), "the request is still under way");
        drop(request);
        traffic.drain(old, Duration::from_secs(30)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(30), "nothing is under way any more");
    }
}
