//! Keeping an eye on what serves: an app that ends is restarted by Docker; one that stays down changes its comment.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use preview_core::deployment::{Deployment, Serving};
use preview_core::ids::DeploymentId;
use tokio::time::Instant;

use super::Reconciler;
use crate::folders::Log;
use crate::needs::{ContainerState, Fault, Part, Probe};

/// Between two looks at everything that serves.
const SLOW: Duration = Duration::from_secs(30);
/// After an event, between two looks at what had it.
const FAST: Duration = Duration::from_secs(2);
/// How long an app may be away before it counts as down: Docker's own restarts take seconds.
const AWAY: Duration = Duration::from_secs(10);
/// How long one question may take.
const ASK: Duration = Duration::from_secs(5);
/// Lines of its output that are kept of an app that went down.
const KEPT: usize = 2000;

impl Reconciler {
    /// Watches for ever: events, and a slow poll for what events missed.
    pub(super) async fn keep_watching(self) {
        let mut away: BTreeMap<DeploymentId, Instant> = BTreeMap::new();
        loop {
            let mut events = self.inner.out.engine.events().await;
            self.look_at_all(&mut away).await;
            loop {
                let pause = if away.is_empty() { SLOW } else { FAST };
                tokio::select! {
                    event = events.next() => match event {
                        Some(event) => self.look_at(&event.deployment, &mut away).await,
                        None => break,
                    },
                    () = tokio::time::sleep(pause) => self.look_at_all(&mut away).await,
                }
            }
            // The engine went away; it is asked again soon.
            tokio::time::sleep(FAST).await;
        }
    }

    async fn look_at_all(&self, away: &mut BTreeMap<DeploymentId, Instant>) {
        let serving: Vec<DeploymentId> = self.inner.ledger.read(|state| {
            let serving = state.deployments.values().filter(|d| d.serving.is_some() && d.removing.is_none());
            serving.map(|d| d.id.clone()).collect()
        });
        away.retain(|id, _| serving.contains(id));
        for id in serving {
            self.look_at(&id, away).await;
        }
    }

    async fn look_at(&self, id: &DeploymentId, away: &mut BTreeMap<DeploymentId, Instant>) {
        let record = self.inner.ledger.read(|state| state.deployments.get(id).cloned());
        let Some((record, serving)) = record.and_then(|record| record.serving.clone().map(|s| (record, s))) else {
            away.remove(id);
            return;
        };
        let answers = match self.answers(&record, &serving).await {
            Ok(answers) => answers,
            Err(fault) => {
                tracing::debug!(deployment = %id, cause = %fault, "could not look at a preview");
                return;
            }
        };
        let down = if answers {
            away.remove(id);
            false
        } else {
            away.entry(id.clone()).or_insert_with(Instant::now).elapsed() >= AWAY
        };
        if down != serving.down && (down || answers) {
            self.note_down(id, &serving, down).await;
        }
    }

    /// Whether the app that serves is up. A container that is gone altogether is its worker's to bring back.
    async fn answers(&self, record: &Deployment, serving: &Serving) -> Result<bool, Fault> {
        let view = self.inner.out.engine.observe(&record.id).await?;
        let Some(container) = view.part(Part::App(serving.slot)) else {
            self.wake(record.key());
            return Ok(false);
        };
        if !matches!(container.state, ContainerState::Running { .. }) {
            return Ok(false);
        }
        // Any answer will do: whether it is healthy was asked before it got visitors.
        let probe = self.inner.out.prober.probe(serving.app_port, "/", ASK).await;
        Ok(!matches!(probe, Probe::NoAnswer))
    }

    async fn note_down(&self, id: &DeploymentId, serving: &Serving, down: bool) {
        if down {
            tracing::warn!(deployment = %id, "the app has ended and does not come back");
            let lines = self.inner.out.engine.logs(id, Part::App(serving.slot), KEPT).await.unwrap_or_default();
            if let Ok(mut log) = self.inner.folders.start_log(id, Log::App) {
                lines.iter().for_each(|line| log.line(line));
            }
        }
        let slot = serving.slot;
        let change = |state: &mut crate::ledger::State| {
            let record = state.deployments.get_mut(id)?;
            let serving = record.serving.as_mut().filter(|serving| serving.slot == slot)?;
            serving.down = down;
            Some(())
        };
        match self.inner.ledger.change(change).await {
            Ok(_) => self.report(id),
            Err(error) => tracing::warn!(deployment = %id, %error, "could not write down that an app is down"),
        }
    }
}
