//! A reconciler in its world: started, told, killed and started again.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use jiff::SignedDuration;
use preview_core::backing::Database;
use preview_core::base_images::BaseImages;
use preview_core::compose;
use preview_core::deployment::Deployment;
use preview_core::desired::{ForkPolicy, Policy, SetAsideReason, WaitReason};
use preview_core::ids::{CommentId, CommitSha, DeploymentId, HostPort, InstanceId, PullKey, RepoId};
use preview_core::ports::Pool;
use preview_core::route::Site;
use preview_core::trust::ByTrust;
use preview_orchestrator::folders::Folders;
use preview_orchestrator::ledger::{Ledger, Reason, State};
use preview_orchestrator::reconcile::{Config, Outside, Pace, Reconciler};
use preview_orchestrator::secrets::{Known, Vault};
use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

use crate::check::Expect;
use crate::world::trouble::{Call, Rule, Trouble};
use crate::world::{App, Build, Fakes, Migration, Run, Shared, World, locked};

/// How long anything may take to become as it should be: a call that hangs, the listing after it, and the tries between.
const PATIENCE: Duration = Duration::from_secs(90 * 60);

/// What is expected of a fork's commit that nobody approved.
pub(crate) const UNAPPROVED: Expect = Expect::Aside(SetAsideReason::Waiting(WaitReason::Approval));

pub(crate) struct House {
    pub(crate) config: Config,
    pub(crate) repo: RepoId,
    pub(crate) expected: BTreeMap<PullKey, Expect>,
    world: Shared,
    dir: TempDir,
    life: Option<Life>,
}

struct Life {
    fakes: Arc<Fakes>,
    reconciler: Reconciler,
    ledger: Ledger,
    task: JoinHandle<()>,
}

/// An app that works.
pub(crate) fn good() -> App {
    App::default()
}

pub(crate) fn with_database() -> App {
    App { database: Some(Database::Postgres), ..good() }
}

/// One that migrates its database, and has a seed for a new one.
pub(crate) fn that_migrates(migration: Migration) -> App {
    App { migration: Some(migration), seed: true, ..with_database() }
}

pub(crate) fn with_service() -> App {
    App { service: true, ..good() }
}

pub(crate) fn broken_build() -> App {
    App { build: Build::Fails, ..good() }
}

pub(crate) fn that_runs(run: Run) -> App {
    App { run, ..good() }
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

/// A folder in memory, where there is such a thing: nothing in it has to outlive a power cut.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn port(number: u16) -> HostPort {
    HostPort::new(number).unwrap()
}

pub(crate) fn config() -> Config {
    Config {
        instance: InstanceId::from_bytes([1; 6]),
        allowed: vec!["org/app".parse().unwrap()],
        policy: Policy {
            forks: ForkPolicy::Approve,
            drafts: true,
            bots: false,
            require_label: None,
            ttl: SignedDuration::from_hours(24),
        },
        site: Site::new("http://previews.test".parse().unwrap(), None),
        github: "https://github.com".into(),
        base_images: BaseImages::public(),
        limits: ByTrust {
            member: compose::Limits { cpu_millis: 500, memory_mb: 512 },
            stranger: compose::Limits { cpu_millis: 250, memory_mb: 256 },
        },
        runtimes: ByTrust::default(),
        container_disk: 2 << 30,
        max_previews: 10,
        max_builds: 1,
        disk_budget: None,
        // Above what the system hands out by itself.
        app_ports: Pool::from(port(61_000)),
        db_ports: Pool::from(port(62_000)),
        reserved_ports: [].into(),
        subnets: "10.222.0.0/16".parse().unwrap(),
        health_timeout: minutes(1),
        health_interval: Duration::from_secs(1),
        resync_interval: minutes(5),
        cleanup_interval: minutes(60),
        pace: Pace::default(),
    }
}

impl House {
    /// One repository and a service that has listed it already.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut house = Self::empty();
        change(&mut house.config);
        house.tell_limits();
        house.start();
        house.settle().await;
        house
    }

    /// One repository, and nothing started.
    pub(crate) fn empty() -> Self {
        let mut world = World::new();
        let repo = world.add_repo(7, "org/app");
        Self {
            config: config(),
            repo,
            expected: BTreeMap::new(),
            world: Arc::new(world.into()),
            dir: scratch(),
            life: None,
        }
    }

    /// What may be at a time is checked by the world, too.
    pub(crate) fn tell_limits(&self) {
        let mut world = self.world();
        (world.most_builds, world.most_previews) = (self.config.max_builds, self.config.max_previews);
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    pub(crate) fn reconciler(&self) -> &Reconciler {
        &self.life().reconciler
    }

    pub(crate) fn folders(&self) -> Folders {
        Folders::new(self.dir.path().to_owned(), self.dir.path().join("logs"))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.life().ledger.read(look)
    }

    pub(crate) fn id(&self, key: PullKey) -> DeploymentId {
        self.read(|state| state.id_of(key)).unwrap()
    }

    pub(crate) fn record(&self, key: PullKey) -> Option<Deployment> {
        self.read(|state| state.deployments.get(&state.id_of(key)?).cloned())
    }

    // --------------------------------------------------------------------------------------------------- living and dying

    /// Starts the service from what the disk kept.
    pub(crate) fn start(&mut self) {
        assert!(self.life.is_none(), "it runs already");
        let fakes = Arc::new(Fakes::new(&self.world));
        // Through its text: what is not written down is forgotten.
        let stored = self.world().stored.as_ref().map(|state| serde_json::to_vec(state).unwrap());
        let state = stored.map_or_else(State::default, |text| serde_json::from_slice(&text).unwrap());
        let ledger = Ledger::inline(state, fakes.disk());
        let outside = Outside {
            engine: fakes.clone(),
            source: fakes.clone(),
            router: fakes.clone(),
            forge: fakes.clone(),
            prober: fakes.clone(),
            clock: fakes.clone(),
            host: fakes.clone(),
        };
        let reconciler = {
            let at = |name: &str| self.dir.path().join(name);
            let vault = Vault::new(at("secrets.json"), at("secrets.key"), Known::default());
            Reconciler::new(self.config.clone(), outside, ledger.clone(), self.folders(), vault)
        };
        let running = reconciler.clone();
        let task = tokio::spawn(async move { running.run().await });
        self.life = Some(Life { fakes, reconciler, ledger, task });
    }

    /// Kills the service where it stands, as `kill -9` does: nothing that it had begun goes on.
    pub(crate) async fn kill(&mut self) {
        let Some(Life { fakes, reconciler, ledger, task }) = self.life.take() else { return };
        fakes.die();
        self.world().power_cut();
        drop((reconciler, ledger));
        // Whoever runs must have begun to, or nobody will end its workers.
        yield_now().await;
        task.abort();
        _ = task.await;
        for _ in 0..1000 {
            if Arc::strong_count(&fakes) == 1 {
                self.world().reborn();
                return;
            }
            yield_now().await;
        }
        panic!("something of the killed service lives on");
    }

    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        self.start();
    }

    /// Stops the service as SIGTERM does.
    pub(crate) async fn stop(&mut self) {
        let life = self.life.take().unwrap();
        life.reconciler.stop();
        life.task.await.unwrap();
        self.world().reborn();
    }

    // ---------------------------------------------------------------------------------------------------- what people do

    /// A delivery. One that is not acknowledged is lost.
    pub(crate) async fn tell(&self, key: PullKey, reason: Reason) -> bool {
        if self.world().drops_delivery() {
            return true;
        }
        self.reconciler().accept(key.repo, key.number, reason).await.is_ok()
    }

    pub(crate) async fn open(&mut self, app: App) -> PullKey {
        self.open_in(self.repo, app).await
    }

    pub(crate) async fn open_in(&mut self, repo: RepoId, app: App) -> PullKey {
        let key = self.open_silently(repo, app);
        self.tell(key, Reason::Pushed).await;
        key
    }

    /// Opens a pull request whose delivery is lost.
    pub(crate) fn open_silently(&mut self, repo: RepoId, app: App) -> PullKey {
        let works = app.works();
        let key = self.world().open(repo, app);
        let head = self.world().head(key);
        self.expected.insert(key, if works { Expect::Serves(head) } else { Expect::Failed(head) });
        key
    }

    pub(crate) async fn push(&mut self, key: PullKey, app: App) -> CommitSha {
        let head = self.push_silently(key, app);
        self.tell(key, Reason::Pushed).await;
        head
    }

    pub(crate) fn push_silently(&mut self, key: PullKey, app: App) -> CommitSha {
        let works = app.works();
        let head = self.world().push(key, app);
        let expect = match self.expected.get(&key).and_then(Expect::serving).cloned() {
            _ if works => Expect::Serves(head.clone()),
            Some(old) => Expect::StillServes { old, failed: head.clone() },
            None => Expect::Failed(head.clone()),
        };
        self.expected.insert(key, expect);
        head
    }

    pub(crate) async fn close(&mut self, key: PullKey) {
        self.close_silently(key);
        self.tell(key, Reason::Changed).await;
    }

    pub(crate) fn close_silently(&mut self, key: PullKey) {
        if let Some(record) = self.record(key) {
            self.world().must_serve.remove(&record.id);
        }
        self.world().pull(key).open = false;
        self.expect(key, Expect::Gone);
    }

    /// Opens a pull request from a fork.
    pub(crate) async fn open_fork(&mut self, app: App) -> PullKey {
        let key = self.open_silently(self.repo, app);
        self.world().make_fork(key);
        self.expect(key, UNAPPROVED);
        self.tell(key, Reason::Pushed).await;
        key
    }

    /// Somebody comments, and its delivery comes.
    pub(crate) fn say(&self, key: PullKey, person: u64, line: &str) -> CommentId {
        let id = self.world().say(key, person, line);
        self.reconciler().hint(key.repo).unwrap();
        id
    }

    /// Whether a comment has been dealt with: it is noted, or older than what is looked at.
    pub(crate) fn has_heard(&self, comment: CommentId) -> bool {
        let said = self.world().people.remarks.iter().find(|(_, remark)| remark.id == comment).cloned();
        let Some((repo, remark)) = said else { return false };
        self.read(|state| {
            let heard = state.projects.get(&repo).and_then(|project| project.heard.as_ref());
            heard.is_some_and(|heard| heard.done.contains_key(&comment) || heard.from > remark.written_at)
        })
    }

    pub(crate) async fn reopen(&mut self, key: PullKey) {
        self.world().pull(key).open = true;
        let head = self.world().head(key);
        self.expect(key, Expect::Serves(head));
        self.tell(key, Reason::Reopened).await;
    }

    /// Somebody asks for it by hand, until it is taken down in writing.
    pub(crate) async fn command(&mut self, key: PullKey, reason: Reason) {
        let id = self.id(key);
        while self.reconciler().command(&id, reason).await.is_err() {
            self.live_on().await;
        }
    }

    // ----------------------------------------------------------------------------------------------------------- waiting

    pub(crate) fn expect(&mut self, key: PullKey, expect: Expect) {
        self.expected.insert(key, expect);
    }

    /// From now on this preview has to answer at every moment, until it is closed.
    pub(crate) fn keep_watch(&self, key: PullKey) {
        let id = self.id(key);
        self.world().must_serve.insert(id);
    }

    pub(crate) fn trouble(&self, call: Call, times: usize, trouble: Trouble) {
        self.world().rules.push(Rule::next(call, times, trouble));
    }

    /// A second goes by; whoever was killed is started again.
    pub(crate) async fn live_on(&mut self) {
        self.pass(Duration::from_secs(1)).await;
    }

    /// Time goes by; whoever was killed is started again.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            if self.life().fakes.is_dead() {
                self.restart().await;
            }
            let mut pause = Duration::from_secs(10);
            if self.life().ledger.trouble().is_some() {
                // As the ledger's thread does each second after a write that failed.
                _ = self.life().ledger.change(|_| ()).await;
                pause = Duration::from_secs(1);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(pause.min(left)).await;
        }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE.as_secs() * 10 {
            if self.life().fakes.is_dead() {
                self.restart().await;
            }
            if so(self) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it never came to pass that {what}");
    }

    /// Whether nothing is being done.
    pub(crate) fn is_quiet(&self) -> bool {
        let overview = self.reconciler().overview();
        !self.life().fakes.is_dead() && overview.workers == 0 && overview.pending == 0 && overview.reports == 0
    }

    /// Waits until everything is quiet and as it should be; panics with what is not.
    pub(crate) async fn settle(&mut self) {
        let mut problems = vec!["it never came to rest".to_owned()];
        for _ in 0..PATIENCE.as_secs() {
            self.live_on().await;
            if self.is_quiet() {
                problems = self.check().await;
                if problems.is_empty() {
                    return;
                }
            }
            assert_eq!(self.world().violations, Vec::<String>::new());
        }
        panic!("not as it should be:\n  {}", problems.join("\n  "));
    }
}
