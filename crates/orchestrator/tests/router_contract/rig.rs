//! The routers under test, each on a free port of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use preview_core::ids::HostPort;
use preview_core::route::{Route, RouteTable, Site};
use preview_orchestrator::needs::Router;
use preview_orchestrator::router::Login;
use preview_orchestrator::router::builtin::Builtin;
use preview_orchestrator::router::nginx::{Nginx, Settings};
use preview_simulator::programs::PrivateNginx;

/// Where previews have hosts of their own.
pub(crate) const DOMAIN: &str = "previews.example.org";

/// A router and where visitors find it.
pub(crate) struct Rig {
    pub(crate) router: Arc<dyn Router>,
    pub(crate) address: SocketAddr,
    /// The nginx behind it, if it is one.
    pub(crate) nginx: Option<Web>,
}

impl Rig {
    /// The router inside the service.
    pub(crate) async fn builtin() -> Self {
        Self::builtin_behind(None).await
    }

    /// The same, with a login in front of previews.
    pub(crate) async fn builtin_behind(login: Option<Login>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Site::new("http://previews.example".parse().unwrap(), Some(DOMAIN.parse().unwrap()));
        let router = Builtin::start(listener, None, site, login.as_ref(), &RouteTable::default()).unwrap();
        Self { address: router.address(), router: Arc::new(router), nginx: None }
    }

    /// A real nginx.
    pub(crate) async fn nginx() -> Self {
        Self::nginx_behind(None).await
    }

    /// The same, with a login in front of previews.
    pub(crate) async fn nginx_behind(login: Option<Login>) -> Self {
        let nginx = Web::start(login).await;
        Self { address: nginx.nginx.address(), router: Arc::new(nginx.router()), nginx: Some(nginx) }
    }

    /// Makes these previews be served by these ports.
    pub(crate) async fn serve(&self, routes: &[(&str, HostPort)]) {
        self.router.apply(&table(routes)).await.unwrap();
    }
}

/// A table from ids and ports.
pub(crate) fn table(routes: &[(&str, HostPort)]) -> RouteTable {
    routes.iter().map(|(id, port)| Route { deployment: id.parse().unwrap(), port: *port }).collect()
}

/// A real nginx, and who is asked to log in there.
pub(crate) struct Web {
    nginx: PrivateNginx,
    login: Option<Login>,
}

impl Web {
    async fn start(login: Option<Login>) -> Self {
        Self { nginx: PrivateNginx::on_a_free_port(servers).await, login }
    }

    /// A router that writes for it, as a service just started would have.
    pub(crate) fn router(&self) -> Nginx {
        let settings = Settings {
            config_dir: self.config_dir(),
            test_command: self.nginx.command(&["-t"]).parse().unwrap(),
            reload_command: self.nginx.command(&["-s", "reload"]).parse().unwrap(),
            probe_url: format!("http://{}", self.nginx.address()),
            domain: Some(DOMAIN.parse().unwrap()),
            login: self.login.clone().map(|login| (login, "0123456789ab".to_owned())),
            secure: None,
        };
        Nginx::new(settings, http_client(), &RouteTable::new())
    }

    /// The folder that is included.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.nginx.config_dir()
    }

    /// A file of somebody else's in the same nginx.
    pub(crate) fn foreign_file(&self) -> PathBuf {
        self.nginx.dir().join("foreign/other.conf")
    }

    /// How often nginx was told to read its configuration again.
    pub(crate) fn reloads(&self) -> usize {
        self.nginx.reloads()
    }
}

/// What an operator writes: two servers, each with its include folder.
fn servers(dir: &Path, address: SocketAddr) -> String {
    for folder in ["previews/hosts", "foreign"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let dir = dir.display();
    format!(
        "server {{ listen {address} default_server; include {dir}/previews/*.conf; }}
         server {{ listen {address}; server_name *.{DOMAIN}; include {dir}/previews/hosts/*.conf; }}
         include {dir}/foreign/*.conf;"
    )
}

/// The client by which the router asks nginx for its generation.
fn http_client() -> reqwest::Client {
    // A second installation in the same process is refused and not needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
