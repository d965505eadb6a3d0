//! What runs for one deployment, as a Compose project.
//!
//! [`generate`] turns what is wanted into a [`Stack`]; [`Stack::to_yaml`] writes it for `docker compose`. The model has no word for a
//! bind mount, a privileged container, the host's network or an added capability: no input can make one appear. Limits,
//! labels, logging and the loopback address of published ports are the same for every container and are set in one place
//! (`model::Service::new`).
//!
//! Compose recreates a container when its part of the file changes. So a slot's part depends on that slot's own input and
//! nothing else: adding or removing the other slot leaves it byte for byte as it is.
//!
//! The file holds the database's password: it is to be written with mode 0600, outside of any checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::backing::{Backing, Database};
use crate::base_images::BaseImages;
use crate::framework::Framework;
use crate::framework::own_dockerfile::runs_as_root;
use crate::ids::{BranchName, CommitSha, DeploymentId, HostPort, InstanceId, PrNumber, Slot};
use crate::repo_config::{AppCommand, ContainerPort, EnvName, EnvVars, Resources};
use crate::subnets::Subnet;
use crate::trust::Trust;

pub mod adopt;
mod app;
mod backing;
mod example;
mod given;
pub mod keys;
mod mariadb;
mod model;
mod mongodb;
mod mysql;
pub mod own;
mod own_service;
mod postgres;
mod redis;
mod task;

pub use app::startup;
pub use backing::{KeptBy, kept_by, shell};
pub use example::example;
pub use given::{given, names as given_names};
pub use model::{Labels, Network, Stack};
use own::{OwnName, OwnStack};
pub use task::{Task, TaskSpec};

/// Label with the deployment's id, on every container, network and volume. What doesn't carry it is never touched.
pub const LABEL_DEPLOYMENT: &str = "preview-deployer.deployment";
/// Label with the installation's id, on every container, network and volume.
pub const LABEL_INSTANCE: &str = "preview-deployer.instance";
/// Label with the commit, on slots and one-off containers alone: what stays over an update must not change with it.
pub const LABEL_COMMIT: &str = "preview-deployer.commit";
/// Label with the service's name as [`ServiceName`] writes it, on every container.
pub const LABEL_SERVICE: &str = "preview-deployer.service";
/// Label with the slot, on slots.
pub const LABEL_SLOT: &str = "preview-deployer.slot";

/// What the names of all images that we build begin with.
const IMAGES: &str = "preview-deployer";

/// The image that is built of a commit, for one deployment.
pub fn app_image(deployment: &DeploymentId, commit: &CommitSha) -> String {
    format!("{}:{commit}", app_image_repository(deployment))
}

/// What the images of one deployment have in common, before the tag.
pub fn app_image_repository(deployment: &DeploymentId) -> String {
    format!("{IMAGES}/{deployment}")
}

/// The image that is built of a commit for a service beside the app. Its tag begins with the commit, so that it goes with the app's.
pub fn own_image(deployment: &DeploymentId, commit: &CommitSha, service: OwnName) -> String {
    format!("{}-{service}", app_image(deployment, commit))
}

/// The commit in the tag of an image that is built.
pub fn commit_of_tag(tag: &str) -> Option<CommitSha> {
    tag.split('-').next()?.parse().ok()
}

/// What the names of services and volumes begin with that come from a repository's own Compose file, so that none is taken for one of
/// ours.
const OWN: &str = "own-";

/// A service of a deployment's Compose project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceName {
    /// The app, in one of its slots.
    App(Slot),
    /// The database, whichever it is.
    Database,
    /// A backing service beside that.
    Extra(Backing),
    /// A container that does one thing and ends.
    Task(Task),
    /// A service beside the app of the repository's own Compose file.
    Own(OwnName),
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(slot) => write!(f, "app-{slot}"),
            Self::Database => f.write_str("db"),
            Self::Extra(extra) => extra.fmt(f),
            Self::Task(task) => f.write_str(task.as_str()),
            Self::Own(name) => write!(f, "{OWN}{name}"),
        }
    }
}

/// A text that is no [`ServiceName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a service is called `app-a`, `app-b`, `db`, `migrate`, `seed`, as a backing service is, or `own-` and its own name"
)]
pub struct InvalidServiceName;

impl FromStr for ServiceName {
    type Err = InvalidServiceName;
    fn from_str(text: &str) -> Result<Self, InvalidServiceName> {
        if let Some(own) = text.strip_prefix(OWN) {
            return own.parse().map(Self::Own).map_err(|_| InvalidServiceName);
        }
        let ours = [Self::App(Slot::A), Self::App(Slot::B), Self::Database];
        let mut all = ours.into_iter().chain(Backing::ALL.map(Self::Extra)).chain(Task::ALL.map(Self::Task));
        all.find(|name| name.to_string() == text).ok_or(InvalidServiceName)
    }
}

/// The password of all of a deployment's backing services: lower-case hexadecimal, so that it needs escaping nowhere, not even in a URL.
/// `Debug` doesn't show it, and it has no `Display` and no serde form.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabasePassword(String);

/// A text that is no [`DatabasePassword`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a database password is 32 to 128 lower-case hexadecimal digits")]
pub struct InvalidPassword;

impl DatabasePassword {
    /// The password that stands in the environment (`NAME=value`) of a backing service's container.
    pub fn from_environment(lines: &[String]) -> Option<Self> {
        let password = |line: &String| {
            let (name, value) = line.split_once('=')?;
            backing::password_variables().find(|variable| *variable == name)?;
            value.parse().ok()
        };
        lines.iter().find_map(password)
    }

    /// A password from random bytes.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The password itself, for the one who writes it down or hands it over.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabasePassword {
    type Err = InvalidPassword;
    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && (32..=128).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(InvalidPassword) }
    }
}

impl fmt::Debug for DatabasePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabasePassword(…)")
    }
}

/// What each container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a CPU.
    pub cpu_millis: u32,
    /// Mebibytes of memory; there is no swap beyond it.
    pub memory_mb: u32,
}

impl Limits {
    /// What an app gets that asks for this: no more than there is to give.
    pub fn lowered(self, wanted: Resources) -> Self {
        Self {
            cpu_millis: wanted.cpu_millis.map_or(self.cpu_millis, |wanted| wanted.min(self.cpu_millis)),
            memory_mb: wanted.memory_mb.map_or(self.memory_mb, |wanted| wanted.min(self.memory_mb)),
        }
    }

    /// Whether it asks for more than that.
    pub fn fall_short_of(self, wanted: Resources) -> bool {
        wanted.cpu_millis.is_some_and(|wanted| wanted > self.cpu_millis)
            || wanted.memory_mb.is_some_and(|wanted| wanted > self.memory_mb)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_millis: 500, memory_mb: 512 }
    }
}

/// The name of a container runtime that the engine knows, such as `runsc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime(String);

/// A text that is no [`Runtime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a runtime's name is made of letters, digits, `.`, `_` and `-`")]
pub struct InvalidRuntime;

impl FromStr for Runtime {
    type Err = InvalidRuntime;
    fn from_str(text: &str) -> Result<Self, InvalidRuntime> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRuntime) }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an app may do with the files of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootFiles {
    /// Nothing but read them; it may write to a bounded /tmp.
    ReadOnly,
    /// What their owner and mode allow.
    OfImage,
}

impl RootFiles {
    /// Read-only where what the framework makes writes nothing beside its code.
    pub fn of(framework: Framework) -> Self {
        match framework {
            Framework::NestJs | Framework::Go | Framework::Rust => Self::ReadOnly,
            // Servers of any kind may keep a cache or a small database beside their code; those of Python do by default.
            Framework::Django | Framework::FastApi | Framework::Flask | Framework::Python => Self::OfImage,
            Framework::Node | Framework::Docker | Framework::Compose | Framework::Image => Self::OfImage,
            // What is compiled or cached at run time, uploads and logs lie beside the code, by convention.
            Framework::Laravel | Framework::Rails | Framework::Spring => Self::OfImage,
        }
    }
}

/// Who an app's process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppUser {
    /// The user of its image.
    OfImage,
    /// 10001:10001 with `HOME=/tmp`, because the image's user is root or isn't set.
    Unprivileged,
}

impl AppUser {
    /// For an image with this user in its configuration (`docker image inspect`, `Config.User`).
    pub fn for_image(user: &str) -> Self {
        if runs_as_root(user) { Self::Unprivileged } else { Self::OfImage }
    }
}

/// All that a deployment's Compose project is made of.
#[derive(Debug, Clone)]
pub struct StackSpec {
    /// Project name, network name, label.
    pub deployment: DeploymentId,
    /// The installation, for the label.
    pub instance: InstanceId,
    /// The network's addresses.
    pub subnet: Subnet,
    /// Whose code it is, which the network's name on the host tells the firewall.
    pub trust: Trust,
    /// What each container may use but the app's.
    pub limits: Limits,
    /// What runs its containers, if not the engine's default.
    pub runtime: Option<Runtime>,
    /// Where backing services' images come from.
    pub base_images: BaseImages,
    /// The slots that are up or come up; during an update both.
    pub slots: BTreeMap<Slot, SlotSpec>,
    /// A container that does one thing and ends, if one is to be started.
    pub task: Option<TaskSpec>,
    /// The database, if it has one.
    pub database: Option<DatabaseSpec>,
    /// The backing services beside that.
    pub extras: BTreeSet<Backing>,
    /// What all of them open with; without one there are none.
    pub password: Option<DatabasePassword>,
    /// The repository's own Compose file, if it has one.
    pub own: Option<OwnSpec>,
}

/// A repository's own Compose file, and what was built of it.
#[derive(Debug, Clone)]
pub struct OwnSpec {
    /// What the file says.
    pub stack: OwnStack,
    /// The commit, which names the images that are built.
    pub commit: CommitSha,
    /// Whose processes the services are that have been built so far. Those that are yet to be built, and who waits for them,
    /// don't stand in the stack.
    pub built: BTreeMap<OwnName, AppUser>,
}

/// One slot of the app.
#[derive(Debug, Clone)]
pub struct SlotSpec {
    /// The commit, which names the image.
    pub commit: CommitSha,
    /// Where it is reached on 127.0.0.1.
    pub host_port: HostPort,
    /// Where it listens in its container.
    pub app_port: ContainerPort,
    /// The variable that tells it so; `PORT` unless the repository says otherwise.
    pub port_env: Option<EnvName>,
    /// What it may use.
    pub limits: Limits,
    /// What is started instead of what the image says: see [`startup`].
    pub start: Option<AppCommand>,
    /// Who its process is.
    pub user: AppUser,
    /// What it may do with its image's files.
    pub files: RootFiles,
    /// The repository's own variables, with what they refer to; ours win over them.
    pub env: EnvVars,
    /// The pull request's branch.
    pub branch: BranchName,
    /// Where people reach the preview.
    pub url: String,
    /// The path part of that, `/my-app/pr-12/`, or `/` where the preview has a host of its own.
    pub base_path: String,
}

/// The database of a deployment.
#[derive(Debug, Clone)]
pub struct DatabaseSpec {
    /// Which one.
    pub database: Database,
    /// What `DATABASE_URL` begins with, if not what is usual for it.
    pub scheme: Option<&'static str>,
    /// Where it is reached on 127.0.0.1.
    pub host_port: HostPort,
}

/// The program in a database's container that reads a file of statements from its input, and ends at the first that fails. `None`: it knows none.
pub fn client(database: Database, number: PrNumber) -> Option<Vec<String>> {
    backing::client(database, number)
}

/// The stack of a deployment.
pub fn generate(spec: &StackSpec) -> Stack {
    let mut stack = Stack::new(spec);
    let backing = backing::all(spec);
    let env: Vec<_> = backing.iter().flat_map(|backed| backed.env.iter().cloned()).collect();
    if let Some(own) = &spec.own {
        own_service::add(&mut stack, spec, own);
    }
    for (slot, slot_spec) in &spec.slots {
        let mut app = app::service(spec, *slot, slot_spec, &env);
        if let Some(own) = &spec.own {
            own_service::shape_app(&mut app, &stack, &own.stack.app);
        }
        backing.iter().for_each(|backed| app.wait_for(backed.name));
        stack.add_service(ServiceName::App(*slot), app);
    }
    if let Some(task) = &spec.task {
        let mut service = task::service(spec, task, &env);
        if let Some(own) = &spec.own {
            own_service::shape_task(&mut service, &stack, &own.stack.app);
        }
        backing.iter().for_each(|backed| service.wait_for(backed.name));
        stack.add_service(ServiceName::Task(task.task), service);
    }
    for backed in backing {
        backed.volume.into_iter().for_each(|volume| stack.add_volume(volume));
        stack.add_service(backed.name, backed.service);
    }
    stack
}

#[cfg(test)]
mod tests;
