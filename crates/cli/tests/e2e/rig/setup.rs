//! What a test wants of its installation, and how that comes to be.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use preview_core::ids::ProjectSlug;
use preview_simulator::{APP_KEY, App, GitHub, Mimic, Options, Source, free_port};

use super::berth::{Berth, unique_owner};
use super::{PATIENCE, Rig, TOKEN};
use crate::nginx::Nginx;

/// Which router an installation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterKind {
    Builtin,
    Nginx,
}

/// An installation to be.
pub(crate) struct Setup {
    router: RouterKind,
    repos: Vec<String>,
    content: Option<PathBuf>,
    app: Option<App>,
    domain: Option<&'static str>,
    settings: Vec<(String, String)>,
}

impl Setup {
    /// One that serves one repository under an owner of its own (names of containers and networks are the engine's, which
    /// all tests share), with a resync each second.
    pub(crate) fn new() -> Self {
        let settings = [("RESYNC_INTERVAL_SECONDS", "1"), ("LOG_LEVEL", "debug"), ("HEALTH_TIMEOUT_SECONDS", "10")];
        Self {
            router: RouterKind::Builtin,
            repos: vec![format!("{}/app", unique_owner())],
            content: None,
            app: None,
            domain: None,
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        }
    }

    pub(crate) fn router(mut self, router: RouterKind) -> Self {
        self.router = router;
        self
    }

    /// Serves these repositories instead; see [`unique_owner`].
    pub(crate) fn repos(mut self, repos: impl IntoIterator<Item = String>) -> Self {
        self.repos = repos.into_iter().collect();
        self
    }

    /// The repositories hold one of `examples/` instead of a mimic.
    pub(crate) fn example(self, name: &str) -> Self {
        self.folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name))
    }

    /// The repositories hold what is in this folder.
    pub(crate) fn folder(mut self, folder: PathBuf) -> Self {
        self.content = Some(folder);
        self
    }

    /// Signs in as this GitHub App, in place of a token.
    pub(crate) fn app(mut self, app: App) -> Self {
        self.app = Some(app);
        self
    }

    /// Gives each preview a host of its own. The rig's client finds that of each repository's first pull request.
    pub(crate) fn domain(mut self, domain: &'static str) -> Self {
        self.domain = Some(domain);
        self.set("PREVIEW_DOMAIN", domain)
    }

    /// Sets a variable of the service.
    pub(crate) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// A rig with GitHub and its repositories (each holding a mimic unless told otherwise), the service not yet started.
    pub(crate) async fn prepare(self) -> Rig {
        let github = GitHub::start(Options { app: self.app.clone(), ..Options::default() }).await.unwrap();
        for name in &self.repos {
            let content: Source = match &self.content {
                Some(folder) => folder.clone().into(),
                None => Mimic::new("main").repository().await.unwrap().into(),
            };
            github.create_repo(name, content).await.unwrap();
        }
        let dir = tempfile::Builder::new().prefix("preview-e2e-").tempdir().unwrap();
        let nginx = match self.router {
            RouterKind::Builtin => None,
            RouterKind::Nginx => Some(Nginx::start().await),
        };
        let berth = Berth::take();
        let (api, visitors) = (free_port(), nginx.as_ref().map_or_else(free_port, |nginx| nginx.port));
        let base = format!("http://127.0.0.1:{visitors}");
        let mut settings = self.settings;
        settings.extend(own_settings(&github, dir.path(), &self.repos, api, visitors, &base, &berth));
        settings.extend(identity(&github, self.app.as_ref(), dir.path()));
        settings.extend(nginx.iter().flat_map(Nginx::settings));
        for name in &self.repos {
            github.repo(name).unwrap().add_hook(&format!("http://127.0.0.1:{api}/webhook/github"));
        }
        preview_orchestrator::github::install_tls();
        // A connection for each request: nginx closes idle ones when it reloads, and a request may be on its way by then. An
        // answer that never comes fails a test, instead of holding it for ever.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(PATIENCE);
        let http = http.redirect(reqwest::redirect::Policy::none());
        let http =
            hosts(&self.repos, self.domain).fold(http, |http, host| http.resolve(&host, ([127, 0, 0, 1], 0).into()));
        let http = http.build().unwrap();
        let api = format!("http://127.0.0.1:{api}");
        Rig {
            github,
            repos: self.repos,
            base,
            domain: self.domain,
            http,
            api,
            dir,
            settings,
            nginx,
            gate: None,
            sockets: Vec::new(),
            service: None,
            _berth: berth,
        }
    }

    /// A rig whose service answers.
    pub(crate) async fn start(self) -> Rig {
        let mut rig = self.prepare().await;
        rig.start_service().await;
        rig
    }
}

/// The hosts of each repository's first pull request.
fn hosts(repos: &[String], domain: Option<&'static str>) -> impl Iterator<Item = String> {
    let slug = |repo: &String| ProjectSlug::for_repo(&repo.parse().unwrap(), |_| false);
    domain.into_iter().flat_map(move |domain| repos.iter().map(move |repo| format!("pr-1-{}.{domain}", slug(repo))))
}

fn own_settings(
    github: &GitHub,
    dir: &Path,
    repos: &[String],
    api: u16,
    visitors: u16,
    base: &str,
    berth: &Berth,
) -> Vec<(String, String)> {
    let path = |name: &str| dir.join(name).display().to_string();
    let settings = [
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", repos.join(",")),
        ("ORCHESTRATOR_PORT", api.to_string()),
        ("API_TOKEN", TOKEN.to_owned()),
        ("ROUTER_PORT", visitors.to_string()),
        ("PREVIEW_BASE_URL", base.to_owned()),
        ("DEPLOYMENTS_DIR", path("deployments")),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("APP_PORT_START", berth.apps().to_string()),
        ("DB_PORT_START", berth.databases().to_string()),
        ("PREVIEW_SUBNET", format!("10.{}.0.0/20", 130 + berth.number)),
        ("FIREWALL", "off".to_owned()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Who the service is to GitHub.
fn identity(github: &GitHub, app: Option<&App>, dir: &Path) -> Vec<(String, String)> {
    let Some(app) = app else { return vec![("GITHUB_TOKEN".to_owned(), github.token().to_owned())] };
    let key = dir.join("app.pem");
    std::fs::write(&key, APP_KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    vec![
        ("GITHUB_APP_ID".to_owned(), app.id.to_string()),
        ("GITHUB_APP_PRIVATE_KEY_FILE".to_owned(), key.display().to_string()),
    ]
}
