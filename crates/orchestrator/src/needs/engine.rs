//! What is asked of what builds images and runs containers: Docker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use preview_core::backing::Backing;
use preview_core::capacity::{DiskUse, Measure, Room};
use preview_core::compose::own::{OwnName, StageName};
use preview_core::compose::{DatabasePassword, KeptBy, ServiceName, Stack, Task, app_image, kept_by, own_image};
use preview_core::framework::own_dockerfile::ImageFacts;
use preview_core::ids::{CommitSha, DeploymentId, RepoId, Slot};
use preview_core::repo_config::EnvVars;
use preview_core::trust::Trust;

use super::{DeploymentLock, Fault};

/// An image to be built.
#[derive(Debug, Clone)]
pub struct BuildJob {
    /// Whose image it is.
    pub deployment: DeploymentId,
    /// The base repository: names the cache.
    pub repo: RepoId,
    /// The commit, for the image's tag alone: nothing volatile enters the build.
    pub commit: CommitSha,
    /// The folder that the build sees: the checkout, or one within it.
    pub context: PathBuf,
    /// The Dockerfile's text, ours or the repository's, checked.
    pub dockerfile: String,
    /// The stage to stop at; the last one without.
    pub target: Option<StageName>,
    /// Build arguments of the repository's own Compose file.
    pub args: EnvVars,
    /// Whether its base is a tag that may have moved: then the registry is asked for it, whatever lies on the machine.
    pub pull: bool,
    /// The service beside the app that it is for.
    pub service: Option<OwnName>,
    /// How far its code is trusted: with the repository's cache, and with registry logins.
    pub trust: Trust,
}

impl BuildJob {
    /// Whether it makes an image of theirs ours, and does nothing else.
    pub fn is_of(&self, image: &str) -> bool {
        self.dockerfile.strip_prefix("FROM ").is_some_and(|rest| rest.trim_end() == image)
    }

    /// The image's name and tag.
    pub fn image(&self) -> String {
        match self.service {
            Some(service) => own_image(&self.deployment, &self.commit, service),
            None => app_image(&self.deployment, &self.commit),
        }
    }
}

/// Which volumes of a deployment are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volumes {
    /// All of them.
    All,
    /// Those of the main database, whichever it is or was.
    Database,
    /// Those of a backing service beside it.
    Extra(Backing),
}

impl Volumes {
    /// Whether a volume, by its name in the engine, is among those that are meant.
    pub fn has(self, id: &DeploymentId, volume: &str) -> bool {
        match (self, kept_by(id, volume)) {
            (Self::All, _) | (Self::Database, KeptBy::Database(_) | KeptBy::Nobody) => true,
            (Self::Extra(extra), KeptBy::Extra(of)) => of == extra,
            (Self::Database | Self::Extra(_), _) => false,
        }
    }
}

/// Takes a build's output line by line.
pub type LineSink<'a> = &'a mut (dyn FnMut(&str) + Send);

/// A part of a deployment in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// One slot's container.
    App(Slot),
    /// The database's container.
    Database,
    /// The container of a backing service beside the database.
    Extra(Backing),
    /// The container of a service beside the app, of the repository's own Compose file.
    Own(OwnName),
    /// A container that does one thing and ends.
    Task(Task),
    /// A container that carries our labels but no role that we know.
    Other,
}

impl Part {
    /// The service of the stack that it is; none for what we don't start.
    pub fn service(self) -> Option<ServiceName> {
        match self {
            Self::App(slot) => Some(ServiceName::App(slot)),
            Self::Database => Some(ServiceName::Database),
            Self::Extra(extra) => Some(ServiceName::Extra(extra)),
            Self::Own(name) => Some(ServiceName::Own(name)),
            Self::Task(task) => Some(ServiceName::Task(task)),
            Self::Other => None,
        }
    }
}

impl From<ServiceName> for Part {
    fn from(service: ServiceName) -> Self {
        match service {
            ServiceName::App(slot) => Self::App(slot),
            ServiceName::Database => Self::Database,
            ServiceName::Extra(extra) => Self::Extra(extra),
            ServiceName::Own(name) => Self::Own(name),
            ServiceName::Task(task) => Self::Task(task),
        }
    }
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its process runs; the engine's own health check says…
    Running {
        /// `None` where the image has no health check or it has not answered yet.
        healthy: Option<bool>,
    },
    /// It ended and the engine starts it again and again.
    Restarting {
        /// The last exit code.
        exit_code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
    },
    /// It ended.
    Exited {
        /// The exit code.
        exit_code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
    },
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// What it is.
    pub part: Part,
    /// The commit that it runs, for slots and one-off containers.
    pub commit: Option<CommitSha>,
    /// How it is.
    pub state: ContainerState,
    /// How often the engine has restarted it.
    pub restarts: u64,
}

/// Everything of one deployment that the engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineView {
    /// Containers, running or not.
    pub containers: Vec<Container>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Names of networks.
    pub networks: Vec<String>,
    /// Tags of images built for it, by commit.
    pub images: Vec<CommitSha>,
}

impl EngineView {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a part's container runs, or is about to again.
    pub fn runs(&self, part: Part) -> bool {
        let state = self.part(part).map(|container| &container.state);
        matches!(state, Some(ContainerState::Running { .. } | ContainerState::Restarting { .. }))
    }

    /// The container of a part.
    pub fn part(&self, part: Part) -> Option<&Container> {
        self.containers.iter().find(|container| container.part == part)
    }
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image's user (`Config.User`), empty for root.
    pub user: String,
    /// What the image starts: its entrypoint, and its command behind that.
    pub command: Vec<String>,
    /// What it was built from: images by name, with the digest of each that could be told.
    pub bases: BTreeMap<String, String>,
}

/// An image that is about to be built upon.
pub struct Looked {
    /// What it says of itself.
    pub facts: ImageFacts,
    /// While this is kept, builds meet the image that was looked at, wherever its name leads meanwhile.
    pub kept: Box<dyn Send + Sync>,
}

/// Something that is to be done once.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Whose.
    pub deployment: DeploymentId,
    /// What.
    pub task: Task,
    /// For which commit.
    pub commit: CommitSha,
    /// How long it may take.
    pub limit: Duration,
}

/// How something ended that was to be done once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Exited {
        /// The exit code; 0 is success.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
    },
    /// It took too long and was stopped.
    TooLong,
}

/// Something happened to a container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// To whom.
    pub deployment: DeploymentId,
    /// The engine's word: `die`, `oom`, `start`, `destroy`, `health_status: unhealthy` …
    pub action: String,
}

/// A container that has filled more of the disk than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Whose.
    pub deployment: DeploymentId,
    /// Which.
    pub part: Part,
    /// Of what it has too much.
    pub by: Measure,
    /// How much it has, in bytes; or how many files, as far as they were counted.
    pub amount: u64,
}

/// What runs containers and builds images: Docker with Compose.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// Looks at an image that something will be built upon, and gets it first where it isn't there; `anew` asks its registry whatever is
    /// there.
    async fn look_at(&self, image: &str, anew: bool, log: LineSink<'_>) -> Result<Looked, Fault>;
    /// Builds the image and tags it. Its output goes to `log`.
    async fn build(&self, job: &BuildJob, log: LineSink<'_>, hold: &DeploymentLock) -> Result<Built, Fault>;
    /// Writes the stack's file into `dir` and starts these parts of it (and the network and volumes that they need), leaving
    /// others as they are; with no part, makes the network. Returns when they are started, not when they are healthy.
    async fn start(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault>;
    /// As `start`, and puts new containers where those that are up differ from the stack.
    async fn replace(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault>;
    /// Starts the one-off container of the stack, waits until it has ended, and removes it; its output goes to `log`. One that runs
    /// already, or has ended, for the same commit is waited for instead: who started it was killed. Any other is removed before.
    async fn run(
        &self,
        errand: &Errand,
        stack: &Stack,
        dir: PathBuf,
        log: LineSink<'_>,
        hold: &DeploymentLock,
    ) -> Result<Ending, Fault>;
    /// Has a program in the database's container read a text, once the database is ready; its output goes to `log`.
    async fn load(&self, errand: &Errand, client: &[String], text: &str, log: LineSink<'_>) -> Result<Ending, Fault>;
    /// Changes what a part's container may use of CPU, in thousandths. Nothing there is success.
    async fn limit_cpu(&self, id: &DeploymentId, part: Part, millis: u32) -> Result<(), Fault>;
    /// What there is of one deployment.
    async fn observe(&self, id: &DeploymentId) -> Result<EngineView, Fault>;
    /// Every deployment of this installation of which there is anything.
    async fn observe_all(&self) -> Result<Vec<(DeploymentId, EngineView)>, Fault>;
    /// Stops and removes one part's container with its anonymous volumes. Nothing there is success.
    async fn remove_part(&self, id: &DeploymentId, part: Part) -> Result<(), Fault>;
    /// Removes all containers of the deployment, with their anonymous volumes.
    async fn remove_containers(&self, id: &DeploymentId) -> Result<(), Fault>;
    /// Removes named volumes of it.
    async fn remove_volumes(&self, id: &DeploymentId, which: Volumes) -> Result<(), Fault>;
    /// Removes its networks.
    async fn remove_networks(&self, id: &DeploymentId) -> Result<(), Fault>;
    /// Removes the images built for it, but for the commits to keep.
    async fn remove_images(&self, id: &DeploymentId, keep: &[CommitSha]) -> Result<(), Fault>;
    /// The password that the containers of the backing services were made with; none where there is no such container.
    async fn database_password(&self, id: &DeploymentId) -> Result<Option<DatabasePassword>, Fault>;
    /// Where something listens in a part's container, as the kernel says; `None` where that can't be told.
    async fn listening(&self, id: &DeploymentId, part: Part) -> Option<Vec<SocketAddr>>;
    /// The last lines of a part's output; empty when there is no such container.
    async fn logs(&self, id: &DeploymentId, part: Part, lines: usize) -> Result<Vec<String>, Fault>;
    /// A part's output from its last `lines` lines on, as it comes.
    async fn follow(&self, id: &DeploymentId, part: Part, lines: usize) -> BoxStream<'static, String>;
    /// Events of our containers, until the engine goes away.
    async fn events(&self) -> BoxStream<'static, EngineEvent>;
    /// What our things and the build cache take on the disk. Takes the engine seconds: not to be asked often.
    async fn disk_use(&self) -> Result<DiskUse, Fault>;
    /// Containers of ours that have written more than so many bytes, beside their image and in their volumes together, or have made
    /// more files than go with so many bytes of the disk. Cheap to ask: it is found out anew when the disk has lost enough since the last
    /// time, and now and then.
    async fn filled(&self, limit: u64) -> Result<Vec<Filled>, Fault>;
    /// Stops a part for good, and with a backing service all that may go on writing to it.
    async fn halt(&self, id: &DeploymentId, part: Part) -> Result<(), Fault>;
    /// Removes images of ours that nothing names or runs, and, given a size, what of the build cache was used least and longest
    /// ago, until this much of it is left.
    async fn tidy(&self, build_cache: Option<u64>) -> Result<(), Fault>;
    /// What there is to give.
    async fn room(&self) -> Result<Room, Fault>;
    /// Whether it answers at all, and as what (version), for `/health`.
    async fn ping(&self) -> Result<String, Fault>;
}
