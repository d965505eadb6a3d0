//! An installation as far as certificates need one: ledger, HTTP side, router, and what keeps certificates; and its visitors.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use jiff::Timestamp;
use preview_core::ids::{DeploymentId, HostPort};
use preview_core::route::{Route, RouteTable, Site};
use preview_orchestrator::ledger::Ledger;
use preview_orchestrator::needs::{Clock, Router};
use preview_orchestrator::router::builtin::{self, Builtin};
use preview_orchestrator::router::nginx;
use preview_orchestrator::settings::{BaseUrl, Challenge, Tls as Settings};
use preview_orchestrator::tls::{Patience, Shown, Tls};
use preview_simulator::free_port;
use preview_simulator::programs::Pebble;
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::house::{House, SECRET};
use crate::web::Web;

/// Where previews are: the origin's host, and the domain of their own.
pub(crate) const DOMAIN: &str = "previews.test";

/// Which router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Builtin,
    Nginx,
}

/// Certificates that are good for this long end in no test.
pub(crate) const LONG: Duration = Duration::from_secs(90 * 24 * 3600);

/// What a test begins with: addresses, folders, an authority, an app. They survive a restart of the installation.
pub(crate) struct Rig {
    kind: Kind,
    pub(crate) pebble: Pebble,
    pub(crate) plain: SocketAddr,
    pub(crate) secure: SocketAddr,
    folder: TempDir,
    app: HostPort,
    web: Option<Web>,
    challenge: Challenge,
    retry: Duration,
}

/// An installation that runs.
pub(crate) struct Running {
    pub(crate) house: House,
    router: Arc<dyn Router>,
    keeping: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Rig {
    pub(crate) async fn new(kind: Kind, good_for: Duration) -> Self {
        preview_orchestrator::github::install_tls();
        let [plain, secure] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let pebble = Pebble::start((Ipv4Addr::LOCALHOST, plain.port()), good_for).await;
        let (folder, app) = (tempfile::tempdir().unwrap(), app().await);
        let (challenge, retry) = (Challenge::Http, Duration::from_secs(1));
        Self { kind, pebble, plain, secure, folder, app, web: None, challenge, retry }
    }

    /// What failed rests longer than any test takes.
    pub(crate) fn rests_long(&mut self) {
        self.retry = Duration::from_secs(3600);
    }

    /// Shows whose the names are by records.
    pub(crate) fn by_records(&mut self, challenge: Challenge) {
        self.challenge = challenge;
    }

    /// Where certificates are kept.
    pub(crate) fn kept(&self) -> PathBuf {
        self.folder.path().join("tls")
    }

    fn site(&self) -> Site {
        let origin = format!("https://{DOMAIN}:{}", self.secure.port());
        Site::new(origin.parse().unwrap(), Some(DOMAIN.parse().unwrap()))
    }

    /// Starts an installation, with this many previews.
    pub(crate) async fn start(&mut self, previews: u64) -> Running {
        let ledger_folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let (ledger, _) = Ledger::open(&ledger_folder.join("deployments.json"), Timestamp::now()).unwrap();
        let settings = Settings {
            directory: BaseUrl::of_server(&self.pebble.directory()).unwrap(),
            email: Some("admin@example.com".to_owned()),
            authorities: vec![self.pebble.own_authority()],
            challenge: self.challenge.clone(),
            port: self.secure.port(),
            address: None,
        };
        let patience =
            Patience { look: Duration::from_millis(50), retry: self.retry, records: Duration::from_millis(100) };
        let shown = Shown::default();
        let parts = (self.site(), ledger.clone(), Arc::new(SystemClock) as Arc<dyn Clock>);
        let tls = Tls::open(&settings, &self.kept(), &shown, parts, patience).unwrap();
        let told = (shown.answers.clone(), Some(tls.register()));
        let house = House::told(ledger, Some(SECRET), tempfile::tempdir().unwrap(), true, told).await;
        let router = self.router(&house, shown).await;
        let running =
            Running { house, router: router.clone(), keeping: tokio::spawn(async move { tls.keep(router).await }) };
        for number in 0..previews {
            self.add_preview(&running, 12 + number).await;
        }
        running
    }

    async fn router(&mut self, house: &House, shown: Shown) -> Arc<dyn Router> {
        if self.kind == Kind::Builtin {
            let [plain, listener] = [self.plain, self.secure].map(|address| TcpListener::bind(address).unwrap());
            let secure = builtin::Secure { listener, shown, deliveries: house.address };
            return Arc::new(Builtin::start(plain, Some(secure), self.site(), None, &RouteTable::new()).unwrap());
        }
        if self.web.is_none() {
            self.web = Some(Web::start(self.plain, house.address.port()).await);
        }
        let web = self.web.as_ref().unwrap();
        Arc::new(web.router(nginx::Secure {
            certificates: shown.certificates,
            site: self.site(),
            listen: vec![self.secure.to_string()],
            answers: house.address,
        }))
    }

    /// Adds a preview: first it is known, then it has a route.
    pub(crate) async fn add_preview(&self, running: &Running, number: u64) -> DeploymentId {
        let id = running.house.add_preview(number).await;
        let routes = running.house.ledger.read(|state| {
            state.deployments.keys().map(|id| Route { deployment: id.clone(), port: self.app }).collect::<RouteTable>()
        });
        running.router.apply(&routes).await.unwrap();
        id
    }

    /// A visitor who trusts what pebble gives, and nobody else.
    pub(crate) async fn visitor(&self) -> Visitor {
        let client = || reqwest::Client::builder().no_proxy().redirect(Policy::none()).pool_max_idle_per_host(0);
        let root = self.pebble.root().await;
        Visitor { client: Box::new(move || client().tls_certs_only([root.clone()]).tls_info(true)), rig: self.ends() }
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.plain, self.secure)
    }
}

/// Somebody with a browser.
pub(crate) struct Visitor {
    client: Box<dyn Fn() -> reqwest::ClientBuilder + Send + Sync>,
    rig: (SocketAddr, SocketAddr),
}

/// What a visitor got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) body: String,
    /// The certificate that the other side had.
    pub(crate) certificate: Vec<u8>,
}

impl Visitor {
    /// Asks encrypted. The certificate must be for the host, and one of pebble's.
    pub(crate) async fn secure(&self, host: &str, path: &str) -> Result<Got, reqwest::Error> {
        self.ask(&format!("https://{host}:{}{path}", self.rig.1.port()), host, self.rig.1).await
    }

    /// Asks as browsers did.
    pub(crate) async fn plain(&self, host: &str, path: &str) -> Got {
        self.ask(&format!("http://{host}:{}{path}", self.rig.0.port()), host, self.rig.0).await.unwrap()
    }

    /// A client that finds the host here.
    pub(crate) fn finding(&self, host: &str, address: SocketAddr) -> reqwest::Client {
        (self.client)().resolve(host, address).build().unwrap()
    }

    async fn ask(&self, url: &str, host: &str, address: SocketAddr) -> Result<Got, reqwest::Error> {
        let answer = self.finding(host, address).get(url).send().await?;
        let location = answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let certificate = answer.extensions().get::<TlsInfo>().and_then(|info| info.peer_certificate());
        let certificate = certificate.unwrap_or_default().to_owned();
        let status = answer.status().as_u16();
        Ok(Got { status, location: location.unwrap_or_default(), body: answer.text().await?, certificate })
    }
}

/// An app that tells how it was asked.
async fn app() -> HostPort {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = HostPort::new(listener.local_addr().unwrap().port()).unwrap();
    let tell = |headers: HeaderMap, uri: Uri| async move {
        let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        format!("{} {} {uri}", of("x-forwarded-proto"), of("x-forwarded-host"))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(tell)).await });
    port
}
