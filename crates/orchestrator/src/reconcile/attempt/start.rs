//! From an image to a container, once there is room for it.

use std::time::Duration;

use futures_util::future::try_join_all;
use preview_core::compose::{
    self, AppUser, DatabasePassword, DatabaseSpec, KeptBy, OwnSpec, RootFiles, SlotSpec, Stack, StackSpec, Task,
    TaskSpec, kept_by,
};
use preview_core::deployment::{QueueReason, Serving, Step};
use preview_core::ids::DeploymentId;
use preview_core::repo_config::AppCommand;
use tokio::time::Instant;

use super::super::Reconciler;
use super::{Found, Trying, Work, set_step};
use crate::ledger::State;
use crate::needs::{Fault, Part};

impl Reconciler {
    /// Starts the slot, once there is memory for it.
    pub(in crate::reconcile) async fn start(&self, work: &mut Work) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let found = trying.found()?;
        let (dir, app) = (self.inner.folders.of(&trying.id), Part::App(trying.slot));
        self.step(&trying.id, Step::Start).await?;
        if std::mem::replace(&mut trying.started, true) {
            // Of a try that failed half-way: it has the memory that this one would wait for.
            self.inner.out.engine.remove_part(&trying.id, app).await?;
        }
        self.make_room(trying, &found, Step::Start).await?;
        let stack = self.stack(trying, &found)?;
        // Services that had to be built are up from now on; those that are up already stay as they are until the switch.
        let parts: Vec<Part> = found.services().map(Part::Own).chain([app]).collect();
        let started = self.inner.out.engine.start(&stack, dir, &parts, &hold).await;
        started.map_err(|fault| without_shell(fault, &found))?;
        // The database is up by now, and what is beside it.
        let lasting = self.inner.config.limits.of(trying.trust).cpu_millis;
        let ended = found.extras().chain([Part::Database]).map(|part| self.end_hurry(&trying.id, part, lasting));
        let ((), ended) = tokio::join!(self.hurry(&trying.id, app, found.limits.cpu_millis), try_join_all(ended));
        ended.map(drop)
    }

    /// Waits for the memory that all of the stack may use which is not up yet. An update that waits too long for it replaces in
    /// place.
    pub(super) async fn make_room(&self, trying: &Trying, found: &Found, step: Step) -> Result<(), Fault> {
        let (id, stack) = (&trying.id, self.stack(trying, found)?);
        if self.serves(id) {
            let limit = self.memory_to_start(id, &stack, |_| true).await?;
            if self.room_within(id, step, limit, self.inner.config.pace.memory).await? {
                return Ok(());
            }
            self.begin_to_give_way(trying).await?;
        }
        self.give_way(trying).await?;
        // What went with the old version has to come up anew.
        let limit = self.memory_to_start(id, &stack, |_| true).await?;
        self.wait_for_room(id, step, limit).await
    }

    /// Whether these parts of the stack may start at this moment, as far as they are not up yet.
    pub(super) async fn has_room_for(&self, id: &DeploymentId, stack: &Stack, parts: &[Part]) -> Result<bool, Fault> {
        let limit = self.memory_to_start(id, stack, |part| parts.contains(&part)).await?;
        if limit == 0 {
            return Ok(true);
        }
        let room = self.inner.out.engine.room().await?;
        Ok(self.inner.granted.grant(id, room, limit).is_ok())
    }

    /// The bytes of memory that parts of the stack may use which are not up yet.
    async fn memory_to_start(
        &self,
        id: &DeploymentId,
        stack: &Stack,
        meant: impl Fn(Part) -> bool,
    ) -> Result<u64, Fault> {
        let view = self.inner.out.engine.observe(id).await?;
        let starting = stack.memory().filter(|(name, _)| meant((*name).into()) && !view.runs((*name).into()));
        Ok(starting.map(|(_, megabytes)| u64::from(megabytes) << 20).sum())
    }

    /// Writes down that the old version goes to make room for the new one. Until it has gone, the attempt has its slot and its
    /// port: so nobody else is given the port, and whoever tries again, or comes after us, finds what is left to do.
    async fn begin_to_give_way(&self, trying: &Trying) -> Result<(), Fault> {
        tracing::warn!(deployment = %trying.id, "no memory for a second slot: replacing the old version in place");
        let change = |state: &mut State| {
            let record = state.deployments.get_mut(&trying.id)?;
            let Serving { slot, app_port, .. } = record.serving.take()?;
            let attempt = record.attempt.as_mut()?;
            (attempt.slot, attempt.in_place) = (slot, true);
            let unused = attempt.app_port.replace(app_port);
            set_step(record, Step::Start);
            Some(unused.into_iter().collect())
        };
        self.give_back(change).await
    }

    /// Takes an old version away that is to go, if it is not gone yet: its visitors first, and its services last. Those are not
    /// made anew by a start, so they would be the old ones for ever.
    async fn give_way(&self, trying: &Trying) -> Result<(), Fault> {
        let id = &trying.id;
        let leaving = self.inner.ledger.read(|state| {
            let record = state.deployments.get(id)?;
            let attempt = record.attempt.as_ref().filter(|attempt| attempt.slot != trying.slot)?;
            Some((attempt.slot, attempt.app_port, record.services.clone()))
        });
        let Some((slot, port, services)) = leaving else { return Ok(()) };
        self.report(id);
        self.apply_routes().await?;
        if let Some(port) = port {
            self.drain(port).await?;
        }
        let engine = &self.inner.out.engine;
        engine.remove_part(id, Part::App(slot)).await?;
        try_join_all(services.into_iter().map(|name| engine.remove_part(id, Part::Own(name)))).await?;
        let change = |state: &mut State| {
            let attempt = state.deployments.get_mut(id)?.attempt.as_mut()?;
            attempt.slot = trying.slot;
            Some(())
        };
        Ok(self.inner.ledger.change(change).await.map(drop)?)
    }

    /// Waits until containers with this limit may start, saying so in the record while it lasts.
    pub(super) async fn wait_for_room(&self, id: &DeploymentId, step: Step, limit: u64) -> Result<(), Fault> {
        self.room_within(id, step, limit, Duration::MAX).await.map(|_| ())
    }

    /// As [`Reconciler::wait_for_room`]; `false` when it was memory that was wanting for as long as this.
    async fn room_within(&self, id: &DeploymentId, step: Step, limit: u64, patience: Duration) -> Result<bool, Fault> {
        let mut waiting: Option<(QueueReason, Instant)> = None;
        loop {
            let reason = match self.inner.granted.grant(id, self.inner.out.engine.room().await?, limit) {
                Ok(()) if waiting.is_some() => return self.step(id, step).await.map(|()| true),
                Ok(()) => return Ok(true),
                Err(reason) => reason,
            };
            if reason == QueueReason::Disk {
                self.inner.housekeeper.ring();
            }
            match waiting {
                Some((same, since)) if same == reason => {
                    if reason == QueueReason::Memory && since.elapsed() >= patience {
                        return Ok(false);
                    }
                }
                _ => {
                    waiting = Some((reason, Instant::now()));
                    self.queue_for(id, reason).await?;
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// Makes the services beside the app be those of the commit to which visitors were switched: until then the old version
    /// had them.
    pub(super) async fn replace_services(&self, work: &mut Work) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let found = trying.found()?;
        let parts: Vec<Part> = found.services().map(Part::Own).collect();
        if parts.is_empty() || !self.serves(&trying.id) {
            return Ok(());
        }
        let stack = self.stack(trying, &found)?;
        self.inner.out.engine.replace(&stack, self.inner.folders.of(&trying.id), &parts, &hold).await
    }

    /// What runs for the attempt: its slot, and what that needs.
    pub(super) fn stack(&self, trying: &Trying, found: &Found) -> Result<Stack, Fault> {
        Ok(compose::generate(&self.filled_spec(trying, found)?))
    }

    /// A one-off container of the app, and what that needs.
    pub(super) fn task_stack(
        &self,
        trying: &Trying,
        found: &Found,
        task: Task,
        command: &AppCommand,
    ) -> Result<Stack, Fault> {
        let mut spec = self.filled_spec(trying, found)?;
        let app = spec.slots.remove(&trying.slot);
        spec.task = app.map(|app| TaskSpec { task, command: command.clone(), app });
        Ok(compose::generate(&spec))
    }

    /// Whether the app can have the variables that it asks for.
    pub(super) fn check_env(&self, trying: &Trying, found: &Found) -> Result<(), Fault> {
        // Where the password is yet to be made, any will do.
        let known = self.inner.folders.known_password(&trying.id).map_err(password_lost)?;
        let password = known.unwrap_or_else(|| DatabasePassword::from_bytes([0; 24]));
        let spec = self.spec(trying, found, password)?;
        self.env_of(trying, found, &compose::given(&spec, trying.slot)).map(drop)
    }

    fn filled_spec(&self, trying: &Trying, found: &Found) -> Result<StackSpec, Fault> {
        let known = self.inner.folders.known_password(&trying.id).map_err(password_lost)?;
        let password = match (known, found.has_backing()) {
            (Some(password), _) => password,
            // It stands nowhere then.
            (None, false) => DatabasePassword::from_bytes([0; 24]),
            (None, true) => return Err(Fault::passing("the database's password was lost")),
        };
        let mut spec = self.spec(trying, found, password.clone())?;
        let given = compose::given(&spec, trying.slot);
        let url = given.get("DATABASE_URL").map(String::as_str);
        let mut env = found.detected.rails.as_ref().map(|rails| rails.variables(&password, url)).unwrap_or_default();
        // What the repository says itself wins.
        env.extend(self.env_of(trying, found, &given)?);
        spec.slots.values_mut().for_each(|app| app.env.extend(env.clone()));
        Ok(spec)
    }

    /// All but the repository's own variables, which may refer to what stands here.
    fn spec(&self, trying: &Trying, found: &Found, password: DatabasePassword) -> Result<StackSpec, Fault> {
        let record = self.inner.ledger.read(|state| state.deployments.get(&trying.id).cloned());
        let interrupted = || Fault::passing("the attempt was interrupted");
        let record = record.ok_or_else(interrupted)?;
        let host_port = record.attempt.as_ref().and_then(|attempt| attempt.app_port).ok_or_else(interrupted)?;
        let subnet = record.subnet.and_then(|number| self.inner.ports.subnet(number)).ok_or_else(interrupted)?;
        let config = &self.inner.config;
        let compose = found.detected.compose.as_ref();
        let env = compose.map(|compose| compose.stack.app.runtime.env.clone()).unwrap_or_default();
        let own = compose.map(|compose| OwnSpec {
            stack: compose.stack.clone(),
            commit: trying.commit.clone(),
            built: trying.users.iter().filter_map(|(service, user)| Some(((*service)?, *user))).collect(),
        });
        let slot = SlotSpec {
            commit: trying.commit.clone(),
            host_port,
            app_port: found.detected.app_port,
            port_env: found.config.app_port_env.clone(),
            limits: found.limits,
            start: compose::startup(&found.config.startup_commands, &trying.command),
            user: trying.users.get(&None).copied().unwrap_or(AppUser::Unprivileged),
            files: RootFiles::of(found.detected.framework),
            env,
            branch: record.branch.clone(),
            url: config.site.url(&trying.id),
            base_path: config.site.base_path(&trying.id),
        };
        let wanted = &found.detected.database;
        let database = wanted.database.zip(record.db_port);
        let database =
            database.map(|(database, host_port)| DatabaseSpec { database, scheme: wanted.scheme, host_port });
        Ok(StackSpec {
            deployment: trying.id.clone(),
            instance: config.instance.clone(),
            subnet,
            trust: trying.trust,
            limits: *config.limits.of(trying.trust),
            runtime: config.runtimes.of(trying.trust).clone(),
            base_images: config.base_images.clone(),
            slots: [(trying.slot, slot)].into(),
            task: None,
            database,
            extras: found.detected.extras.services.clone(),
            password: found.has_backing().then_some(password),
            own,
        })
    }

    /// A database opens with the password that its volume was made with. Should somebody have deleted the folder with it, its
    /// container still knows; without that the next plan starts afresh.
    pub(super) async fn make_password(&self, id: &DeploymentId) -> Result<(), Fault> {
        let (folders, engine) = (&self.inner.folders, &self.inner.out.engine);
        if folders.known_password(id).map_err(password_lost)?.is_some() {
            return Ok(());
        }
        if let Some(password) = engine.database_password(id).await? {
            return folders.keep_password(id, &password).map_err(password_lost);
        }
        if !engine.observe(id).await?.volumes.iter().all(|volume| kept_by(id, volume) == KeptBy::Own) {
            return Err(Fault::passing("the database's password was lost with the preview's folder"));
        }
        folders.password(id).map(drop).map_err(password_lost)
    }
}

/// Commands before the start are a shell's, which not every image has.
fn without_shell(fault: Fault, found: &Found) -> Fault {
    if found.config.startup_commands.is_empty() || !fault.cause.contains("exec: \"sh\"") {
        return fault;
    }
    fault.advise("`startup_commands` need a shell, `sh`, in the app's image.")
}

fn password_lost(error: std::io::Error) -> Fault {
    Fault::passing(format!("the database's password was lost: {error}"))
}
