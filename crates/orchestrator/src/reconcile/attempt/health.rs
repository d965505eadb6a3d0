//! Asking a new version until it answers, and saying well why it did not.

use std::time::Duration;

use preview_core::deployment::Step;
use preview_core::diagnosis::Symptom;
use preview_core::ids::{DeploymentId, HostPort, Slot};
use tokio::time::Instant;

use super::super::Reconciler;
use super::diagnose::Given;
use super::{Work, hurry};
use crate::folders::Log;
use crate::ledger::State;
use crate::needs::{Container, ContainerState, Fault, Part, Probe};

/// Lines of a log that a comment shows.
const TAIL: usize = 50;
/// Lines of a failed app's log that are kept.
const KEPT: usize = 2000;
/// How long one question for an app's health may take.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// How long the next end of an app that has been restarted is waited for.
const NEXT_END: Duration = Duration::from_secs(3);
/// The pause between the first questions.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Why an app is not healthy.
pub(super) enum Unwell {
    /// It could not be found out, or somebody else has a hand in it.
    Fault(Fault),
    /// By this.
    Symptom(Symptom),
}

impl From<Fault> for Unwell {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Reconciler {
    /// Asks the app until it answers. A container that ends is a failure at once.
    pub(in crate::reconcile) async fn await_health(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let found = trying.found()?;
        let id = trying.id.clone();
        let (slot, cpu, part) = (trying.slot, found.limits.cpu_millis, Part::App(trying.slot));
        self.step(&id, Step::Health).await?;
        let limit = found.config.health_check_timeout.unwrap_or(self.inner.config.health_timeout);
        let path = found.config.health_check_path.as_ref().map_or("/", |path| path.as_str());
        let outcome = match tokio::time::timeout(limit, self.ask_in_a_hurry(&id, cpu, slot, path)).await {
            Ok(outcome) => outcome,
            Err(_) => self.ask_once_more(&id, slot, path).await,
        };
        let Err(unwell) = outcome else { return self.end_hurry(&id, part, cpu).await };
        let lines = self.inner.out.engine.logs(&id, part, KEPT).await.unwrap_or_default();
        self.keep_app_log(&id, &lines);
        let fault = match unwell {
            Unwell::Fault(fault) => fault,
            Unwell::Symptom(symptom) => {
                let memory_mb = found.limits.memory_mb;
                let given = Given { slot, path, waited: limit, memory_mb };
                self.explain(&id, &given, symptom, &found, &lines).await
            }
        };
        Err(fault.tail(lines.into_iter().rev().take(TAIL).rev()))
    }

    /// Asks an app that may hurry for a while.
    async fn ask_in_a_hurry(&self, id: &DeploymentId, cpu: u32, slot: Slot, path: &str) -> Result<(), Unwell> {
        let asking = self.ask_until_healthy(id, slot, path);
        tokio::pin!(asking);
        if let Ok(outcome) = tokio::time::timeout(hurry::LONGEST, &mut asking).await {
            return outcome;
        }
        self.end_hurry(id, Part::App(slot), cpu).await?;
        asking.await
    }

    async fn ask_until_healthy(&self, id: &DeploymentId, slot: Slot, path: &str) -> Result<(), Unwell> {
        let port = self.attempt_port(id)?;
        let begun = Instant::now();
        let mut looked = begun;
        loop {
            if self.inner.out.prober.probe(port, path, ASK).await == Probe::Healthy {
                return Ok(());
            }
            if looked.elapsed() > Duration::from_millis(400) {
                looked = Instant::now();
                if let Some(end) = self.look_for_end(id, slot).await? {
                    return Err(Unwell::Symptom(end));
                }
            }
            // A tenth of what it took so far is the most that a pause may add to it.
            let pause = (begun.elapsed() / 10).max(SHORTEST_PAUSE).min(self.inner.config.health_interval);
            tokio::time::sleep(pause).await;
        }
    }

    /// Why the app ended, if it has. While it is up again nobody knows its exit code, so its next end is waited for a little.
    async fn look_for_end(&self, id: &DeploymentId, slot: Slot) -> Result<Option<Symptom>, Fault> {
        let deadline = Instant::now() + NEXT_END;
        loop {
            let view = self.inner.out.engine.observe(id).await?;
            let container = view.part(Part::App(slot));
            let up_again = container.is_some_and(|container| {
                matches!(container.state, ContainerState::Running { .. }) && container.restarts > 0
            });
            if !up_again || Instant::now() >= deadline {
                let gone = || Fault::passing("the app's container was removed by somebody else");
                return container.map(ended).ok_or_else(gone);
            }
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
    }

    pub(in crate::reconcile) fn attempt_port(&self, id: &DeploymentId) -> Result<HostPort, Fault> {
        let port = |state: &State| state.deployments.get(id)?.attempt.as_ref()?.app_port;
        self.inner.ledger.read(port).ok_or_else(|| Fault::passing("the attempt was interrupted"))
    }

    /// The time is over; what the app does now says why. One that answers after all is as good as any.
    async fn ask_once_more(&self, id: &DeploymentId, slot: Slot, path: &str) -> Result<(), Unwell> {
        if let Some(end) = self.look_for_end(id, slot).await? {
            return Err(Unwell::Symptom(end));
        }
        let answer = self.inner.out.prober.probe(self.attempt_port(id)?, path, ASK).await;
        Err(Unwell::Symptom(match answer {
            Probe::Healthy => return Ok(()),
            Probe::Status(status) => Symptom::Status(status),
            Probe::NoAnswer => Symptom::Silent,
            Probe::Slow => Symptom::Slow { seconds: ASK.as_secs() },
        }))
    }

    fn keep_app_log(&self, id: &DeploymentId, lines: &[String]) {
        match self.inner.folders.start_log(id, Log::App) {
            Ok(mut log) => lines.iter().for_each(|line| log.line(line)),
            Err(error) => tracing::warn!(deployment = %id, %error, "could not keep the app's log"),
        }
    }
}

/// How a container has ended, if it has; the engine restarts it again and again, so one restart is an end.
fn ended(container: &Container) -> Option<Symptom> {
    let (exit_code, out_of_memory) = match container.state {
        ContainerState::Exited { exit_code, out_of_memory }
        | ContainerState::Restarting { exit_code, out_of_memory } => (Some(exit_code), out_of_memory),
        ContainerState::Running { .. } if container.restarts > 0 => (None, false),
        ContainerState::Created | ContainerState::Running { .. } => return None,
    };
    Some(Symptom::Ended { exit_code, out_of_memory })
}
