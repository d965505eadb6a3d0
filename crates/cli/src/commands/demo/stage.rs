//! The demo's stage: a model of GitHub and the real service, on free ports and in a folder of their own.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use preview_core::ids::ProjectSlug;
use preview_orchestrator::reconcile::Pace;
use preview_orchestrator::service::{Given, Service};
use preview_orchestrator::settings::{Settings, Variables, check_paths};
use preview_simulator::{GitHub, Options, Pull, Repo};
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use super::story::Script;
use crate::error::Failure;

/// A model of GitHub and the real service.
pub(super) struct Stage {
    pub(super) github: GitHub,
    pub(super) service: Service,
    pub(super) http: reqwest::Client,
    /// What previews' URLs begin with.
    pub(super) base: String,
    pub(super) dir: TempDir,
}

impl Stage {
    /// Builds the stage, with a repository for each script.
    pub(super) async fn build(scripts: &[Script]) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("preview-demo-").tempdir()?;
        start_log(&dir)?;
        let github = GitHub::start(Options::default()).await?;
        for script in scripts {
            github.create_repo(&script.repo, script.base()).await?;
        }
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (api, router) = (listen()?, listen()?);
        let base = format!("http://127.0.0.1:{}", router.local_addr()?.port());
        let settings = settings(&github, &dir, scripts, &base)?;
        check_paths(&settings.paths)?;
        // GitHub asks for a second between two writes; a model of it on this machine does not mind.
        let pace = Pace { edit: Duration::from_millis(500), ..Pace::default() };
        let write_interval = Some(Duration::from_millis(20));
        let given = Given { api: Some(api), router: Some(router), pace, write_interval, ..Given::default() };
        let service = Service::start(&settings, given).await.map_err(|error| {
            Failure::new("the service could not be started")
                .because(&error)
                .hint("`scripts/ground up` installs and starts Docker with Compose v2; `make demo` calls it first")
        })?;
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { github, service, http, base, dir })
    }

    /// Has GitHub announce a repository's changes to the service.
    pub(super) fn announce(&self, repo: &Repo) {
        repo.add_hook(&format!("http://{}/webhook/github", self.service.api()));
    }

    /// A pull request's preview: its id and its address.
    pub(super) fn preview(&self, pull: &Pull) -> (String, String) {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        let number = pull.number();
        (format!("{slug}-{number}"), format!("{}/{slug}/pr-{number}/", self.base))
    }

    /// A preview's record; `None` when there is none.
    pub(super) async fn record(&self, id: &str) -> Option<Value> {
        self.api(&format!("/api/previews/{id}")).await.filter(|record| record["deploymentId"].is_string())
    }

    /// Asks the service's API.
    pub(super) async fn api(&self, path: &str) -> Option<Value> {
        let request = self.http.get(format!("http://{}{path}", self.service.api()));
        request.bearer_auth(self.service.token().expose_secret()).send().await.ok()?.json().await.ok()
    }

    /// Where the service's log is.
    pub(super) fn log_file(&self) -> String {
        log_file(&self.dir).display().to_string()
    }

    /// Leaves the stage's folder where it is, for whoever wants to know what went wrong.
    pub(super) fn keep(self) {
        drop(self.dir.keep());
    }
}

fn log_file(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("service.log")
}

fn start_log(dir: &TempDir) -> Result<(), Failure> {
    let file = std::fs::File::create(log_file(dir))?;
    let filter = EnvFilter::new("info,preview_orchestrator=debug,bollard=info,hyper=info,hyper_util=info");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::sync::Mutex::new(file)).init();
    Ok(())
}

fn settings(github: &GitHub, dir: &TempDir, scripts: &[Script], base: &str) -> Result<Settings, Failure> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let repos: Vec<&str> = scripts.iter().map(|script| script.repo.as_str()).collect();
    let variables: Variables = [
        ("GITHUB_TOKEN", github.token().to_owned()),
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", repos.join(",")),
        ("PREVIEW_BASE_URL", base.to_owned()),
        ("DEPLOYMENTS_DIR", path("deployments")),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("RESYNC_INTERVAL_SECONDS", "5".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Ok(Settings::read(&variables)?)
}
