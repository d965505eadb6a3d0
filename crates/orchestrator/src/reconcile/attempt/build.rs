//! From a commit to an image: checkout, what the commit says about itself, the build.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use preview_core::compose::own::{BuildSettings, Origin};
use preview_core::compose::{AppUser, KeptBy, ServiceName, Stack, kept_by};
use preview_core::deployment::{Notice, QueueReason, Step};
use preview_core::framework::own_dockerfile::KnownImages;
use preview_core::framework::{BuildRules, Database, Detected, OwnBuild, detect};
use preview_core::ids::{DeploymentId, RepoId};
use preview_core::repo_config::{EnvVars, RepoConfig};
use tokio::time::Instant;

use super::super::Reconciler;
use super::super::builds::Permit;
use super::super::decide::Decision;
use super::{Found, Trying, Work, set_step};
use crate::folders::Log;
use crate::ledger::State;
use crate::needs::{BuildJob, Built, DeploymentLock, Fault, Part, Want};

/// How long an image may take that the repository's own CI makes.
const IMAGE_LIMIT: Duration = Duration::from_secs(1200);
/// Between two questions for it.
const IMAGE_PAUSE: Duration = Duration::from_secs(10);

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
        let mut detected = detect(&*files, &config, &rules).map_err(|error| {
            let fault = Fault::author(error.to_string()).tail(error.details());
            error.advice().into_iter().fold(fault, Fault::advise)
        })?;
        tracing::info!(framework = %detected.framework, reason = detected.reason, "found the framework");
        self.check_added(&detected.own, &KnownImages::new()).await?;
        if let Some(image) = &config.image {
            let dockerfile = image.dockerfile(&trying.commit, id.number(), rules.base_images.prefix());
            detected.dockerfile = dockerfile.ok_or_else(|| Fault::author("`image` names no image for this commit"))?;
            detected.own = vec![OwnBuild::of_image(&detected.dockerfile, &rules)];
        }
        let database = detected.database.database;
        let given = *self.inner.config.limits.of(trying.trust);
        let notice = given.fall_short_of(config.resources).then_some(Notice::FewerResources);
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
            record.notices.extend(notice);
            set_step(record, Step::Plan);
            Some(database.is_none() || record.db_port.is_some())
        };
        if self.inner.ledger.change(change).await? != Some(true) {
            return Err(Fault::passing("no host port is free for the database"));
        }
        let env_of_file = config.variables_of_files(&*files).map_err(|error| Fault::author(error.to_string()))?;
        let limits = given.lowered(config.resources);
        let found = Found { detected, config, env_of_file, limits };
        // What it can't have is told before anything is built for it.
        self.check_env(trying, &found)?;
        trying.found = Some(Arc::new(found));
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
        let jobs = jobs(trying, repo, &found.detected, &checkout.dir);
        let (built, backed) =
            tokio::try_join!(self.come_to_images(&jobs, &found, &hold), self.start_backing(trying, &found, &hold))?;
        trying.command = built.first().map(|app| app.command.clone()).unwrap_or_default();
        trying.bases = built.iter().flat_map(|image| image.bases.clone()).collect();
        let user = |(job, built): (&BuildJob, Built)| (job.service, AppUser::for_image(&built.user));
        trying.users = jobs.iter().zip(built).map(user).collect();
        trying.seed = self.read_seed(trying, &found)?;
        trying.checkout = None;
        if let Err(error) = self.inner.folders.remove_checkout(&trying.id) {
            tracing::warn!(deployment = %trying.id, %error, "could not remove a checkout that is no longer needed");
        }
        // Memory is waited for here, where something newer may cut it off.
        if self.needs_task(trying, &found) {
            self.make_room(trying, &found, Step::Migrate).await?;
        } else if !backed {
            self.make_room(trying, &found, Step::Build).await?;
        }
        if !backed {
            let (stack, parts) = self.backing(trying, &found).await?;
            self.bring_up(trying, &stack, &parts, &hold).await?;
        }
        Ok(())
    }

    /// Starts what the app needs, if there is memory for it at this moment; of an app that needs nothing the network, which takes a
    /// while too. `false` where it has to wait for memory: with the app, so that nobody is told of that while the image is built.
    async fn start_backing(&self, trying: &Trying, found: &Found, hold: &DeploymentLock) -> Result<bool, Fault> {
        let (stack, parts) = self.backing(trying, found).await?;
        let may = self.has_room_for(&trying.id, &stack, &parts).await?;
        self.bring_up(trying, &stack, if may { &parts } else { &[] }, hold).await?;
        Ok(may)
    }

    /// What the app needs, and the stack that it stands in.
    async fn backing(&self, trying: &Trying, found: &Found) -> Result<(Stack, Vec<Part>), Fault> {
        if found.has_backing() {
            self.make_password(&trying.id).await?;
        }
        let mut backing: Vec<Part> = found.extras().collect();
        // Two main databases can't be up at a time: one that is another than the old version's comes up once that has gone.
        if let Some(database) = found.detected.database.database
            && !self.serves_with_another_database(&trying.id, found)
        {
            self.drop_other_database(&trying.id, database).await?;
            self.note_new_database(trying, database).await?;
            backing.push(Part::Database);
        }
        let stack = self.stack(trying, found)?;
        let own = found.services().filter(|name| stack.has(ServiceName::Own(*name))).map(Part::Own);
        let parts = own.chain(backing).collect();
        Ok((stack, parts))
    }

    async fn bring_up(
        &self,
        trying: &Trying,
        stack: &Stack,
        parts: &[Part],
        hold: &DeploymentLock,
    ) -> Result<(), Fault> {
        let id = &trying.id;
        self.inner.out.engine.start(stack, self.inner.folders.of(id), parts, hold).await?;
        if !self.serves(id) {
            let limit = self.inner.config.limits.of(trying.trust).cpu_millis;
            let backing = parts.iter().filter(|part| !matches!(part, Part::Own(_)));
            join_all(backing.map(|part| self.hurry(id, *part, limit))).await;
        }
        Ok(())
    }

    /// Whether something serves with another database than the one that was found.
    pub(super) fn serves_with_another_database(&self, id: &DeploymentId, found: &Found) -> bool {
        let Some(wanted) = found.detected.database.database else { return false };
        let another = |database: &String| database != wanted.as_str();
        self.inner.ledger.read(|state| {
            let record = state.deployments.get(id).filter(|record| record.serving.is_some());
            record.and_then(|record| record.db_type.as_ref()).is_some_and(another)
        })
    }

    /// Takes away what there is of a main database of another kind, which the new one couldn't read: of a version that has gone,
    /// or of an attempt that was cut off.
    async fn drop_other_database(&self, id: &DeploymentId, wanted: Database) -> Result<(), Fault> {
        let view = self.inner.out.engine.observe(id).await?;
        let another = |volume: &String| matches!(kept_by(id, volume), KeptBy::Database(of) if of != wanted);
        if view.volumes.iter().any(another) { self.drop_database(id).await } else { Ok(()) }
    }

    pub(super) fn serves(&self, id: &DeploymentId) -> bool {
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

    /// Builds all images of a commit; one that the repository's own CI makes is waited for.
    async fn come_to_images(
        &self,
        jobs: &[BuildJob],
        found: &Found,
        hold: &DeploymentLock,
    ) -> Result<Vec<Built>, Fault> {
        let begun = Instant::now();
        loop {
            let fault = match self.build_images(jobs, found, hold).await {
                Err(fault) if found.config.image.is_some() && fault.image_absent => fault,
                come => return come,
            };
            let Some(app) = jobs.first().filter(|_| begun.elapsed() < IMAGE_LIMIT) else {
                let minutes = IMAGE_LIMIT.as_secs() / 60;
                return Err(fault.advise(format!(
                    "It was waited for during {minutes} minutes: let the workflow that pushes it run for this commit, and let the registry \
                     give it to everybody."
                )));
            };
            self.queue_for(&app.deployment, QueueReason::Image).await?;
            tokio::time::sleep(IMAGE_PAUSE).await;
            self.step(&app.deployment, Step::Build).await?;
        }
    }

    /// Builds all images of a commit, the app's first, one after the other and all with one permit.
    async fn build_images(&self, jobs: &[BuildJob], found: &Found, hold: &DeploymentLock) -> Result<Vec<Built>, Fault> {
        let Some(app) = jobs.first() else { return Ok(Vec::new()) };
        let id = &app.deployment;
        // Asked before the queue too, so that nobody is told of builds that run where it is the disk that is full.
        self.wait_for_room(id, Step::Build, 0).await?;
        let _permit = self.permit_to_build(app).await?;
        self.wait_for_room(id, Step::Build, 0).await?;
        tokio::select! {
            biased;
            built = self.look_and_build(id, jobs, found, hold) => built,
            fault = self.until_disk_ends() => Err(fault),
        }
    }

    async fn look_and_build(
        &self,
        id: &DeploymentId,
        jobs: &[BuildJob],
        found: &Found,
        hold: &DeploymentLock,
    ) -> Result<Vec<Built>, Fault> {
        let log = self.inner.folders.start_log(id, Log::Build);
        let mut log = log.map_err(|error| Fault::passing(format!("the build's log could not be written: {error}")))?;
        let looked = self.look_at_images(&found.detected, jobs, &mut |line| log.line(line)).await?;
        let mut built = Vec::new();
        for job in jobs {
            // What was looked at must not be asked for again: it may be another by now.
            let pull = job.pull && !looked.keys().any(|image| job.is_of(image));
            let job = BuildJob { pull, ..job.clone() };
            built.push(self.inner.out.engine.build(&job, &mut |line| log.line(line), hold).await?);
        }
        Ok(built)
    }
}

/// What is to be built: the app's image, and those of services beside it.
fn jobs(trying: &Trying, repo: RepoId, detected: &Detected, checkout: &Path) -> Vec<BuildJob> {
    let job = |dockerfile: &String, service| BuildJob {
        deployment: trying.id.clone(),
        repo,
        commit: trying.commit.clone(),
        // Files were opened beneath it without following a link: the folder is one of the checkout.
        context: checkout.join(detected.context.as_str()),
        dockerfile: dockerfile.clone(),
        target: None,
        args: EnvVars::default(),
        pull: false,
        service,
        trust: trying.trust,
    };
    let app = job(&detected.dockerfile, None);
    let Some(compose) = &detected.compose else { return vec![app] };
    let as_said = |job: BuildJob, build: &BuildSettings| BuildJob {
        // So is this one, in which its Dockerfile was opened.
        context: job.context.join(build.context.as_str()),
        target: build.target.clone(),
        args: build.args.clone(),
        ..job
    };
    let beside = compose.stack.builds().filter_map(|(name, build)| {
        let dockerfile = compose.dockerfiles.get(&name)?;
        Some(as_said(job(dockerfile, Some(name)), build))
    });
    let app = match &compose.stack.app.origin {
        Origin::Build(build) => as_said(app, build),
        Origin::Image(_) => BuildJob { pull: true, ..app },
    };
    [app].into_iter().chain(beside).collect()
}
