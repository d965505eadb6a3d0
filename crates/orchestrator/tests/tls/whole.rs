//! The whole service, from its settings on: Docker, a model of GitHub, pebble, and either router.

use std::net::{SocketAddr, TcpListener};

use preview_orchestrator::service::{Given, Service, StartError};
use preview_orchestrator::settings::{Settings, Variables, check_paths};
use preview_orchestrator::tls::Patience;
use preview_simulator::{GitHub, Options, Repo, Source, sha256_signature};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::cases::{deliver, secured, sent_on};
use crate::rig::{DOMAIN, Kind, LONG, Rig};
use crate::web::Web;

/// What an operator writes. No firewall is set and no limits of builds: the machine stays as it is.
fn variables(rig: &Rig, (github, repo): (&GitHub, &Repo), api: SocketAddr, web: Option<&Web>) -> Variables {
    let folder = rig.kept();
    let path = |name: &str| folder.join(name).display().to_string();
    let mut settings = vec![
        ("GITHUB_TOKEN", github.token().to_owned()),
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", repo.name().to_string()),
        ("ORCHESTRATOR_PORT", api.port().to_string()),
        ("PREVIEW_BASE_URL", format!("https://{DOMAIN}:{}", rig.secure.port())),
        ("PREVIEW_DOMAIN", DOMAIN.to_owned()),
        ("TLS", "acme".to_owned()),
        ("ACME_DIRECTORY", rig.pebble.directory()),
        ("ACME_CA_FILE", rig.pebble.own_authority_file().display().to_string()),
        ("ROUTER_PORT", rig.plain.port().to_string()),
        ("ROUTER_TLS_PORT", rig.secure.port().to_string()),
        ("DEPLOYMENTS_DIR", path("deployments")),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("PREVIEW_SUBNET", "10.233.0.0/20".to_owned()),
        ("BUILD_CGROUP", "/preview-deployer-none".to_owned()),
        ("FIREWALL", "off".to_owned()),
    ];
    settings
        .extend(std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()).map(|host| ("DOCKER_HOST", host)));
    settings.extend(web.into_iter().flat_map(Web::variables));
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a service needs: a GitHub, and an nginx if that is the router.
struct World {
    rig: Rig,
    github: GitHub,
    repo: Repo,
    web: Option<Web>,
    api: SocketAddr,
}

impl World {
    /// It, and the socket for the API.
    async fn new(kind: Kind) -> (Self, TcpListener) {
        let rig = Rig::new(kind, LONG).await;
        let github = GitHub::start(Options::default()).await.unwrap();
        let repo = github.create_repo("my-org/my-app", Source::Changes(Vec::new())).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = listener.local_addr().unwrap();
        let web = match kind {
            Kind::Builtin => None,
            Kind::Nginx => Some(Web::start(rig.plain, api.port()).await),
        };
        (Self { rig, github, repo, web, api }, listener)
    }

    /// Starts it with the settings of `variables`, but for these.
    async fn start(&self, given: Given, but: &[(&str, &str)]) -> Result<Service, StartError> {
        let mut variables = variables(&self.rig, (&self.github, &self.repo), self.api, self.web.as_ref());
        variables.extend(but.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings = Settings::read(&variables).unwrap();
        check_paths(&settings.paths).unwrap();
        Service::start(&settings, given).await
    }
}

async fn serves_with_certificates_of_its_own(kind: Kind) {
    let (world, api) = World::new(kind).await;
    // As systemd passes one on; it is nginx's own affair where that is the router.
    let router_tls = (kind == Kind::Builtin).then(|| TcpListener::bind(world.rig.secure).unwrap());
    let given = Given { api: Some(api), router_tls, patience: Patience::default(), ..Given::default() };
    // Where it would listen by itself is somewhere else.
    let elsewhere = [("ROUTER_TLS_PORT", "0")];
    let but = if kind == Kind::Builtin { &elsewhere[..] } else { &[] };
    let service = world.start(given, but).await.unwrap();
    let World { rig, github, api: address, .. } = &world;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;

    let path = "/my-org-my-app/pr-1/";
    assert_eq!(visitor.secure(DOMAIN, path).await.unwrap().status, 404, "there is no preview");
    sent_on(&visitor, DOMAIN, path, rig.secure.port()).await;
    let origin = format!("https://{DOMAIN}:{}", rig.secure.port());
    let body = r#"{"zen": "Anything added dilutes everything else."}"#;
    let signature = sha256_signature(github.webhook_secret().as_bytes(), body.as_bytes());
    assert_eq!(deliver(&visitor.finding(DOMAIN, rig.secure), &origin, body, signature).await, 200);
    let health = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{address}/health"));
    let health = health.bearer_auth(service.token().expose_secret()).send().await.unwrap();
    let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(health["checks"]["certificates"]["ok"], true, "{health}");
    assert_eq!(rig.pebble.orders(), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_for_tls_that_nobody_speaks_is_refused() {
    for (kind, but) in [(Kind::Builtin, &[("TLS", "off")][..]), (Kind::Nginx, &[])] {
        let (world, api) = World::new(kind).await;
        let router_tls = Some(TcpListener::bind("127.0.0.1:0").unwrap());
        let started = world.start(Given { api: Some(api), router_tls, ..Given::default() }, but).await;
        let refused = started.err().unwrap();
        assert!(matches!(refused, StartError::NoTls), "{kind:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_serves_with_certificates_of_its_own() {
    serves_with_certificates_of_its_own(Kind::Builtin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_has_nginx_serve_with_certificates_of_its_own() {
    serves_with_certificates_of_its_own(Kind::Nginx).await;
}
