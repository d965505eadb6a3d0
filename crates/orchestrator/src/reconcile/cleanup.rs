//! Sweeping: what is too old, and what is left over.
//!
//! Nothing should ever be left over. What is found all the same is removed, counted and shown: each is a bug report.

use std::collections::BTreeSet;

use preview_core::deployment::RemovalReason;
use preview_core::ids::{DeploymentId, PullKey};
use preview_core::plan::{Observed, Target, plan};

use super::Reconciler;
use super::allowed::Standing;
use crate::mishap::contained;
use crate::needs::Fault;

impl Reconciler {
    /// Sweeps at once and then each interval, for ever.
    pub(super) async fn keep_cleaning(self) {
        loop {
            // First, and whatever becomes of the rest: the engine may be away.
            self.wake_records();
            if let Err(fault) = self.sweep_leftovers().await {
                tracing::warn!(cause = %fault, "could not look for what is left over");
            }
            tokio::time::sleep(self.inner.config.cleanup_interval).await;
        }
    }

    /// Has every preview looked at: whether all of it is there, and whether it has grown too old.
    fn wake_records(&self) {
        let keys: Vec<PullKey> = self.inner.ledger.read(|state| state.deployments.values().map(|d| d.key()).collect());
        keys.into_iter().for_each(|key| self.wake(key));
    }

    /// Looks for containers, routes and folders without a record.
    async fn sweep_leftovers(&self) -> Result<(), Fault> {
        let mut found: BTreeSet<DeploymentId> =
            self.inner.out.engine.observe_all().await?.into_iter().map(|(id, _)| id).collect();
        found.extend(self.inner.out.router.observe().await?.iter().map(|route| route.deployment));
        match self.inner.folders.list() {
            Ok(ids) => found.extend(ids),
            Err(error) => tracing::warn!(%error, "could not list the previews' folders"),
        }
        let strays = self.inner.ledger.read(|state| {
            found.retain(|id| !state.deployments.contains_key(id));
            found.iter().map(|id| (id.clone(), state.key_of(id))).collect::<Vec<_>>()
        });
        for (id, key) in strays {
            match key.map(|key| (key, self.standing(key.repo))) {
                // Its worker waits until GitHub has told: the next sweep is too far away for what an older ledger does not know.
                Some((key, Standing::Allowed | Standing::Unknown)) => self.wake(key),
                Some((key, Standing::NotAllowed)) if self.inner.workers.works_for(key) => {}
                None if !self.has_listed_all() => {}
                Some((_, Standing::NotAllowed)) | None => {
                    // One that can't be removed keeps nothing else from being looked at.
                    if let Err(fault) = contained(self.sweep_stray(&id)).await {
                        fault.log(&format!("could not remove what is left over of {id}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes what belongs to no repository that we know.
    async fn sweep_stray(&self, id: &DeploymentId) -> Result<(), Fault> {
        let seen: Observed = self.observe(id).await?;
        let actions = plan(&Target::Nothing(RemovalReason::Vanished), None, &seen);
        if actions.is_empty() {
            return Ok(());
        }
        self.count_repair(id, "something was left over of a repository that is not known").await?;
        for action in &actions {
            self.tidy(id, action).await?;
        }
        Ok(())
    }
}
