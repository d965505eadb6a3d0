//! What is going on when trouble comes: the product's named steps, the stories in which they are met, and their ends.
//!
//! The steps come from the product's own plans, so that one which is added to a plan is met without being named here; one of a
//! new kind does not compile until `doors!` says what of the outside it goes through.

use std::fs::File;
use std::time::Duration;

use jiff::Timestamp;
use preview_core::backing::Backing;
use preview_core::deployment::{Attempt, Blame, Deployment, Failure, RemovalReason, Serving, Stage, Step};
use preview_core::ids::{BranchName, CommitSha, HostPort, RepoId, Slot};
use preview_core::plan::{Action, Again, Observed, Target, plan};
use preview_simulator::state::{Permission, StatusState};
use preview_simulator::{Change, Mimic, Pull};
use serde_json::Value;

use crate::isolation::WITH_POSTGRES;
use crate::obstacles::Trouble;
use crate::rig::Rig;

// ------------------------------------------------------------------------------------------------------------- the steps

/// What of the outside an action goes through: there it meets errors and hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Engine,
    Git,
    Comments,
    Nginx,
    Ledger,
    Lock,
    Folder,
    Visitors,
}

impl Door {
    pub(crate) fn can(self, trouble: Trouble) -> bool {
        // Counting connections cannot fail, and a folder is gone when the call returns.
        !matches!((self, trouble), (Self::Visitors, Trouble::Error) | (Self::Folder, Trouble::Hang))
    }
}

macro_rules! doors {
    ($($door:ident: $($action:ident)+;)+) => {
        /// The names of all actions.
        pub(crate) const ACTIONS: &[&str] = &[$($(stringify!($action)),+),+];

        /// An action's name.
        pub(crate) fn name(action: &Action) -> &'static str {
            match action { $($(Action::$action { .. } => stringify!($action)),+),+ }
        }

        /// What an action goes through first.
        fn door(action: &Action) -> Door {
            match action { $($(Action::$action { .. })|+ => Door::$door),+ }
        }
    };
}

doors! {
    Engine: ClearSlot Build Start AwaitHealth RemoveContainers RemoveVolumes RemoveDatabase RemoveExtra RemoveService RemoveTasks
        RemoveNetworks RemoveImages;
    Git: Checkout;
    Comments: LastWords;
    Nginx: Switch SyncRoute;
    Ledger: Prepare Migrate Seed Settle Release Lost Retire Forget;
    Lock: Begin MarkRemoving;
    Folder: RemoveFolder;
    Visitors: Drain;
}

/// Somebody who may write to the repository.
const MAINTAINER: &str = "maintainer";

/// What is going on when trouble comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    Deploy,
    Update,
    Removal,
    /// A first attempt that fails is taken down.
    Failure,
    /// The container was removed by hand.
    Loss,
    /// A version that wants no database follows one that did.
    NoDatabase,
    /// Somebody asks for an empty database.
    Reset,
    /// A version that names no backing service beside its database follows one that did.
    NoExtra,
    /// A version whose Compose file names one service less follows.
    NoService,
    /// Of an earlier life a one-off container is left that nobody waits for.
    LeftTask,
}

pub(crate) const STORIES: [Story; 10] = [
    Story::Deploy,
    Story::Update,
    Story::Removal,
    Story::Failure,
    Story::Loss,
    Story::NoDatabase,
    Story::Reset,
    Story::NoExtra,
    Story::NoService,
    Story::LeftTask,
];

/// An app, and a service beside it.
const TWO_SERVICES: &str = "services:\n  app:\n    build: .\n    ports: ['3000']\n  store:\n    build: .\n";
/// A migration and a seed that are programs of the mimic's.
const MIGRATE: &str = "migrate: [/mimic, exit, '0', moved]\n";
const SEED: &str = "seed: [/mimic, exit, '0', filled]\n";
/// The app alone.
const ONE_SERVICE: &str = "services:\n  app:\n    build: .\n    ports: ['3000']\n";

impl Story {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Update => "update",
            Self::Removal => "removal",
            Self::Failure => "failed first attempt",
            Self::Loss => "container lost",
            Self::NoDatabase => "database dropped",
            Self::Reset => "database reset",
            Self::NoExtra => "extra service dropped",
            Self::NoService => "service dropped",
            Self::LeftTask => "one-off container left over",
        }
    }

    /// What the product plans, of which other stories don't tell.
    pub(crate) fn steps(self) -> Vec<Action> {
        let (old, new) = (sha('a'), sha('b'));
        let wish = Target::Commit { commit: new.clone(), again: Again::No };
        let mut record = record();
        let mut seen = Observed { networks: true, folder: true, images: [old.clone()].into(), ..Observed::default() };
        match self {
            Self::Deploy => plan(&wish, None, &Observed::default()),
            Self::Update => {
                serve(&mut record, &mut seen);
                plan(&wish, Some(&record), &seen)
            }
            Self::Removal => {
                serve(&mut record, &mut seen);
                (seen.database, seen.volumes) = (true, true);
                plan(&Target::Nothing(RemovalReason::Closed), Some(&record), &seen)
            }
            Self::Failure => {
                seen.slots = [Slot::A].into();
                let (step, blame) = (Step::Health, Blame::Author);
                let failure = Failure { step, blame, cause: String::new(), advice: None, log_tail: Vec::new() };
                record.attempt = Some(Attempt { stage: Stage::Failed(failure), ..attempt(new) });
                plan(&wish, Some(&record), &seen)
            }
            Self::Loss => {
                serve(&mut record, &mut seen);
                seen.slots.clear();
                plan(&wish, Some(&record), &seen).into_iter().take(1).collect()
            }
            Self::NoDatabase => {
                serve(&mut record, &mut seen);
                (seen.database, record.db_port) = (true, HostPort::new(9000));
                let wish = Target::Commit { commit: old, again: Again::No };
                let actions = plan(&wish, Some(&record), &seen);
                actions.into_iter().filter(|action| matches!(action, Action::RemoveDatabase)).collect()
            }
            Self::NoExtra => {
                serve(&mut record, &mut seen);
                seen.extras = [Backing::Redis].into();
                let wish = Target::Commit { commit: old, again: Again::No };
                let actions = plan(&wish, Some(&record), &seen);
                actions.into_iter().filter(|action| matches!(action, Action::RemoveExtra(_))).collect()
            }
            Self::NoService => {
                serve(&mut record, &mut seen);
                seen.services = ["store".parse().unwrap()].into();
                let wish = Target::Commit { commit: old, again: Again::No };
                let actions = plan(&wish, Some(&record), &seen);
                actions.into_iter().filter(|action| matches!(action, Action::RemoveService(_))).collect()
            }
            Self::LeftTask => {
                serve(&mut record, &mut seen);
                seen.tasks = true;
                let actions = plan(&wish, Some(&record), &seen);
                actions.into_iter().filter(|action| matches!(action, Action::RemoveTasks)).collect()
            }
            Self::Reset => {
                serve(&mut record, &mut seen);
                let wish = Target::Commit { commit: old, again: Again::FromNothing };
                plan(&wish, Some(&record), &seen).into_iter().take(1).collect()
            }
        }
    }

    /// What a step goes through in this story: first its own door, and then what it goes through further.
    pub(crate) fn doors(self, step: &Action) -> Vec<Door> {
        // What is to happen to a database is written down, and then run by the engine: but for the seed of an update, which finds
        // a database that has been used.
        let runs = match step {
            Action::Migrate => matches!(self, Self::Deploy | Self::Update),
            Action::Seed => self == Self::Deploy,
            _ => false,
        };
        [door(step)].into_iter().chain(runs.then_some(Door::Engine)).collect()
    }

    /// What the apps of this story are. They start slowly, so that there is a while in which they are waited for.
    fn app(self, version: &str) -> Vec<Change> {
        let app = Mimic::new(version).starting_after(Duration::from_millis(700));
        let app = match self {
            Self::Failure => app.exiting_after(Duration::ZERO, 7, "no tea, no fun"),
            Self::Removal | Self::Reset => app.config(WITH_POSTGRES),
            // Its migration and its seed are first of all written down; those of an update find a database that has been used.
            Self::Deploy => app.config(format!("{WITH_POSTGRES}{MIGRATE}{SEED}")),
            Self::Update if version == "version one" => app.config(WITH_POSTGRES),
            Self::Update => app.config(format!("{WITH_POSTGRES}{MIGRATE}{SEED}")),
            Self::NoDatabase if version == "version one" => app.config(WITH_POSTGRES),
            Self::NoExtra if version == "version one" => {
                app.config("health_check_path: /health\nextra_services: [redis, mysql]\n")
            }
            Self::NoService => app.config("health_check_path: /health\n"),
            _ => app,
        };
        let services = if version == "version one" { TWO_SERVICES } else { ONE_SERVICE };
        let compose = (self == Self::NoService).then(|| Change::write("docker-compose.preview.yml", services));
        app.files().into_iter().chain(compose).collect()
    }

    /// What there is before.
    pub(crate) async fn prepare(self, rig: &Rig) -> Option<Pull> {
        if matches!(self, Self::Deploy | Self::Failure) {
            return None;
        }
        rig.repo().set_permission(MAINTAINER, Permission::Write);
        let pull = rig.open_with(self.app("version one")).await;
        one_preview(rig, &pull, "version one").await;
        let lock = rig.dir.path().join("deployments").join(rig.id(&pull)).join("lock");
        rig.until("nobody works for it", async || File::open(&lock).ok()?.try_lock().ok()).await;
        Some(pull)
    }

    pub(crate) async fn begin(self, rig: &Rig, pull: Option<Pull>) -> Pull {
        let Some(pull) = pull else { return rig.open_with(self.app("version one")).await };
        match self {
            Self::Deploy | Self::Failure => {}
            Self::Update | Self::NoDatabase | Self::NoExtra | Self::NoService => {
                drop(pull.push(self.app("version two")).await.unwrap());
            }
            Self::LeftTask => {
                leave_task(rig, &rig.id(&pull)).await;
                drop(pull.push(self.app("version two")).await.unwrap());
            }
            Self::Removal => pull.close().unwrap(),
            Self::Reset => drop(pull.comment(MAINTAINER, "/preview reset-db")),
            Self::Loss => drop(rig.docker(&["rm", "--force", &rig.containers(&rig.id(&pull)).await[0]]).await),
        }
        pull
    }

    /// Waits until all is as it should be, however it came there.
    pub(crate) async fn ends_well(self, rig: &Rig, pull: &Pull) {
        let id = rig.id(pull);
        match self {
            Self::Deploy | Self::Loss | Self::Reset => one_preview(rig, pull, "version one").await,
            Self::Update => one_preview(rig, pull, "version two").await,
            Self::NoExtra => {
                one_preview(rig, pull, "version two").await;
                let alone = async || {
                    let volumes = rig.engine_leftovers().await.into_iter().filter(|left| left.starts_with("volume"));
                    (rig.containers(&id).await.len() == 1 && volumes.count() == 0).then_some(())
                };
                rig.until("the services are gone, and their data", alone).await;
            }
            Self::LeftTask => {
                one_preview(rig, pull, "version two").await;
                assert!(rig.containers(&id).await.iter().all(|name| !name.ends_with("-left")));
            }
            Self::NoService => {
                one_preview(rig, pull, "version two").await;
                let alone = async || (rig.containers(&id).await.len() == 1).then_some(());
                rig.until("the service is gone", alone).await;
            }
            Self::NoDatabase => {
                one_preview(rig, pull, "version two").await;
                let freed = |record: &Value| record["dbPort"].is_null();
                rig.until_record(&id, "no database", |record| record.is_some_and(freed)).await;
            }
            Self::Removal => {
                rig.until_gone(&rig.url(pull)).await;
                rig.until_comment(pull, "removed").await;
                rig.until_record(&id, "gone", |record| record.is_none()).await;
                assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());
            }
            Self::Failure => {
                rig.until_comment(pull, "no tea, no fun").await;
                rig.until_status(pull, StatusState::Failure).await;
                rig.until("nothing of it is left", async || rig.engine_leftovers().await.is_empty().then_some(()))
                    .await;
                let released = |record: &Value| record["appPort"].is_null();
                rig.until_record(&id, "ports released", |record| record.is_some_and(released)).await;
            }
        }
        let repairs = rig.ledger()["repairs"].as_u64().unwrap();
        assert!(repairs == 0 || self == Self::Loss, "{repairs} things were found where they should not be");
    }
}

/// Leaves a one-off container there, as somebody does who is killed while a migration runs.
async fn leave_task(rig: &Rig, id: &str) {
    let image = rig.inspect("container", &rig.containers(id).await[0]).await["Config"]["Image"].clone();
    let labels = [("deployment", id), ("instance", &rig.instance()), ("service", "migrate")];
    let labels: Vec<String> =
        labels.iter().map(|(key, value)| format!("--label=preview-deployer.{key}={value}")).collect();
    let name = format!("--name={id}-left");
    let run = ["run", "--detach", &name, &labels[0], &labels[1], &labels[2], image.as_str().unwrap()];
    rig.docker(&run).await;
}

pub(crate) async fn one_preview(rig: &Rig, pull: &Pull, version: &str) {
    let id = rig.id(pull);
    let head = pull.head();
    rig.until_record(&id, "the newest commit serves and nothing is under way", |record| {
        record.is_some_and(|record| {
            record["serving"]["commitSha"] == head.as_str() && record["attempt"]["step"] == "done"
        })
    })
    .await;
    rig.until_answers(&rig.url(pull), version).await;
    rig.until("the comment tells of the newest commit", async || {
        let comment = rig.until_comment(pull, "Preview is ready").await;
        comment.body.contains(&head.as_str()[..7]).then_some(())
    })
    .await;
    let app = format!("{id}-app-");
    rig.until("one app runs", async || {
        let containers = rig.containers(&id).await;
        (containers.iter().filter(|name| name.starts_with(&app)).count() == 1).then_some(())
    })
    .await;
}

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn record() -> Deployment {
    let repo = (RepoId(1), "org/app".parse().unwrap());
    Deployment::new("org-app-1".parse().unwrap(), repo, BranchName::new("x"), sha('b'), Timestamp::UNIX_EPOCH)
}

fn attempt(commit: CommitSha) -> Attempt {
    let (slot, app_port) = (Slot::A, HostPort::new(8000));
    Attempt { commit, slot, app_port, started_at: Timestamp::UNIX_EPOCH, stage: Stage::Done, in_place: false }
}

/// The old commit serves in slot *a*.
fn serve(record: &mut Deployment, seen: &mut Observed) {
    let (slot, app_port) = (Slot::A, HostPort::new(8000).unwrap());
    let since = Timestamp::UNIX_EPOCH;
    record.serving =
        Some(Serving { commit_sha: sha('a'), slot, app_port, since, took_ms: 0, down: false, filled: None });
    record.attempt = Some(Attempt { app_port: None, ..attempt(sha('a')) });
    (seen.slots, seen.route) = ([slot].into(), Some(app_port));
}
