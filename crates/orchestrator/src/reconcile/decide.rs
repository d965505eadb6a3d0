//! What a pull request's preview should be now: GitHub's word and the ledger's, through [`desired`].

use std::sync::PoisonError;

use preview_core::command::LONGEST_KEEP;
use preview_core::deployment::RemovalReason;
use preview_core::desired::{Desired, Known, Pull, SetAside, SetAsideReason, desired};
use preview_core::ids::{CommitSha, DeploymentId, PullKey};
use preview_core::plan::{Again, Target, worth_retrying};
use preview_core::ttl;

use super::Reconciler;
use super::allowed::Standing;
use crate::ledger::{Pending, Reason, State, WriteError};
use crate::needs::{Fault, PullAnswer};

/// What was decided for a pull request, and from what.
pub(super) struct Decision {
    pub(super) key: PullKey,
    /// Its deployment's id; `None` for a repository that we have never seen.
    pub(super) id: Option<DeploymentId>,
    pub(super) desired: Desired,
    /// As GitHub told it; `None` when GitHub was not needed for the answer, or knows it no more.
    pub(super) pull: Option<Pull>,
    /// What is to be done although it serves or has failed.
    again: Again,
    /// What had been told by then.
    serial: Option<u64>,
}

impl Decision {
    /// What the plan aims at; `None` when there is nothing to aim at.
    pub(super) fn target(&self) -> Option<Target> {
        match &self.desired {
            Desired::Commit(commit) => Some(Target::Commit { commit: commit.clone(), again: self.again }),
            // What is ignored has nothing; should there be something all the same, it goes as if it were closed.
            other => Some(Target::Nothing(other.removal().unwrap_or(RemovalReason::Closed))),
        }
    }

    /// The telling that this decision answers.
    pub(super) fn serial(&self) -> Option<u64> {
        self.serial
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::passing(error.to_string())
    }
}

impl Reconciler {
    /// Asks GitHub and decides. `retry`: what failed for a passing reason is worth another try.
    pub(super) async fn decide(&self, key: PullKey, retry: bool) -> Result<Decision, Fault> {
        let pending = self.inner.ledger.read(|state| state.pending.get(&key).cloned());
        let serial = pending.as_ref().map(|pending| pending.serial);
        let without_pull = |desired| {
            let id = self.inner.ledger.read(|state| state.id_of(key));
            Decision { key, id, desired, pull: None, again: Again::No, serial }
        };
        match self.standing(key.repo) {
            Standing::Allowed => {}
            Standing::NotAllowed => return Ok(without_pull(Desired::Gone(RemovalReason::NotAllowed))),
            // Growing old needs no answer from GitHub.
            Standing::Unknown if self.too_old(key) => return Ok(without_pull(Desired::Expired)),
            Standing::Unknown => {
                return Err(Fault::passing("GitHub has not told yet whether the repository is an allowed one"));
            }
        }
        let asked = {
            let _ask = self.inner.asks.acquire().await;
            self.inner.out.forge.pull(key).await
        };
        let pull = match asked {
            Ok(PullAnswer::Known(pull)) => pull,
            Ok(PullAnswer::NotFound) => return self.not_found(key).map(without_pull),
            Err(_) if self.too_old(key) => return Ok(without_pull(Desired::Expired)),
            Err(fault) => return Err(fault),
        };
        self.look_at_missing(key, false);
        let (id, again) = self.take_note(key, &pull, pending.as_ref()).await?;
        let too_old = self.too_old(key);
        let desired = self.inner.ledger.read(|state| self.apply_rules(state, &id, key, &pull, too_old));
        let desired =
            desired.ok_or_else(|| Fault::passing("the repository's open pull requests are not listed yet"))?;
        let retry = retry && self.inner.ledger.read(|state| state.deployments.get(&id).is_some_and(worth_retrying));
        let again = if retry { again.max(Again::Attempt) } else { again };
        Ok(Decision { key, id: Some(id), desired, pull: Some(pull), again, serial })
    }

    /// GitHub doesn't know it although it knows the repository. Once may be a hiccup; twice an interval apart is the truth.
    fn not_found(&self, key: PullKey) -> Result<Desired, Fault> {
        if self.look_at_missing(key, true) {
            Ok(Desired::Gone(RemovalReason::Vanished))
        } else {
            Err(Fault::passing("GitHub does not know the pull request; asking again later, to be sure"))
        }
    }

    fn look_at_missing(&self, key: PullKey, missing: bool) -> bool {
        self.inner.missing.lock().unwrap_or_else(PoisonError::into_inner).look(&key, missing, self.uptime())
    }

    /// Writes down what is new about the pull request. Gives its id and what a person asked to be done again.
    async fn take_note(
        &self,
        key: PullKey,
        pull: &Pull,
        pending: Option<&Pending>,
    ) -> Result<(DeploymentId, Again), Fault> {
        let reason = pending.map(|pending| pending.reason);
        let noted = |state: &State| {
            let id = state.id_of(key)?;
            let record = state.deployments.get(&id);
            let same =
                record.is_none_or(|r| r.head == pull.head && r.repo == pull.base_name && r.branch == pull.branch);
            let touches = reason.is_some_and(|reason| reason >= Reason::Pushed);
            (same && !touches).then_some(id)
        };
        if let Some(id) = self.inner.ledger.read(noted) {
            return Ok((id, Again::No));
        }
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let slug = state.project(key.repo, &pull.base_name, now).slug.clone();
            let id = DeploymentId::new(slug, key.number);
            if let Some(record) = state.deployments.get_mut(&id) {
                if record.head != pull.head || reason.is_some_and(Reason::shows_interest) {
                    // One that is to be kept for longer stays for longer.
                    let longest = now.checked_add(LONGEST_KEEP).unwrap_or(now);
                    record.active_at = record.active_at.min(longest).max(now);
                }
                record.head = pull.head.clone();
                record.repo = pull.base_name.clone();
                record.branch = pull.branch.clone();
            }
            match reason {
                None | Some(Reason::Changed) => {}
                Some(Reason::Pushed) => state.touched(key),
                Some(Reason::Reopened | Reason::Deploy | Reason::Redeploy | Reason::ResetDatabase) => {
                    state.touched(key);
                    // What waits does so for a reason of its own, and keeps its comment.
                    let waits = |line: &SetAside| matches!(line.reason, SetAsideReason::Waiting(_));
                    if !state.set_aside.get(&id).is_some_and(waits) {
                        state.set_aside.remove(&id);
                    }
                }
                // A push that was told while GitHub was being asked is one after the stop: the next look decides.
                Some(Reason::Stop) if state.pending.get(&key) == pending => {
                    stop(state, &id, key, pull, pending.map_or(now, |pending| pending.since), now);
                }
                Some(Reason::Stop) => {}
            }
            id
        };
        let id = self.inner.ledger.change(change).await?;
        let serves = |state: &State| {
            let serving = state.deployments.get(&id).and_then(|record| record.serving.as_ref());
            serving.is_some_and(|serving| serving.commit_sha == pull.head)
        };
        let again = match reason {
            Some(Reason::ResetDatabase) => Again::FromNothing,
            Some(Reason::Redeploy) => Again::Attempt,
            Some(Reason::Deploy) if !self.inner.ledger.read(serves) => Again::Attempt,
            _ => Again::No,
        };
        Ok((id, again))
    }

    /// What the rules say; `None` while that hangs on whether it was open before us, which the first listing will tell.
    pub(super) fn apply_rules(
        &self,
        state: &State,
        id: &DeploymentId,
        key: PullKey,
        pull: &Pull,
        too_old: bool,
    ) -> Option<Desired> {
        let record = state.deployments.get(id);
        let set_aside = state.set_aside.get(id);
        let project = state.projects.get(&key.repo);
        let listed = project.and_then(|project| project.baseline.as_ref());
        let told = state.pending.get(&key).is_some_and(|pending| pending.reason >= Reason::Pushed);
        if listed.is_none() && record.is_none() && set_aside.is_none() && !told {
            return None;
        }
        let activity = record.map(|record| (&record.head, record.active_at));
        let known = Known {
            allowed: true,
            baseline: listed.and_then(|baseline| baseline.get(&key.number)),
            set_aside,
            activity: activity.or(set_aside.map(|aside| (&aside.head, aside.active_at))),
            approved: state.approved(key),
            expiry_confirmed: too_old,
        };
        Some(desired(pull, &known, &self.inner.config.policy, self.inner.out.clock.now()))
    }

    /// Whether the clock may be believed that this preview's time is over.
    pub(super) fn too_old(&self, key: PullKey) -> bool {
        let (policy, now) = (&self.inner.config.policy, self.inner.out.clock.now());
        let overdue = self.inner.ledger.read(|state| {
            let record = state.id_of(key).and_then(|id| state.deployments.get(&id));
            record.is_some_and(|record| ttl::overdue(record.active_at, policy.ttl, now))
        });
        self.inner.ages.lock().unwrap_or_else(PoisonError::into_inner).look(&key, overdue, self.uptime())
    }

    /// There is nothing left to do: writes down why there is no preview, if there is none, and takes the telling out. `false`
    /// when there is news.
    pub(super) async fn conclude(&self, key: PullKey, decision: &Decision) -> Result<bool, Fault> {
        match (&decision.id, &decision.pull) {
            (Some(id), Some(pull)) => self.set_aside(id, key, pull, &decision.desired).await?,
            (Some(id), None) => self.drop_line(id, &decision.desired).await?,
            (None, _) => {}
        }
        if matches!(decision.desired, Desired::Gone(_)) {
            self.fall_silent(key, decision.id.as_ref()).await?;
        }
        let Some(serial) = decision.serial() else {
            return Ok(!self.inner.ledger.read(|state| state.pending.contains_key(&key)));
        };
        Ok(self.inner.ledger.change(|state| state.dealt_with(key, serial)).await?)
    }

    /// Keeps the line of a pull request without a preview as it should be.
    async fn set_aside(&self, id: &DeploymentId, key: PullKey, pull: &Pull, desired: &Desired) -> Result<(), Fault> {
        let now = self.inner.out.clock.now();
        let known = self.inner.ledger.read(|state| state.set_aside.get(id).cloned());
        let wanted = desired.set_aside();
        if known.as_ref().map(|aside| (aside.reason, &aside.head)) == wanted.map(|reason| (reason, &pull.head)) {
            return Ok(());
        }
        let comment_id = known.as_ref().and_then(|aside| aside.comment_id);
        let change = |state: &mut State| match wanted {
            Some(reason) => {
                let line = aside(key, reason, &pull.head, known.as_ref().map_or(now, |aside| aside.active_at), now);
                state.set_aside.insert(id.clone(), SetAside { comment_id, ..line });
            }
            None => drop(state.set_aside.remove(id)),
        };
        self.inner.ledger.change(change).await?;
        self.report(id);
        Ok(())
    }

    /// Of what is closed nothing is kept that people said: what is reopened asks again.
    async fn fall_silent(&self, key: PullKey, id: Option<&DeploymentId>) -> Result<(), Fault> {
        if let Some(id) = id {
            self.inner.reporter.forget(id);
        }
        if self.inner.ledger.read(|state| state.talks.contains_key(&key)) {
            self.inner.ledger.change(|state| drop(state.talks.remove(&key))).await?;
        }
        Ok(())
    }

    /// Without GitHub's word a line stays, unless nothing is to stay.
    async fn drop_line(&self, id: &DeploymentId, desired: &Desired) -> Result<(), Fault> {
        let there = self.inner.ledger.read(|state| state.set_aside.contains_key(id));
        if there && desired.set_aside().is_none() {
            self.inner.ledger.change(|state| drop(state.set_aside.remove(id))).await?;
        }
        Ok(())
    }

    /// Writes down that something had to be put right that should not have been wrong.
    pub(super) async fn count_repair(&self, id: &DeploymentId, what: &str) -> Result<(), Fault> {
        tracing::warn!(deployment = %id, "repaired: {what}");
        Ok(self.inner.ledger.change(|state| state.repairs += 1).await?)
    }
}

/// Stops at the head that it has when this is first looked at: what is pushed while it is going comes after the stop.
fn stop(state: &mut State, id: &DeploymentId, key: PullKey, pull: &Pull, told: jiff::Timestamp, now: jiff::Timestamp) {
    let noted = |line: &SetAside| line.reason == SetAsideReason::Stopped && line.since >= told;
    if state.set_aside.get(id).is_some_and(noted) {
        return;
    }
    let active_at = state.deployments.get(id).map_or(now, |record| record.active_at);
    let comment_id = state.deployments.get(id).and_then(|record| record.comment_id);
    let line = aside(key, SetAsideReason::Stopped, &pull.head, active_at, now);
    state.touched(key);
    state.set_aside.insert(id.clone(), SetAside { comment_id, ..line });
}

pub(super) fn aside(
    key: PullKey,
    reason: SetAsideReason,
    head: &CommitSha,
    active_at: jiff::Timestamp,
    since: jiff::Timestamp,
) -> SetAside {
    let (repository_id, head) = (key.repo, head.clone());
    SetAside { repository_id, reason, head, since, active_at, comment_id: None, told: None }
}
