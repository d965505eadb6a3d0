//! An attempt's beginning: a place, ports, a network, and the line in the ledger that says so.

use std::collections::BTreeMap;

use preview_core::deployment::{Attempt, Deployment, QueueReason, Stage, Step};
use preview_core::desired::Pull;
use preview_core::ids::{CommitSha, DeploymentId, Slot};
use tokio::time::Instant;

use super::super::Reconciler;
use super::super::decide::Decision;
use super::{Trying, Work};
use crate::ledger::State;
use crate::needs::Fault;

/// What an attempt begins with.
struct Wish<'a> {
    decision: &'a Decision,
    pull: &'a Pull,
    id: &'a DeploymentId,
    commit: &'a CommitSha,
    slot: Slot,
}

impl Reconciler {
    /// Waits for a place and for ports, and writes the attempt down.
    pub(in crate::reconcile) async fn begin(
        &self,
        work: &mut Work,
        decision: &Decision,
        commit: &CommitSha,
        slot: Slot,
    ) -> Result<(), Fault> {
        let (Some(id), Some(pull)) = (&decision.id, &decision.pull) else {
            return Err(Fault::passing("GitHub has not told what the commit belongs to"));
        };
        let begun = Instant::now();
        work.trying = Some(Trying {
            key: decision.key,
            id: id.clone(),
            told: decision.serial(),
            commit: commit.clone(),
            slot,
            trust: pull.trust(),
            begun,
            port: None,
            checkout: None,
            found: None,
            users: BTreeMap::new(),
            command: Vec::new(),
            bases: BTreeMap::new(),
            started: false,
            seed: None,
            seed_untouched: false,
        });
        self.wait_for_place(&Wish { decision, pull, id, commit, slot }).await?;
        self.report(id);
        if work.hold.is_none() {
            work.hold = Some(self.inner.folders.lock(id).await?);
        }
        Ok(())
    }

    async fn wait_for_place(&self, wish: &Wish<'_>) -> Result<(), Fault> {
        let since = self.inner.ledger.read(|state| state.deployments.get(wish.id).and_then(Deployment::queued_since));
        // A newer push and a restart keep the place in the queue.
        let since = since.unwrap_or_else(|| self.inner.out.clock.now());
        let ticket = self.inner.places.join(wish.decision.key.repo, wish.id, since);
        let mut refused = None;
        loop {
            let moved = ticket.next_move();
            let before = ticket.before();
            // Whoever waits already writes nothing while there is no place: of hundreds, each move concerns a few.
            if refused.is_none() || self.inner.ledger.read(|state| self.has_place(state, wish.id, before)) {
                match self.inner.ledger.change(|state| self.admit(state, wish, before)).await? {
                    Ok(()) => break,
                    Err(reason) if refused == Some(reason) => {}
                    Err(reason) => {
                        tracing::info!(deployment = %wish.id, ?reason, before, "waiting for a place");
                        refused = Some(reason);
                    }
                }
            }
            self.report(wish.id);
            moved.await;
        }
        ticket.served();
        Ok(())
    }

    /// Whether a preview has a place, or gets one although so many are served before it.
    fn has_place(&self, state: &State, id: &DeploymentId, before: usize) -> bool {
        let taken = state.deployments.iter().filter(|(other, d)| *other != id && d.holds_place()).count();
        let holds = state.deployments.get(id).is_some_and(Deployment::holds_place);
        holds || taken + before < self.inner.config.max_previews
    }

    /// Inside one change of the ledger: takes a place, a port and a network, or stands in the queue.
    fn admit(&self, state: &mut State, wish: &Wish<'_>, before: usize) -> Result<(), QueueReason> {
        let now = self.inner.out.clock.now();
        let has_place = self.has_place(state, wish.id, before);
        let port = self.inner.ports.app(state);
        let network = self.inner.ports.network(state);
        let record = record_of(state, wish, now);
        record.trust = wish.pull.trust();
        record.notices.clear();
        let queued_since = record.queued_since();
        let (draining, serves_at) = (record.is_draining(), record.serving.as_ref().map(|serving| serving.app_port));
        let former = record.attempt.take();
        let same = former.as_ref().filter(|former| former.commit == *wish.commit && is_open(&former.stage));
        let started_at = same.map(|same| same.started_at).or(queued_since).unwrap_or(now);
        let in_place = same.is_some_and(|same| same.in_place);
        // The slot's former port stays with it: the slot is cleared before anything starts. While an old version drains, it is
        // that one's slot, and the former attempt has its port.
        let port_of = |former: Attempt| former.app_port.filter(|port| Some(*port) != serves_at);
        let (kept, freed) = match former {
            Some(former) if former.slot == wish.slot || draining => (port_of(former), None),
            former => (None, former.and_then(port_of)),
        };
        freed.into_iter().for_each(|port| self.inner.ports.rest(port));
        let port = kept.or(port);
        let refusal = if !has_place {
            Some(QueueReason::Places)
        } else if port.is_none() || record.subnet.or(network).is_none() {
            Some(QueueReason::Ports)
        } else {
            None
        };
        record.attempt = Some(Attempt {
            commit: wish.commit.clone(),
            slot: wish.slot,
            app_port: port.filter(|_| refusal.is_none()),
            started_at,
            stage: refusal.map_or(Stage::Running(Step::Checkout), Stage::Queued),
            in_place,
        });
        record.updated_at = now;
        if let Some(reason) = refusal {
            return Err(reason);
        }
        record.subnet = record.subnet.or(network);
        record.url = Some(self.inner.config.site.url(wish.id));
        Ok(())
    }
}

fn is_open(stage: &Stage) -> bool {
    matches!(stage, Stage::Queued(_) | Stage::Running(_))
}

/// The record, made from what GitHub told if there is none; what was set aside comes back with its comment.
fn record_of<'a>(state: &'a mut State, wish: &Wish<'_>, now: jiff::Timestamp) -> &'a mut Deployment {
    let (pull, key) = (wish.pull, wish.decision.key);
    let aside = state.set_aside.remove(wish.id).and_then(|aside| aside.comment_id);
    let imported = state.imported.iter().position(|old| old.repo == pull.base_name && old.number == key.number);
    let imported = imported.and_then(|place| state.imported.swap_remove(place).comment_id);
    state.deployments.entry(wish.id.clone()).or_insert_with(|| {
        let repo = (key.repo, pull.base_name.clone());
        let mut record = Deployment::new(wish.id.clone(), repo, pull.branch.clone(), pull.head.clone(), now);
        record.comment_id = aside.or(imported);
        record
    })
}
