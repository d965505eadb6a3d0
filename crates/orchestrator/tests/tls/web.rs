//! A real nginx below the server that Ansible's role writes: its template is filled in here, with other ports.

use std::net::SocketAddr;
use std::path::Path;

use minijinja::{Environment, context};
use preview_core::route::RouteTable;
use preview_orchestrator::router::nginx::{Nginx, Secure, Settings};
use preview_simulator::programs::PrivateNginx;

use crate::rig::DOMAIN;

/// An nginx of the test's own.
pub(crate) struct Web(PrivateNginx);

impl Web {
    /// Listens there, and brings deliveries to this port.
    pub(crate) async fn start(plain: SocketAddr, api: u16) -> Self {
        let site = |dir: &Path, plain| {
            for folder in ["previews/hosts", "previews/servers", "previews/limits"] {
                std::fs::create_dir_all(dir.join(folder)).unwrap();
            }
            let limits = dir.join("previews/limits/preview-deployer.conf");
            std::fs::write(limits, role("limits.conf.j2", dir, api)).unwrap();
            role("preview-deployer.conf.j2", dir, api).replace("listen 80", &format!("listen {plain}"))
        };
        Self(PrivateNginx::start(plain, site).await)
    }

    /// A router that writes for it.
    pub(crate) fn router(&self, secure: Secure) -> Nginx {
        let settings = Settings {
            config_dir: self.0.config_dir(),
            test_command: self.0.command(&["-t"]).parse().unwrap(),
            reload_command: self.0.command(&["-s", "reload"]).parse().unwrap(),
            probe_url: format!("http://{}", self.0.address()),
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
            ("NGINX_CONFIG_DIR", self.0.config_dir().display().to_string()),
            ("NGINX_TEST_COMMAND", self.0.command(&["-t"])),
            ("NGINX_RELOAD_COMMAND", self.0.command(&["-s", "reload"])),
            ("NGINX_PROBE_URL", format!("http://{}", self.0.address())),
        ]
    }
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
