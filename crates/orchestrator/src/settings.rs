//! What the operator says: environment variables, read once at the start and checked all at once.
//!
//! Every variable stands in `variables` with its default and meaning; reading one goes through its entry there, so the
//! program and `docs/CONFIGURATION.md` can't say different things. [`Settings::read`] is a function from text to values;
//! [`check_paths`] is what touches the disk.

mod access;
mod environment;
mod paths;
mod reader;
mod sections;
mod tls;
mod values;
mod variables;
mod vault;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use preview_core::compose::Runtime;
use preview_core::desired::Policy;
use preview_core::ids::{HostPort, RepoName};
use preview_core::ports::Pool;
use preview_core::registries::Registries;
use preview_core::subnets::Subnet;
use preview_core::trust::ByTrust;
use preview_core::walls::{Allowed, Egress};
use secrecy::SecretString;

use crate::github::AppKey;
use crate::router::nginx::CommandLine;

pub use access::{Access, Containers, Token};
pub use environment::{EnvironmentError, environment, look_alikes};
pub(crate) use paths::INSTANCE;
pub use paths::{Paths, check_paths};
use reader::Reader;
pub use reader::{Fallback, Mistake, Mistakes, Variable, Variables};
pub use tls::{Challenge, DigitalOcean, Tls};
pub use values::BaseUrl;
use variables::*;
pub use variables::{GROUPS, Group, NOT_YET};
pub use vault::VaultPaths;

/// Everything that an installation can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// GitHub, and the repositories there.
    pub github: GitHub,
    /// How changes become known.
    pub webhooks: Webhooks,
    /// Which pull requests get a preview, and for how long.
    pub policy: Policy,
    /// What previews' addresses look like.
    pub previews: Previews,
    /// Certificates for these; `None`: nobody here speaks TLS.
    pub tls: Option<Tls>,
    /// What their visitors have to know, if anything.
    pub login: Option<PreviewLogin>,
    /// The service's own API.
    pub http: Http,
    /// What sends visitors to previews.
    pub router: Router,
    /// Folders and files.
    pub paths: Paths,
    /// Between two looks for previews that are too old.
    pub cleanup_interval: Duration,
    /// How much at once.
    pub capacity: Capacity,
    /// Limits of containers and builds.
    pub limits: Limits,
    /// How an app's start is watched.
    pub health: Health,
    /// Where the Docker engine listens.
    pub docker_host: String,
    /// The control group of its builder, if it isn't the usual one.
    pub build_group: Option<PathBuf>,
    /// Ports and networks.
    pub network: Network,
    /// What previews may reach.
    pub reach: Reach,
    /// Our log.
    pub log: Log,
}

/// GitHub, and the repositories there.
#[derive(Debug, Clone)]
pub struct GitHub {
    /// Who we are there.
    pub identity: Identity,
    /// Where repositories are fetched from.
    pub server: BaseUrl,
    /// The REST API.
    pub api: BaseUrl,
    /// The repositories that get previews, each once, at least one.
    pub repositories: Vec<RepoName>,
}

/// Who we are to GitHub.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Whoever this token belongs to.
    Token(SecretString),
    /// A GitHub App, installed on all of the repositories.
    App {
        /// Its number.
        id: u64,
        /// What it signs with.
        key: AppKey,
        /// One of the repositories that it is installed on.
        repository: RepoName,
    },
}

/// How changes become known.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// What deliveries are signed with; `None` where nothing is delivered and polling alone finds changes.
    pub secret: Option<SecretString>,
    /// Between two looks at all open pull requests.
    pub resync_interval: Duration,
}

/// What previews' addresses look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previews {
    /// What their URLs begin with.
    pub base_url: BaseUrl,
    /// Where each gets a host of its own.
    pub domain: Option<String>,
    /// Where visitors come, if that is said.
    pub address: Option<IpAddr>,
}

/// A login in front of previews.
#[derive(Debug, Clone)]
pub struct PreviewLogin {
    /// The user's name.
    pub user: String,
    /// The password; `None`: one is made at the first start, in [`Paths::preview_password`].
    pub password: Option<SecretString>,
}

/// The service's own API.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// Its token; `None`: one is made at the first start, in [`Paths::api_token`].
    pub token: Option<SecretString>,
    /// A token for looking alone.
    pub read_token: Option<SecretString>,
    /// Whether a proxy on this machine tells, in `X-Forwarded-For`, where requests come from.
    pub behind_proxy: bool,
}

/// What sends visitors to previews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Router {
    /// A proxy of our own.
    Builtin {
        /// Where it listens; 0 is any free one.
        port: u16,
    },
    /// nginx, through files.
    Nginx(Nginx),
}

/// How nginx is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nginx {
    /// The folder of its included files.
    pub config_dir: PathBuf,
    /// Program and arguments that test its configuration.
    pub test_command: CommandLine,
    /// Program and arguments that make it read its configuration again.
    pub reload_command: CommandLine,
    /// Where it is asked for the generation that it serves.
    pub probe_url: BaseUrl,
}

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Previews up or building.
    pub previews: usize,
    /// Images being built.
    pub builds: usize,
    /// Bytes of disk for previews, images and caches; `None` is half of the disk.
    pub disk_budget: Option<u64>,
}

/// Limits of containers and builds.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of memory of a container.
    pub container_memory: ByTrust<u64>,
    /// Processor cores of a container.
    pub container_cpus: ByTrust<f64>,
    /// Bytes of disk that a container may fill.
    pub container_disk: u64,
    /// What runs strangers' containers, if not the engine's default.
    pub untrusted_runtime: Option<Runtime>,
    /// Bytes of memory of a build.
    pub build_memory: u64,
    /// Processor cores of a build.
    pub build_cpus: f64,
    /// Processes and threads of a build.
    pub build_processes: u64,
    /// How long a build may take.
    pub build_timeout: Duration,
    /// How long a build may say nothing.
    pub build_silence: Duration,
    /// Written in front of base images' names, with its slash; empty for none.
    pub image_prefix: String,
    /// From where strangers' images may come.
    pub untrusted_registries: Registries,
}

/// How an app's start is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// How long it may take to answer.
    pub timeout: Duration,
    /// The longest pause between two questions.
    pub interval: Duration,
}

/// Ports and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Host ports of apps.
    pub app_ports: Pool,
    /// Host ports of databases.
    pub db_ports: Pool,
    /// The range that previews' networks are cut from.
    pub subnet: Subnet,
}

/// What previews may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// What our walls are around.
    pub firewall: Firewall,
    /// What sets them in our place.
    pub command: Option<CommandLine>,
    /// Whether running previews may reach the internet.
    pub egress: ByTrust<Egress>,
    /// What may be reached in any case.
    pub allow: Vec<Allowed>,
}

impl Reach {
    /// Whether the operator was promised something that only a firewall keeps.
    pub fn is_promised(&self) -> bool {
        [self.egress.member, self.egress.stranger].contains(&Egress::Deny)
    }
}

/// What our walls are around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// Previews, and the engine's default bridge, where builds run.
    All,
    /// Previews alone.
    Previews,
    /// We set none.
    Off,
}

/// Our log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important that is written.
    pub level: tracing::Level,
    /// How; `None`: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

impl Settings {
    /// Reads all settings from variables; every mistake is named, not only the first.
    pub fn read(variables: &Variables) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(variables);
        let settings = sections::all(&mut reader);
        if let Some(settings) = &settings {
            settings.check_ports(&mut reader);
        }
        reader.finish(settings)
    }

    /// Ports that a setting names, and that no preview may get.
    pub fn reserved_ports(&self) -> BTreeSet<HostPort> {
        let router = match &self.router {
            Router::Builtin { port } => Some(*port),
            Router::Nginx(nginx) => nginx.probe_url.port(),
        };
        let urls = [&self.previews.base_url, &self.github.api, &self.github.server].map(BaseUrl::port);
        let named = urls.into_iter().chain([Some(self.http.listen.port()), router]);
        let tls = self.tls.as_ref().map(|tls| tls.port);
        named.chain([tls]).flatten().filter_map(HostPort::new).collect()
    }

    fn check_ports(&self, reader: &mut Reader<'_>) {
        if let Router::Builtin { port } = self.router
            && port != 0
            && port == self.http.listen.port()
        {
            reader.mistake(
                &ROUTER_PORT,
                format!("is `{port}`, and so is ORCHESTRATOR_PORT: expected two different ports"),
            );
        }
        let Some(Tls { port, .. }) = self.tls else { return };
        let (plain, any) = match self.router {
            Router::Builtin { port } => (port, true),
            // Where nginx takes what is not encrypted is its own affair.
            Router::Nginx(_) => (0, false),
        };
        if port == 0 && !any {
            reader.mistake(&ROUTER_TLS_PORT, "is `0`, and ROUTER is `nginx`: expected a port that nginx listens on");
        }
        if port != 0 && [plain, self.http.listen.port()].contains(&port) {
            reader.mistake(
                &ROUTER_TLS_PORT,
                format!("is `{port}`, and so is ROUTER_PORT or ORCHESTRATOR_PORT: expected a port of its own"),
            );
        }
    }
}
