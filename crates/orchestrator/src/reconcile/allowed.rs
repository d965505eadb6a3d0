//! Which repositories are allowed: names from the settings, numbers from GitHub.
//!
//! Matching is by number, so a renamed repository stays allowed and a new one under an old name is not. Until GitHub has
//! told the number behind a name, nobody may conclude that a repository of that name is *not* allowed: its previews would be
//! removed because GitHub had a bad minute.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{MutexGuard, PoisonError};

use preview_core::ids::{PullKey, RepoId, RepoName};
use tokio::sync::Notify;

use super::Reconciler;
use crate::ledger::State;
use crate::needs::Fault;

/// What GitHub has told so far.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// Numbers of names. A number once learned stays until restart.
    pub(super) known: BTreeMap<RepoName, RepoId>,
    /// Names that GitHub has not answered for yet.
    pub(super) unanswered: BTreeSet<RepoName>,
}

/// How a repository stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is served.
    Allowed,
    /// It is not, for sure.
    NotAllowed,
    /// GitHub has not told enough yet.
    Unknown,
}

impl Allowed {
    /// Before GitHub has been asked for anything.
    pub(super) fn of(names: &[RepoName]) -> Self {
        Self { known: BTreeMap::new(), unanswered: names.iter().cloned().collect() }
    }
}

impl Reconciler {
    pub(super) fn allowed(&self) -> MutexGuard<'_, Allowed> {
        self.inner.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a repository stands with us, as far as GitHub has told.
    pub(super) fn standing(&self, repo: RepoId) -> Standing {
        let names = self.inner.ledger.read(|state| {
            let project = state.projects.get(&repo);
            project.map(|project| (project.name.clone(), project.allowed_as.clone()))
        });
        let allowed = self.allowed();
        if allowed.known.values().any(|id| *id == repo) {
            return Standing::Allowed;
        }
        // A name of ours that GitHub says it doesn't know may be one that the token has lost sight of: its own name, or the one
        // that led to it before it was renamed.
        let unknown = |name: &RepoName| self.inner.config.allowed.contains(name) && !allowed.known.contains_key(name);
        let ours_by_name = names.is_some_and(|(name, former)| unknown(&name) || former.as_ref().is_some_and(unknown));
        if ours_by_name || !allowed.unanswered.is_empty() { Standing::Unknown } else { Standing::NotAllowed }
    }

    /// Whether GitHub has answered for every name.
    pub(super) fn knows_allowed(&self) -> bool {
        self.allowed().unanswered.is_empty()
    }

    /// Whether GitHub has told the number of every name.
    pub(super) fn knows_all_allowed(&self) -> bool {
        let allowed = self.allowed();
        self.inner.config.allowed.iter().all(|name| allowed.known.contains_key(name))
    }

    /// Returns once something can be decided for this pull request: GitHub has told how its repository stands with us, or
    /// the preview has grown too old, which can be seen without. `rung` has it looked at again.
    pub(super) async fn until_decidable(&self, key: PullKey, rung: &Notify) {
        loop {
            let mut told = pin!(self.inner.told_allowed.notified());
            // Before looking, so that an answer in between is not missed.
            told.as_mut().enable();
            if self.standing(key.repo) != Standing::Unknown || self.too_old(key) {
                return;
            }
            tokio::select! {
                biased;
                () = told => {}
                () = rung.notified() => {}
            }
        }
    }

    /// Asks GitHub for the numbers that are not known yet. Gives whether all are.
    pub(super) async fn resolve_allowed(&self) -> bool {
        for name in &self.inner.config.allowed {
            if self.allowed().known.contains_key(name) {
                continue;
            }
            match self.inner.out.forge.repository(name).await {
                Ok(found) => {
                    let mut allowed = self.allowed();
                    allowed.unanswered.remove(name);
                    match found {
                        Some(repository) => drop(allowed.known.insert(name.clone(), repository.id)),
                        None => {
                            tracing::warn!(repository = %name, "GitHub knows no such repository, or the token may not see it");
                        }
                    }
                }
                Err(fault) => fault.log(&format!("could not ask GitHub for the repository {name}")),
            }
        }
        self.inner.told_allowed.notify_waiters();
        self.wake_not_allowed();
        self.knows_all_allowed()
    }

    /// Writes down by which of our names each repository is allowed.
    pub(super) async fn note_names(&self) -> Result<(), Fault> {
        let known = self.allowed().known.clone();
        let news: Vec<(RepoName, RepoId)> = self.inner.ledger.read(|state| {
            let noted = |repo: &RepoId| state.projects.get(repo).map(|project| project.allowed_as.as_ref());
            // Several names may lead to one repository; any that still does will do.
            let leads = |name: &RepoName, repo: &RepoId| known.get(name) == Some(repo);
            let stale = |repo: &RepoId| noted(repo).is_some_and(|noted| !noted.is_some_and(|name| leads(name, repo)));
            known.iter().filter(|(_, repo)| stale(repo)).map(|(name, repo)| (name.clone(), *repo)).collect()
        });
        if news.is_empty() {
            return Ok(());
        }
        let note = |state: &mut State| {
            for (name, repo) in news {
                if let Some(project) = state.projects.get_mut(&repo) {
                    project.allowed_as = Some(name);
                }
            }
        };
        Ok(self.inner.ledger.change(note).await?)
    }

    /// What was allowed once and is no more goes now.
    fn wake_not_allowed(&self) {
        let keys: Vec<PullKey> = self.inner.ledger.read(|state| state.pulls().collect());
        let strays = keys.into_iter().filter(|key| self.standing(key.repo) == Standing::NotAllowed);
        strays.for_each(|key| self.wake(key));
    }
}
