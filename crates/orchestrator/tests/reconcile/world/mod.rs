//! A small model of everything outside the reconciler: GitHub, a container engine, a router, a disk and the time.
//!
//! [`World`] is plain values behind one mutex, and the truth that tests look at. What the reconciler is given are
//! [`Fakes`]: the traits of `needs`, each method a [`Call`] that takes its time, may meet [`Trouble`], and has its effect
//! on the world at one moment. All time is tokio's paused clock, so that hours cost nothing.

pub(crate) mod engine;
pub(crate) mod github;
pub(crate) mod people;
pub(crate) mod planted;
mod rest;
pub(crate) mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::backing::{Backing, Database};
use preview_core::capacity::{DiskUse, Room};
use preview_core::ids::{CommitSha, DeploymentId, HostPort, RepoId};
use preview_core::route::RouteTable;
use preview_orchestrator::ledger::State;
use preview_orchestrator::needs::{EngineEvent, Fault, Filled, Part};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};

use engine::Stock;
use github::Hub;
use people::People;
use planted::Planted;
use trouble::{Call, Rule, Trouble};

/// How long a call that hangs takes until its own limit ends it.
pub(crate) const HANG: Duration = Duration::from_secs(15 * 60);

/// The service that stands beside the app in repositories with a Compose file of their own.
pub(crate) const SERVICE: &str = "store";

/// What an application of some commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) build: Build,
    pub(crate) run: Run,
    pub(crate) database: Option<Database>,
    pub(crate) extras: BTreeSet<Backing>,
    /// Whether its repository has a Compose file of its own, which names a service beside it.
    pub(crate) service: bool,
    /// What its Dockerfile adds from a host.
    pub(crate) adds_from: Option<&'static str>,
    /// What the image has put aside that its Dockerfile begins with.
    pub(crate) put_aside: Option<&'static str>,
    /// Whether it migrates its database, and how that goes.
    pub(crate) migration: Option<Migration>,
    /// Whether it has a seed for a new database.
    pub(crate) seed: bool,
    /// Whether each commit is to begin with an empty database.
    pub(crate) resets: bool,
}

/// How a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Migration {
    Works,
    Fails,
}

/// How its build goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Works,
    Fails,
    Hangs,
    /// Its image is made elsewhere, and is there when it has been asked for so often.
    Elsewhere(usize),
}

/// How it goes once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// It answers after so many seconds.
    Healthy(u64),
    /// It ends with this code, again and again.
    Exits(i64),
    /// It runs and never answers.
    Silent,
    /// It answers with this status.
    Answers(u16),
    /// Its repository names no path for its health.
    NamesNoPath(Root),
    /// It answers whoever asks as `localhost`, and everybody else with this status.
    RefusesHost(u16),
}

impl Run {
    fn works(self) -> bool {
        match self {
            Self::Healthy(_) => true,
            Self::NamesNoPath(root) => {
                let is_sick = root.usual.is_some_and(|(_, status)| status >= 500);
                root.well_after.is_some() || !is_sick && [401, 403, 404, 405].contains(&root.status)
            }
            Self::RefusesHost(status) => ![400, 403, 421].contains(&status),
            Self::Exits(_) | Self::Silent | Self::Answers(_) => false,
        }
    }
}

/// What an app answers whose repository names no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    /// At `/`.
    pub(crate) status: u16,
    /// After how many seconds it answers well there.
    pub(crate) well_after: Option<u64>,
    /// Where else it does not answer with 404, but with this status.
    pub(crate) usual: Option<(&'static str, u16)>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            build: Build::Works,
            run: Run::Healthy(2),
            database: None,
            extras: BTreeSet::new(),
            service: false,
            adds_from: None,
            put_aside: None,
            migration: None,
            seed: false,
            resets: false,
        }
    }
}

/// Whether a name leads into the server's own network.
pub(crate) fn leads_inside(name: &str) -> bool {
    name.ends_with(".inside.example.com")
}

impl App {
    /// The services of its stack beside the app, by their names.
    pub(crate) fn backing(&self) -> BTreeSet<String> {
        let extras = self.extras.iter().map(ToString::to_string);
        self.database.map(|_| "db".to_owned()).into_iter().chain(extras).collect()
    }

    /// How many of them keep data in a volume.
    pub(crate) fn volumes(&self) -> usize {
        self.extras.iter().filter(|extra| **extra != Backing::Redis).count() + usize::from(self.database.is_some())
    }

    /// Whether it comes up.
    pub(crate) fn works(&self) -> bool {
        let migrates = self.migration != Some(Migration::Fails);
        let comes = matches!(self.build, Build::Works | Build::Elsewhere(0..100));
        let refused =
            |put_aside: &str| ["127.0.0.1", ".inside.", "preview-deployer/"].iter().any(|of| put_aside.contains(of));
        let is_built = !self.adds_from.is_some_and(leads_inside) && !self.put_aside.is_some_and(refused);
        is_built && comes && migrates && self.run.works()
    }
}

/// Everything outside.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) people: People,
    pub(crate) engine: BTreeMap<DeploymentId, Stock>,
    pub(crate) routes: RouteTable,
    pub(crate) room: Room,
    /// For how many containers of apps there is memory, where that is limited.
    pub(crate) fits: Option<usize>,
    /// Previews that take every request and answer none.
    pub(crate) hanging: BTreeSet<DeploymentId>,
    pub(crate) disk_use: DiskUse,
    /// What containers have written, and which of them were stopped for it.
    pub(crate) written: Vec<Filled>,
    pub(crate) halted: Vec<(DeploymentId, Part)>,
    /// Of which repositories there is a mirror.
    pub(crate) mirrors: BTreeSet<RepoId>,
    /// What the commits hold; those that are not named hold an app that works.
    pub(crate) apps: BTreeMap<CommitSha, App>,
    /// The ledger as it survives us.
    pub(crate) stored: Option<State>,
    /// What survives instead, where writes are acknowledged too early.
    flushed: Option<State>,
    /// The mistake that is made on purpose.
    pub(crate) planted: Option<Planted>,
    /// How far the wall clock has jumped.
    pub(crate) skew: SignedDuration,
    pub(crate) rules: Vec<Rule>,
    /// Every call since the last [`World::mark`], in order.
    pub(crate) calls: Vec<Call>,
    /// While set, calls are neither counted nor troubled: somebody looks.
    pub(crate) looking: bool,
    /// What happened that must never happen.
    pub(crate) violations: Vec<String>,
    /// Previews that must answer at every moment.
    pub(crate) must_serve: BTreeSet<DeploymentId>,
    /// Whether every preview that once answered must answer from then on, but for those that may go.
    pub(crate) watch_all: bool,
    pub(crate) may_go: BTreeSet<DeploymentId>,
    /// Whether somebody else had a hand in what is ours: then there is something to repair, and claims may collide.
    pub(crate) tampered: bool,
    /// What visitors of each preview saw, in order, without repetitions.
    pub(crate) shown: BTreeMap<DeploymentId, Vec<CommitSha>>,
    /// Builds that were begun, by commit, and how they ended.
    pub(crate) builds: Vec<(CommitSha, Ended)>,
    pub(crate) most_builds: usize,
    /// Of which deployments images are being built, and how many previews there may be at a time.
    building: BTreeSet<DeploymentId>,
    pub(crate) most_previews: usize,
    /// Ports whose visitors may still be served although the route has moved on, and since when.
    undrained: BTreeMap<HostPort, Instant>,
    /// Ports that were given back, when and by whom.
    freed: BTreeMap<HostPort, (DeploymentId, Instant)>,
    events: broadcast::Sender<EngineEvent>,
    deliveries: usize,
    dice: Option<u64>,
    begun: Instant,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    NotYet,
    Built,
    Failed,
    CutOff,
}

const GB: u64 = 1 << 30;

impl World {
    pub(crate) fn new() -> Self {
        Self {
            hub: Hub::default(),
            people: People::default(),
            engine: BTreeMap::new(),
            routes: RouteTable::new(),
            room: Room { memory_available: 8 * GB, disk_free: 80 * GB, disk_total: 100 * GB, files: None },
            fits: None,
            hanging: BTreeSet::new(),
            disk_use: DiskUse::default(),
            written: Vec::new(),
            halted: Vec::new(),
            mirrors: BTreeSet::new(),
            apps: BTreeMap::new(),
            stored: None,
            flushed: None,
            planted: None,
            skew: SignedDuration::ZERO,
            rules: Vec::new(),
            calls: Vec::new(),
            looking: false,
            violations: Vec::new(),
            must_serve: BTreeSet::new(),
            watch_all: false,
            may_go: BTreeSet::new(),
            tampered: false,
            shown: BTreeMap::new(),
            builds: Vec::new(),
            most_builds: 1,
            building: BTreeSet::new(),
            most_previews: usize::MAX,
            undrained: BTreeMap::new(),
            freed: BTreeMap::new(),
            events: broadcast::channel(1000).0,
            deliveries: 0,
            dice: None,
            begun: Instant::now(),
        }
    }

    /// Lets calls take anything between a tenth and three times their usual time.
    pub(crate) fn shake(&mut self, seed: u64) {
        self.dice = Some(seed | 1);
    }

    pub(crate) fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(1_770_000_000).unwrap();
        start + SignedDuration::try_from(self.begun.elapsed()).unwrap() + self.skew
    }

    pub(crate) fn app(&self, commit: &CommitSha) -> App {
        self.apps.get(commit).cloned().unwrap_or_default()
    }

    /// Counts calls anew.
    pub(crate) fn mark(&mut self) {
        self.calls.clear();
    }

    /// How many calls were made since the last mark.
    pub(crate) fn calls(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.calls.iter().filter(|made| **made == call).count()
    }

    /// What a visitor of the preview gets.
    pub(crate) fn visit(&self, id: &DeploymentId) -> Option<CommitSha> {
        let port = self.routes.get(id)?;
        self.engine
            .get(id)?
            .apps
            .values()
            .find(|app| app.port == port && app.answers(self))
            .map(|app| app.commit.clone())
    }

    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        let what: String = what.into();
        let last = &self.calls[self.calls.len().saturating_sub(12)..];
        self.violations.push(format!("{what}, after {last:?}"));
    }

    fn note(&mut self, call: Call) -> Option<Trouble> {
        if self.looking {
            return None;
        }
        let nth = self.calls.len();
        self.calls.push(call);
        let rule = self.rules.iter_mut().find(|rule| rule.fits(call, nth));
        let trouble = rule.map(|rule| {
            rule.left -= 1;
            rule.trouble
        });
        tracing::trace!(now = %self.now(), ?call, ?trouble);
        trouble
    }

    fn time_of(&mut self, usual: Duration) -> Duration {
        let Some(dice) = &mut self.dice else { return usual };
        // xorshift64: enough to shake an order, and the same everywhere.
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        usual.mul_f64(0.1 + (*dice % 290) as f64 / 100.0)
    }

    /// After every effect: what visitors see now, and what must hold at every moment.
    fn look(&mut self) {
        let routes: Vec<(DeploymentId, HostPort)> =
            self.routes.iter().map(|route| (route.deployment, route.port)).collect();
        for (id, port) in routes {
            let leads_somewhere = self.engine.get(&id).is_some_and(|stock| stock.apps.values().any(|a| a.port == port));
            if !leads_somewhere && !self.tampered {
                self.violation(format!("visitors of {id} are sent to port {port}, where nothing is"));
            }
            let away =
                self.engine.get(&id).and_then(|stock| stock.apps.values().find(|app| app.port == port)?.lacks(stock));
            if let Some(away) = away.filter(|_| !self.tampered) {
                self.violation(format!("visitors of {id} are served by an app whose {away} is away"));
            }
            let Some(commit) = self.visit(&id) else { continue };
            if self.watch_all && !self.may_go.contains(&id) && self.is_written_down(&id, port) {
                self.must_serve.insert(id.clone());
            }
            let stock = self.engine.get(&id).filter(|_| !self.tampered);
            if let Some(wrong) = stock.and_then(|stock| stock.unfit_for(&self.app(&commit), &commit)) {
                self.violation(format!("visitors of {id} are sent to {}: {wrong}", commit.short()));
            }
            let shown = self.shown.entry(id).or_default();
            if shown.last() != Some(&commit) {
                shown.push(commit);
            }
        }
        let away: Vec<_> = self.must_serve.iter().filter(|id| self.visit(id).is_none()).cloned().collect();
        for id in away {
            self.must_serve.remove(&id);
            self.violation(format!("{id} does not answer"));
        }
        let held: Vec<String> = self.engine.iter().flat_map(|(id, stock)| self.unheld_ports(id, stock)).collect();
        held.into_iter().for_each(|wrong| self.violation(wrong));
        let running: Vec<CommitSha> =
            self.engine.values().flat_map(|stock| stock.apps.values()).map(|a| a.commit.clone()).collect();
        running.iter().for_each(|commit| self.check_approved(commit, "a container"));
        let up = self.engine.iter().filter(|(_, stock)| !stock.apps.is_empty()).map(|(id, _)| id);
        let up = up.chain(&self.building).collect::<BTreeSet<_>>().len();
        if up > self.most_previews && !self.tampered {
            self.violation(format!("{up} previews at once"));
        }
    }

    /// Ports on which something of a preview is up although the ledger would give them to another.
    fn unheld_ports(&self, id: &DeploymentId, stock: &Stock) -> Vec<String> {
        let Some(record) = self.stored.as_ref().and_then(|state| state.deployments.get(id)) else { return Vec::new() };
        let unheld = stock.apps.values().filter(|app| !record.ports().any(|port| port == app.port));
        let unheld = unheld.filter(|_| !self.tampered);
        unheld.map(|app| format!("{id} has a container on port {}, which the ledger says is free", app.port)).collect()
    }

    /// The room that there is now.
    fn room(&self) -> Room {
        let up: usize = self.engine.values().map(|stock| stock.apps.len()).sum();
        let full = self.fits.is_some_and(|fits| up >= fits);
        Room { memory_available: if full { 0 } else { self.room.memory_available }, ..self.room }
    }

    /// Whether the ledger says that the preview's visitors go to this port: a switch that was cut off before is taken back.
    fn is_written_down(&self, id: &DeploymentId, port: HostPort) -> bool {
        let record = self.stored.as_ref().and_then(|state| state.deployments.get(id));
        record.and_then(|record| record.serving.as_ref()).is_some_and(|serving| serving.app_port == port)
    }

    /// Whether the delivery that comes now is answered and forgotten.
    pub(crate) fn drops_delivery(&mut self) -> bool {
        self.deliveries += 1;
        self.planted == Some(Planted::DroppedEvent) && self.deliveries.is_multiple_of(3)
    }

    /// It may go from now on.
    pub(crate) fn let_go(&mut self, id: &DeploymentId) {
        self.must_serve.remove(id);
        self.may_go.insert(id.clone());
    }

    pub(crate) fn tell(&mut self, deployment: &DeploymentId, action: &str) {
        // Nobody may be listening.
        _ = self.events.send(EngineEvent { deployment: deployment.clone(), action: action.to_owned() });
    }

    /// The power went: what was not on the disk yet is lost.
    pub(crate) fn power_cut(&mut self) {
        if self.planted == Some(Planted::EarlyAcknowledgement) {
            self.stored = self.flushed.take();
        }
    }

    /// A new process: what only memory knew is forgotten.
    pub(crate) fn reborn(&mut self) {
        self.undrained.clear();
        self.freed.clear();
    }
}

/// A panic that no hook tells of: there are thousands of them.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("a mistake of ours"))
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn locked(world: &Shared) -> MutexGuard<'_, World> {
    match world.try_lock() {
        Ok(world) => world,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // There is one thread: to wait would be to wait for oneself.
        Err(TryLockError::WouldBlock) => panic!("the world is being looked at already"),
    }
}

/// The outside as one life of the reconciler sees it. After its death nothing that it began has any effect.
pub(crate) struct Fakes {
    world: Shared,
    dead: AtomicBool,
}

impl Fakes {
    pub(crate) fn new(world: &Shared) -> Self {
        Self { world: world.clone(), dead: AtomicBool::new(false) }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Time passes; whoever dies meanwhile never comes back from it.
    async fn take(&self, time: Duration) {
        sleep(time).await;
        self.survive().await;
    }

    async fn survive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    async fn end(&self) -> ! {
        self.die();
        std::future::pending().await
    }

    /// One call: it takes its time, has its effect, and meets the trouble that is planned for it.
    async fn call<T>(
        &self,
        call: Call,
        usual: Duration,
        mut effect: impl FnMut(&mut World) -> Result<T, Fault> + Send,
    ) -> Result<T, Fault> {
        self.survive().await;
        let (trouble, time) = {
            let mut world = self.world();
            (world.note(call), world.time_of(usual))
        };
        let mut happen = || {
            let mut world = self.world();
            let done = effect(&mut world);
            world.look();
            done
        };
        let failed = |how: &str| Err(Fault::passing(format!("{call:?} {how}")));
        match trouble {
            None => {
                self.take(time).await;
                happen()
            }
            Some(Trouble::Twice) => {
                self.take(time).await;
                _ = happen();
                self.take(time).await;
                happen()
            }
            Some(Trouble::Late(more)) => {
                self.take(time + more).await;
                happen()
            }
            Some(Trouble::FailsBefore) => failed("failed"),
            Some(Trouble::FailsAfter) => {
                self.take(time).await;
                happen()?;
                failed("failed, or so it seemed")
            }
            Some(Trouble::HangsBefore) => {
                self.take(HANG).await;
                failed("took too long")
            }
            Some(Trouble::HangsAfter) => {
                happen()?;
                self.take(HANG).await;
                failed("took too long, or so it seemed")
            }
            Some(Trouble::CrashBefore) => self.end().await,
            Some(Trouble::Panics) => {
                self.take(time).await;
                panic_quietly()
            }
            Some(Trouble::CrashAfter) => {
                self.take(time).await;
                _ = happen();
                self.end().await
            }
        }
    }
}
