//! How the reconciler is: what `/health` tells those who have the token.

use std::collections::HashMap;
use std::time::Duration;

use preview_core::deployment::{Deployment, QueueReason, Stage, Status};
use preview_core::ids::{DeploymentId, RepoId, RepoName};

use super::Reconciler;
pub use super::housekeeping::DiskShare;

/// The reconciler at one moment.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Since it was made, by a clock that can't jump.
    pub uptime: Duration,
    /// How many deployments have which status; those that none has are left out.
    pub deployments: HashMap<Status, usize>,
    /// Pull requests that were told of and are not yet dealt with.
    pub pending: usize,
    /// Deployments that wait for a place or ports, for memory, for disk or for an image that is made elsewhere.
    pub waiting: usize,
    /// Deployments that wait for other builds to end.
    pub builds: usize,
    /// Comments that wait to be written.
    pub reports: usize,
    /// Workers that live.
    pub workers: usize,
    /// How often something was found left over, or missing, outside a deployment.
    pub repairs: u64,
    /// What our things take on the disk and what they may; `None` before it was first added up.
    pub disk: Option<DiskShare>,
    /// Allowed repositories whose number GitHub has not told yet.
    pub unknown_repositories: Vec<RepoName>,
}

impl Reconciler {
    /// How many get what it waits for before this preview, a place or a build, if it waits for one.
    pub(super) fn ahead_of(&self, repo: RepoId, id: &DeploymentId) -> Option<usize> {
        let queues = [&*self.inner.places, self.inner.builds.queue()];
        queues.into_iter().find_map(|queue| queue.ahead_of(repo, id))
    }

    /// How it is now.
    pub fn overview(&self) -> Overview {
        let (deployments, pending, waiting, repairs) = self.inner.ledger.read(|state| {
            let mut counts = HashMap::new();
            state.deployments.values().for_each(|d| *counts.entry(d.status()).or_default() += 1);
            let waiting = state.deployments.values().filter(|d| waits_in_a_queue(d)).count();
            (counts, state.pending.len(), waiting, state.repairs)
        });
        let allowed = self.allowed();
        let unknown = self.inner.config.allowed.iter().filter(|name| !allowed.known.contains_key(name));
        Overview {
            uptime: self.uptime(),
            deployments,
            pending,
            waiting,
            builds: self.inner.builds.queue().waiting(),
            reports: self.inner.reporter.waiting(),
            workers: self.inner.workers.count(),
            repairs,
            disk: self.inner.housekeeper.found(),
            unknown_repositories: unknown.cloned().collect(),
        }
    }
}

/// Whether it waits for anything but other builds, which are counted by themselves.
fn waits_in_a_queue(record: &Deployment) -> bool {
    let stage = record.attempt.as_ref().map(|attempt| &attempt.stage);
    record.removing.is_none() && matches!(stage, Some(Stage::Queued(reason)) if *reason != QueueReason::Builds)
}
