//! One commit's way to its visitors: the steps of an attempt.

mod begin;
mod build;
mod data;
mod diagnose;
mod health;
mod hurry;
mod start;
mod upon;

use std::collections::BTreeMap;
use std::sync::Arc;

use preview_core::comment;
use preview_core::compose::own::OwnName;
use preview_core::compose::{AppUser, Limits};
use preview_core::deployment::data::Content;
use preview_core::deployment::{Deployment, QueueReason, Serving, Stage, Step};
use preview_core::framework::Detected;
use preview_core::ids::{CommitSha, DeploymentId, HostPort, PullKey, Slot};
use preview_core::plan::Action;
use preview_core::repo_config::{EnvVars, RepoConfig};
use preview_core::trust::Trust;
use tokio::time::Instant;

use super::Reconciler;
use crate::ledger::State;
use crate::needs::{Checkout, DeploymentLock, Fault, Part};

/// What a worker carries from one action to the next. All of it can be lost: the next plan starts over.
pub(super) struct Work {
    pub(super) key: PullKey,
    pub(super) hold: Option<DeploymentLock>,
    trying: Option<Trying>,
    /// Whether the plan is to be made again, because something was found out that it did not know.
    anew: bool,
}

/// An attempt under way.
pub(super) struct Trying {
    pub(super) key: PullKey,
    pub(super) id: DeploymentId,
    /// The telling that it answers.
    told: Option<u64>,
    commit: CommitSha,
    slot: Slot,
    /// Whose code it is, which decides what it may use.
    pub(super) trust: Trust,
    begun: Instant,
    /// The slot's port, known from the switch on, when the record holds that of the old slot.
    port: Option<HostPort>,
    checkout: Option<Checkout>,
    found: Option<Arc<Found>>,
    /// Whose processes the images that were built are: the app's (`None`), and those of services beside it.
    users: BTreeMap<Option<OwnName>, AppUser>,
    /// What the app's image starts, as it says itself.
    command: Vec<String>,
    /// What its images were built from, with digests.
    bases: BTreeMap<String, String>,
    /// Whether its slot was started before, or may have been.
    started: bool,
    /// The text that a new database is filled with.
    seed: Option<Arc<str>>,
    /// It is noted that the database is being filled, and nothing has been put into it yet.
    seed_untouched: bool,
}

impl Trying {
    fn found(&self) -> Result<Arc<Found>, Fault> {
        self.found.clone().ok_or_else(|| Fault::passing("the attempt was interrupted"))
    }
}

/// What was found in the checkout.
pub(super) struct Found {
    detected: Detected,
    pub(super) config: RepoConfig,
    /// The variables of its `env_file`s.
    pub(super) env_of_file: EnvVars,
    /// What the app's containers may use.
    limits: Limits,
}

impl Found {
    /// Whether there is anything that opens with the deployment's password, or is made of it.
    fn has_backing(&self) -> bool {
        let detected = &self.detected;
        detected.database.database.is_some() || !detected.extras.services.is_empty() || detected.rails.is_some()
    }

    /// The backing services beside the database.
    fn extras(&self) -> impl Iterator<Item = Part> {
        self.detected.extras.services.iter().copied().map(Part::Extra)
    }

    /// The services beside the app.
    fn services(&self) -> impl Iterator<Item = OwnName> {
        self.detected.compose.iter().flat_map(|compose| compose.stack.services.keys().copied())
    }
}

impl Work {
    pub(super) fn new(key: PullKey) -> Self {
        Self { key, hold: None, trying: None, anew: false }
    }

    /// Whether a failure would be an attempt's.
    pub(super) fn is_trying(&self) -> bool {
        self.trying.is_some()
    }

    /// Forgets the attempt that was cut off.
    pub(super) fn cut(&mut self) {
        self.trying = None;
    }

    /// Has the plan made again after this action: all of the attempt begins anew.
    fn begin_anew(&mut self) {
        self.trying = None;
        self.anew = true;
    }

    /// Whether the plan is to be made again.
    pub(super) fn begins_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    fn trying(&mut self) -> Result<&mut Trying, Fault> {
        self.trying.as_mut().ok_or_else(|| Fault::passing("the attempt was interrupted"))
    }

    fn hold(&self) -> Result<DeploymentLock, Fault> {
        self.hold.clone().ok_or_else(|| Fault::passing("the preview's folder is not locked"))
    }
}

impl Reconciler {
    /// Sends visitors to the new slot, and writes down that it serves once the router does.
    pub(super) async fn switch(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let (id, commit) = (trying.id.clone(), trying.commit.clone());
        let (key, told) = (trying.key, trying.told);
        let took = trying.begun.elapsed();
        let (found, bases) = (trying.found()?, trying.bases.clone());
        let port = *trying.port.get_or_insert(self.attempt_port(&id)?);
        self.step(&id, Step::Route).await?;
        let _switching = self.inner.routing.switch(&id, port);
        self.apply_routes().await?;
        self.replace_services(work).await?;
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(&id)?;
            let attempt = record.attempt.as_mut()?;
            attempt.stage = Stage::Running(Step::Drain);
            let former = record.serving.replace(Serving {
                commit_sha: attempt.commit.clone(),
                slot: attempt.slot,
                app_port: port,
                since: now,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                down: false,
                filled: None,
            });
            if let Some(former) = former.filter(|former| former.app_port != port) {
                // What drains keeps its port until it is gone.
                attempt.app_port = Some(former.app_port);
            }
            record.framework = Some(found.detected.framework.as_str().to_owned());
            record.db_type = found.detected.database.database.map(|database| database.as_str().to_owned());
            record.extras = found.detected.extras.services.clone();
            record.services = found.services().collect();
            record.base_images = bases;
            record.data.content = Content::Used;
            record.updated_at = now;
            told.into_iter().for_each(|told| state.spend(key, told));
            Some(())
        };
        self.inner.ledger.change(change).await?;
        work.cut();
        tracing::info!(deployment = %id, %commit, seconds = took.as_secs_f32(), "the preview answers");
        self.report(&id);
        Ok(())
    }

    /// Writes down that an attempt failed, and tells it.
    pub(super) async fn record_failure(&self, work: &mut Work, action: &Action, fault: Fault) -> Result<(), Fault> {
        let Some(trying) = work.trying.take() else { return Err(fault) };
        let now = self.inner.out.clock.now();
        let mask = self.mask(&trying.id);
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(&trying.id)?;
            let attempt = record.attempt.as_mut()?;
            let step = match attempt.stage {
                Stage::Running(step) => step,
                _ => first_step(action),
            };
            tracing::info!(deployment = %trying.id, step = step.name(), cause = %fault, "the attempt failed");
            attempt.stage = Stage::Failed(comment::without_secrets(fault.at(step), &mask));
            record.updated_at = now;
            trying.told.into_iter().for_each(|told| state.spend(trying.key, told));
            Some(())
        };
        let written = self.inner.ledger.change(change).await;
        // Written or not, it is so.
        self.report(&trying.id);
        written.map(drop).map_err(Fault::from)
    }

    /// Writes down how far the attempt is.
    async fn step(&self, id: &DeploymentId, step: Step) -> Result<(), Fault> {
        self.inner.ledger.change(|state| state.deployments.get_mut(id).map(|record| set_step(record, step))).await?;
        self.report(id);
        Ok(())
    }

    async fn queue_for(&self, id: &DeploymentId, reason: QueueReason) -> Result<(), Fault> {
        tracing::info!(deployment = %id, ?reason, "waiting");
        let change = |state: &mut State| {
            let attempt = state.deployments.get_mut(id)?.attempt.as_mut()?;
            attempt.stage = Stage::Queued(reason);
            Some(())
        };
        self.inner.ledger.change(change).await?;
        self.report(id);
        Ok(())
    }
}

fn set_step(record: &mut Deployment, step: Step) {
    if let Some(attempt) = &mut record.attempt {
        attempt.stage = Stage::Running(step);
    }
}

/// The step that an action belongs to, for an attempt that failed while it was waiting.
fn first_step(action: &Action) -> Step {
    match action {
        Action::Prepare => Step::Read,
        Action::Build => Step::Build,
        Action::Migrate => Step::Migrate,
        Action::Seed => Step::Seed,
        Action::Start => Step::Start,
        Action::AwaitHealth => Step::Health,
        Action::Switch => Step::Route,
        _ => Step::Checkout,
    }
}
