//! The stage: a model of GitHub and the whole service beside it, in this process, on free ports of the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use preview_core::deployment::Deployment;
use preview_core::ids::DeploymentId;
use preview_orchestrator::audit::Report;
use preview_orchestrator::reconcile::Pace;
use preview_orchestrator::service::{Given, Service, StartError};
use preview_orchestrator::settings::{Settings, Variables, check_paths};
use preview_simulator::state::Comment;
use preview_simulator::{GitHub, Options, Pull, Repo, Source};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proof::Traces;
use super::screen::Screen;
use crate::error::Failure;

/// Between two looks at something.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// How long a single request may take.
const ANSWER: Duration = Duration::from_secs(20);

/// The folder of previews' folders.
const DEPLOYMENTS: &str = "deployments";

/// A repository to be.
pub(super) struct Wanted {
    /// `owner/name`.
    pub(super) name: String,
    /// What is on its branch `main`.
    pub(super) source: Source,
}

/// A running installation.
pub(super) struct Stage {
    pub(super) http: reqwest::Client,
    pub(super) repos: Vec<Repo>,
    github: GitHub,
    service: Service,
    router: SocketAddr,
    base: String,
    /// What addresses begin with that are told: where a person opens them.
    told: String,
    /// Host ports that previews have had.
    ports: Mutex<BTreeSet<u16>>,
}

impl Stage {
    /// Sets everything up: repositories with their webhook, and the service that serves them, with all its files in `folder`. A person at
    /// another machine reaches previews by `port` of the loopback address there.
    pub(super) async fn set_up(folder: &Path, wanted: Vec<Wanted>, port: Option<u16>) -> Result<Self, Failure> {
        preview_orchestrator::github::install_tls();
        let github = GitHub::start(Options { folder: folder.to_owned(), ..Options::default() }).await?;
        let mut repos = Vec::new();
        for Wanted { name, source } in wanted {
            repos.push(github.create_repo(&name, source).await?);
        }
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (api, router) = (listen()?, listen()?);
        let (api_at, router_at) = (api.local_addr()?, router.local_addr()?);
        let base = format!("http://{router_at}");
        let told = port.map_or_else(|| base.clone(), |port| format!("http://{}:{port}", Ipv4Addr::LOCALHOST));
        let mut variables = variables(&github, &repos, folder, api_at, router_at);
        variables.insert("PREVIEW_BASE_URL".to_owned(), told.clone());
        let settings = Settings::read(&variables)?;
        check_paths(&settings.paths)?;
        let given = Given {
            api: Some(api),
            router: Some(router),
            // Nobody limits our writes here, and people watch the comment.
            pace: Pace { edit: Duration::from_millis(500), ..Pace::default() },
            write_interval: Some(Duration::from_millis(50)),
            ..Given::default()
        };
        let service = Service::start(&settings, given).await.map_err(not_started)?;
        for repo in &repos {
            repo.add_hook(&format!("http://{api_at}/webhook/github"));
        }
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER);
        let http = http.redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, repos, github, service, router: router_at, base, told, ports: Mutex::default() })
    }

    /// What the API says.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.get(path).await?.error_for_status()?.json().await?)
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, Failure> {
        let request = self.http.get(format!("http://{}{path}", self.service.api()));
        Ok(request.bearer_auth(self.service.token().expose_secret()).send().await?)
    }

    /// All records.
    pub(super) async fn records(&self) -> Result<Vec<Deployment>, Failure> {
        #[derive(Deserialize)]
        struct Previews {
            deployments: Vec<Deployment>,
        }
        let records = self.ask::<Previews>("/api/previews").await?.deployments;
        let ports = records.iter().flat_map(Deployment::ports).map(|port| port.get());
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).extend(ports);
        Ok(records)
    }

    /// All records as the API has them, which is what `preview list --json` prints.
    pub(super) async fn rows(&self) -> Result<Vec<Value>, Failure> {
        #[derive(Deserialize)]
        struct Previews {
            deployments: Vec<Value>,
        }
        Ok(self.ask::<Previews>("/api/previews").await?.deployments)
    }

    /// One record.
    pub(super) async fn record(&self, id: &DeploymentId) -> Result<Option<Deployment>, Failure> {
        Ok(self.records().await?.into_iter().find(|record| record.id == *id))
    }

    /// The newest line of a build; empty while there is none.
    pub(super) async fn build_line(&self, id: &DeploymentId) -> Result<String, Failure> {
        let answer = self.get(&format!("/api/previews/{id}/logs?stream=build&lines=1")).await?;
        let text = if answer.status().is_success() { answer.text().await? } else { String::new() };
        Ok(text.trim().to_owned())
    }

    /// What previews' addresses begin with on this machine.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// And where a person opens them.
    pub(super) fn told(&self) -> &str {
        &self.told
    }

    /// The port of this machine at which previews answer.
    pub(super) fn port(&self) -> u16 {
        self.router.port()
    }

    /// Whether all sides agree.
    pub(super) async fn audit(&self) -> Result<Report, Failure> {
        self.ask("/api/audit").await
    }

    /// Pull requests that are open.
    pub(super) fn open_pulls(&self) -> Result<Vec<Pull>, Failure> {
        let mut open = Vec::new();
        for repo in &self.repos {
            let numbers = self.github.look(|state| {
                let pulls = state.repository(repo.id()).into_iter().flat_map(|repo| repo.pulls.values());
                pulls.filter(|pull| pull.is_open()).map(|pull| pull.number).collect::<Vec<_>>()
            });
            for number in numbers {
                open.push(repo.pull(number)?);
            }
        }
        Ok(open)
    }

    /// Ends the service and GitHub, and gives what there may be traces of.
    pub(super) async fn stop(self, folder: &Path) -> Traces {
        let mut ports = self.ports.into_inner().unwrap_or_else(PoisonError::into_inner);
        ports.insert(self.service.api().port());
        ports.extend(self.service.router().map(|router| router.port()));
        let instance = self.service.instance().clone();
        self.service.stop().await;
        Traces { instance, ports, deployments: folder.join(DEPLOYMENTS), home: folder.join("proof") }
    }

    /// The comment on a pull request, once it contains all of this.
    pub(super) async fn comment(&self, screen: &Screen, pull: &Pull, wanted: &[&str]) -> Result<Comment, Failure> {
        let limit = Duration::from_secs(30);
        until(screen, "the comment to be written", limit, async || {
            let mut comments = pull.bot_comments();
            if comments.len() > 1 {
                return Err(Failure::new(format!("there should be one comment, not {}", comments.len())));
            }
            Ok(comments.pop().filter(|comment| wanted.iter().all(|text| comment.body.contains(text))))
        })
        .await
    }
}

/// Looks until there is something to see.
pub(super) async fn until<T>(
    screen: &Screen,
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await? {
            screen.clear();
            return Ok(found);
        }
        if since.elapsed() > limit {
            return Err(Failure::new(format!("waited {} s in vain for {what}", limit.as_secs())));
        }
        screen.waiting(&format!("waiting for {what}"), "", since);
        tokio::time::sleep(LOOK).await;
    }
}

/// The engine's address, where the person's own tools have another than the usual one.
pub(super) fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

fn not_started(error: StartError) -> Failure {
    let engine = matches!(error, StartError::Engine(_));
    let failure = Failure::new("the service could not be started").because(&error);
    if engine {
        failure.hint("this needs Docker with Compose v2: `make demo`, or `scripts/ground up`, installs and starts it")
    } else {
        failure
    }
}

/// What a person would write into the environment of `preview serve`.
fn variables(github: &GitHub, repos: &[Repo], folder: &Path, api: SocketAddr, router: SocketAddr) -> Variables {
    let path = |name: &str| folder.join(name).display().to_string();
    let names: Vec<String> = repos.iter().map(|repo| repo.name().to_string()).collect();
    // Ports and networks away from those of an installation with default settings, and most likely from another demo's.
    let first_port = 30_000 + 10 * rand::random_range(0..80);
    let network = format!("10.{}.{}.0/20", rand::random_range(64..128), 16 * rand::random_range(0..16));
    let settings = [
        ("GITHUB_TOKEN", github.token().to_owned()),
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", names.join(",")),
        ("ORCHESTRATOR_PORT", api.port().to_string()),
        ("ROUTER", "builtin".to_owned()),
        ("ROUTER_PORT", router.port().to_string()),
        ("DEPLOYMENTS_DIR", path(DEPLOYMENTS)),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("APP_PORT_START", first_port.to_string()),
        ("DB_PORT_START", (first_port + 1000).to_string()),
        ("PREVIEW_SUBNET", network),
        // What is demonstrated is one's own code, and the machine is not to be changed.
        ("FIREWALL", "off".to_owned()),
    ];
    let host = docker_host().map(|host| ("DOCKER_HOST", host));
    settings.into_iter().chain(host).map(|(name, value)| (name.to_owned(), value)).collect()
}
