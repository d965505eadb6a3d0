//! Gathering the facts for [`why::explain`]: GitHub is asked, nothing is done.

use preview_core::deployment::RemovalReason;
use preview_core::desired::Desired;
use preview_core::ids::{PrNumber, PullKey, RepoId, RepoName};

use super::Reconciler;
use super::allowed::Standing;
use crate::ledger::State;
use crate::needs::{Fault, PullAnswer};
use crate::why::{self, Facts, Subject, Why};

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum Puzzled {
    /// Nothing of ours is named so.
    #[error(
        "nothing is known of it: the repository is none of those in ALLOWED_REPOS, or GitHub has not told of it yet"
    )]
    Unknown,
    /// Several repositories may be meant.
    #[error("several repositories may be meant: name one of {}", list(.0))]
    Several(Vec<String>),
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

impl Reconciler {
    /// Explains why a pull request has the preview that it has, or none.
    pub async fn why(&self, subject: &Subject) -> Result<(PullKey, Why), Puzzled> {
        let (key, name) = self.meant(subject)?;
        let standing = self.standing(key.repo);
        let answer = match standing {
            Standing::Unknown => Err(Fault::passing("it has not told yet which repositories are the allowed ones")),
            Standing::Allowed | Standing::NotAllowed => self.inner.out.forge.pull(key).await,
        };
        let state = self.inner.ledger.read(State::clone);
        let id = state.id_of(key);
        let desired = match (standing, &answer) {
            (Standing::NotAllowed, _) => Some(Desired::Gone(RemovalReason::NotAllowed)),
            (_, Ok(PullAnswer::NotFound)) => Some(Desired::Gone(RemovalReason::Vanished)),
            (_, Ok(PullAnswer::Known(pull))) => {
                id.as_ref().and_then(|id| self.apply_rules(&state, id, key, pull, self.long_overdue(&state, id)))
            }
            (_, Err(_)) => None,
        };
        let record = id.as_ref().and_then(|id| state.deployments.get(id));
        let facts = Facts {
            github: answer.as_ref(),
            desired: desired.as_ref(),
            record,
            approval: state.talks.get(&key).and_then(|talk| talk.approval.as_ref()),
            pending: state.pending.get(&key),
            ahead: id.as_ref().and_then(|id| self.ahead_of(key.repo, id)),
            reporting: record.is_some_and(|record| self.is_untold(record)),
            working: self.inner.workers.works_for(key),
            policy: &self.inner.config.policy,
            resync: self.inner.config.resync_interval,
            now: self.inner.out.clock.now(),
        };
        Ok((key, why::explain(name, key.number, id.clone(), &facts)))
    }

    /// The pull request that somebody means, and its repository's name.
    fn meant(&self, subject: &Subject) -> Result<(PullKey, RepoName), Puzzled> {
        let known = self.known_repositories();
        let by_name = |wanted: &RepoName| known.iter().find(|(_, name)| name == wanted);
        match subject {
            Subject::Named(name, number) => {
                let (repo, name) = by_name(name).ok_or(Puzzled::Unknown)?;
                Ok((PullKey { repo: *repo, number: *number }, name.clone()))
            }
            Subject::Id(id) => {
                let key = self.inner.ledger.read(|state| state.key_of(id)).ok_or(Puzzled::Unknown)?;
                let named = known.into_iter().find(|(repo, _)| *repo == key.repo);
                named.map(|(_, name)| (key, name)).ok_or(Puzzled::Unknown)
            }
            Subject::Number(number) => self.only_one(*number, known),
        }
    }

    /// The only repository, or the only one of which there is something under this number.
    fn only_one(&self, number: PrNumber, known: Vec<(RepoId, RepoName)>) -> Result<(PullKey, RepoName), Puzzled> {
        let has = |state: &State, repo: RepoId| {
            let key = PullKey { repo, number };
            state.pending.contains_key(&key) || state.pulls().any(|pull| pull == key)
        };
        let (having, others): (Vec<_>, Vec<_>) =
            self.inner.ledger.read(|state| known.into_iter().partition(|(repo, _)| has(state, *repo)));
        match &(if having.is_empty() { others } else { having })[..] {
            [] => Err(Puzzled::Unknown),
            [(repo, name)] => Ok((PullKey { repo: *repo, number }, name.clone())),
            several => Err(Puzzled::Several(several.iter().map(|(_, name)| format!("{name}#{number}")).collect())),
        }
    }

    /// Every repository whose number we know, with its name as last seen.
    fn known_repositories(&self) -> Vec<(RepoId, RepoName)> {
        let allowed: Vec<_> = self.allowed().known.iter().map(|(name, repo)| (*repo, name.clone())).collect();
        let mut known: Vec<_> = self
            .inner
            .ledger
            .read(|state| state.projects.iter().map(|(repo, project)| (*repo, project.name.clone())).collect());
        known.extend(allowed);
        known.sort_by_key(|(repo, _)| *repo);
        known.dedup_by_key(|(repo, _)| *repo);
        known
    }
}
