//! Listing what is open, so that a lost delivery loses nothing.
//!
//! Absence from a list proves nothing: what is missing from it is asked for by number, and removed only on GitHub's word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use preview_core::desired::{Pull, SetAsideReason, waits};
use preview_core::ids::{ProjectSlug, PullKey, RepoId};
use preview_core::plan::worth_retrying;

use super::Reconciler;
use crate::ledger::{Project, Reason, State};
use crate::mishap::contained;
use crate::needs::Fault;

impl Reconciler {
    /// Resyncs at once and then each interval, for ever. Until GitHub has told which repositories are meant, more often.
    pub(super) async fn keep_resyncing(self) {
        loop {
            let resolved = self.resolve_allowed().await;
            self.resync().await;
            self.report_all();
            let interval = self.inner.config.resync_interval;
            let wait = if resolved { interval } else { interval.min(Duration::from_secs(10)) };
            tokio::time::sleep(wait).await;
        }
    }

    /// Lists every allowed repository, and wakes what differs.
    async fn resync(&self) {
        let allowed: BTreeSet<RepoId> = self.allowed().known.values().copied().collect();
        let mut silent = BTreeSet::new();
        for repo in allowed {
            match contained(self.inner.out.forge.open_pulls(repo)).await {
                Ok(pulls) => {
                    if let Err(fault) = contained(self.compare(repo, &pulls)).await {
                        tracing::warn!(%repo, cause = %fault, "could not compare the open pull requests");
                    }
                    // Once the repository has its project, which keeps what was heard.
                    self.listen_to(repo);
                }
                Err(fault) => {
                    fault.log(&format!("could not list the open pull requests of repository {repo}"));
                    silent.insert(repo);
                }
            }
        }
        if let Err(fault) = contained(self.note_names()).await {
            fault.log("could not write down by which names repositories are allowed");
        }
        self.wake_unfinished(&silent);
    }

    /// Wakes what is written down as pending, what failed for a passing reason, and whose worker ended with something left
    /// undone: not in repositories of which GitHub tells nothing just now, where hundreds would ask it in vain.
    fn wake_unfinished(&self, silent: &BTreeSet<RepoId>) {
        let (pending, retry): (Vec<PullKey>, Vec<PullKey>) = self.inner.ledger.read(|state| {
            let failed = state.deployments.values().filter(|d| worth_retrying(d) || d.removing.is_some());
            (state.pending.keys().copied().collect(), failed.map(|d| d.key()).collect())
        });
        let undone = self.inner.workers.take_undone(|repo| silent.contains(&repo));
        pending.into_iter().chain(undone).for_each(|key| self.wake(key));
        retry.into_iter().for_each(|key| self.wake_to_retry(key));
    }

    async fn compare(&self, repo: RepoId, pulls: &[Pull]) -> Result<(), Fault> {
        self.lay_baseline(repo, pulls).await?;
        let differing = self.inner.ledger.read(|state| {
            let open: BTreeMap<PullKey, &Pull> =
                pulls.iter().map(|pull| (PullKey { repo, number: pull.number }, pull)).collect();
            let absent = state.pulls().filter(|key| key.repo == repo && !open.contains_key(key));
            let changed = open.iter().filter(|(key, pull)| self.differs(state, **key, pull)).map(|(key, _)| *key);
            absent.chain(changed).collect::<Vec<_>>()
        });
        for key in differing {
            tracing::debug!(pull = %key, "differs from the list of open pull requests");
            self.wake(key);
        }
        Ok(())
    }

    /// At a repository's first listing, writes down what was open before us: it stays untouched until something happens to it.
    async fn lay_baseline(&self, repo: RepoId, pulls: &[Pull]) -> Result<(), Fault> {
        let listed = |state: &State| state.projects.get(&repo).is_some_and(|project| project.baseline.is_some());
        if self.inner.ledger.read(listed) {
            return Ok(());
        }
        let name = self.allowed().known.iter().find(|(_, id)| **id == repo).map(|(name, _)| name.clone());
        let Some(name) = name else { return Ok(()) };
        let now = self.inner.out.clock.now();
        let slug = self.inner.ledger.change(|state| state.project(repo, &name, now).slug.clone()).await?;
        let running = self.previews_in_engine(repo, &slug).await?;
        let imported = self.inner.ledger.change(|state| {
            let since = state.project(repo, &name, now).since;
            let known = |pull: &&Pull| {
                let key = PullKey { repo, number: pull.number };
                let id = state.id_of(key);
                let ours =
                    id.is_some_and(|id| state.deployments.contains_key(&id) || state.set_aside.contains_key(&id));
                let told = state.pending.get(&key).is_some_and(|pending| pending.reason >= Reason::Pushed);
                let imported = state.imported.iter().any(|old| old.repo == name && old.number == pull.number);
                ours || told || imported || running.contains(&key) || pull.created_at >= since
            };
            let old = pulls.iter().filter(|pull| !known(pull)).map(|pull| (pull.number, pull.head.clone()));
            let baseline = old.collect();
            let imported = state.imported.iter().filter(|old| old.repo == name).map(|old| old.number);
            let imported: Vec<PullKey> = imported.map(|number| PullKey { repo, number }).collect();
            if let Some(project) = state.projects.get_mut(&repo) {
                project.baseline = Some(baseline);
            }
            imported
        });
        // Of those that run, one may have been closed since: no list of open ones tells of it.
        imported.await?.into_iter().chain(running).for_each(|key| self.wake(key));
        Ok(())
    }

    /// Whether each allowed repository has been listed once: until then a ledger that was lost does not know what is ours.
    pub(super) fn has_listed_all(&self) -> bool {
        let allowed: Vec<RepoId> = self.allowed().known.values().copied().collect();
        let listed = |repo: &RepoId, state: &State| state.projects.get(repo).is_some_and(|p| p.baseline.is_some());
        self.knows_all_allowed() && self.inner.ledger.read(|state| allowed.iter().all(|repo| listed(repo, state)))
    }

    /// Pull requests of which containers run although the ledger may have lost them.
    async fn previews_in_engine(&self, repo: RepoId, slug: &ProjectSlug) -> Result<BTreeSet<PullKey>, Fault> {
        let all = self.inner.out.engine.observe_all().await?;
        let mine = all.iter().filter(|(id, view)| id.slug() == slug && !view.containers.is_empty());
        Ok(mine.map(|(id, _)| PullKey { repo, number: id.number() }).collect())
    }

    /// Whether a pull request as listed is another than the ledger thinks. What is in the baseline or set aside and waits for
    /// what it waited for is as it should be: five hundred that wait cost one list. Settings that changed since are noticed at
    /// the next start.
    fn differs(&self, state: &State, key: PullKey, pull: &Pull) -> bool {
        let Some(id) = state.id_of(key) else { return true };
        let waits = waits(pull, state.approved(key), &self.inner.config.policy);
        if let Some(record) = state.deployments.get(&id) {
            return record.head != pull.head || record.removing.is_some() || waits.is_some();
        }
        if let Some(aside) = state.set_aside.get(&id) {
            let waited = match aside.reason {
                SetAsideReason::Waiting(reason) => Some(reason),
                SetAsideReason::Stopped | SetAsideReason::Expired => waits,
            };
            return aside.head != pull.head || waits != waited;
        }
        let baseline =
            state.projects.get(&key.repo).and_then(|Project { baseline, .. }| baseline.as_ref()?.get(&key.number));
        baseline != Some(&pull.head)
    }
}
