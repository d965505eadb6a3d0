//! How many images are built at a time, and who is next.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use preview_core::ids::{DeploymentId, RepoId};

use super::queue::{Queue, Ticket};

/// All builds of this installation.
#[derive(Debug)]
pub(super) struct Builds {
    queue: Arc<Queue>,
    running: Mutex<usize>,
    most: usize,
}

/// The right to build, until it is dropped.
pub(super) struct Permit(Arc<Builds>);

impl Builds {
    pub(super) fn new(most: usize) -> Self {
        Self { queue: Arc::default(), running: Mutex::new(0), most }
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Takes a stand in the queue.
    pub(super) fn join(&self, repo: RepoId, id: &DeploymentId, now: Timestamp) -> Ticket {
        self.queue.join(repo, id, now)
    }

    /// The permit, if it is this one's turn.
    pub(super) fn try_take(self: &Arc<Self>, ticket: &Ticket) -> Option<Permit> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = *running + ticket.before() < self.most;
        turn.then(|| {
            *running += 1;
            Permit(self.clone())
        })
    }

    /// Waits for the permit.
    pub(super) async fn take(self: &Arc<Self>, ticket: &Ticket) -> Permit {
        loop {
            let moved = ticket.next_move();
            if let Some(permit) = self.try_take(ticket) {
                return permit;
            }
            moved.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.queue.moved();
    }
}
