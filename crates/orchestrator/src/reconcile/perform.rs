//! Carrying out a plan's actions, one by one.

use std::time::Duration;

use futures_util::FutureExt;
use preview_core::backing::Backing;
use preview_core::compose::{KeptBy, Task, kept_by};
use preview_core::deployment::data::Data;
use preview_core::deployment::{Attempt, Blame, Deployment, RemovalReason, Serving, Stage, Step};
use preview_core::desired::{Pull, SetAside};
use preview_core::ids::{DeploymentId, HostPort, PullKey};
use preview_core::plan::{Action, Observed};
use tokio::time::Instant;

use super::attempt::Work;
use super::decide::{Decision, aside};
use super::{Pace, Reconciler};
use crate::ledger::State;
use crate::mishap::contained;
use crate::needs::{Fault, Part, Volumes, Written};
use crate::secrets::Whose;

/// Tries after the first, of what fails for a passing reason.
const RETRIES: u32 = 3;
/// A wait longer than this is not sat out: the attempt ends, and the next resync tries again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Reconciler {
    /// What there is of a deployment outside the ledger.
    pub(super) async fn observe(&self, id: &DeploymentId) -> Result<Observed, Fault> {
        // The semaphore is never closed.
        let _turn = self.inner.looks.acquire().await.ok();
        let (engine, routes) = tokio::try_join!(self.inner.out.engine.observe(id), self.inner.out.router.observe())?;
        let slots = engine.containers.iter().filter_map(|container| match container.part {
            Part::App(slot) => Some(slot),
            Part::Database | Part::Extra(_) | Part::Own(_) | Part::Task(_) | Part::Other => None,
        });
        let extras = engine.containers.iter().filter_map(|container| match container.part {
            Part::Extra(extra) => Some(extra),
            Part::App(_) | Part::Database | Part::Own(_) | Part::Task(_) | Part::Other => None,
        });
        let services = engine.containers.iter().filter_map(|container| match container.part {
            Part::Own(name) => Some(name),
            Part::App(_) | Part::Database | Part::Extra(_) | Part::Task(_) | Part::Other => None,
        });
        let volumes: Vec<KeptBy> = engine.volumes.iter().map(|volume| kept_by(id, volume)).collect();
        let extra_volumes = volumes.iter().filter_map(|kept_by| match kept_by {
            KeptBy::Extra(extra) => Some(*extra),
            KeptBy::Database(_) | KeptBy::Own | KeptBy::Nobody => None,
        });
        Ok(Observed {
            slots: slots.collect(),
            database: engine.part(Part::Database).is_some(),
            tasks: Task::ALL.into_iter().any(|task| engine.part(Part::Task(task)).is_some()),
            others: engine.part(Part::Other).is_some(),
            extras: extras.collect(),
            services: services.collect(),
            volumes: volumes.iter().any(|kept_by| matches!(kept_by, KeptBy::Database(_) | KeptBy::Nobody)),
            extra_volumes: extra_volumes.collect(),
            own_volumes: volumes.contains(&KeptBy::Own),
            networks: !engine.networks.is_empty(),
            images: engine.images.into_iter().collect(),
            folder: self.inner.folders.exists(id),
            checkout: self.inner.folders.checkout(id).exists(),
            // One that can't be read just now is not lost: without it the data would be.
            password: self.inner.folders.known_password(id).map_or(true, |password| password.is_some()),
            route: routes.get(id),
        })
    }

    /// Carries one action out; during an attempt, what fails for a passing reason is tried again before it counts.
    pub(super) async fn perform(&self, work: &mut Work, decision: &Decision, action: &Action) -> Result<(), Fault> {
        for tries in 0.. {
            tracing::debug!(?action, "performing");
            let begun = Instant::now();
            let fault = match contained(self.perform_once(work, decision, action)).await {
                Ok(()) => {
                    tracing::debug!(?action, seconds = begun.elapsed().as_secs_f32(), "performed");
                    return Ok(());
                }
                Err(fault) => fault,
            };
            let wait = self.backoff(tries).max(fault.retry_after.unwrap_or_default());
            let again = fault.blame == Blame::Passing && work.is_trying() && tries < RETRIES && wait <= LONGEST_WAIT;
            if !again {
                return Err(fault);
            }
            tracing::warn!(?action, cause = %fault, seconds = wait.as_secs_f32(), "trying again");
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn perform_once(&self, work: &mut Work, decision: &Decision, action: &Action) -> Result<(), Fault> {
        let Some(id) = &decision.id else { return Ok(()) };
        match action {
            Action::Begin { commit, slot } => self.begin(work, decision, commit, *slot).await,
            Action::Checkout => self.checkout(work, decision).await,
            Action::Prepare => self.prepare(work).await,
            Action::Build => self.build(work).await,
            Action::Migrate => self.migrate(work).await,
            Action::Seed => self.seed(work).await,
            Action::Start => self.start(work).await,
            Action::AwaitHealth => self.await_health(work).await,
            Action::Switch => self.switch(work).await,
            Action::MarkRemoving(reason) => self.mark_removing(work, id, *reason).await,
            Action::Forget => self.forget(work, decision, id).await,
            // Of one that was replaced in place the new version has the port, and the old one's visitors have left.
            Action::Drain(_, port) if self.serves_at(id, *port) => Ok(()),
            Action::Drain(_, port) => self.drain(*port).await,
            Action::Settle => self.settle(id).await,
            Action::Release => self.release(id).await,
            Action::Lost => self.lost(id).await,
            Action::Retire => self.retire(id).await,
            Action::LastWords(_) => self.last_words(id).await,
            Action::RemoveDatabase => self.remove_database(id).await,
            Action::RemoveExtra(extra) => self.remove_extra(id, *extra).await,
            tidying => self.tidy(id, tidying).await,
        }
    }

    /// Carries out an action that takes something down: all that can be done for a deployment of which nothing is known.
    pub(super) async fn tidy(&self, id: &DeploymentId, action: &Action) -> Result<(), Fault> {
        let engine = &self.inner.out.engine;
        match action {
            Action::ClearSlot(slot) => engine.remove_part(id, Part::App(*slot)).await,
            Action::RemoveTasks => self.remove_tasks(id).await,
            Action::RemoveService(name) => engine.remove_part(id, Part::Own(*name)).await,
            Action::RemoveImages { keep } => engine.remove_images(id, keep.as_slice()).await,
            Action::SyncRoute => self.apply_routes().await,
            Action::RemoveContainers => engine.remove_containers(id).await,
            Action::RemoveVolumes => self.remove_volumes(id).await,
            Action::RemoveNetworks => engine.remove_networks(id).await,
            Action::RemoveFolder => self.remove_folder(id),
            other => Err(Fault::passing(format!("{other:?} takes nothing down"))),
        }
    }

    // ----------------------------------------------------------------------------------------------------------- routing

    pub(super) async fn drain(&self, port: HostPort) -> Result<(), Fault> {
        let at_most = self.inner.config.pace.drain;
        if contained(self.inner.out.router.drain(port, at_most).map(Ok)).await.is_err() {
            // Not knowing, the whole time is given.
            tokio::time::sleep(at_most).await;
        }
        self.inner.ports.rest(port);
        Ok(())
    }

    fn serves_at(&self, id: &DeploymentId, port: HostPort) -> bool {
        let serving = |state: &State| Some(state.deployments.get(id)?.serving.as_ref()?.app_port);
        self.inner.ledger.read(serving) == Some(port)
    }

    // ---------------------------------------------------------------------------------------------------------- settling

    async fn settle(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.remove_checkout(id);
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(id)?;
            let (serving, attempt) = (record.serving.as_ref()?, record.attempt.as_mut()?);
            (attempt.commit, attempt.slot) = (serving.commit_sha.clone(), serving.slot);
            attempt.stage = Stage::Done;
            attempt.app_port.take().filter(|port| *port != serving.app_port).map(|port| vec![port])
        };
        self.give_back(change).await?;
        self.report(id);
        Ok(())
    }

    /// Changes the ledger and lets the ports rest that this takes out of it, at once: written to the disk or not, they are
    /// free from then on.
    pub(super) async fn give_back(&self, take: impl FnOnce(&mut State) -> Option<Vec<HostPort>>) -> Result<(), Fault> {
        let change = |state: &mut State| {
            let freed = take(state).unwrap_or_default();
            freed.into_iter().for_each(|port| self.inner.ports.rest(port));
        };
        Ok(self.inner.ledger.change(change).await?)
    }

    /// A failed attempt gives back what it held.
    async fn release(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.remove_checkout(id);
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(id)?;
            let mut freed: Vec<HostPort> =
                record.attempt.as_mut().and_then(|a| a.app_port.take()).into_iter().collect();
            if record.serving.is_none() {
                freed.extend(record.db_port.take());
                record.subnet = None;
            }
            Some(freed)
        };
        let written = self.give_back(change).await;
        self.inner.places.moved();
        written
    }

    fn remove_checkout(&self, id: &DeploymentId) {
        if let Err(error) = self.inner.folders.remove_checkout(id) {
            tracing::warn!(deployment = %id, %error, "could not remove a checkout that is no longer needed");
        }
    }

    /// Nothing serves any more. What did is the attempt now, and its port rests from when the next one begins.
    pub(super) async fn retire(&self, id: &DeploymentId) -> Result<(), Fault> {
        let started_at = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(id)?;
            let Serving { commit_sha: commit, slot, app_port, .. } = record.serving.take()?;
            let stage = Stage::Running(Step::Checkout);
            let attempt = Attempt { commit, slot, app_port: Some(app_port), started_at, stage, in_place: false };
            let former = record.attempt.replace(attempt)?;
            former.app_port.filter(|port| *port != app_port).map(|port| vec![port])
        };
        self.give_back(change).await
    }

    /// What served is gone, removed by somebody else.
    async fn lost(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.retire(id).await?;
        self.count_repair(id, "a container or the folder was removed by somebody else; bringing it up again").await
    }

    // ---------------------------------------------------------------------------------------------------------- removing

    /// A preview that the ledger has lost gets a record again, so that it goes the usual way: its comment still tells of it.
    pub(super) async fn take_up(
        &self,
        id: &DeploymentId,
        key: PullKey,
        pull: &Pull,
        reason: RemovalReason,
    ) -> Result<(), Fault> {
        let repo = (key.repo, pull.base_name.clone());
        let now = self.inner.out.clock.now();
        let mut record = Deployment::new(id.clone(), repo, pull.branch.clone(), pull.head.clone(), now);
        record.removing = Some(reason);
        let change = |state: &mut State| {
            state.deployments.entry(id.clone()).or_insert(record);
        };
        Ok(self.inner.ledger.change(change).await?)
    }

    async fn mark_removing(&self, work: &mut Work, id: &DeploymentId, reason: RemovalReason) -> Result<(), Fault> {
        work.cut();
        if work.hold.is_none() {
            work.hold = Some(self.inner.folders.lock(id).await?);
        }
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(id)?;
            record.removing = Some(reason);
            record.updated_at = now;
            Some(())
        };
        self.inner.ledger.change(change).await?;
        tracing::info!(deployment = %id, ?reason, "removing the preview");
        Ok(())
    }

    async fn remove_database(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.drop_database(id).await?;
        self.give_back(|state| Some(vec![state.deployments.get_mut(id)?.db_port.take()?])).await
    }

    /// Takes the database away, whichever it is, but not its port. The password stays: others may open with it.
    pub(super) async fn drop_database(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.inner.out.engine.remove_part(id, Part::Database).await?;
        self.inner.out.engine.remove_volumes(id, Volumes::Database).await
    }

    async fn remove_extra(&self, id: &DeploymentId, extra: Backing) -> Result<(), Fault> {
        self.inner.out.engine.remove_part(id, Part::Extra(extra)).await?;
        self.inner.out.engine.remove_volumes(id, Volumes::Extra(extra)).await
    }

    async fn remove_volumes(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.inner.out.engine.remove_volumes(id, Volumes::All).await?;
        let forgotten = self.inner.folders.forget_password(id);
        forgotten.map_err(|error| Fault::passing(format!("the database's password could not be removed: {error}")))?;
        let known = self.inner.ledger.read(|state| state.deployments.get(id).map(|record| record.data.is_unknown()));
        if known == Some(false) {
            let forget = |state: &mut State| {
                if let Some(record) = state.deployments.get_mut(id) {
                    record.data = Data::default();
                }
            };
            self.inner.ledger.change(forget).await?;
        }
        Ok(())
    }

    async fn remove_tasks(&self, id: &DeploymentId) -> Result<(), Fault> {
        for task in Task::ALL {
            self.inner.out.engine.remove_part(id, Part::Task(task)).await?;
        }
        Ok(())
    }

    fn remove_folder(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.inner.vault.known().forget(&Whose::Deployment(id.clone()));
        let removed = self.inner.folders.remove(id);
        removed.map_err(|error| Fault::passing(format!("the preview's folder could not be removed: {error}")))
    }

    async fn last_words(&self, id: &DeploymentId) -> Result<(), Fault> {
        match self.say_last_words(id).await? {
            Some(Written::Refused(reason)) => {
                tracing::warn!(deployment = %id, reason, "GitHub refused the comment");
                Ok(())
            }
            Some(Written::Comment(comment)) => {
                let note = |state: &mut State| {
                    if let Some(record) = state.deployments.get_mut(id) {
                        record.comment_id = Some(comment);
                    }
                };
                Ok(self.inner.ledger.change(note).await?)
            }
            Some(Written::NotPermitted(_)) | None => Ok(()),
        }
    }

    /// Takes the record out, with its ports, and leaves the line of a pull request that is set aside, in one commit.
    async fn forget(&self, work: &mut Work, decision: &Decision, id: &DeploymentId) -> Result<(), Fault> {
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.remove(id)?;
            let freed = record.ports().collect();
            if let Some(reason) = decision.desired.set_aside() {
                let head = decision.pull.as_ref().map_or(&record.head, |pull| &pull.head);
                // Since when and at which head it was stopped stays.
                let known = state.set_aside.remove(id).filter(|line| line.reason == reason);
                let line = known.unwrap_or_else(|| aside(decision.key, reason, head, record.active_at, now));
                state.set_aside.insert(id.clone(), SetAside { comment_id: record.comment_id, ..line });
            }
            Some(freed)
        };
        let written = self.give_back(change).await;
        // Locking made the folder anew if it was lost; with the record gone nothing of it stays, its lock included: should
        // the pull request be wanted again by now, the next attempt makes both afresh.
        let removed = self.remove_folder(id);
        work.hold = None;
        self.inner.reporter.forget(id);
        self.inner.places.moved();
        written?;
        removed?;
        tracing::info!(deployment = %id, "the preview is gone");
        Ok(())
    }

    // ----------------------------------------------------------------------------------------------------------- waiting

    pub(super) fn retries(&self) -> u32 {
        RETRIES
    }

    /// The pause before the next try: fourfold each time.
    pub(super) fn backoff(&self, tries: u32) -> Duration {
        let Pace { retry, spread, .. } = self.inner.config.pace;
        (retry * 4u32.saturating_pow(tries.min(6))).mul_f64(1.0 + rand::random_range(0.0..=spread))
    }
}
