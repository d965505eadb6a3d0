//! The routers under test, each on a free port of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use preview_core::ids::HostPort;
use preview_core::route::{Route, RouteTable, Site};
use preview_exec::{Limits, Program};
use preview_orchestrator::needs::Router;
use preview_orchestrator::router::Login;
use preview_orchestrator::router::builtin::Builtin;
use preview_orchestrator::router::nginx::{Nginx, Settings};
use preview_simulator::free_port;
use tempfile::TempDir;
use tokio::task::AbortHandle;

use crate::eventually;

/// Where previews have hosts of their own.
pub(crate) const DOMAIN: &str = "previews.example.org";

/// A router and where visitors find it.
pub(crate) struct Rig {
    pub(crate) router: Arc<dyn Router>,
    pub(crate) address: SocketAddr,
    /// The nginx behind it, if it is one.
    pub(crate) nginx: Option<PrivateNginx>,
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
        let nginx = PrivateNginx::start(login).await;
        Self { address: nginx.address, router: Arc::new(nginx.router()), nginx: Some(nginx) }
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

/// An nginx with a configuration, a pid file and a port of its own, which ends when this is dropped.
pub(crate) struct PrivateNginx {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    login: Option<Login>,
    running: AbortHandle,
}

impl PrivateNginx {
    async fn start(login: Option<Login>) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-nginx-").tempdir().unwrap();
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        for folder in ["previews/hosts", "foreign", "temp"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("nginx.conf"), configuration(dir.path(), port)).unwrap();
        let program = Program::new("nginx").args(arguments(dir.path())).args(["-g", "daemon off;"]);
        let limits = Limits::seconds(600);
        let errors = dir.path().join("error.log");
        let running = tokio::spawn(async move {
            if let Err(error) = program.limits(limits).run().await {
                panic!("nginx (apt-get install nginx-light) did not run: {error}: {}", error.stderr());
            }
        });
        eventually("nginx answers", || async {
            assert!(!running.is_finished(), "nginx ended: {}", std::fs::read_to_string(&errors).unwrap_or_default());
            tokio::net::TcpStream::connect(port).await.is_ok()
        })
        .await;
        Self { address: port, dir, login, running: running.abort_handle() }
    }

    /// A router that writes for it, as a service just started would have.
    pub(crate) fn router(&self) -> Nginx {
        let command = |last: &[&str]| {
            let words = ["nginx".to_owned()].into_iter().chain(arguments(self.dir.path()));
            words.chain(last.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>().join(" ").parse().unwrap()
        };
        let settings = Settings {
            config_dir: self.config_dir(),
            test_command: command(&["-t"]),
            reload_command: command(&["-s", "reload"]),
            probe_url: format!("http://{}", self.address),
            domain: Some(DOMAIN.parse().unwrap()),
            login: self.login.clone().map(|login| (login, "0123456789ab".to_owned())),
            secure: None,
        };
        Nginx::new(settings, http_client(), &RouteTable::new())
    }

    /// The folder that is included.
    pub(crate) fn config_dir(&self) -> PathBuf {
        self.dir.path().join("previews")
    }

    /// A file of somebody else's in the same nginx.
    pub(crate) fn foreign_file(&self) -> PathBuf {
        self.dir.path().join("foreign/other.conf")
    }

    /// How often nginx was told to read its configuration again.
    pub(crate) fn reloads(&self) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("error.log")).unwrap();
        log.matches("signal process started").count()
    }
}

impl Drop for PrivateNginx {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn arguments(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    ["-p", dir, "-c", &format!("{dir}/nginx.conf")].map(str::to_owned).to_vec()
}

/// What an operator writes: two servers, each with its include folder.
fn configuration(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.to_str().unwrap();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/temp/{kind};"))
        .join(" ");
    // Run by root, its workers read what root's temporary folder holds; run by anybody else, they are theirs anyway.
    format!(
        "user root; pid {dir}/nginx.pid; error_log {dir}/error.log notice; worker_processes 2;
         events {{ worker_connections 512; }}
         http {{
             access_log off; {temporary}
             server {{ listen {address} default_server; include {dir}/previews/*.conf; }}
             server {{ listen {address}; server_name *.{DOMAIN}; include {dir}/previews/hosts/*.conf; }}
             include {dir}/foreign/*.conf;
         }}"
    )
}

/// The client by which the router asks nginx for its generation.
fn http_client() -> reqwest::Client {
    // A second installation in the same process is refused and not needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
