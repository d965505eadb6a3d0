//! A service of which only the HTTP side works, on a free port.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use preview_core::base_images::BaseImages;
use preview_core::deployment::{Attempt, Deployment, Serving, Stage};
use preview_core::desired::{ForkPolicy, Policy};
use preview_core::ids::{BranchName, CommitSha, DeploymentId, HostPort, PrNumber, RepoId, RepoName, Slot};
use preview_core::ports::Pool;
use preview_core::route::Site;
use preview_core::trust::ByTrust;
use preview_orchestrator::folders::Folders;
use preview_orchestrator::http::{Desk, serve};
use preview_orchestrator::ledger::{Ledger, State, Storage};
use preview_orchestrator::needs::Clock;
use preview_orchestrator::reconcile::{Config, Outside, Pace, Reconciler};
use preview_orchestrator::secrets::{Known, Vault};
use preview_orchestrator::tls::{Answers, Register};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Request;
use crate::nobody::Nobody;

pub(crate) const TOKEN: &str = "canary-token-5f1c9b";
pub(crate) const READ_TOKEN: &str = "canary-reader-3e8d02";
pub(crate) const SECRET: &str = "canary-secret-77aa01";
/// `Codertocat/Hello-World`, whose deliveries GitHub publishes.
pub(crate) const ALLOWED: RepoId = RepoId(186_853_002);

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Ledger,
    pub(crate) reconciler: Reconciler,
    pub(crate) outside: Arc<Nobody>,
    pub(crate) folders: Folders,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    dir: TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.reconciler.stop();
    }
}

/// A disk that is full.
pub(crate) struct Full;

impl Storage for Full {
    fn store(&mut self, _: &State) -> io::Result<()> {
        Err(io::Error::other("no space left on /var/lib/secret-path"))
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(&dir.path().join("deployments.json"), Nobody::new().now()).unwrap();
        Self::with(ledger, Some(SECRET), dir).await
    }

    /// Nothing stands in front of it.
    pub(crate) async fn directly_reached() -> Self {
        let ledger = Ledger::new(State::default(), Full);
        Self::built(ledger, Some(SECRET), tempfile::tempdir().unwrap(), false).await
    }

    pub(crate) async fn without_webhooks() -> Self {
        Self::with(Ledger::new(State::default(), Full), None, tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn on(state: State, storage: impl Storage) -> Self {
        Self::with(Ledger::new(state, storage), Some(SECRET), tempfile::tempdir().unwrap()).await
    }

    async fn with(ledger: Ledger, secret: Option<&str>, dir: TempDir) -> Self {
        Self::built(ledger, secret, dir, true).await
    }

    async fn built(ledger: Ledger, secret: Option<&str>, dir: TempDir, behind_proxy: bool) -> Self {
        Self::told(ledger, secret, dir, behind_proxy, (Answers::default(), None)).await
    }

    /// With what it tells of certificates and answers their authority.
    pub(crate) async fn told(
        ledger: Ledger,
        secret: Option<&str>,
        dir: TempDir,
        behind_proxy: bool,
        (answers, certificates): (Answers, Option<Register>),
    ) -> Self {
        let outside = Arc::new(Nobody::new());
        let folders = Folders::new(dir.path().join("deployments"), dir.path().join("logs"));
        let reconciler = Reconciler::new(config(), all(&outside), ledger.clone(), folders.clone(), vault(dir.path()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Desk {
            reconciler: reconciler.clone(),
            ledger: ledger.clone(),
            engine: outside.clone(),
            router: outside.clone(),
            clock: outside.clone(),
            folders: folders.clone(),
            disks: Vec::new(),
            github: Arc::new(|| None),
            known_holes: vec!["runc 1.0 has a hole".to_owned()],
            builds: Arc::new(|| None),
            walls: Arc::new(|| None),
            certificates,
            answers,
            token: TOKEN.into(),
            read_token: Some(READ_TOKEN.into()),
            behind_proxy,
            webhook_secret: secret.map(Into::into),
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, desk, shutdown.clone()));
        Self { address, ledger, reconciler, outside, folders, shutdown, serving, dir }
    }

    /// Sets the reconciler going and waits until GitHub has told it which repository is allowed.
    pub(crate) async fn learn_allowed(&self) {
        let reconciler = self.reconciler.clone();
        tokio::spawn(async move { reconciler.run().await });
        until("the repository is known", || self.reconciler.overview().unknown_repositories.is_empty()).await;
    }

    pub(crate) fn ask(&self, line: &str) -> Request {
        Request::new(self.address, line)
    }

    /// The ledger's file.
    pub(crate) fn on_disk(&self) -> Value {
        let path: PathBuf = self.dir.path().join("deployments.json");
        std::fs::read(path).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
    }

    /// Numbers of the pull requests that the ledger's file says are to be looked at.
    pub(crate) fn pending_on_disk(&self) -> Vec<u64> {
        let state = self.on_disk();
        let pending = state["pending"].as_array().cloned().unwrap_or_default();
        pending.iter().map(|pending| pending["number"].as_u64().unwrap()).collect()
    }

    /// Adds a preview that serves.
    pub(crate) async fn add_preview(&self, number: u64) -> DeploymentId {
        let record = self.ledger.change(|state| {
            let repo: RepoName = "my-org/my-app".parse().unwrap();
            let slug = state.project(ALLOWED, &repo, now()).slug.clone();
            let id = DeploymentId::new(slug, PrNumber::new(number).unwrap());
            state.deployments.insert(id.clone(), preview(id.clone(), repo));
            id
        });
        record.await.unwrap()
    }

    /// Changes how far the newest attempt of a preview is.
    pub(crate) async fn set_stage(&self, id: &DeploymentId, stage: Stage) {
        let change = self.ledger.change(|state| {
            let attempt = state.deployments.get_mut(id).and_then(|record| record.attempt.as_mut());
            attempt.unwrap().stage = stage;
        });
        change.await.unwrap();
    }

    pub(crate) async fn change(&self, id: &DeploymentId, change: impl FnOnce(&mut Deployment)) {
        self.ledger.change(|state| state.deployments.get_mut(id).map(change)).await.unwrap().unwrap();
    }
}

/// Waits until something holds, in bounded time.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn now() -> Timestamp {
    Nobody::new().now()
}

fn preview(id: DeploymentId, repo: RepoName) -> Deployment {
    let sha: CommitSha = "abc123".repeat(7)[..40].parse().unwrap();
    let mut record = Deployment::new(id, (ALLOWED, repo), BranchName::new("feature-branch"), sha.clone(), now());
    record.framework = Some("nestjs".into());
    record.url = Some("http://localhost:8080/my-org-my-app/pr-12/".into());
    record.serving = Some(Serving {
        commit_sha: sha.clone(),
        slot: Slot::B,
        app_port: HostPort::new(8000).unwrap(),
        since: now(),
        took_ms: 4200,
        down: false,
        filled: None,
    });
    record.attempt = Some(Attempt {
        commit: sha,
        slot: Slot::B,
        app_port: None,
        started_at: now(),
        stage: Stage::Done,
        in_place: false,
    });
    record
}

fn all(outside: &Arc<Nobody>) -> Outside {
    Outside {
        host: outside.clone(),
        engine: outside.clone(),
        source: outside.clone(),
        router: outside.clone(),
        forge: outside.clone(),
        prober: outside.clone(),
        clock: outside.clone(),
    }
}

fn config() -> Config {
    Config {
        instance: "0123456789ab".parse().unwrap(),
        allowed: vec!["my-org/my-app".parse().unwrap()],
        policy: Policy {
            forks: ForkPolicy::Approve,
            drafts: true,
            bots: false,
            require_label: None,
            ttl: SignedDuration::from_hours(168),
        },
        site: Site::new("http://localhost:8080".parse().unwrap(), None),
        github: "https://github.com".to_owned(),
        base_images: BaseImages::public(),
        limits: ByTrust::default(),
        runtimes: ByTrust::default(),
        container_disk: 2 << 30,
        max_previews: 10,
        max_builds: 1,
        disk_budget: None,
        app_ports: Pool::from(HostPort::new(8000).unwrap()),
        db_ports: Pool::from(HostPort::new(9000).unwrap()),
        reserved_ports: Default::default(),
        subnets: "10.222.0.0/16".parse().unwrap(),
        health_timeout: Duration::from_secs(60),
        health_interval: Duration::from_secs(1),
        resync_interval: Duration::from_secs(300),
        cleanup_interval: Duration::from_secs(3600),
        pace: Pace::default(),
    }
}

fn vault(dir: &std::path::Path) -> Vault {
    Vault::new(dir.join("secrets.json"), dir.join("secrets.key"), Known::default())
}
