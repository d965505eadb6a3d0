//! An installation to be measured: the model of GitHub in this process, the service as a process of its own.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use preview_core::ids::ProjectSlug;
use preview_exec::{Limits, Program};
use preview_simulator::{GitHub, Options, Pull, Repo, Source};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Between two looks at whether something answers.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// Longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(300);

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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Installation {
    /// One that serves a repository of this name with this content.
    pub(crate) async fn start(name: &str, source: impl Into<Source>) -> Self {
        preview_orchestrator::github::install_tls();
        let github = GitHub::start(Options::default()).await.unwrap();
        let repo = github.create_repo(&format!("bench{}/{name}", std::process::id()), source).await.unwrap();
        let dir = tempfile::Builder::new().prefix("preview-bench-").tempdir().unwrap();
        let (api, router) = (free_port(), free_port());
        let base = format!("http://127.0.0.1:{router}");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let program = Program::new(env!("CARGO_BIN_EXE_preview"))
            .arg("serve")
            .dir(dir.path())
            .env("GITHUB_TOKEN", github.token())
            .env("GITHUB_WEBHOOK_SECRET", github.webhook_secret())
            .env("GITHUB_API_URL", github.api_url())
            .env("GITHUB_SERVER_URL", github.server_url())
            .env("ALLOWED_REPOS", repo.name().to_string())
            .env("ORCHESTRATOR_PORT", api.to_string())
            .env("ROUTER_PORT", router.to_string())
            .env("PREVIEW_BASE_URL", &base)
            .env("DEPLOYMENTS_DIR", path("deployments"))
            .env("DEPLOYMENTS_DB", path("state/deployments.json"))
            .env("LOG_DIR", path("logs"))
            .env("APP_PORT_START", "28000")
            .env("DB_PORT_START", "29000")
            .env("PREVIEW_SUBNET", "10.221.0.0/20")
            .limits(Limits::seconds(1800));
        let begun = Instant::now();
        let running = tokio::spawn(async move { drop(program.run().await) });
        let http = reqwest::Client::new();
        let api = format!("http://127.0.0.1:{api}");
        while http.get(format!("{api}/health")).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE && !running.is_finished(), "the service does not answer");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let started = begun.elapsed();
        repo.add_hook(&format!("{api}/webhook/github"));
        // The first listing, which lays down what was open before.
        let listed = dir.path().join("state/deployments.json");
        until(|| std::fs::read_to_string(&listed).is_ok_and(|text| text.contains("baseline"))).await;
        Self { github, repo, http, api, dir, started, base, running }
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

    /// Waits until no preview is left, and ends.
    pub(crate) async fn end(self) {
        until(|| self.ledger().contains("\"deployments\": {}")).await;
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.running.await.unwrap();
    }
}

/// Waits until something is so.
pub(crate) async fn until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never came to be");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until an address answers 200 with a text that contains this.
pub(crate) async fn until_answers(http: &reqwest::Client, url: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let answer = http.get(url).timeout(Duration::from_secs(2)).send().await.ok();
        if let Some(answer) = answer.filter(|answer| answer.status().is_success())
            && answer.text().await.is_ok_and(|text| text.contains(wanted))
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{url} never answered with {wanted}");
        tokio::time::sleep(LOOK).await;
    }
}
