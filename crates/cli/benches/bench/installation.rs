//! An installation to be measured: the model of GitHub in this process, the service as a process of its own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use preview_core::deployment::{Attempt, Blame, Deployment, Failure, Stage, Step};
use preview_core::ids::{BranchName, DeploymentId, ProjectSlug, Slot};
use preview_exec::{Limits, Program};
use preview_orchestrator::ledger::{Ledger, Project};
use preview_simulator::{Change, GitHub, Matching, NewPull, Options, Pull, Repo, Source, free_port};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Between two looks at whether something answers.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What there is before the service starts.
pub(crate) struct Ground {
    github: GitHub,
    repo: Repo,
    dir: TempDir,
}

impl Ground {
    /// A repository of this name with this content, on a GitHub of its own.
    pub(crate) async fn prepare(name: &str, source: impl Into<Source>) -> Self {
        preview_orchestrator::github::install_tls();
        // Numbers that no run had before: caches of builds go by the repository's, and another run's are none of this one's.
        let first_id = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        let options = Options { hourly_limit: 1_000_000, first_id, ..Options::default() };
        let github = GitHub::start(options).await.unwrap();
        let repo = github.create_repo(&format!("bench{}/{name}", std::process::id()), source).await.unwrap();
        let dir = tempfile::Builder::new().prefix("preview-bench-").tempdir().unwrap();
        Self { github, repo, dir }
    }

    /// Opens pull requests that the ledger tracks already. Their builds have failed, so that there is nothing to do for them.
    pub(crate) async fn track(&self, count: u32) {
        let now = Timestamp::now();
        let name = self.repo.name();
        let slug = ProjectSlug::for_repo(&name, |_| false);
        let head = self.repo.push("tracked", vec![Change::write("tracked", "")], "alice").await.unwrap();
        let (ledger, _) = Ledger::open(&self.ledger_file(), now).unwrap();
        let mut records = Vec::new();
        for _ in 0..count {
            let pull = self.repo.open_pull(NewPull::new("tracked", Vec::new())).await.unwrap();
            let id = DeploymentId::new(slug.clone(), pull.number());
            let branch = BranchName::new("tracked");
            let mut record = Deployment::new(id, (self.repo.id(), name.clone()), branch, head.clone(), now);
            let (step, cause) = (Step::Build, "the build failed".to_owned());
            let failure = Failure { step, cause, advice: None, log_tail: Vec::new(), blame: Blame::Author };
            record.attempt = Some(Attempt {
                commit: head.clone(),
                slot: Slot::A,
                app_port: None,
                started_at: now,
                stage: Stage::Failed(failure),
                in_place: false,
            });
            records.push(record);
        }
        let project = Project { slug, name, since: now, baseline: Some([].into()), allowed_as: None, heard: None };
        let change = ledger.change(|state| {
            state.projects.insert(self.repo.id(), project);
            state.deployments.extend(records.into_iter().map(|record| (record.id.clone(), record)));
        });
        change.await.unwrap();
    }

    fn ledger_file(&self) -> PathBuf {
        self.dir.path().join("state/deployments.json")
    }

    /// Starts the service and waits until it answers and has listed what is open.
    pub(crate) async fn start(self) -> Installation {
        let (api, router) = (free_port(), free_port());
        let base = format!("http://127.0.0.1:{router}");
        let program = self.service(api, router, &base);
        let http = reqwest::Client::new();
        let api = format!("http://127.0.0.1:{api}");
        let begun = Instant::now();
        let running = tokio::spawn(async move { drop(program.run().await) });
        while http.get(format!("{api}/health")).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE && !running.is_finished(), "the service does not answer");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let started = begun.elapsed();
        self.repo.add_hook(&format!("{api}/webhook/github"));
        let Self { github, repo, dir } = self;
        let installation = Installation { github, repo, http, api, dir, started, base, running };
        until("the first listing is written down", || installation.ledger().contains("\"baseline\"")).await;
        installation
    }

    fn service(&self, api: u16, router: u16, base: &str) -> Program {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        Program::new(env!("CARGO_BIN_EXE_preview"))
            .arg("serve")
            .dir(self.dir.path())
            .env("GITHUB_TOKEN", self.github.token())
            .env("GITHUB_WEBHOOK_SECRET", self.github.webhook_secret())
            .env("GITHUB_API_URL", self.github.api_url())
            .env("GITHUB_SERVER_URL", self.github.server_url())
            .env("ALLOWED_REPOS", self.repo.name().to_string())
            .env("ORCHESTRATOR_PORT", api.to_string())
            .env("ROUTER_PORT", router.to_string())
            .env("PREVIEW_BASE_URL", base)
            .env("DEPLOYMENTS_DIR", path("deployments"))
            .env("DEPLOYMENTS_DB", self.ledger_file())
            .env("LOG_DIR", path("logs"))
            .env("APP_PORT_START", "28000")
            .env("DB_PORT_START", "29000")
            .env("PREVIEW_SUBNET", "10.221.0.0/20")
            .env("FIREWALL", "off")
            .limits(Limits::seconds(1800))
    }
}

/// A running installation.
pub(crate) struct Installation {
    pub(crate) github: GitHub,
    pub(crate) repo: Repo,
    pub(crate) http: reqwest::Client,
    pub(crate) api: String,
    pub(crate) dir: TempDir,
    /// From the start of the process to its first answer.
    pub(crate) started: Duration,
    base: String,
    running: JoinHandle<()>,
}

impl Installation {
    /// One that serves a repository of this name with this content.
    pub(crate) async fn start(name: &str, source: impl Into<Source>) -> Self {
        Ground::prepare(name, source).await.start().await
    }

    /// The service's process id, as it wrote it down.
    pub(crate) fn pid(&self) -> Pid {
        let text = std::fs::read_to_string(self.dir.path().join("state/deployments.json.lock")).unwrap();
        Pid::from_raw(text.trim().parse().unwrap()).unwrap()
    }

    /// A pull request's address.
    pub(crate) fn url(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&self.repo.name(), |_| false);
        format!("{}/{slug}/pr-{}/", self.base, pull.number())
    }

    /// The ledger's text.
    pub(crate) fn ledger(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("state/deployments.json")).unwrap_or_default()
    }

    /// Waits until the service has asked GitHub for so many pull requests and is done with them. (What it then has to say about
    /// them it says at GitHub's pace, one comment a second.)
    pub(crate) async fn until_looked_at(&self, pulls: u32) {
        let asked = || self.github.look(|state| state.count(&Matching::get("/pulls/")));
        until("every pull request is looked at", || asked() >= pulls as usize).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// Waits until no preview is left.
    pub(crate) async fn until_empty(&self) {
        until("no preview is left", || self.ledger().contains("\"deployments\": {}")).await;
    }

    /// Ends the service.
    pub(crate) async fn stop(self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.running.await.unwrap();
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until an address answers 200 with a text that contains this.
pub(crate) async fn until_answers(http: &reqwest::Client, url: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let answer = http.get(url).timeout(Duration::from_secs(2)).send().await.ok();
        if let Some(answer) = answer.filter(|answer| answer.status() == 200)
            && answer.text().await.is_ok_and(|text| text.contains(wanted))
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{url} never answered with {wanted}");
        tokio::time::sleep(LOOK).await;
    }
}
