//! Docker: images through BuildKit, containers through Compose, all else through the engine's API.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `build`, `build_failure`, `limits` | an image is built, its failure read, what it may use held |
//! | `upon` | images that something is built upon are looked at before |
//! | `start`, `start_failure` | parts of a stack are started, and what stood in the way |
//! | `task` | what is done once, and waited for |
//! | `observe`, `watch` | what there is; output and events |
//! | `find` | one container, for a person who wants into it |
//! | `listening` | where something listens within a container |
//! | `remove` | taking it away again |
//! | `sizes`, `count` | what containers have written, in bytes and in files |
//! | `disk` | what takes how much of the disk, and keeping the build cache small |
//! | `api`, `tools`, `room` | one call with an end; the two plugins that we run; what the machine has to give |
//!
//! Everything is found by two labels, the installation's and the deployment's. What doesn't carry both is never touched.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::stream::BoxStream;
use preview_core::capacity::{DiskUse, Room};
use preview_core::compose::{DatabasePassword, Runtime, Stack};
use preview_core::ids::{CommitSha, DeploymentId, InstanceId};
use preview_core::known_holes::Component;
use preview_exec::{ExecError, Limits};

use crate::needs::{
    BuildJob, Built, ContainerEngine, DeploymentLock, Ending, EngineEvent, EngineView, Errand, Fault, Filled, LineSink,
    Looked, Part, Volumes,
};

mod api;
mod bases;
mod build;
mod build_failure;
mod count;
mod disk;
mod find;
mod limits;
mod listening;
mod observe;
mod remove;
mod room;
mod sizes;
mod start;
mod start_failure;
mod task;
mod tools;
mod upon;
mod watch;

pub use find::running_container;
use limits::Holder;
pub use limits::{BuildLimits, Ceilings, hand_over_builder_group};
use start::Existing;
use tools::{Tool, World};

/// Where an engine listens when nobody says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// Seconds until the engine's first byte of an answer; `api` has the limit of a whole call.
const ANSWER_LIMIT: u64 = 60;

/// How to reach the engine and what it may be used for.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The engine's address, `unix:///…`; none for `/var/run/docker.sock`.
    pub docker_host: Option<String>,
    /// The installation, for labels.
    pub instance: InstanceId,
    /// A folder of ours alone, made here: HOME of the tools that we run, without anybody's configuration or logins.
    pub home: PathBuf,
    /// A runtime that some containers will be run by, beside its default one.
    pub runtime: Option<Runtime>,
    /// What builds may use.
    pub build: BuildOptions,
}

/// What builds may use.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The control group of the engine's builder, from the root of all groups, if it isn't where such an engine usually has it.
    pub group: Option<PathBuf>,
    /// Where something holds them.
    pub ceilings: Ceilings,
    /// From start to end.
    pub timeout: Duration,
    /// Without a line of output.
    pub silence: Duration,
}

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Only engines on this machine will do: previews are reached on its loopback address.
    #[error("`{0}` is no address of an engine on this machine: write it as `unix:///path/to/docker.sock`")]
    Address(String),
    /// Nobody listens, or not to us.
    #[error("no Docker engine answers at `{host}`: is it running, and may this user use it (group `docker`)?")]
    Unreachable {
        /// The address.
        host: String,
        /// What happened.
        #[source]
        source: bollard::errors::Error,
    },
    /// Compose or Buildx is not there.
    #[error("Docker's {word} plugin is missing: install `docker-{word}`")]
    Tool {
        /// `compose` or `buildx`.
        word: &'static str,
        /// What happened.
        #[source]
        source: ExecError,
    },
    /// The runtime for strangers' containers is not there.
    #[error(
        "UNTRUSTED_RUNTIME is `{wanted}`, which this engine does not know (it knows {known}): install it, name it under \
         `runtimes` in the engine's daemon.json and restart the engine"
    )]
    Runtime {
        /// The one that the settings name.
        wanted: Runtime,
        /// Those that there are.
        known: String,
    },
    /// The folder for the tools could not be made.
    #[error("the folder `{}` can't be made or written", .path.display())]
    Home {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A Docker engine with Compose and Buildx.
pub struct Engine {
    docker: Docker,
    socket: PathBuf,
    options: EngineOptions,
    world: World,
    compose: Tool,
    buildx: Tool,
    data_dir: PathBuf,
    sizes: sizes::Watches,
    holder: Holder,
    upon: upon::Upon,
}

impl Engine {
    /// Reaches the engine, settles on a version of its API and finds out what can hold its builds.
    pub async fn connect(options: EngineOptions) -> Result<Self, ConnectError> {
        let host = options.docker_host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let Some(socket) = host.strip_prefix("unix://") else { return Err(ConnectError::Address(host)) };
        let unreachable = |source| ConnectError::Unreachable { host: host.clone(), source };
        let socket = PathBuf::from(socket);
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), ANSWER_LIMIT, API_DEFAULT_VERSION)
            .map_err(unreachable)?;
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        let info = docker.info().await.map_err(unreachable)?;
        if let Some(wanted) = &options.runtime {
            ensure_runtime(wanted, info.runtimes.unwrap_or_default().into_keys())?;
        }

        make_home(&options.home).map_err(|source| ConnectError::Home { path: options.home.clone(), source })?;
        let upon = upon::Upon::begin(&docker, &options.home).await;
        let driver = info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default();
        let world = World { docker_host: host, home: options.home.clone() };
        let (compose, buildx) = (Tool::compose(), Tool::buildx());
        for (word, tool) in [("compose", &compose), ("buildx", &buildx)] {
            tool.ensure(&world).await.map_err(|source| ConnectError::Tool { word, source })?;
        }
        Ok(Self {
            docker,
            socket,
            world,
            compose,
            buildx,
            data_dir: info.docker_root_dir.unwrap_or_else(|| "/".to_owned()).into(),
            sizes: sizes::Watches::default(),
            holder: Holder::find(&driver, options.build.group.as_deref()),
            upon,
            options,
        })
    }

    /// The versions of engine, runc and Compose, as far as they tell them. Of a distribution's runc that is the package's.
    pub async fn versions(&self) -> Vec<(Component, String)> {
        let mut versions = Vec::new();
        if let Ok(told) = api::ask("tell its version", self.docker.version()).await {
            versions.extend(told.version.map(|version| (Component::Engine, version)));
            let runc = told.components.into_iter().flatten().find(|component| component.name == "runc");
            versions.extend(runc.map(|runc| {
                let commit = runc.details.as_ref().and_then(|details| details.get("GitCommit")).cloned();
                let package = commit.filter(|commit| commit.contains('.'));
                (Component::Runc, package.unwrap_or(runc.version))
            }));
        }
        let compose =
            self.world.run(&self.compose).args(["version", "--short"]).limits(Limits::seconds(10)).run().await;
        versions.extend(compose.ok().map(|output| (Component::Compose, output.text().trim().to_owned())));
        versions
    }

    /// What holds builds on this engine.
    pub fn build_limits(&self) -> BuildLimits {
        self.holder.limits()
    }

    fn builds_dir(&self) -> PathBuf {
        builds_dir(&self.options.home)
    }
}

/// The interface of the network that an engine's containers join which were given none; builds' steps are among them.
pub async fn default_bridge(docker_host: &str) -> String {
    const NAME: &str = "com.docker.network.bridge.name";
    let path = docker_host.trim_start_matches("unix://");
    let asked = async {
        let docker = Docker::connect_with_unix(path, ANSWER_LIMIT, API_DEFAULT_VERSION).ok()?;
        let docker = docker.negotiate_version().await.ok()?;
        let network = api::ask("look at its default network", docker.inspect_network("bridge", None)).await.ok()?;
        network.options?.remove(NAME)
    };
    asked.await.unwrap_or_else(|| "docker0".to_owned())
}

/// Where each build has its folder while it lasts.
fn builds_dir(home: &Path) -> PathBuf {
    home.join("builds")
}

fn ensure_runtime(wanted: &Runtime, known: impl Iterator<Item = String>) -> Result<(), ConnectError> {
    let mut known: Vec<String> = known.collect();
    if known.contains(&wanted.to_string()) {
        return Ok(());
    }
    known.sort();
    Err(ConnectError::Runtime { wanted: wanted.clone(), known: known.join(", ") })
}

/// Makes the home, private, and clears away what killed builds left in it.
fn make_home(home: &Path) -> io::Result<()> {
    let builds = builds_dir(home);
    if builds.exists() {
        std::fs::remove_dir_all(&builds)?;
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(builds)
}

#[async_trait]
impl ContainerEngine for Engine {
    async fn look_at(&self, image: &str, anew: bool, log: LineSink<'_>) -> Result<Looked, Fault> {
        self.look_at_image(image, anew, log).await
    }

    async fn build(&self, job: &BuildJob, log: LineSink<'_>, hold: &DeploymentLock) -> Result<Built, Fault> {
        self.build_image(job, log, hold).await
    }

    async fn start(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault> {
        self.start_parts(stack, &dir, parts, Existing::Stay, hold).await
    }

    async fn replace(&self, stack: &Stack, dir: PathBuf, parts: &[Part], hold: &DeploymentLock) -> Result<(), Fault> {
        self.start_parts(stack, &dir, parts, Existing::FollowStack, hold).await
    }

    async fn run(
        &self,
        errand: &Errand,
        stack: &Stack,
        dir: PathBuf,
        log: LineSink<'_>,
        hold: &DeploymentLock,
    ) -> Result<Ending, Fault> {
        self.run_errand(errand, stack, dir, log, hold).await
    }

    async fn load(&self, errand: &Errand, client: &[String], text: &str, log: LineSink<'_>) -> Result<Ending, Fault> {
        self.load_into_database(errand, client, text, log).await
    }

    async fn observe(&self, id: &DeploymentId) -> Result<EngineView, Fault> {
        Ok(self.views(Some(id)).await?.remove(id).unwrap_or_default())
    }

    async fn observe_all(&self) -> Result<Vec<(DeploymentId, EngineView)>, Fault> {
        Ok(self.views(None).await?.into_iter().collect())
    }

    async fn database_password(&self, id: &DeploymentId) -> Result<Option<DatabasePassword>, Fault> {
        self.password_of_database(id).await
    }

    async fn limit_cpu(&self, id: &DeploymentId, part: Part, millis: u32) -> Result<(), Fault> {
        self.limit_cpu_of(id, part, millis).await
    }

    async fn remove_part(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        self.remove_container_of(id, part).await
    }

    async fn remove_containers(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.remove_all_containers(id).await
    }

    async fn remove_volumes(&self, id: &DeploymentId, which: Volumes) -> Result<(), Fault> {
        self.remove_these_volumes(id, which).await
    }

    async fn remove_networks(&self, id: &DeploymentId) -> Result<(), Fault> {
        self.remove_all_networks(id).await
    }

    async fn remove_images(&self, id: &DeploymentId, keep: &[CommitSha]) -> Result<(), Fault> {
        self.remove_old_images(id, keep).await
    }

    async fn listening(&self, id: &DeploymentId, part: Part) -> Option<Vec<SocketAddr>> {
        self.sockets_of(id, part).await
    }

    async fn logs(&self, id: &DeploymentId, part: Part, lines: usize) -> Result<Vec<String>, Fault> {
        self.last_lines(id, part, lines).await
    }

    async fn follow(&self, id: &DeploymentId, part: Part, lines: usize) -> BoxStream<'static, String> {
        self.lines_from(id, part, lines).await
    }

    async fn events(&self) -> BoxStream<'static, EngineEvent> {
        self.container_events()
    }

    async fn disk_use(&self) -> Result<DiskUse, Fault> {
        self.measure().await
    }

    async fn filled(&self, limit: u64) -> Result<Vec<Filled>, Fault> {
        self.larger_than(limit).await
    }

    async fn halt(&self, id: &DeploymentId, part: Part) -> Result<(), Fault> {
        self.stop_part(id, part).await
    }

    async fn tidy(&self, build_cache: Option<u64>) -> Result<(), Fault> {
        self.remove_nameless_images().await?;
        match build_cache {
            Some(bytes) => self.shrink_build_cache(bytes).await,
            None => Ok(()),
        }
    }

    async fn room(&self) -> Result<Room, Fault> {
        room::room(&self.data_dir)
    }

    async fn ping(&self) -> Result<String, Fault> {
        let version = api::ask("tell its version", self.docker.version()).await?;
        Ok(version.version.unwrap_or_default())
    }
}
