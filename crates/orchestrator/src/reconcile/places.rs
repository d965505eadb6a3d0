//! Who waits for a place, in the order of their coming.
//!
//! How many places are taken stands in the ledger; here is only the queue, and it is left by dropping one's ticket, so that
//! a worker that is cancelled or fails never blocks those behind it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

    /// How many stand before a deployment, if it waits.
    pub(super) fn ahead_of(&self, id: &DeploymentId) -> Option<usize> {
        self.with(|waiting| waiting.iter().position(|(_, waiter)| waiter == id))
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

    /// Registers for the queue's next move. To be asked for before looking whether there is room, so that a move in between
    /// is not missed. What gives no sign (memory, disk) is looked at again every few seconds.
    pub(super) fn next_move(&self) -> impl Future<Output = ()> + '_ {
        let mut moved = Box::pin(self.places.moved.notified());
        moved.as_mut().enable();
        async move {
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
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
