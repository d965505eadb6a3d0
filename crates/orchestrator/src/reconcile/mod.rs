//! The use-cases: bringing what is to what should be.
//!
//! ```text
//! intake ─┐
//! resync ─┼─> wake(pull request) ─> worker: decide ─> plan ─> perform ─┬─> ledger
//! cleanup ┤                          (one per pull request)            └─> report ─> the comment
//! watch ──┤
//! listen ─┘ (comments)
//! ```
//!
//! Whatever wakes a worker carries no payload: the worker reads the pull request from GitHub, looks at what there is, and
//! performs the plan that [`preview_core::plan`] makes of the two. So the common path and the repair are one.
//!
//! Chance has one place here, the pause before a retry ([`Pace::spread`]): without it the same outside makes the same happen
//! again, which is why every `select!` is biased.

mod allowed;
mod attempt;
mod audit;
mod builds;
mod cleanup;
mod decide;
mod housekeeping;
mod intake;
mod listen;
mod memory;
mod overview;
mod perform;
mod ports;
mod queue;
mod report;
mod resync;
mod routing;
mod secrets;
mod sizes;
mod watch;
mod why;
mod worker;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use preview_core::base_images::BaseImages;
use preview_core::compose;
use preview_core::desired::Policy;
use preview_core::ids::{HostPort, InstanceId, PullKey, RepoName};
use preview_core::ports::Pool;
use preview_core::route::Site;
use preview_core::subnets::Subnet;
use preview_core::trust::ByTrust;
use preview_core::ttl::Sweeps;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::folders::Folders;
use crate::ledger::Ledger;
use crate::mishap::for_ever;
use crate::needs::{Clock, ContainerEngine, Forge, Host, Prober, Router, Source};
use crate::secrets::Vault;

use allowed::Allowed;
use builds::Builds;
use housekeeping::Housekeeper;
pub use intake::{Accepted, NotAccepted};
use listen::Ears;
use memory::Granted;
pub use overview::{DiskShare, Overview};
use ports::Ports;
use queue::Queue;
use report::Reporter;
use routing::Routing;
pub use routing::routes;
pub use why::Puzzled;
use worker::Workers;

/// What this installation was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// This installation's own name.
    pub instance: InstanceId,
    /// Names of the repositories that it serves.
    pub allowed: Vec<RepoName>,
    /// Which of their pull requests.
    pub policy: Policy,
    /// Where previews are found.
    pub site: Site,
    /// GitHub's web address, for links.
    pub github: String,
    /// Where base images come from.
    pub base_images: BaseImages,
    /// What each container may use.
    pub limits: ByTrust<compose::Limits>,
    /// What runs them, if not the engine's default.
    pub runtimes: ByTrust<Option<compose::Runtime>>,
    /// Bytes of disk that a container may fill.
    pub container_disk: u64,
    /// Most previews at a time.
    pub max_previews: usize,
    /// Most builds at a time.
    pub max_builds: usize,
    /// Bytes of disk for previews, images and caches; `None` is half of the disk.
    pub disk_budget: Option<u64>,
    /// Host ports of apps.
    pub app_ports: Pool,
    /// Host ports of databases.
    pub db_ports: Pool,
    /// Ports that other settings name.
    pub reserved_ports: BTreeSet<HostPort>,
    /// The range of previews' networks.
    pub subnets: Subnet,
    /// How long an app may take to become healthy, unless its repository says otherwise.
    pub health_timeout: Duration,
    /// The longest pause between two questions for an app's health.
    pub health_interval: Duration,
    /// Between two listings of open pull requests.
    pub resync_interval: Duration,
    /// Between two sweeps for what is too old or left over.
    pub cleanup_interval: Duration,
    /// The limits of our own patience.
    pub pace: Pace,
}

/// How long things that are nobody's setting take. Tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The pause before the first of three retries; it grows fourfold.
    pub retry: Duration,
    /// How much of such a pause chance may add to it, so that many don't come back at once.
    pub spread: f64,
    /// Between two edits of one comment.
    pub edit: Duration,
    /// For an old slot to finish what it began.
    pub drain: Duration,
    /// For memory to come free, before an update replaces its old version in place.
    pub memory: Duration,
    /// For a port that was given back, before it is handed out again.
    pub rest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(1),
            spread: 0.5,
            edit: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            memory: Duration::from_secs(600),
            rest: Duration::from_secs(60),
        }
    }
}

/// The outside, as traits.
#[derive(Clone)]
pub struct Outside {
    /// Docker.
    pub engine: Arc<dyn ContainerEngine>,
    /// git.
    pub source: Arc<dyn Source>,
    /// nginx or the built-in proxy.
    pub router: Arc<dyn Router>,
    /// GitHub.
    pub forge: Arc<dyn Forge>,
    /// Apps' health.
    pub prober: Arc<dyn Prober>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This machine.
    pub host: Arc<dyn Host>,
}

/// How long a stop waits for what is being done.
const PARTING: Duration = Duration::from_secs(10);

/// How many deployments are looked at in the engine at once. A start wakes all workers, and each look is several questions:
/// without a bound, a thousand of them would cost file descriptors and memory that are never needed again.
const LOOKS: usize = 8;
/// And about how many GitHub is asked at once, for the same reason.
const ASKS: usize = 16;

/// The reconciler. Clones share it.
#[derive(Clone)]
pub struct Reconciler {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    out: Outside,
    ledger: Ledger,
    folders: Folders,
    vault: Vault,
    ports: Ports,
    places: Arc<Queue>,
    routing: Routing,
    builds: Arc<Builds>,
    looks: Semaphore,
    asks: Semaphore,
    housekeeper: Housekeeper,
    granted: Granted,
    reporter: Reporter,
    ears: Ears,
    workers: Workers,
    allowed: Mutex<Allowed>,
    /// Rung when GitHub has told more of which repositories are meant.
    told_allowed: Notify,
    ages: Mutex<Sweeps<PullKey>>,
    /// Pull requests that GitHub answered 404 for, and since when.
    missing: Mutex<Sweeps<PullKey>>,
    begun: tokio::time::Instant,
    stop: CancellationToken,
}

impl Reconciler {
    /// A reconciler at rest; [`Reconciler::run`] sets it going.
    pub fn new(config: Config, out: Outside, ledger: Ledger, folders: Folders, vault: Vault) -> Self {
        let ports = Ports::new(&config, out.host.clone());
        let inner = Inner {
            ports,
            places: Arc::default(),
            routing: Routing::default(),
            builds: Arc::new(Builds::new(config.max_builds)),
            looks: Semaphore::new(LOOKS),
            asks: Semaphore::new(ASKS),
            housekeeper: Housekeeper::default(),
            granted: Granted::default(),
            reporter: Reporter::new(config.pace.edit),
            ears: Ears::default(),
            workers: Workers::default(),
            allowed: Mutex::new(Allowed::of(&config.allowed)),
            told_allowed: Notify::new(),
            ages: Mutex::new(Sweeps::new(config.cleanup_interval)),
            missing: Mutex::new(Sweeps::new(config.resync_interval)),
            begun: tokio::time::Instant::now(),
            stop: CancellationToken::new(),
            config,
            out,
            ledger,
            folders,
            vault,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Works until [`Reconciler::stop`] is called; then begins nothing new, lets what takes no longer than ten seconds finish,
    /// cuts off the rest and returns when it has ended. What was cut off is taken up again by the next start. Dropping it cuts
    /// off everything at once.
    pub async fn run(&self) {
        let _stopped = self.inner.stop.clone().drop_guard();
        let _workers = self.inner.workers.cut_off_on_drop();
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().for_ever(Self::keep_reporting));
        tasks.spawn(self.clone().for_ever(Self::keep_resyncing));
        tasks.spawn(self.clone().for_ever(Self::keep_cleaning));
        tasks.spawn(self.clone().for_ever(Self::keep_house));
        tasks.spawn(self.clone().for_ever(Self::keep_watching));
        tasks.spawn(self.clone().for_ever(Self::keep_within_sizes));
        tasks.spawn(self.clone().for_ever(Self::keep_listening));
        self.wake_all();
        self.inner.stop.cancelled().await;
        self.let_finish(PARTING).await;
        tasks.shutdown().await;
        self.inner.workers.shutdown().await;
    }

    /// One of the loops that are never without.
    async fn for_ever<F: Future<Output = ()>>(self, work: fn(Self) -> F) {
        for_ever(|| work(self.clone())).await;
    }

    /// Ends [`Reconciler::run`].
    pub fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Wakes the worker of everything that the ledger knows.
    fn wake_all(&self) {
        let keys: BTreeSet<PullKey> = self.inner.ledger.read(|state| {
            let pending = state.pending.keys().copied();
            pending.chain(state.pulls()).collect()
        });
        keys.into_iter().for_each(|key| self.wake(key));
    }

    /// Time since the start by a clock that can't jump.
    fn uptime(&self) -> Duration {
        self.inner.begun.elapsed()
    }
}
