//! A real nginx below the server that Ansible's role writes: its template is filled in here, with other ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use minijinja::{Environment, context};
use preview_core::route::RouteTable;
use preview_exec::Program;
use preview_orchestrator::router::nginx::{CommandLine, Nginx, Secure, Settings};
use tempfile::TempDir;

use crate::eventually;
use crate::program::Running;
use crate::rig::DOMAIN;

/// An nginx of the test's own.
pub(crate) struct Web {
    dir: TempDir,
    plain: SocketAddr,
    _running: Running,
}

impl Web {
    /// Listens there, and brings deliveries to this port.
    pub(crate) async fn start(plain: SocketAddr, api: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-nginx-tls-").tempdir().unwrap();
        for folder in ["previews/hosts", "previews/servers", "previews/limits", "temp"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(
            dir.path().join("previews/limits/preview-deployer.conf"),
            role("limits.conf.j2", dir.path(), api),
        )
        .unwrap();
        let server = role("preview-deployer.conf.j2", dir.path(), api);
        let server = server.replace("listen 80", &format!("listen {plain}"));
        std::fs::write(dir.path().join("nginx.conf"), around(&server, dir.path())).unwrap();
        let program = Program::new("nginx").args(arguments(dir.path())).args(["-g", "daemon off;"]);
        let running = Running::start("nginx", program);
        eventually("nginx answers", || async {
            assert!(!running.ended(), "{}", running.said());
            tokio::net::TcpStream::connect(plain).await.is_ok()
        })
        .await;
        Self { dir, plain, _running: running }
    }

    /// A router that writes for it.
    pub(crate) fn router(&self, secure: Secure) -> Nginx {
        let settings = Settings {
            config_dir: self.config_dir(),
            test_command: self.command(&["-t"]),
            reload_command: self.command(&["-s", "reload"]),
            probe_url: format!("http://{}", self.plain),
            domain: Some(DOMAIN.parse().unwrap()),
            login: None,
            secure: Some(secure),
        };
        Nginx::new(settings, reqwest::Client::new(), &RouteTable::new())
    }

    /// The settings that lead the service here.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ROUTER", "nginx".to_owned()),
            ("NGINX_CONFIG_DIR", self.config_dir().display().to_string()),
            ("NGINX_TEST_COMMAND", self.command(&["-t"]).to_string()),
            ("NGINX_RELOAD_COMMAND", self.command(&["-s", "reload"]).to_string()),
            ("NGINX_PROBE_URL", format!("http://{}", self.plain)),
        ]
    }

    fn config_dir(&self) -> PathBuf {
        self.dir.path().join("previews")
    }

    fn command(&self, last: &[&str]) -> CommandLine {
        let words = ["nginx".to_owned()].into_iter().chain(arguments(self.dir.path()));
        words.chain(last.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>().join(" ").parse().unwrap()
    }
}

fn arguments(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    ["-p", dir, "-c", &format!("{dir}/nginx.conf")].map(str::to_owned).to_vec()
}

/// A template of the role, filled in.
fn role(name: &str, dir: &Path, api: u16) -> String {
    let mut templates = Environment::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ansible/roles/nginx/templates");
    for name in ["preview-deployer.conf.j2", "limits.conf.j2"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        templates.add_template_owned(name.to_owned(), text).unwrap();
    }
    let values = context! {
        ansible_managed => "a test's", preview_port => api, preview_domain => DOMAIN,
        preview_nginx_configs => dir.join("previews").display().to_string(),
        nginx_ipv6 => context! { stat => context! { exists => false } },
        nginx_nothing_here => "nothing", nginx_connections => 200, nginx_requests_per_second => 100,
        nginx_requests_at_once => 400, nginx_deliveries_per_second => 50,
    };
    templates.get_template(name).unwrap().render(values).unwrap()
}

/// What Debian's own configuration has around a site.
fn around(site: &str, dir: &Path) -> String {
    let dir = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/temp/{kind};"))
        .join(" ");
    format!(
        "user root; pid {dir}/nginx.pid; error_log {dir}/error.log notice; worker_processes 2;
         events {{ worker_connections 512; }}
         http {{ access_log off; server_names_hash_bucket_size 128; {temporary}\n{site} }}"
    )
}
