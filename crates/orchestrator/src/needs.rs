//! What the use-cases need of the outside world, named after the need.
//!
//! `reconcile` knows these traits and nothing of Docker, git, GitHub or nginx; each of those lives in a room of its own and
//! implements one of them. The tests' stateful fakes implement them too, and pass the same contract suites.
//!
//! Two rules hold for every method here. Dropping its future gives up: whatever it started is stopped. And it has an
//! end of its own: an implementation that waits for something outside has a limit.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use preview_core::capacity::{DiskUse, Room};
use preview_core::compose::own::{OwnName, StageName};
use preview_core::compose::{DatabasePassword, Stack, app_image, own_image};
use preview_core::deployment::{Blame, Failure, Step};
use preview_core::desired::Pull;
use preview_core::framework::Files;
use preview_core::ids::{
    CommentId, CommitSha, DeploymentId, HostPort, Login, PrNumber, PullKey, RepoId, RepoName, Slot,
};
use preview_core::repo_config::EnvVars;
use preview_core::route::RouteTable;
use preview_core::subnets::Subnet;
use preview_core::trust::Trust;

use crate::ledger::Mark;

/// Why something outside did not do what was asked: whose side it is from, and whether to try again.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Whose side it is from.
    pub blame: Blame,
    /// What happened, in one line for the comment and the log; no secrets, no paths of ours.
    pub cause: String,
    /// What to try, for people.
    pub advice: Option<String>,
    /// The last lines of what failed; hostile text.
    pub log_tail: Vec<String>,
    /// Not before this long from now, when the other side said so.
    pub retry_after: Option<Duration>,
    /// Whether the log has been told, once for all that fails of it.
    pub told: bool,
}

impl Fault {
    /// Something unreachable, overloaded or broken outside the pull request; worth another try.
    pub fn passing(cause: impl Into<String>) -> Self {
        Self { blame: Blame::Passing, ..Self::author(cause) }
    }

    /// The pull request's own mistake; the same commit fails again.
    pub fn author(cause: impl Into<String>) -> Self {
        let (advice, log_tail, retry_after) = (None, Vec::new(), None);
        Self { blame: Blame::Author, cause: cause.into(), advice, log_tail, retry_after, told: false }
    }

    /// Adds what to try.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the last lines of what failed.
    pub fn tail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.log_tail = lines.into_iter().collect();
        self
    }

    /// Says when to try again at the earliest.
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says that the log has been told.
    pub fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// Tells the log what could not be done because of it.
    pub fn log(&self, what: &str) {
        if self.told {
            tracing::debug!(cause = %self, "{what}");
        } else {
            tracing::warn!(cause = %self, "{what}");
        }
    }

    /// The fault as the record keeps it.
    pub fn at(self, step: Step) -> Failure {
        Failure { step, cause: self.cause, advice: self.advice, log_tail: self.log_tail, blame: self.blame }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}
impl std::error::Error for Fault {}

// ---------------------------------------------------------------------------------------------------------------- Clock

/// Wall-clock time. Durations are measured with tokio's clock, which tests can pause.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

// ----------------------------------------------------------------------------------------------------------------- Host

/// The machine on which previews get ports and networks.
pub trait Host: Send + Sync + 'static {
    /// Whether nobody listens on this port of 127.0.0.1.
    fn is_free(&self, port: HostPort) -> bool;
    /// Every private network that the machine reaches now, bridges of containers among them.
    fn networks(&self) -> Vec<Subnet>;
}

// ---------------------------------------------------------------------------------------------------------------- Forge

/// A repository as GitHub knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its number, for good.
    pub id: RepoId,
    /// Its name, for now.
    pub name: RepoName,
}

/// The answer to "what of this pull request?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullAnswer {
    /// GitHub knows it.
    Known(Pull),
    /// 404 for the pull request, while the repository itself answers.
    NotFound,
}

/// What became of a comment that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It stands there, under this number.
    Comment(CommentId),
    /// GitHub refused it for good (403, 404 or 410): nothing more to do.
    Refused(String),
    /// Our token may not write there, which somebody can mend; the log has been told.
    NotPermitted(String),
}

/// The state of a commit's `preview` status.
///
/// Source: <https://docs.github.com/en/rest/commits/statuses>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// Being built, or waiting.
    Pending,
    /// It answers.
    Success,
    /// The pull request's own failure.
    Failure,
    /// A failure of ours or of the network.
    Error,
}

/// A commit status to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// On which commit.
    pub commit: CommitSha,
    /// The state.
    pub state: StatusState,
    /// At most 140 characters.
    pub description: String,
    /// Where it leads.
    pub url: Option<String>,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Its number.
    pub id: CommentId,
    /// On which pull request.
    pub pull: PrNumber,
    /// Who wrote it; `None` where that is us, an app, or an account that is gone.
    pub author: Option<Person>,
    /// Its first line, cut after some hundred bytes: hostile text.
    pub line: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// When it was last edited; else as above.
    pub edited_at: Timestamp,
}

/// What was said in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// On pull requests.
    pub on_pulls: Vec<Remark>,
    /// When the newest of all comments read, those on issues too, was last touched.
    pub newest: Option<Timestamp>,
}

impl Remark {
    /// Whether it says what it said when it was written. Who may write to a repository can edit what others said.
    pub fn is_as_written(&self) -> bool {
        self.written_at == self.edited_at
    }
}

/// Somebody on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number, for good.
    pub id: u64,
    /// The name, for now.
    pub login: Login,
}

/// Where pull requests live: GitHub.
#[async_trait]
pub trait Forge: Send + Sync + 'static {
    /// The repository of that name; `None` when there is none that our token can see.
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault>;
    /// The pull request as GitHub tells it now.
    async fn pull(&self, key: PullKey) -> Result<PullAnswer, Fault>;
    /// All open pull requests of a repository, every page read. A list that could not be read to its end is an error, never
    /// a shorter list. That it is as it was the last time saves reading, not looking: whoever asks gets all of it.
    async fn open_pulls(&self, repo: RepoId) -> Result<Vec<Pull>, Fault>;
    /// Returns once something may be written. Whoever chooses his words only then tells no old news.
    async fn may_write(&self) {}
    /// Makes `body` the text of our one comment: the known one, else the one of our own user that carries our marker, else
    /// a new one.
    async fn comment(&self, key: PullKey, known: Option<CommentId>, body: &str) -> Result<Written, Fault>;
    /// Writes the commit status `preview`.
    async fn status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault>;
    /// Comments on the repository's pull requests that were written or edited since, those touched longest ago first, and
    /// not more than a thousand of them; without a time, the one touched last.
    async fn remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault>;
    /// Whether this person may push to the repository. A fault is no answer.
    async fn may_push(&self, repo: RepoId, person: &Person) -> Result<bool, Fault>;
    /// Marks a comment. One that is gone or refuses it is success.
    async fn mark(&self, repo: RepoId, comment: CommentId, mark: Mark) -> Result<(), Fault>;
}

// --------------------------------------------------------------------------------------------------------------- Source

/// Which files are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The base repository.
    pub repo: RepoId,
    /// Its name now.
    pub name: RepoName,
    /// The pull request whose head it is.
    pub number: PrNumber,
    /// The commit.
    pub commit: CommitSha,
}

/// Files of one commit, in a folder of their own.
pub struct Checkout {
    /// The folder: build context of an image.
    pub dir: PathBuf,
    /// The same files, each opened beneath the folder without following links.
    pub files: Arc<dyn Files + Send + Sync>,
}

/// Where commits come from: git.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Puts the commit's files into `into`, replacing what was there. No `.git`, no hook, no filter, nothing executed.
    async fn checkout(&self, want: &Want, into: PathBuf, hold: &DeploymentLock) -> Result<Checkout, Fault>;
    /// Removes what it keeps of other repositories than these, packs the rest, and gives the bytes that this takes.
    async fn tidy(&self, repositories: &BTreeSet<RepoId>) -> Result<u64, Fault>;
}

/// An exclusive lock on a deployment's folder, held by us and by every program that works for the deployment, so that a
/// successor of ours waits until the last straggler has ended.
pub type DeploymentLock = Arc<std::os::fd::OwnedFd>;

// ------------------------------------------------------------------------------------------------------ ContainerEngine

/// An image to be built.
#[derive(Debug, Clone)]
pub struct BuildJob {
    /// Whose image it is.
    pub deployment: DeploymentId,
    /// The base repository: names the cache.
    pub repo: RepoId,
    /// The commit, for the image's tag alone: nothing volatile enters the build.
    pub commit: CommitSha,
    /// The folder with the checkout.
    pub context: PathBuf,
    /// The Dockerfile's text, ours or the repository's, checked.
    pub dockerfile: String,
    /// The stage to stop at; the last one without.
    pub target: Option<StageName>,
    /// Build arguments of the repository's own Compose file.
    pub args: EnvVars,
    /// The service beside the app that it is for.
    pub service: Option<OwnName>,
    /// How far its code is trusted: with the repository's cache, and with registry logins.
    pub trust: Trust,
}

impl BuildJob {
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
    /// Those of a database of ours, not those of the repository's own Compose file.
    Database,
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
    /// The container of a service beside the app, of the repository's own Compose file.
    Own(OwnName),
    /// A container that carries our labels but no role that we know.
    Other,
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
    /// The commit that it runs, for slots.
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
}

/// Something happened to a container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// To whom.
    pub deployment: DeploymentId,
    /// The engine's word: `die`, `oom`, `start`, `destroy`, `health_status: unhealthy` …
    pub action: String,
}

/// A container that has written more than it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Whose.
    pub deployment: DeploymentId,
    /// Which.
    pub part: Part,
    /// What it has written.
    pub bytes: u64,
}

/// What runs containers and builds images: Docker with Compose.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// Builds the image and tags it. Its output goes to `log`.
    async fn build(&self, job: &BuildJob, log: LineSink<'_>, hold: &DeploymentLock) -> Result<Built, Fault>;
    /// Writes the stack's file into `dir` and starts these parts of it (and the network and volumes that they need), leaving
    /// others as they are; with no part, makes the network. Returns when they are started, not when they are healthy.
    async fn start(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault>;
    /// As `start`, and puts new containers where those that are up differ from the stack.
    async fn replace(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault>;
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
    /// The password that the database's container was made with; none where there is no such container.
    async fn database_password(&self, id: &DeploymentId) -> Result<Option<DatabasePassword>, Fault>;
    /// The last lines of a part's output; empty when there is no such container.
    async fn logs(&self, id: &DeploymentId, part: Part, lines: usize) -> Result<Vec<String>, Fault>;
    /// A part's output from its last `lines` lines on, as it comes.
    async fn follow(&self, id: &DeploymentId, part: Part, lines: usize) -> BoxStream<'static, String>;
    /// Events of our containers, until the engine goes away.
    async fn events(&self) -> BoxStream<'static, EngineEvent>;
    /// What our things and the build cache take on the disk. Takes the engine seconds: not to be asked often.
    async fn disk_use(&self) -> Result<DiskUse, Fault>;
    /// Containers of ours that have written more than so many bytes, beside their image and in their volumes together. Cheap to
    /// ask: it is found out anew when the disk has lost enough since the last time, and now and then.
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

// --------------------------------------------------------------------------------------------------------------- Router

/// What sends visitors to the right slot: nginx, or the built-in proxy.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// Makes exactly this table hold. Returns once the router itself answers with it. Asking twice changes nothing.
    async fn apply(&self, table: &RouteTable) -> Result<(), Fault>;
    /// The table that holds now, as far as the router can tell; what isn't ours is not in it.
    async fn observe(&self) -> Result<RouteTable, Fault>;
    /// Waits until nothing that the router sent to this port is under way any more, at most so long.
    async fn drain(&self, port: HostPort, at_most: Duration);
    /// Whether it answers at all, for `/health`.
    async fn ping(&self) -> Result<(), Fault>;
}

// --------------------------------------------------------------------------------------------------------------- Health

/// An app's answer to one question for its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// 2xx, or 3xx that stays with the app.
    Healthy,
    /// It answered, with this status.
    Status(u16),
    /// Nothing listens, or it closed without an answer.
    NoAnswer,
    /// No answer in time.
    Slow,
}

/// What asks an app whether it is up.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Asks once, within `limit`.
    async fn probe(&self, port: HostPort, path: &str, limit: Duration) -> Probe;
}
