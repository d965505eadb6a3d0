//! The whole service: settings in, rooms wired together, running until told to stop.
//!
//! Everything is made here and handed on, so that a test starts the same service on free ports, and nothing reads the
//! environment or a clock behind anybody's back.

mod certificates;
mod identity;
mod parts;
mod told;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use preview_core::base_images::InvalidImagePrefix;
use preview_core::ids::InstanceId;
use preview_core::known_holes::{self, Component};
use preview_core::route::{InvalidSite, RouteTable, Site};
use preview_core::subnets::Subnet;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::docker::{self, BuildLimits, Engine};
use crate::firewall::{self, Fence, Refused};
use crate::folders::Folders;
use crate::git::{self, GitSource};
use crate::github::{BadSettings, ForgeHealth, GitHub, install_tls};
use crate::health::HttpProber;
use crate::host::{self, ThisHost};
use crate::http::{self, Desk};
use crate::ledger::{Found, Ledger, OpenError};
use crate::mishap::for_ever;
use crate::needs::{Clock, Router};
use crate::reconcile::{Outside, Pace, Reconciler, routes};
use crate::router::Login;
use crate::router::builtin::Builtin;
use crate::router::nginx::{self, Nginx};
use crate::secrets::{Known, Vault};
use crate::settings::{self, Settings};
use crate::tls::{self, BadTls};

use certificates::{Arrangement, Front};
use parts::{part, tell_bad_end};

/// How long the built-in router may take to finish what visitors began.
const GOODBYE: Duration = Duration::from_secs(10);

/// Why the service did not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What holds builds and previews is Linux's.
    #[error("the service runs on Linux only")]
    System,
    /// An address is taken or may not be used.
    #[error("cannot listen on {address} for {what}: choose another with {variable}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What was to listen there.
        what: &'static str,
        /// The setting that moves it.
        variable: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file of ours can't be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The previews' networks would hide one that this machine reaches.
    #[error("PREVIEW_SUBNET shares addresses with {network}, which {interface} leads to: choose another private range")]
    Subnet {
        /// The network in the way.
        network: Subnet,
        /// Its interface.
        interface: String,
    },
    /// A socket for visitors was passed on, and we have none.
    #[error(
        "a socket for the router was passed on, but ROUTER is nginx: take its socket unit away, or set ROUTER=builtin"
    )]
    NoVisitors,
    /// A socket for TLS was passed on, and we speak none.
    #[error(
        "a socket named `router-tls` was passed on, but TLS is off or ROUTER is nginx: take its socket unit away, or set both"
    )]
    NoTls,
    /// The ledger can't be used.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// Docker can't be used.
    #[error(transparent)]
    Engine(#[from] docker::ConnectError),
    /// EGRESS says what can't be kept.
    #[error(
        "EGRESS or UNTRUSTED_EGRESS is `deny`, and the service can't set a firewall: give it CAP_NET_ADMIN, or take that setting away"
    )]
    Firewall(#[source] Refused),
    /// GitHub's address or the token can't be used.
    #[error(transparent)]
    GitHub(#[from] BadSettings),
    /// Certificates can't be kept or asked for.
    #[error(transparent)]
    Tls(#[from] BadTls),
    /// The previews' address can't be used.
    #[error(transparent)]
    Site(#[from] InvalidSite),
    /// The base images' prefix can't be used.
    #[error(transparent)]
    Images(#[from] InvalidImagePrefix),
}

/// What a start may be given beside its settings.
#[derive(Debug, Default)]
pub struct Given {
    /// A socket that already listens for the API.
    pub api: Option<TcpListener>,
    /// A socket that already listens for visitors.
    pub router: Option<TcpListener>,
    /// A socket that already listens for visitors who speak TLS.
    pub router_tls: Option<TcpListener>,
    /// Our own patience.
    pub pace: Pace,
    /// Our own patience with certificates.
    pub patience: tls::Patience,
    /// The shortest time between two writes to GitHub; `None` for what GitHub asks for.
    pub write_interval: Option<Duration>,
    /// Where the service puts whatever it knows to be secret, for whoever writes its log.
    pub known: Known,
}

/// A service that runs.
pub struct Service {
    api: SocketAddr,
    token: SecretString,
    instance: InstanceId,
    reconciler: Reconciler,
    builtin: Option<Arc<Builtin>>,
    stop: CancellationToken,
    over: CancellationToken,
    working: JoinHandle<()>,
    answering: JoinHandle<()>,
}

/// Wall-clock time.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Service {
    /// Starts the service. It answers when this returns.
    pub async fn start(settings: &Settings, given: Given) -> Result<Self, StartError> {
        if cfg!(not(target_os = "linux")) {
            return Err(StartError::System);
        }
        install_tls();
        if let Some((network, interface)) = host::in_the_way_of(settings.network.subnet) {
            return Err(StartError::Subnet { network, interface });
        }
        let Given { api, router, router_tls, pace, patience, write_interval, known } = given;
        let state = settings.paths.state();
        // Before any port: who starts us twice should learn that, and not be told to choose another port.
        let (ledger, found) = Ledger::open(&settings.paths.ledger, Timestamp::now())?;
        let listener = listen(api, settings.http.listen, "the API", "ORCHESTRATOR_PORT")?;
        tell_found(&found);
        let instance = identity::instance(state)?;
        let token = identity::api_token(settings)?;
        identity::learn_own(&known, settings, &token);
        let vault = Vault::new(settings.paths.secrets(), settings.paths.secrets_key.clone(), known);
        tell_vault(&vault);
        let site = Site::new(
            settings.previews.base_url.as_str().parse()?,
            settings.previews.domain.as_ref().map(|domain| domain.parse()).transpose()?,
        )
        .behind_login(settings.login.is_some());
        let folders = Folders::new(settings.paths.deployments.clone(), settings.paths.logs.clone());
        let engine = Arc::new(Engine::connect(told::engine(settings, &instance, state)).await?);
        let clock = Arc::new(SystemClock);
        let forge = Arc::new(GitHub::new(told::github(settings, write_interval, vault.known()))?);
        let github = &settings.github;
        let source = Arc::new(GitSource::new(settings.paths.mirrors(), github.server.as_str(), forge.clone()));
        let api = reached_at(listener.local_addr().unwrap_or(settings.http.listen));
        let certificates = Arrangement::make(settings, api, (site.clone(), ledger.clone(), clock.clone()), patience)?;
        // The last that can fail: who comes from now on is served.
        let login = identity::login(settings, vault.known())?;
        let given = (router, certificates.front(router_tls)?);
        let (router, builtin) = start_router(settings, given, &site, login, &instance, &ledger.read(routes))?;
        let outside = Outside {
            engine: engine.clone(),
            source,
            router: router.clone(),
            forge: forge.clone(),
            prober: Arc::new(HttpProber),
            clock: clock.clone(),
            host: Arc::new(ThisHost),
        };
        let fence =
            Arc::new(Fence::around(firewall_of(settings, &instance).await).await.map_err(StartError::Firewall)?);
        let build_limits = engine.build_limits();
        tell_build_limits(&build_limits, settings);
        let known_holes = known_holes(&engine).await;
        let config = told::reconciler(settings, &instance, site, pace, &build_limits)?;
        let reconciler = Reconciler::new(config, outside, ledger.clone(), folders.clone(), vault);
        let stop = CancellationToken::new();
        let desk = Desk {
            reconciler: reconciler.clone(),
            ledger,
            engine,
            router: router.clone(),
            clock,
            folders,
            certificates: certificates.register(),
            answers: certificates.shown.answers.clone(),
            disks: vec![("the ledger", state.to_owned()), ("previews' folders", settings.paths.deployments.clone())],
            github: Arc::new(move || github_trouble(&forge)),
            builds: Arc::new(move || build_trouble(&build_limits)),
            known_holes,
            walls: {
                let fence = fence.clone();
                Arc::new(move || fence.trouble())
            },
            token: token.clone(),
            read_token: settings.http.read_token.clone(),
            behind_proxy: settings.http.behind_proxy,
            webhook_secret: settings.webhooks.secret.clone(),
        };
        let api = listener.local_addr().unwrap_or(settings.http.listen);
        let running = reconciler.clone();
        let over = CancellationToken::new();
        let answering = part(&over, http::serve(listener, desk, stop.clone()));
        let working = part(&over, async move {
            tokio::select! {
                () = running.run() => {}
                () = for_ever(|| fence.keep()) => {}
                () = for_ever(|| certificates.keep(router.clone())) => {}
            }
        });
        tracing::info!(api = %api, instance = %instance, "the service runs");
        Ok(Self { api, token, instance, reconciler, builtin, stop, over, working, answering })
    }

    /// Where the API listens.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where visitors are served, by the built-in router.
    pub fn router(&self) -> Option<SocketAddr> {
        self.builtin.as_ref().map(|builtin| builtin.address())
    }

    /// Where visitors are served encrypted, by the built-in router.
    pub fn secure_router(&self) -> Option<SocketAddr> {
        self.builtin.as_ref().and_then(|builtin| builtin.secure_address())
    }

    /// The API's token.
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// This installation's own name.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Returns when a part of the service has ended that should go on: what is left of it is not worth keeping. Whoever runs it
    /// stops it and starts it anew.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Stops: no new work is begun, what takes longer than ten seconds is cut off and left to the next start, running previews
    /// stay up. Visitors and deliveries are answered until the work has ended; then requests that are under way may finish.
    pub async fn stop(self) {
        self.reconciler.stop();
        tell_bad_end(self.working.await);
        self.stop.cancel();
        let visitors = async {
            if let Some(builtin) = &self.builtin {
                builtin.shutdown(GOODBYE).await;
            }
        };
        let ((), answered) = tokio::join!(visitors, self.answering);
        tell_bad_end(answered);
        tracing::info!("the service has stopped");
    }
}

fn listen(
    given: Option<TcpListener>,
    address: SocketAddr,
    what: &'static str,
    variable: &'static str,
) -> Result<tokio::net::TcpListener, StartError> {
    let listener = given_or_bound(given, address, what, variable)?;
    let error = |source| StartError::Listen { address, what, variable, source };
    listener.set_nonblocking(true).map_err(error)?;
    tokio::net::TcpListener::from_std(listener).map_err(error)
}

/// The socket that was opened for us, or one of our own.
fn given_or_bound(
    given: Option<TcpListener>,
    address: SocketAddr,
    what: &'static str,
    variable: &'static str,
) -> Result<TcpListener, StartError> {
    let Some(given) = given else {
        return TcpListener::bind(address).map_err(|source| StartError::Listen { address, what, variable, source });
    };
    if let Some(other) = given.local_addr().ok().filter(|other| other.port() != address.port() && address.port() != 0) {
        tracing::warn!(socket = %other, "the socket that was passed on for {what} has another port than {variable} says");
    }
    Ok(given)
}

fn tell_found(found: &Found) {
    match found {
        Found::New => tracing::info!("a new ledger"),
        Found::Whole => {}
        Found::Imported => tracing::info!("took over the older system's ledger"),
        Found::Restored(kept) => {
            tracing::error!(kept = %kept.display(), "the ledger was unreadable or missing; its last good copy serves");
        }
        Found::Lost(kept) => tracing::error!(
            kept = %kept.display(),
            "the ledger and its copy were unreadable; what runs is found out from Docker and GitHub"
        ),
    }
}

async fn firewall_of(settings: &Settings, instance: &InstanceId) -> firewall::Plan {
    let bridge = docker::default_bridge(&settings.docker_host).await;
    firewall::Plan::new(instance.clone(), settings.network, settings.reach.clone(), bridge)
}

/// What the firewall of the installation with these settings should be. Its name is made if it has none yet.
pub async fn firewall_plan(settings: &Settings) -> Result<firewall::Plan, StartError> {
    Ok(firewall_of(settings, &identity::instance(settings.paths.state())?).await)
}

/// Reads the operator's secrets once, so that they are known before anything is logged.
fn tell_vault(vault: &Vault) {
    if let Err(error) = vault.load() {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        tracing::error!(source, "{error}; previews whose variables refer to secrets will fail");
    }
}

/// What is known to be broken of the programs that we stand on. We work all the same: whoever runs the server decides.
async fn known_holes(engine: &Engine) -> Vec<String> {
    let (mut versions, git) = tokio::join!(engine.versions(), git::version());
    versions.extend(git.map(|version| (Component::Git, version)));
    let found = versions.iter().flat_map(|(component, version)| known_holes::holes(*component, version));
    let told: Vec<String> = found.map(|hole| hole.to_string()).collect();
    told.iter().for_each(|hole| tracing::warn!("{hole}"));
    told
}

type RouterOf = (Arc<dyn Router>, Option<Arc<Builtin>>);

fn start_router(
    settings: &Settings,
    (given, front): (Option<TcpListener>, Option<Front>),
    site: &Site,
    login: Option<Login>,
    instance: &InstanceId,
    routes: &RouteTable,
) -> Result<RouterOf, StartError> {
    match &settings.router {
        settings::Router::Builtin { port } => {
            let address = SocketAddr::from(([0, 0, 0, 0], *port));
            let (what, variable) = ("visitors", "ROUTER_PORT");
            let error = |source| StartError::Listen { address, what, variable, source };
            let listener = given_or_bound(given, address, what, variable)?;
            let secure = front.map(|front| front.builtin()).transpose()?;
            let builtin = Builtin::start(listener, secure, site.clone(), login.as_ref(), routes).map_err(error)?;
            let builtin = Arc::new(builtin);
            Ok((builtin.clone(), Some(builtin)))
        }
        settings::Router::Nginx(_) if given.is_some() => Err(StartError::NoVisitors),
        settings::Router::Nginx(nginx) => {
            let nginx = nginx::Settings {
                config_dir: nginx.config_dir.clone(),
                test_command: nginx.test_command.clone(),
                reload_command: nginx.reload_command.clone(),
                probe_url: nginx.probe_url.as_str().to_owned(),
                domain: site.domain().cloned(),
                login: login.map(|login| (login, instance.to_string())),
                secure: front.map(|front| front.nginx(site)).transpose()?,
            };
            Ok((Arc::new(Nginx::new(nginx, reqwest::Client::new(), routes)), None))
        }
    }
}

/// Where a socket that listens there is reached on this machine.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, address.port())
}

fn tell_build_limits(limits: &BuildLimits, settings: &Settings) {
    if let Some(trouble) = build_trouble(limits) {
        tracing::warn!("{trouble}");
        return;
    }
    let &settings::Limits { build_memory, build_cpus: cpus, build_processes: processes, .. } = &settings.limits;
    let memory_mb = build_memory >> 20;
    tracing::info!(memory_mb, cpus, processes, "builds are held within these limits, one build at a time");
}

/// Why nothing holds builds, for the log and for `/health`.
fn build_trouble(limits: &BuildLimits) -> Option<String> {
    match limits {
        BuildLimits::Together => None,
        BuildLimits::Absent(why) => Some(format!("nothing but time limits builds: {why}")),
    }
}

/// What stands between GitHub and us, for `/health`.
fn github_trouble(forge: &GitHub) -> Option<String> {
    match forge.health() {
        ForgeHealth::Ok => None,
        ForgeHealth::LimitedUntil(when) => Some(format!("GitHub asked us to wait until {when}")),
        ForgeHealth::Unauthorised { advice } => Some(advice.to_owned()),
        ForgeHealth::Token(troubles) => Some(troubles.join(" ")),
    }
}
