//! Where work comes in: deliveries, and what people ask for.

use jiff::Timestamp;
use preview_core::command::Hours;
use preview_core::ids::{DeploymentId, PrNumber, PullKey, RepoId};

use super::Reconciler;
use super::allowed::Standing;
use crate::ledger::{Reason, State, WriteError};

/// Most pull requests that may wait to be looked at; beyond it GitHub is asked to come later, and resync finds the rest.
const MOST_PENDING: usize = 10_000;

/// What became of a telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is on the disk, and its worker is awake.
    WrittenDown,
    /// There is no such preview.
    Unknown,
}

/// Why a telling was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The repository is not one of those that this installation serves.
    #[error("the repository is not one that this installation serves")]
    NotAllowed,
    /// Too much is waiting.
    #[error("too many pull requests are waiting to be looked at")]
    TooMany,
    /// It could not be written down.
    #[error(transparent)]
    Ledger(#[from] WriteError),
}

impl Reconciler {
    /// Takes a delivery: written down when this returns, and never lost after.
    pub async fn accept(&self, repo: RepoId, number: PrNumber, reason: Reason) -> Result<(), NotAccepted> {
        if self.standing(repo) == Standing::NotAllowed {
            return Err(NotAccepted::NotAllowed);
        }
        self.tell(PullKey { repo, number }, reason).await
    }

    /// Takes a hint that somebody said something: the comments are read from GitHub. Nothing is written down, since what has
    /// been read is: the next question begins where the last one ended.
    pub fn hint(&self, repo: RepoId) -> Result<(), NotAccepted> {
        if self.standing(repo) == Standing::NotAllowed {
            return Err(NotAccepted::NotAllowed);
        }
        self.listen_to(repo);
        Ok(())
    }

    /// Takes a person's wish for a preview: to be deployed again, with an empty database or not, or to be stopped.
    pub async fn command(&self, id: &DeploymentId, reason: Reason) -> Result<Accepted, NotAccepted> {
        let key = self.inner.ledger.read(|state| {
            let known = state.deployments.contains_key(id) || state.set_aside.contains_key(id);
            // There is no database to be emptied of what is going.
            let can_be = |key: &PullKey| known && (reason != Reason::ResetDatabase || state.stays(*key));
            state.key_of(id).filter(can_be)
        });
        match key {
            Some(key) => self.tell(key, reason).await.map(|()| Accepted::WrittenDown),
            None => Ok(Accepted::Unknown),
        }
    }

    /// Keeps a preview for so long from now on, or for one more time to live. Gives when it ends now; `None` where there is no
    /// such preview.
    pub async fn keep(&self, id: &DeploymentId, time: Option<Hours>) -> Result<Option<Timestamp>, NotAccepted> {
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| state.key_of(id).and_then(|key| self.keep_in(state, key, time, now));
        let until = self.inner.ledger.change(change).await?;
        self.report(id);
        Ok(until)
    }

    /// The same, inside a change of the ledger.
    pub(super) fn keep_in(
        &self,
        state: &mut State,
        key: PullKey,
        time: Option<Hours>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let ttl = self.inner.config.policy.ttl;
        state.keep(key, now.checked_add(time.map_or(ttl, Hours::span)).unwrap_or(now), ttl)
    }

    pub(super) async fn tell(&self, key: PullKey, reason: Reason) -> Result<(), NotAccepted> {
        let full = |state: &State| state.pending.len() >= MOST_PENDING && !state.pending.contains_key(&key);
        if self.inner.ledger.read(full) {
            return Err(NotAccepted::TooMany);
        }
        let now = self.inner.out.clock.now();
        self.inner.ledger.change(|state| state.tell(key, reason, now)).await?;
        self.wake(key);
        Ok(())
    }
}
