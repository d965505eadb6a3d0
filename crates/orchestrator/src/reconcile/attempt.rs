//! One commit's way to its visitors: the steps of an attempt.

use std::sync::Arc;
use std::time::Duration;

use preview_core::capacity::may_start;
use preview_core::compose::{self, AppUser, DatabaseSpec, SlotSpec, Stack, StackSpec};
use preview_core::deployment::{Attempt, Blame, Deployment, QueueReason, Serving, Stage, Step};
use preview_core::desired::Pull;
use preview_core::framework::{BuildRules, Database, Detected, detect};
use preview_core::ids::{CommitSha, DeploymentId, HostPort, PullKey, Slot};
use preview_core::plan::Action;
use preview_core::repo_config::RepoConfig;
use tokio::time::Instant;

use super::Reconciler;
use super::decide::Decision;
use crate::folders::Log;
use crate::ledger::{Reason, State};
use crate::needs::{
    BuildJob, Built, Checkout, Container, ContainerState, DeploymentLock, Fault, Part, Probe, StatusState, Want,
};

/// Lines of a log that a comment shows.
const TAIL: usize = 50;
/// Lines of a failed app's log that are kept.
const KEPT: usize = 2000;
/// How long one question for an app's health may take.
const ASK: Duration = Duration::from_secs(5);
/// The pause before the second question.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a worker carries from one action to the next. All of it can be lost: the next plan starts over.
pub(super) struct Work {
    pub(super) key: PullKey,
    pub(super) hold: Option<DeploymentLock>,
    trying: Option<Trying>,
}

/// An attempt under way.
struct Trying {
    id: DeploymentId,
    commit: CommitSha,
    slot: Slot,
    begun: Instant,
    checkout: Option<Checkout>,
    found: Option<Arc<Found>>,
    image_user: Option<String>,
}

/// What an attempt begins with.
struct Wish<'a> {
    decision: &'a Decision,
    pull: &'a Pull,
    id: &'a DeploymentId,
    commit: &'a CommitSha,
    slot: Slot,
}

/// What was found in the checkout.
struct Found {
    detected: Detected,
    config: RepoConfig,
}

impl Work {
    pub(super) fn new(key: PullKey) -> Self {
        Self { key, hold: None, trying: None }
    }

    /// Whether a failure would be an attempt's.
    pub(super) fn is_trying(&self) -> bool {
        self.trying.is_some()
    }

    /// Forgets the attempt that was cut off.
    pub(super) fn cut(&mut self) {
        self.trying = None;
    }

    fn trying(&mut self) -> Result<&mut Trying, Fault> {
        self.trying.as_mut().ok_or_else(|| Fault::passing("the attempt was interrupted"))
    }

    fn hold(&self) -> Result<DeploymentLock, Fault> {
        self.hold.clone().ok_or_else(|| Fault::passing("the preview's folder is not locked"))
    }
}

impl Reconciler {
    // --------------------------------------------------------------------------------------------------------- beginning

    /// Waits for a place and for ports, and writes the attempt down.
    pub(super) async fn begin(
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
            id: id.clone(),
            commit: commit.clone(),
            slot,
            begun,
            checkout: None,
            found: None,
            image_user: None,
        });
        self.wait_for_place(&Wish { decision, pull, id, commit, slot }).await?;
        self.report(id);
        if work.hold.is_none() {
            work.hold = Some(self.inner.folders.lock(id).await?);
        }
        self.say_status(id, commit, StatusState::Pending);
        Ok(())
    }

    async fn wait_for_place(&self, wish: &Wish<'_>) -> Result<(), Fault> {
        let ticket = self.inner.places.queue(wish.id, self.inner.out.clock.now());
        loop {
            let moved = ticket.next_move();
            let before = ticket.before();
            match self.inner.ledger.change(|state| self.admit(state, wish, before)).await? {
                Ok(()) => return Ok(()),
                Err(reason) => tracing::info!(deployment = %wish.id, ?reason, before, "waiting for a place"),
            }
            self.report(wish.id);
            moved.await;
        }
    }

    /// Inside one change of the ledger: takes a place, a port and a network, or stands in the queue.
    fn admit(&self, state: &mut State, wish: &Wish<'_>, before: usize) -> Result<(), QueueReason> {
        let now = self.inner.out.clock.now();
        let taken = state.deployments.iter().filter(|(other, d)| *other != wish.id && d.holds_place()).count();
        let holds = state.deployments.get(wish.id).is_some_and(|d| d.serving.is_some());
        let free = self.inner.config.max_previews.saturating_sub(taken);
        let port = self.inner.ports.app(state);
        let network = self.inner.ports.network(state);
        let record = record_of(state, wish, now);
        let open = record.attempt.take().filter(|attempt| attempt.commit == *wish.commit && is_open(&attempt.stage));
        let started_at = open.as_ref().map_or(now, |attempt| attempt.started_at);
        let port = open.filter(|attempt| attempt.slot == wish.slot).and_then(|attempt| attempt.app_port).or(port);
        let refusal = if !holds && before >= free {
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
            in_place: false,
        });
        record.updated_at = now;
        if let Some(reason) = refusal {
            return Err(reason);
        }
        record.subnet = record.subnet.or(network);
        record.url = Some(self.inner.config.site.url(wish.id));
        spend_redeploy(state, wish.decision);
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------------- steps

    pub(super) async fn checkout(&self, work: &mut Work, decision: &Decision) -> Result<(), Fault> {
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
    pub(super) async fn prepare(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let id = trying.id.clone();
        let Some(checkout) = &trying.checkout else { return Err(Fault::passing("the checkout is gone")) };
        let files = checkout.files.clone();
        self.step(&id, Step::Read).await?;
        let config = RepoConfig::load(&*files).map_err(|error| Fault::author(error.to_string()))?;
        self.step(&id, Step::Detect).await?;
        let rules = BuildRules { base_images: self.inner.config.base_images.clone(), trusted: true };
        let detected = detect(&*files, &config, &rules).map_err(|error| Fault::author(error.to_string()))?;
        tracing::info!(framework = %detected.framework, reason = detected.reason, "found the framework");
        let database = detected.database.database;
        let ports = &self.inner.ports;
        let change = |state: &mut State| {
            let port = ports.database(state);
            let record = state.deployments.get_mut(&id)?;
            record.framework = Some(detected.framework.as_str().to_owned());
            record.db_type = database.map(|database| database.as_str().to_owned());
            record.db_port = database.and(record.db_port.or(port));
            set_step(record, Step::Plan);
            Some(database.is_none() || record.db_port.is_some())
        };
        if self.inner.ledger.change(change).await? != Some(true) {
            return Err(Fault::passing("no host port is free for the database"));
        }
        trying.found = Some(Arc::new(Found { detected, config }));
        Ok(())
    }

    /// Builds the image while the backing services start.
    pub(super) async fn build(&self, work: &mut Work) -> Result<(), Fault> {
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
            trusted: true,
        };
        let stack = self.stack(trying, &found, AppUser::Unprivileged)?;
        let backing = async {
            if found.detected.database.database.is_none() {
                return Ok(());
            }
            let dir = self.inner.folders.of(&trying.id);
            self.inner.out.engine.start(&stack, dir, &[Part::Database], &hold).await
        };
        let (built, ()) = tokio::try_join!(self.build_image(&job, &hold), backing)?;
        trying.image_user = Some(built.user);
        trying.checkout = None;
        if let Err(error) = self.inner.folders.remove_checkout(&trying.id) {
            tracing::warn!(deployment = %trying.id, %error, "could not remove a checkout that is no longer needed");
        }
        Ok(())
    }

    async fn build_image(&self, job: &BuildJob, hold: &DeploymentLock) -> Result<Built, Fault> {
        let id = &job.deployment;
        let _permit = match self.inner.builds.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                self.queue_for(id, QueueReason::Builds).await?;
                let permit =
                    self.inner.builds.acquire().await.map_err(|_| Fault::passing("the service is stopping"))?;
                self.step(id, Step::Build).await?;
                permit
            }
        };
        self.wait_for_room(id, Step::Build, 0).await?;
        let log = self.inner.folders.start_log(id, Log::Build);
        let mut log = log.map_err(|error| Fault::passing(format!("the build's log could not be written: {error}")))?;
        self.inner.out.engine.build(job, &mut |line| log.line(line), hold).await
    }

    /// Starts the slot, once there is memory for it.
    pub(super) async fn start(&self, work: &mut Work) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let Some(found) = trying.found.clone() else { return Err(Fault::passing("the attempt was interrupted")) };
        self.step(&trying.id, Step::Start).await?;
        self.make_room(trying).await?;
        let user = AppUser::for_image(trying.image_user.as_deref().unwrap_or_default());
        let stack = self.stack(trying, &found, user)?;
        let dir = self.inner.folders.of(&trying.id);
        self.inner.out.engine.start(&stack, dir, &[Part::App(trying.slot)], &hold).await
    }

    /// Waits for the memory that one more container may use. An update that waits too long for it replaces in place.
    async fn make_room(&self, trying: &Trying) -> Result<(), Fault> {
        let limit = u64::from(self.inner.config.limits.memory_mb) << 20;
        let record = self.inner.ledger.read(|state| state.deployments.get(&trying.id).cloned());
        let Some(serving) = record.and_then(|record| record.serving) else {
            return self.wait_for_room(&trying.id, Step::Start, limit).await;
        };
        let patience = self.inner.config.pace.memory;
        match tokio::time::timeout(patience, self.wait_for_room(&trying.id, Step::Start, limit)).await {
            Ok(room) => room,
            Err(_) => {
                tracing::warn!(deployment = %trying.id, "no memory for a second slot: replacing the old version in place");
                self.inner.out.engine.remove_part(&trying.id, Part::App(serving.slot)).await?;
                let change = |state: &mut State| {
                    let record = state.deployments.get_mut(&trying.id)?;
                    record.serving = None;
                    record.attempt.as_mut()?.in_place = true;
                    set_step(record, Step::Start);
                    Some(())
                };
                self.inner.ledger.change(change).await?;
                self.inner.ports.rest(serving.app_port);
                self.wait_for_room(&trying.id, Step::Start, limit).await
            }
        }
    }

    /// Waits until a container with this limit may start, saying so in the record while it lasts.
    async fn wait_for_room(&self, id: &DeploymentId, step: Step, limit: u64) -> Result<(), Fault> {
        let mut waited = false;
        loop {
            match may_start(self.inner.out.engine.room().await?, limit) {
                Ok(()) if waited => return self.step(id, step).await,
                Ok(()) => return Ok(()),
                Err(reason) => {
                    if !std::mem::replace(&mut waited, true) {
                        self.queue_for(id, reason).await?;
                    }
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
        }
    }

    fn stack(&self, trying: &Trying, found: &Found, user: AppUser) -> Result<Stack, Fault> {
        let record = self.inner.ledger.read(|state| state.deployments.get(&trying.id).cloned());
        let interrupted = || Fault::passing("the attempt was interrupted");
        let record = record.ok_or_else(interrupted)?;
        let host_port = record.attempt.as_ref().and_then(|attempt| attempt.app_port).ok_or_else(interrupted)?;
        let subnet = record.subnet.and_then(|number| self.inner.ports.subnet(number)).ok_or_else(interrupted)?;
        let config = &self.inner.config;
        let slot = SlotSpec {
            commit: trying.commit.clone(),
            host_port,
            app_port: found.detected.app_port,
            port_env: found.config.app_port_env.clone(),
            user,
            env: found.config.env.clone(),
            branch: record.branch.clone(),
            url: config.site.url(&trying.id),
            base_path: config.site.base_path(&trying.id),
        };
        let database = match (found.detected.database.database, record.db_port) {
            (Some(database), Some(host_port)) => Some(self.database(&trying.id, database, host_port)?),
            _ => None,
        };
        Ok(compose::generate(&StackSpec {
            deployment: trying.id.clone(),
            instance: config.instance.clone(),
            subnet,
            limits: config.limits,
            base_images: config.base_images.clone(),
            slots: [(trying.slot, slot)].into(),
            database,
        }))
    }

    fn database(&self, id: &DeploymentId, database: Database, host_port: HostPort) -> Result<DatabaseSpec, Fault> {
        let password = self.inner.folders.password(id);
        let password =
            password.map_err(|error| Fault::passing(format!("the database's password was lost: {error}")))?;
        Ok(DatabaseSpec { database, password, host_port })
    }

    // ------------------------------------------------------------------------------------------------------------ health

    /// Asks the app until it answers. A container that ends is a failure at once.
    pub(super) async fn await_health(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let Some(found) = trying.found.clone() else { return Err(Fault::passing("the attempt was interrupted")) };
        let id = trying.id.clone();
        let (slot, part) = (trying.slot, Part::App(trying.slot));
        self.step(&id, Step::Health).await?;
        let limit = found.config.health_check_timeout.unwrap_or(self.inner.config.health_timeout);
        let path = found.config.health_check_path.as_ref().map_or("/", |path| path.as_str());
        let outcome = tokio::time::timeout(limit, self.ask_until_healthy(&id, slot, path)).await;
        let fault = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault,
            Err(_) => self.never_healthy(&id, slot, path, limit, &found).await,
        };
        let lines = self.inner.out.engine.logs(&id, part, KEPT).await.unwrap_or_default();
        self.keep_app_log(&id, &lines);
        Err(fault.tail(lines.into_iter().rev().take(TAIL).rev()))
    }

    async fn ask_until_healthy(&self, id: &DeploymentId, slot: Slot, path: &str) -> Result<(), Fault> {
        let port = self.attempt_port(id)?;
        let mut pause = FIRST_PAUSE;
        let mut looked = Instant::now();
        loop {
            if self.inner.out.prober.probe(port, path, ASK).await == Probe::Healthy {
                return Ok(());
            }
            if looked.elapsed() > Duration::from_millis(400) {
                looked = Instant::now();
                let view = self.inner.out.engine.observe(id).await?;
                if let Some(fault) = ended(view.part(Part::App(slot))) {
                    return Err(fault);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(self.inner.config.health_interval);
        }
    }

    fn attempt_port(&self, id: &DeploymentId) -> Result<HostPort, Fault> {
        let port = |state: &State| state.deployments.get(id)?.attempt.as_ref()?.app_port;
        self.inner.ledger.read(port).ok_or_else(|| Fault::passing("the attempt was interrupted"))
    }

    /// What to say of an app that runs but did not answer in time.
    async fn never_healthy(&self, id: &DeploymentId, slot: Slot, path: &str, limit: Duration, found: &Found) -> Fault {
        let view = self.inner.out.engine.observe(id).await.unwrap_or_default();
        if let Some(fault) = ended(view.part(Part::App(slot))) {
            return fault;
        }
        let answer = match self.attempt_port(id) {
            Ok(port) => self.inner.out.prober.probe(port, path, ASK).await,
            Err(_) => Probe::NoAnswer,
        };
        let seconds = limit.as_secs();
        let port = found.detected.app_port;
        match answer {
            Probe::Healthy => Fault::author(format!("the app answered `{path}` only after {seconds} s"))
                .advise("set a longer `health_check_timeout` in `preview-config.yml`"),
            Probe::Status(status) => Fault::author(format!("the app answers `{path}` with status {status}"))
                .advise("let `health_check_path` in `preview-config.yml` name a path that answers 200"),
            Probe::NoAnswer => Fault::author(format!("nothing answered on port {port} within {seconds} s")).advise(format!(
                "let the app listen on 0.0.0.0 and the port in its variable `PORT`, or set `app_port` in `preview-config.yml` (now {port})"
            )),
            Probe::Slow => Fault::author(format!("the app takes longer than {} s to answer `{path}`", ASK.as_secs()))
                .advise("let `health_check_path` in `preview-config.yml` name a path that answers quickly"),
        }
    }

    fn keep_app_log(&self, id: &DeploymentId, lines: &[String]) {
        match self.inner.folders.start_log(id, Log::App) {
            Ok(mut log) => lines.iter().for_each(|line| log.line(line)),
            Err(error) => tracing::warn!(deployment = %id, %error, "could not keep the app's log"),
        }
    }

    // ------------------------------------------------------------------------------------------------------------ switch

    /// Sends visitors to the new slot, and writes down that it serves once the router does.
    pub(super) async fn switch(&self, work: &mut Work) -> Result<(), Fault> {
        let trying = work.trying()?;
        let (id, commit) = (trying.id.clone(), trying.commit.clone());
        let took = trying.begun.elapsed();
        self.step(&id, Step::Route).await?;
        self.apply_routes().await?;
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(&id)?;
            let attempt = record.attempt.as_mut()?;
            attempt.stage = Stage::Running(Step::Drain);
            record.serving = Some(Serving {
                commit_sha: attempt.commit.clone(),
                slot: attempt.slot,
                app_port: attempt.app_port?,
                since: now,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                down: false,
            });
            record.updated_at = now;
            Some(())
        };
        self.inner.ledger.change(change).await?;
        work.cut();
        tracing::info!(deployment = %id, %commit, seconds = took.as_secs_f32(), "the preview answers");
        self.report(&id);
        self.say_status(&id, &commit, StatusState::Success);
        Ok(())
    }

    // ----------------------------------------------------------------------------------------------------------- failing

    /// Writes down that an attempt failed, and tells it.
    pub(super) async fn record_failure(&self, work: &mut Work, action: &Action, fault: Fault) -> Result<(), Fault> {
        let Some(trying) = work.trying.take() else { return Err(fault) };
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(&trying.id)?;
            let attempt = record.attempt.as_mut()?;
            let step = match attempt.stage {
                Stage::Running(step) => step,
                _ => first_step(action),
            };
            tracing::info!(deployment = %trying.id, step = step.name(), cause = %fault, "the attempt failed");
            let state = if fault.blame == Blame::Author { StatusState::Failure } else { StatusState::Error };
            attempt.stage = Stage::Failed(fault.at(step));
            record.updated_at = now;
            Some(state)
        };
        let told = self.inner.ledger.change(change).await?;
        self.report(&trying.id);
        if let Some(told) = told {
            self.say_status(&trying.id, &trying.commit, told);
        }
        Ok(())
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

/// A command to deploy again is spent once its attempt is written down, in the same commit.
fn spend_redeploy(state: &mut State, decision: &Decision) {
    if let Some(pending) = state.pending.get_mut(&decision.key)
        && Some(pending.serial) == decision.serial()
    {
        pending.reason = Reason::Changed;
    }
}

/// The step that an action belongs to, for an attempt that failed while it was waiting.
fn first_step(action: &Action) -> Step {
    match action {
        Action::Prepare => Step::Read,
        Action::Build => Step::Build,
        Action::Start => Step::Start,
        Action::AwaitHealth => Step::Health,
        Action::Switch => Step::Route,
        _ => Step::Checkout,
    }
}

/// What to say of a container that has ended; the engine restarts it again and again, so one restart is an end.
fn ended(container: Option<&Container>) -> Option<Fault> {
    let Some(container) = container else {
        return Some(Fault::passing("the app's container was removed by somebody else"));
    };
    match container.state {
        ContainerState::Exited { out_of_memory: true, .. } => Some(
            Fault::author("the app was killed because it used more memory than its container may")
                .advise("let it use less memory, or raise CONTAINER_MEMORY_MB on the server"),
        ),
        ContainerState::Exited { exit_code, .. } | ContainerState::Restarting { exit_code } => Some(exited(exit_code)),
        ContainerState::Running { .. } if container.restarts > 0 => {
            Some(Fault::author("the app ended before it answered").advise("its last lines say why"))
        }
        ContainerState::Created | ContainerState::Running { .. } => None,
    }
}

fn exited(code: i64) -> Fault {
    let cause = match code {
        137 => "the app was killed (exit code 137), most likely for want of memory".to_owned(),
        code => format!("the app ended with exit code {code} before it answered"),
    };
    Fault::author(cause).advise("its last lines say why")
}
