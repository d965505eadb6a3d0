//! Asking all sides what they have, for [`audit::compare`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use preview_core::deployment::RemovalReason;
use preview_core::desired::Desired;
use preview_core::ids::{DeploymentId, PullKey, RepoId};
use preview_core::ttl;

use super::Reconciler;
use super::allowed::Standing;
use crate::audit::{self, Report, Sides};
use crate::ledger::State;
use crate::needs::{Fault, PullAnswer};

impl Reconciler {
    /// Compares GitHub, ledger, engine, router and disk; mends nothing.
    ///
    /// # Errors
    /// A side that doesn't answer is a fault: nothing can be said without it.
    pub async fn audit(&self) -> Result<Report, Fault> {
        if !self.knows_allowed() {
            return Err(Fault::passing("GitHub has not told yet which repositories are the allowed ones"));
        }
        let before = self.inner.ledger.read(State::clone);
        let mut under_way = self.busy_with(&before);
        let pulls = self.pulls_to_audit(&before).await?;
        let out = &self.inner.out;
        let (engine, routes) = tokio::try_join!(out.engine.observe_all(), out.router.observe())?;
        let folders = self.inner.folders.list();
        let folders = folders.map_err(|error| Fault::passing(format!("the previews' folders: {error}")))?;
        let ledger = self.inner.ledger.read(State::clone);
        under_way.extend(self.busy_with(&ledger));
        // What began and ended while we were asking was busy too.
        under_way.extend(differing(&before, &ledger));
        let strays =
            ledger.deployments.values().filter(|record| self.standing(record.repository_id) == Standing::NotAllowed);
        let strays = strays.map(|record| (record.id.clone(), Desired::Gone(RemovalReason::NotAllowed)));
        let told =
            pulls.iter().filter_map(|(key, pull)| Some((ledger.id_of(*key)?, self.should(&ledger, *key, pull)?)));
        Ok(audit::compare(&Sides {
            desired: told.chain(strays).collect(),
            engine: engine.into_iter().collect(),
            routes,
            folders: folders.into_iter().collect(),
            ledger,
            under_way,
        }))
    }

    fn busy_with(&self, state: &State) -> BTreeSet<DeploymentId> {
        let told = state.pending.keys().copied();
        let working = self.inner.workers.keys();
        told.chain(working).filter_map(|key| state.id_of(key)).collect()
    }

    /// Every open pull request, and every other that the ledger has something of.
    async fn pulls_to_audit(&self, state: &State) -> Result<BTreeMap<PullKey, PullAnswer>, Fault> {
        let mut pulls = BTreeMap::new();
        let allowed: Vec<RepoId> = self.allowed().known.values().copied().collect();
        for repo in allowed {
            let open = self.inner.out.forge.open_pulls(repo).await?;
            pulls.extend(open.into_iter().map(|pull| (PullKey { repo, number: pull.number }, PullAnswer::Known(pull))));
        }
        for key in state.pulls() {
            if self.standing(key.repo) == Standing::Allowed && !pulls.contains_key(&key) {
                pulls.insert(key, self.inner.out.forge.pull(key).await?);
            }
        }
        Ok(pulls)
    }

    fn should(&self, state: &State, key: PullKey, answer: &PullAnswer) -> Option<Desired> {
        let (PullAnswer::Known(pull), Some(id)) = (answer, state.id_of(key)) else {
            return Some(Desired::Gone(RemovalReason::Vanished));
        };
        self.apply_rules(state, &id, key, pull, self.long_overdue(state, &id))
    }

    /// Overdue for longer than the sweeps need to notice and to believe it.
    pub(super) fn long_overdue(&self, state: &State, id: &DeploymentId) -> bool {
        let config = &self.inner.config;
        let sweeps = SignedDuration::try_from(config.cleanup_interval * 3).unwrap_or(SignedDuration::MAX);
        let (ttl, now) = (config.policy.ttl.saturating_add(sweeps), self.inner.out.clock.now());
        state.deployments.get(id).is_some_and(|record| ttl::overdue(record.active_at, ttl, now))
    }
}

/// Deployments whose record or line is another than before.
fn differing(before: &State, after: &State) -> BTreeSet<DeploymentId> {
    let ids = |state: &State| state.deployments.keys().chain(state.set_aside.keys()).cloned().collect::<BTreeSet<_>>();
    let changed = |id: &DeploymentId| {
        before.deployments.get(id) != after.deployments.get(id) || before.set_aside.get(id) != after.set_aside.get(id)
    };
    ids(before).union(&ids(after)).filter(|id| changed(id)).cloned().collect()
}
