//! Who waits for a place, in the order of their coming.
//!
//! How many places are taken stands in the ledger; here is only the queue, and it is left by dropping one's ticket, so that
//! a worker that is cancelled or fails never blocks those behind it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use preview_core::ids::DeploymentId;
use tokio::sync::Notify;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Places {
    waiting: Mutex<BTreeSet<(Timestamp, DeploymentId)>>,
    moved: Notify,
}

/// A stand in the queue.
pub(super) struct Ticket {
    places: Arc<Places>,
    stand: (Timestamp, DeploymentId),
}

impl Places {
    /// Takes a stand: whoever has waited longer goes first.
    pub(super) fn queue(self: &Arc<Self>, id: &DeploymentId, since: Timestamp) -> Ticket {
        let stand = (since, id.clone());
        self.with(|waiting| waiting.insert(stand.clone()));
        Ticket { places: self.clone(), stand }
    }

    /// Tells those who wait that something was given back.
    pub(super) fn moved(&self) {
        self.moved.notify_waiters();
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.with(|waiting| waiting.len())
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeSet<(Timestamp, DeploymentId)>) -> T) -> T {
        look(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ticket {
    /// How many stand before us.
    pub(super) fn before(&self) -> usize {
        self.places.with(|waiting| waiting.range(..&self.stand).count())
    }

    /// Calls `attempt` until it gives something, each time that the queue moves, and every few seconds for what gives no sign
    /// (memory, disk).
    pub(super) async fn until<T>(&self, mut attempt: impl AsyncFnMut(usize) -> Option<T>) -> T {
        loop {
            let moved = self.places.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if let Some(value) = attempt(self.before()).await {
                return value;
            }
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.places.with(|waiting| waiting.remove(&self.stand));
        self.places.moved();
    }
}
