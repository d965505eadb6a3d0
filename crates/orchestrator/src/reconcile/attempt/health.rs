//! Asking a new version until it answers, and saying well why it did not.

use std::time::Duration;

use preview_core::deployment::{Notice, Step};
use preview_core::diagnosis::Symptom;
use preview_core::health::{self, Noes, UsualPath};
use preview_core::ids::{DeploymentId, HostPort, Slot};
use tokio::time::Instant;

use super::super::Reconciler;
use super::diagnose::Given;
use super::{Work, diagnose, hurry};
use crate::folders::Log;
use crate::ledger::State;
use crate::needs::{Container, ContainerState, Fault, Part, Probe, Visitor};

/// Lines of a log that a comment shows.
const TAIL: usize = 50;
/// Lines of a failed app's log that are kept.
const KEPT: usize = 2000;
/// How long one question for an app's health may take.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// What is asked for where the repository names nothing.
const ROOT: &str = "/";
/// How long the next end of an app that has been restarted is waited for.
const NEXT_END: Duration = Duration::from_secs(3);
/// The pause between the first questions.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// An app that counts as up.
struct Up<'a> {
    /// By what it answers here.
    path: &'a str,
    /// What people should know of that.
    notice: Option<Notice>,
}

impl<'a> Up<'a> {
    fn well(path: &'a str) -> Self {
        Self { path, notice: None }
    }

    /// One that says no at `/`.
    fn in_spite_of(status: u16, well: Option<UsualPath>) -> Self {
        let path = well.map_or(ROOT, UsualPath::as_str);
        Self { path, notice: Some(Notice::NothingAtRoot { status, well }) }
    }

    /// The status of its answer, where that was a no.
    fn no(&self) -> Option<u16> {
        match self.notice {
            Some(Notice::NothingAtRoot { status, well: None }) => Some(status),
            _ => None,
        }
    }
}

/// Why an app is not healthy.
pub(super) enum Unwell<'a> {
    /// It could not be found out, or somebody else has a hand in it.
    Fault(Fault),
    /// By this, asked for this path.
    Symptom(&'a str, Symptom),
}

impl From<Fault> for Unwell<'_> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What is asked: the path that the repository names, or `/`.
#[derive(Clone, Copy)]
struct Question<'a> {
    slot: Slot,
    named: Option<&'a str>,
}

impl<'a> Question<'a> {
    fn path(self) -> &'a str {
        self.named.unwrap_or(ROOT)
    }

    /// Whether an app that answers so may be up all the same.
    fn may_say(self, status: u16) -> bool {
        self.named.is_none() && health::says_no(status)
    }
}

/// What the usual paths answer.
enum Usual {
    /// This one answers well.
    Well(UsualPath),
    /// This one says by this status that the app is not well.
    Unwell(UsualPath, u16),
    /// Nothing that tells anything.
    Nothing,
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
        let question = Question { slot, named: found.config.health_check_path.as_ref().map(|path| path.as_str()) };
        let (path, symptom) = match self.ask_within(limit, &id, cpu, question).await {
            Ok(up) => {
                self.note(&id, up).await?;
                return self.end_hurry(&id, part, cpu).await;
            }
            Err(Unwell::Fault(fault)) => return Err(self.with_log(&id, part, fault).await),
            Err(Unwell::Symptom(path, symptom)) => (path, symptom),
        };
        let lines = self.log_of(&id, part).await;
        let given = Given { slot, path, waited: limit, memory_mb: found.limits.memory_mb };
        let fault = self.explain(&id, &given, symptom, &found, &lines).await;
        Err(fault.tail(tail(lines)))
    }

    /// Asks until the time is over, then once more, and last of all as visitors will.
    async fn ask_within<'a>(
        &self,
        limit: Duration,
        id: &DeploymentId,
        cpu: u32,
        question: Question<'a>,
    ) -> Result<Up<'a>, Unwell<'a>> {
        let up = match tokio::time::timeout(limit, self.ask_in_a_hurry(id, cpu, question)).await {
            Ok(outcome) => outcome?,
            Err(_) => self.ask_once_more(id, question).await?,
        };
        let site = &self.inner.config.site;
        let visitor = Visitor { host: site.authority(id), scheme: site.origin().scheme() };
        match self.inner.out.prober.probe_for(&visitor, self.attempt_port(id)?, up.path, ASK).await {
            Probe::Status(status) if health::refuses_host(status) && up.no() != Some(status) => {
                Err(Unwell::Symptom(up.path, Symptom::HostRefused(status)))
            }
            _ => Ok(up),
        }
    }

    /// Writes down what people should know of an app that is up.
    async fn note(&self, id: &DeploymentId, up: Up<'_>) -> Result<(), Fault> {
        let Some(notice) = up.notice else { return Ok(()) };
        tracing::info!(deployment = %id, ?notice, "the app says no at `/` and counts as up; it names no `health_check_path`");
        let change = |state: &mut State| Some(state.deployments.get_mut(id)?.notices.insert(notice));
        Ok(self.inner.ledger.change(change).await.map(drop)?)
    }

    /// The fault, with the last lines of the app's log.
    async fn with_log(&self, id: &DeploymentId, part: Part, fault: Fault) -> Fault {
        fault.tail(tail(self.log_of(id, part).await))
    }

    /// What the app wrote last, which is kept.
    async fn log_of(&self, id: &DeploymentId, part: Part) -> Vec<String> {
        let lines = self.inner.out.engine.logs(id, part, KEPT).await.unwrap_or_default();
        self.keep_app_log(id, &lines);
        lines
    }

    /// Asks an app that may hurry for a while.
    async fn ask_in_a_hurry<'a>(
        &self,
        id: &DeploymentId,
        cpu: u32,
        question: Question<'a>,
    ) -> Result<Up<'a>, Unwell<'a>> {
        let asking = self.ask_until_healthy(id, question);
        tokio::pin!(asking);
        if let Ok(outcome) = tokio::time::timeout(hurry::LONGEST, &mut asking).await {
            return outcome;
        }
        self.end_hurry(id, Part::App(question.slot), cpu).await?;
        asking.await
    }

    async fn ask_until_healthy<'a>(&self, id: &DeploymentId, question: Question<'a>) -> Result<Up<'a>, Unwell<'a>> {
        let port = self.attempt_port(id)?;
        let begun = Instant::now();
        let (mut looked, mut noes) = (begun, Noes::default());
        loop {
            match self.inner.out.prober.probe(port, question.path(), ASK).await {
                Probe::Healthy => return Ok(Up::well(question.path())),
                Probe::Status(status) if question.may_say(status) => {
                    if let Some(up) = self.weigh(port, status, &mut noes, begun.elapsed()).await {
                        return Ok(up);
                    }
                }
                _ => noes.forget(),
            }
            if looked.elapsed() > Duration::from_millis(400) {
                looked = Instant::now();
                if let Some(end) = self.look_for_end(id, question.slot).await? {
                    return Err(Unwell::Symptom(question.path(), end));
                }
            }
            // A tenth of what it took so far is the most that a pause may add to it.
            let pause = (begun.elapsed() / 10).max(SHORTEST_PAUSE).min(self.inner.config.health_interval);
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether an app that says no at `/` is up. The usual paths are asked at the first no and before the last: each question stands in
    /// the app's log.
    async fn weigh(&self, port: HostPort, status: u16, noes: &mut Noes, at: Duration) -> Option<Up<'static>> {
        let is_first = *noes == Noes::default();
        let believed = noes.one_more(at);
        if !is_first && !believed {
            return None;
        }
        match self.ask_usual(port).await {
            Usual::Well(path) => Some(Up::in_spite_of(status, Some(path))),
            Usual::Nothing => believed.then(|| Up::in_spite_of(status, None)),
            Usual::Unwell(..) => {
                noes.forget();
                None
            }
        }
    }

    async fn ask_usual(&self, port: HostPort) -> Usual {
        for path in UsualPath::ALL {
            match self.inner.out.prober.probe(port, path.as_str(), diagnose::ASK).await {
                Probe::Healthy => return Usual::Well(path),
                Probe::Status(status @ 500..) if path.tells_health() => return Usual::Unwell(path, status),
                _ => {}
            }
        }
        Usual::Nothing
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
    async fn ask_once_more<'a>(&self, id: &DeploymentId, question: Question<'a>) -> Result<Up<'a>, Unwell<'a>> {
        let path = question.path();
        if let Some(end) = self.look_for_end(id, question.slot).await? {
            return Err(Unwell::Symptom(path, end));
        }
        let port = self.attempt_port(id)?;
        let symptom = match self.inner.out.prober.probe(port, path, ASK).await {
            Probe::Healthy => return Ok(Up::well(path)),
            Probe::Status(status) if question.may_say(status) => {
                return match self.ask_usual(port).await {
                    Usual::Well(path) => Ok(Up::in_spite_of(status, Some(path))),
                    Usual::Nothing => Ok(Up::in_spite_of(status, None)),
                    Usual::Unwell(path, status) => Err(Unwell::Symptom(path.as_str(), Symptom::Status(status))),
                };
            }
            Probe::Status(status) => Symptom::Status(status),
            Probe::NoAnswer => Symptom::Silent,
            Probe::Slow => Symptom::Slow { seconds: ASK.as_secs() },
        };
        Err(Unwell::Symptom(path, symptom))
    }

    fn keep_app_log(&self, id: &DeploymentId, lines: &[String]) {
        match self.inner.folders.start_log(id, Log::App) {
            Ok(mut log) => lines.iter().for_each(|line| log.line(line)),
            Err(error) => tracing::warn!(deployment = %id, %error, "could not keep the app's log"),
        }
    }
}

/// The last lines, as a comment shows them.
fn tail(lines: Vec<String>) -> impl Iterator<Item = String> {
    let skipped = lines.len().saturating_sub(TAIL);
    lines.into_iter().skip(skipped)
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
