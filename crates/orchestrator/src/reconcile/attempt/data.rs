//! What is done to a database before a version may start: it is migrated, and filled if it is new.
//!
//! What may happen to it is written down before, and that it has happened afterwards (`core/deployment/data.rs`). So a migration runs
//! once for each commit however often we are killed, and a seed that is in by half is never taken for a whole one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use preview_core::backing::Database;
use preview_core::compose::{self, KeptBy, Task, kept_by};
use preview_core::deployment::data::{Content, Data, Migration};
use preview_core::deployment::{Deployment, Notice, Step};
use preview_core::ids::DeploymentId;
use preview_core::repo_config::{AppCommand, OnPush, Seed};
use preview_core::seed::statements;

use super::super::Reconciler;
use super::{Found, Trying, Work, set_step};
use crate::folders::Log;
use crate::ledger::State;
use crate::needs::{DeploymentLock, Ending, Errand, Fault};

/// How long a migration or a seed may take.
const LONGEST: Duration = Duration::from_secs(600);
/// Lines of their output that a comment shows.
const TAIL: usize = 50;
/// No try is made of its own after this: the attempt ends, and the next one begins with a new database.
const NO_OTHER_TRY: Duration = Duration::from_secs(61);

impl Reconciler {
    /// Writes down that the database which is about to be made is new. Whoever is killed before it is made comes here again.
    pub(super) async fn note_new_database(&self, trying: &Trying, database: Database) -> Result<(), Fault> {
        let view = self.inner.out.engine.observe(&trying.id).await?;
        if view.volumes.iter().any(|volume| kept_by(&trying.id, volume) == KeptBy::Database(database)) {
            return Ok(());
        }
        let data = Data::new_for(&trying.commit);
        if self.data_of(&trying.id) == data {
            return Ok(());
        }
        self.change_data(&trying.id, |record| record.data = data).await
    }

    /// Has a one-off container of the commit migrate, unless that has been done. Where each commit is to begin with an empty database and
    /// this one is not, all begins anew instead: now, when the image is known to build.
    pub(in crate::reconcile) async fn migrate(&self, work: &mut Work) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let found = trying.found()?;
        let (id, commit, data) = (trying.id.clone(), trying.commit.clone(), self.data_of(&trying.id));
        if self.serves_with_another_database(&id, &found) {
            // Both would be `db` in the network, so all begins anew: the old version goes, and its database with it.
            tracing::info!(deployment = %id, "another database than the old version's, which goes first");
            // What the ledger fails to write it knows all the same: nobody goes on as if the old version were gone.
            work.begin_anew();
            return self.retire(&id).await;
        }
        if found.config.on_push == OnPush::Reset && data.needs_reset(&commit) {
            tracing::info!(deployment = %id, %commit, "each commit gets an empty database: beginning anew");
            work.begin_anew();
            return self.change_data(&id, |record| record.data.reset_for = Some(commit)).await;
        }
        let Some(migration) = found.detected.migration.as_ref().filter(|_| !data.is_migrated(&commit)) else {
            return Ok(());
        };
        tracing::info!(deployment = %id, reason = migration.reason, "migrating");
        self.note_migration(trying, false).await?;
        let ended = self.run_task(trying, &found, Task::Migrate, &migration.command, &hold).await?;
        ended.map_err(|fault| {
            let advice = format!(
                "It is run because {}. `migrate` in `preview-config.yml` names another command, or `none`.",
                migration.reason
            );
            if fault.advice.is_some() { fault } else { fault.advise(advice) }
        })?;
        self.note_migration(trying, true).await
    }

    /// Fills a database that is new. One that may be filled by half is left to the next attempt, which makes it anew.
    pub(in crate::reconcile) async fn seed(&self, work: &mut Work) -> Result<(), Fault> {
        let hold = work.hold()?;
        let trying = work.trying()?;
        let found = trying.found()?;
        let Some(seed) = &found.config.seed else { return Ok(()) };
        let id = trying.id.clone();
        let data = self.data_of(&id);
        match data.content {
            Content::Empty => {}
            // The note could not be written to its end, which is all that has been tried.
            Content::Seeding if trying.seed_untouched => {}
            Content::Used if data.seeded => return Ok(()),
            Content::Used => {
                tracing::info!(deployment = %id, "the database is not new: its seed is not loaded");
                return self
                    .change_data(&id, |record| {
                        record.notices.insert(Notice::NotSeeded);
                    })
                    .await;
            }
            Content::Seeding => return Err(Fault::passing("the database was filled by half").after(NO_OTHER_TRY)),
        }
        let begin = |record: &mut Deployment| {
            record.data.content = Content::Seeding;
            set_step(record, Step::Seed);
        };
        trying.seed_untouched = true;
        self.change_data(&id, begin).await?;
        trying.seed_untouched = false;
        let loaded = match seed {
            Seed::File(path) => self.load(trying, &found, path.as_str()).await,
            Seed::Run(command) => self.run_task(trying, &found, Task::Seed, command, &hold).await,
        };
        loaded.flatten().map_err(|fault| fault.after(NO_OTHER_TRY))?;
        self.change_data(&id, |record| (record.data.content, record.data.seeded) = (Content::Used, true)).await
    }

    /// Has the database's own client read the file.
    async fn load(&self, trying: &Trying, found: &Found, path: &str) -> Result<Result<(), Fault>, Fault> {
        let interrupted = || Fault::passing("the attempt was interrupted");
        let text = trying.seed.clone().ok_or_else(interrupted)?;
        let database = found.detected.database.database.ok_or_else(interrupted)?;
        let client = compose::client(database, trying.id.number()).ok_or_else(interrupted)?;
        let mut output = self.output_of(trying, Task::Seed)?;
        let errand = errand(trying, Task::Seed);
        let ended = self.inner.out.engine.load(&errand, &client, &text, &mut |line| output.line(line)).await?;
        Ok(output.judge(ended, &format!("`{path}`")))
    }

    /// Runs a one-off container. Outside: that it could not be run; inside: how it ended.
    async fn run_task(
        &self,
        trying: &Trying,
        found: &Found,
        task: Task,
        command: &AppCommand,
        hold: &DeploymentLock,
    ) -> Result<Result<(), Fault>, Fault> {
        let stack = self.task_stack(trying, found, task, command)?;
        let dir = self.inner.folders.of(&trying.id);
        let mut output = self.output_of(trying, task)?;
        let errand = errand(trying, task);
        let ended = self.inner.out.engine.run(&errand, &stack, dir, &mut |line| output.line(line), hold).await?;
        Ok(output.judge(ended, &format!("`{}`", command.shown())))
    }

    fn output_of(&self, trying: &Trying, task: Task) -> Result<Output, Fault> {
        let log = self.inner.folders.start_log(&trying.id, Log::Task(task));
        let log = log.map_err(|error| Fault::passing(format!("the log could not be written: {error}")))?;
        Ok(Output { log, last: VecDeque::new() })
    }

    /// Whether a container of the app's image will be run before the app itself is started.
    pub(super) fn needs_task(&self, trying: &Trying, found: &Found) -> bool {
        let data = self.data_of(&trying.id);
        let migrates = found.detected.migration.is_some() && !data.is_migrated(&trying.commit);
        migrates || data.content == Content::Empty && matches!(found.config.seed, Some(Seed::Run(_)))
    }

    /// The statements of the seed, where it is one that will be loaded.
    pub(super) fn read_seed(&self, trying: &Trying, found: &Found) -> Result<Option<Arc<str>>, Fault> {
        let (Some(Seed::File(path)), Some(checkout)) = (&found.config.seed, &trying.checkout) else { return Ok(None) };
        if self.data_of(&trying.id).content != Content::Empty {
            return Ok(None);
        }
        let text = checkout
            .files
            .read(found.config.in_checkout(path).as_str())
            .map_err(|error| Fault::author(error.to_string()))?;
        let missing = || Fault::author(format!("there is no `{path}`, which `preview-config.yml` names as `seed`"));
        let (text, database) = (text.ok_or_else(missing)?, found.detected.database.database);
        let Some(database) = database else { return Ok(None) };
        let statements = statements(path.as_str(), &text, database);
        statements.map(|text| Some(text.into())).map_err(|wrong| Fault::author(format!("`{path}` {wrong}")))
    }

    async fn note_migration(&self, trying: &Trying, done: bool) -> Result<(), Fault> {
        let migration = Migration { commit: trying.commit.clone(), done };
        let note = |record: &mut Deployment| {
            record.data.migration = Some(migration);
            set_step(record, Step::Migrate);
        };
        self.change_data(&trying.id, note).await
    }

    fn data_of(&self, id: &DeploymentId) -> Data {
        self.inner.ledger.read(|state| state.deployments.get(id).map(|record| record.data.clone())).unwrap_or_default()
    }

    async fn change_data(&self, id: &DeploymentId, note: impl FnOnce(&mut Deployment)) -> Result<(), Fault> {
        self.inner.ledger.change(|state: &mut State| state.deployments.get_mut(id).map(note)).await?;
        self.report(id);
        Ok(())
    }
}

fn errand(trying: &Trying, task: Task) -> Errand {
    Errand { deployment: trying.id.clone(), task, commit: trying.commit.clone(), limit: LONGEST }
}

/// What something wrote, on its way to a log and, the end of it, to a comment.
struct Output {
    log: crate::folders::LogWriter,
    last: VecDeque<String>,
}

impl Output {
    fn line(&mut self, line: &str) {
        self.log.line(line);
        if self.last.len() == TAIL {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// What to say of how `what` ended.
    fn judge(self, ended: Ending, what: &str) -> Result<(), Fault> {
        let fault = match ended {
            Ending::Exited { code: 0, .. } => return Ok(()),
            Ending::Exited { out_of_memory: true, .. } | Ending::Exited { code: 137, .. } => {
                Fault::author(format!("{what} was killed because it used more memory than its container may"))
                    .advise("let it use less memory, or raise CONTAINER_MEMORY_MB on the server")
            }
            Ending::Exited { code, .. } => Fault::author(format!("{what} ended with exit code {code}")),
            Ending::TooLong => Fault::author(format!("{what} took longer than {} minutes", LONGEST.as_secs() / 60)),
        };
        Err(fault.tail(self.last))
    }
}
