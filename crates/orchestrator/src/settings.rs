//! What the operator says: environment variables, read once at the start and checked all at once.
//!
//! Every variable stands in `variables` with its default and meaning; reading one goes through its entry there, so the
//! program and `docs/CONFIGURATION.md` can't say different things. [`Settings::read`] is a function from text to values;
//! [`check_paths`] is what touches the disk.

mod access;
mod environment;
mod paths;
mod reader;
mod values;
mod variables;
mod vault;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use preview_core::compose::Runtime;
use preview_core::desired::{ForkPolicy, Policy};
use preview_core::ids::{HostPort, RepoName};
use preview_core::ports::Pool;
use preview_core::subnets::Subnet;
use preview_core::trust::ByTrust;
use preview_core::walls::{Allowed, Egress};
use secrecy::{ExposeSecret, SecretString};

use crate::router::nginx::CommandLine;

pub use access::{Access, Token};
pub use environment::{EnvironmentError, environment, look_alikes};
pub use paths::{Paths, check_paths};
use reader::Reader;
pub use reader::{Fallback, Mistake, Mistakes, Variable, Variables};
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
    /// The control group of its builder.
    pub build_group: PathBuf,
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
    /// Our token.
    pub token: SecretString,
    /// Where repositories are fetched from.
    pub server: BaseUrl,
    /// The REST API.
    pub api: BaseUrl,
    /// The repositories that get previews, each once, at least one.
    pub repositories: Vec<RepoName>,
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
        refuse_unsupported(&mut reader);
        let settings = Self::sections(&mut reader);
        if let Some(settings) = &settings {
            settings.check_ports(&mut reader);
        }
        reader.finish(settings)
    }

    fn sections(reader: &mut Reader<'_>) -> Option<Self> {
        let github = github(reader);
        let webhooks = webhooks(reader);
        let policy = policy(reader);
        let router_port = reader.value(&ROUTER_PORT, values::port);
        let previews = previews(reader, router_port);
        let login = login(reader);
        let http = http(reader);
        let router = router(reader, router_port, previews.as_ref());
        let paths = paths(reader);
        let cleanup_interval = reader.value(&CLEANUP_INTERVAL_MINUTES, values::duration(60.0));
        let capacity = capacity(reader);
        let limits = limits(reader);
        let health = health(reader);
        let docker_host = reader.value(&DOCKER_HOST, values::docker_host);
        let build_group = reader.value(&BUILD_CGROUP, values::absolute_path);
        let network = network(reader);
        let reach = reach(reader);
        let log = log(reader);
        Some(Self {
            github: github?,
            webhooks: webhooks?,
            policy: policy?,
            previews: previews?,
            login: login?,
            http: http?,
            router: router?,
            paths: paths?,
            cleanup_interval: cleanup_interval?,
            capacity: capacity?,
            limits: limits?,
            health: health?,
            docker_host: docker_host?,
            build_group: build_group?,
            network: network?,
            reach: reach?,
            log: log?,
        })
    }

    /// Ports that a setting names, and that no preview may get.
    pub fn reserved_ports(&self) -> BTreeSet<HostPort> {
        let router = match &self.router {
            Router::Builtin { port } => Some(*port),
            Router::Nginx(nginx) => nginx.probe_url.port(),
        };
        let urls = [&self.previews.base_url, &self.github.api, &self.github.server].map(BaseUrl::port);
        let named = urls.into_iter().chain([Some(self.http.listen.port()), router]);
        named.flatten().filter_map(HostPort::new).collect()
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
    }
}

/// Refuses what only later versions can do: to ignore it would be to promise it.
fn refuse_unsupported(reader: &mut Reader<'_>) {
    for (name, what) in NOT_YET {
        let variable = Variable::optional(name, "", "").secret();
        if reader.text(&variable).is_some() {
            reader.mistake(&variable, format!("is not supported by this version yet ({what}): remove it"));
        }
    }
}

fn github(reader: &mut Reader<'_>) -> Option<GitHub> {
    let token = reader.value(&GITHUB_TOKEN, values::bearer);
    let repositories = reader.value(&ALLOWED_REPOS, values::repositories);
    let server = reader.value(&GITHUB_SERVER_URL, values::server_url);
    let api = reader.option(&GITHUB_API_URL, values::server_url);
    let (server, api) = (server?, api?);
    let on_github = server.host() == "github.com";
    let api = match api {
        Some(api) if on_github && api.host() != "api.github.com" => {
            reader.mistake(&GITHUB_API_URL, "is another server's: set GITHUB_SERVER_URL to that server too");
            return None;
        }
        Some(api) => api,
        None if on_github => values::base_url("https://api.github.com").ok()?,
        // Source: https://docs.github.com/en/enterprise-server/rest/quickstart (the API of GitHub Enterprise Server)
        None => values::base_url(&format!("{server}/api/v3")).ok()?,
    };
    Some(GitHub { token: token?, server, api, repositories: repositories? })
}

fn webhooks(reader: &mut Reader<'_>) -> Option<Webhooks> {
    let on = reader.value(&WEBHOOKS, values::one_of(&[("on", true), ("off", false)]));
    let secret = reader.option(&GITHUB_WEBHOOK_SECRET, values::strong_secret);
    let resync_interval = reader.value(&RESYNC_INTERVAL_SECONDS, values::duration(1.0));
    let (on, secret) = (on?, secret?);
    if on && secret.is_none() {
        reader.mistake(&GITHUB_WEBHOOK_SECRET, format!("is not set: {}", GITHUB_WEBHOOK_SECRET.meaning));
        return None;
    }
    Some(Webhooks { secret: secret.filter(|_| on), resync_interval: resync_interval? })
}

fn policy(reader: &mut Reader<'_>) -> Option<Policy> {
    let deploy_or_skip = || values::one_of(&[("deploy", true), ("skip", false)]);
    let forks =
        values::one_of(&[("deny", ForkPolicy::Deny), ("approve", ForkPolicy::Approve), ("allow", ForkPolicy::Allow)]);
    let forks = reader.value(&FORK_POLICY, forks);
    let drafts = reader.value(&DRAFTS, deploy_or_skip());
    let bots = reader.value(&BOTS, deploy_or_skip());
    let require_label = reader.option(&REQUIRE_LABEL, values::label);
    let ttl = reader.value(&CLEANUP_TTL_DAYS, values::duration(86_400.0));
    let ttl = SignedDuration::try_from(ttl?).ok()?;
    Some(Policy { forks: forks?, drafts: drafts?, bots: bots?, require_label: require_label?, ttl })
}

fn previews(reader: &mut Reader<'_>, router_port: Option<u16>) -> Option<Previews> {
    let base_url = reader.option(&PREVIEW_BASE_URL, values::origin);
    let domain = reader.option(&PREVIEW_DOMAIN, values::domain);
    let base_url = match base_url? {
        Some(url) => url,
        None => values::origin(&format!("http://localhost:{}", router_port.filter(|port| *port != 0).unwrap_or(8080)))
            .ok()?,
    };
    Some(Previews { base_url, domain: domain? })
}

fn login(reader: &mut Reader<'_>) -> Option<Option<PreviewLogin>> {
    let wanted = reader.value(&PREVIEW_AUTH, values::one_of(&[("none", false), ("basic", true)]));
    let user = reader.value(&PREVIEW_AUTH_USER, values::user_name);
    let password = reader.option(&PREVIEW_AUTH_PASSWORD, values::strong_secret);
    let (wanted, user, password) = (wanted?, user?, password?);
    if password.is_some() && !wanted {
        reader.mistake(
            &PREVIEW_AUTH_PASSWORD,
            "is set, but PREVIEW_AUTH is `none`: set PREVIEW_AUTH=basic, or remove it",
        );
        return None;
    }
    Some(wanted.then_some(PreviewLogin { user, password }))
}

fn http(reader: &mut Reader<'_>) -> Option<Http> {
    let host: Option<IpAddr> = reader.value(&ORCHESTRATOR_HOST, values::ip_address);
    let port = reader.value(&ORCHESTRATOR_PORT, values::port);
    let token = reader.option(&API_TOKEN, values::strong_secret);
    let read_token = reader.option(&API_READ_TOKEN, values::strong_secret);
    let behind_proxy = reader.value(&TRUSTED_PROXY, values::one_of(&[("none", false), ("loopback", true)]));
    let (token, read_token) = (token?, read_token?);
    if let (Some(full), Some(read)) = (&token, &read_token)
        && full.expose_secret() == read.expose_secret()
    {
        reader.mistake(&API_READ_TOKEN, "is the same as API_TOKEN, so it would open everything: expected another one");
    }
    Some(Http { listen: SocketAddr::new(host?, port?), token, read_token, behind_proxy: behind_proxy? })
}

fn router(reader: &mut Reader<'_>, port: Option<u16>, previews: Option<&Previews>) -> Option<Router> {
    let nginx = reader.value(&ROUTER, values::one_of(&[("builtin", false), ("nginx", true)]));
    let config_dir = reader.value(&NGINX_CONFIG_DIR, values::nginx_folder);
    let test_command = reader.value(&NGINX_TEST_COMMAND, values::command);
    let reload_command = reader.value(&NGINX_RELOAD_COMMAND, values::command);
    let probe_url = reader.option(&NGINX_PROBE_URL, values::base_url);
    if !nginx? {
        return Some(Router::Builtin { port: port? });
    }
    Some(Router::Nginx(Nginx {
        config_dir: config_dir?,
        test_command: test_command?,
        reload_command: reload_command?,
        probe_url: probe_url?.or_else(|| Some(previews?.base_url.clone()))?,
    }))
}

fn paths(reader: &mut Reader<'_>) -> Option<Paths> {
    let deployments = reader.value(&DEPLOYMENTS_DIR, values::absolute_path);
    let ledger = reader.value(&DEPLOYMENTS_DB, values::absolute_path);
    let logs = reader.value(&LOG_DIR, values::absolute_path);
    let key = reader.option(&SECRETS_KEY_FILE, values::absolute_path);
    let ledger = ledger?;
    let secrets_key = key?.unwrap_or_else(|| paths::secrets_key(&ledger));
    Some(Paths { deployments: deployments?, ledger, logs: logs?, secrets_key })
}

fn capacity(reader: &mut Reader<'_>) -> Option<Capacity> {
    let previews = reader.value(&MAX_CONCURRENT_PREVIEWS, values::count(1, 1000));
    let builds = reader.option(&MAX_CONCURRENT_BUILDS, values::count(1, 1000));
    let disk_budget = reader.option(&DISK_BUDGET_GB, values::gigabytes);
    let half_of_cores = || (cores() / 2).max(1);
    Some(Capacity { previews: previews?, builds: builds?.unwrap_or_else(half_of_cores), disk_budget: disk_budget? })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn limits(reader: &mut Reader<'_>) -> Option<Limits> {
    let container_memory = reader.value(&CONTAINER_MEMORY_MB, values::megabytes);
    let container_cpus = reader.value(&CONTAINER_CPUS, values::fraction(1024.0));
    let container_disk = reader.value(&CONTAINER_DISK_MB, values::megabytes);
    let untrusted_memory = reader.option(&UNTRUSTED_MEMORY_MB, values::megabytes);
    let untrusted_cpus = reader.option(&UNTRUSTED_CPUS, values::fraction(1024.0));
    let untrusted_runtime = reader.option(&UNTRUSTED_RUNTIME, values::runtime);
    let build_memory = reader.value(&BUILD_MEMORY_MB, values::megabytes);
    let build_cpus = reader.option(&BUILD_CPUS, values::fraction(1024.0));
    let build_processes = reader.value(&BUILD_PROCESSES, values::count(16, 1 << 22));
    let build_timeout = reader.value(&BUILD_TIMEOUT_SECONDS, values::duration(1.0));
    let build_silence = reader.value(&BUILD_SILENCE_SECONDS, values::duration(1.0));
    let image_prefix = reader.option(&IMAGE_REGISTRY_PREFIX, values::image_prefix);
    let (memory, cpus) = (container_memory?, container_cpus?);
    Some(Limits {
        container_memory: ByTrust { member: memory, stranger: untrusted_memory?.unwrap_or(memory / 2) },
        container_cpus: ByTrust { member: cpus, stranger: untrusted_cpus?.unwrap_or(cpus / 2.0) },
        container_disk: container_disk?,
        untrusted_runtime: untrusted_runtime?,
        build_memory: build_memory?,
        build_cpus: build_cpus?.unwrap_or_else(|| cores() as f64 * 0.75),
        build_processes: build_processes? as u64,
        build_timeout: build_timeout?,
        build_silence: build_silence?,
        image_prefix: image_prefix?.unwrap_or_default(),
    })
}

fn health(reader: &mut Reader<'_>) -> Option<Health> {
    let timeout = reader.value(&HEALTH_TIMEOUT_SECONDS, values::duration(1.0));
    let interval = reader.value(&HEALTH_INTERVAL_SECONDS, values::duration(1.0));
    Some(Health { timeout: timeout?, interval: interval? })
}

fn network(reader: &mut Reader<'_>) -> Option<Network> {
    let app_ports = reader.value(&APP_PORT_START, values::port_pool);
    let db_ports = reader.value(&DB_PORT_START, values::port_pool);
    let subnet = reader.value(&PREVIEW_SUBNET, values::subnet);
    let ((first_app, app_ports), (first_db, db_ports)) = (app_ports?, db_ports?);
    if first_app.abs_diff(first_db) < 1000 {
        reader.mistake(
            &DB_PORT_START,
            format!("is `{first_db}`, and APP_PORT_START is `{first_app}`: expected them at least 1000 apart"),
        );
    }
    Some(Network { app_ports, db_ports, subnet: subnet? })
}

fn reach(reader: &mut Reader<'_>) -> Option<Reach> {
    let allow_or_deny = || values::one_of(&[("allow", Egress::Allow), ("deny", Egress::Deny)]);
    let whom = values::one_of(&[("all", Firewall::All), ("previews", Firewall::Previews), ("off", Firewall::Off)]);
    let firewall = reader.value(&FIREWALL, whom);
    let egress = reader.value(&EGRESS, allow_or_deny());
    let untrusted_egress = reader.option(&UNTRUSTED_EGRESS, allow_or_deny());
    let allow = reader.option(&EGRESS_ALLOW, values::allowed);
    let (firewall, member, stranger) = (firewall?, egress?, untrusted_egress?.unwrap_or(egress?));
    for (variable, egress) in [(&EGRESS, member), (&UNTRUSTED_EGRESS, stranger)] {
        if firewall == Firewall::Off && egress == Egress::Deny {
            reader.mistake(variable, "is `deny`, and FIREWALL is `off`: nothing would keep previews from the internet");
            return None;
        }
    }
    Some(Reach { firewall, egress: ByTrust { member, stranger }, allow: allow?.unwrap_or_default() })
}

fn log(reader: &mut Reader<'_>) -> Option<Log> {
    use tracing::Level;
    let levels = values::one_of(&[
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ]);
    let level = reader.value(&LOG_LEVEL, levels);
    let format = reader.option(&LOG_FORMAT, values::one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(Log { level: level?, format: format? })
}
