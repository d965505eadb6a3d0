//! From a commit to an image: checkout, what the commit says about itself, the build.

use std::sync::Arc;

use preview_core::compose::AppUser;
use preview_core::deployment::{QueueReason, Step};
use preview_core::framework::{BuildRules, detect};
use preview_core::ids::DeploymentId;
use preview_core::repo_config::RepoConfig;

use super::super::Reconciler;
use super::super::builds::Permit;
use super::super::decide::Decision;
use super::{Found, Trying, Work, set_step};
use crate::folders::Log;
use crate::ledger::State;
use crate::needs::{BuildJob, Built, DeploymentLock, Fault, Part, Want};

impl Reconciler {
    pub(in crate::reconcile) async fn checkout(&self, work: &mut Work, decision: &Decision) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let Some(pull) = &decision.pull else {
            return Err(Fault::passing("GitHub has not told where the commit is"));
        };
        let want = Want {
            repo: decision.key.repo,
            name: pull.base_name.clone(),
            number: decision.key.number,
            commit: trying.commit.clone(),
        };
        let into = self.inner.folders.checkout(&trying.id);
        trying.checkout = Some(self.inner.out.source.checkout(&want, into, &hold).await?);
        Ok(())
    }

    /// Reads what the commit says about itself and finds out how it is built.
    pub(in crate::reconcile) async fn prepare(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let id = trying.id.clone();
        let Some(checkout) = &trying.checkout else { return Err(Fault::passing("the checkout is gone")) };
        let files = checkout.files.clone();
        self.step(&id, Step::Read).await?;
        let config = RepoConfig::load(&*files).map_err(|error| Fault::author(error.to_string()))?;
        self.step(&id, Step::Detect).await?;
        let rules = BuildRules { base_images: self.inner.config.base_images.clone(), trust: trying.trust };
        let detected = detect(&*files, &config, &rules).map_err(|error| {
            let fault = Fault::author(error.to_string());
            error.advice().into_iter().fold(fault, Fault::advise)
        })?;
        tracing::info!(framework = %detected.framework, reason = detected.reason, "found the framework");
        let database = detected.database.database;
        let ports = &self.inner.ports;
        let change = |state: &mut State| {
            let port = ports.database(state);
            let record = state.deployments.get_mut(&id)?;
            // While an older version serves, the record tells what that one is and needs, until the switch.
            if record.serving.is_none() {
                record.framework = Some(detected.framework.as_str().to_owned());
                record.db_type = database.map(|database| database.as_str().to_owned());
            }
            record.db_port = record.db_port.or(database.and(port));
            set_step(record, Step::Plan);
            Some(database.is_none() || record.db_port.is_some())
        };
        if self.inner.ledger.change(change).await? != Some(true) {
            return Err(Fault::passing("no host port is free for the database"));
        }
        trying.found = Some(Arc::new(Found { detected, config }));
        Ok(())
    }

    /// Builds the image while the network is made and the backing services start.
    pub(in crate::reconcile) async fn build(&self, work: &mut Work) -> Result<(), Fault> {
        let (hold, repo) = (work.hold()?, work.key.repo);
        let trying = work.trying()?;
        let (Some(found), Some(checkout)) = (trying.found.clone(), &trying.checkout) else {
            return Err(Fault::passing("the checkout is gone"));
        };
        self.step(&trying.id, Step::Build).await?;
        let job = BuildJob {
            deployment: trying.id.clone(),
            repo,
            commit: trying.commit.clone(),
            context: checkout.dir.clone(),
            dockerfile: found.detected.dockerfile.clone(),
            trust: trying.trust,
        };
        let (built, ()) = tokio::try_join!(self.build_image(&job, &hold), self.start_backing(trying, &found, &hold))?;
        trying.image_user = Some(built.user);
        trying.checkout = None;
        if let Err(error) = self.inner.folders.remove_checkout(&trying.id) {
            tracing::warn!(deployment = %trying.id, %error, "could not remove a checkout that is no longer needed");
        }
        Ok(())
    }

    /// Starts what the app needs; of an app that needs nothing the network, which takes a while too.
    async fn start_backing(&self, trying: &Trying, found: &Found, hold: &DeploymentLock) -> Result<(), Fault> {
        let needs_database = found.detected.database.database.is_some();
        if needs_database {
            self.make_password(&trying.id).await?;
        }
        let stack = self.stack(trying, found, AppUser::Unprivileged)?;
        let parts: &[Part] = if needs_database { &[Part::Database] } else { &[] };
        self.inner.out.engine.start(&stack, self.inner.folders.of(&trying.id), parts, hold).await?;
        if needs_database && !self.serves(&trying.id) {
            self.hurry(trying, Part::Database).await;
        }
        Ok(())
    }

    fn serves(&self, id: &DeploymentId) -> bool {
        self.inner.ledger.read(|state| state.deployments.get(id).is_some_and(|record| record.serving.is_some()))
    }

    async fn permit_to_build(&self, job: &BuildJob) -> Result<Permit, Fault> {
        let (id, builds) = (&job.deployment, &self.inner.builds);
        let ticket = builds.join(job.repo, id, self.inner.out.clock.now());
        let permit = match builds.try_take(&ticket) {
            Some(permit) => permit,
            None => {
                self.queue_for(id, QueueReason::Builds).await?;
                let permit = builds.take(&ticket).await;
                self.step(id, Step::Build).await?;
                permit
            }
        };
        ticket.served();
        Ok(permit)
    }

    async fn build_image(&self, job: &BuildJob, hold: &DeploymentLock) -> Result<Built, Fault> {
        let id = &job.deployment;
        // Asked before the queue too, so that nobody is told of builds that run where it is the disk that is full.
        self.wait_for_room(id, Step::Build, 0).await?;
        let _permit = self.permit_to_build(job).await?;
        self.wait_for_room(id, Step::Build, 0).await?;
        let log = self.inner.folders.start_log(id, Log::Build);
        let mut log = log.map_err(|error| Fault::passing(format!("the build's log could not be written: {error}")))?;
        self.inner.out.engine.build(job, &mut |line| log.line(line), hold).await
    }
}
