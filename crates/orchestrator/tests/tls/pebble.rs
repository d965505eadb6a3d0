//! The authority: pebble, and the names that it looks up, which are all this machine's.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use preview_exec::Program;
use preview_simulator::free_port;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use crate::eventually;
use crate::program::Running;
use crate::records::Records;

/// A pebble of the test's own. Its ports stay when it is stopped and started again; all else is forgotten then.
pub(crate) struct Pebble {
    dir: TempDir,
    acme: u16,
    management: u16,
    pub(crate) records: Records,
    running: Option<Running>,
    /// What former ones said.
    said: String,
}

impl Pebble {
    /// Starts one that looks at this port for answers and gives certificates for so long.
    pub(crate) async fn start(http: u16, good_for: Duration) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-pebble-").tempdir().unwrap();
        let (acme, management) = (free_port(), free_port());
        own_certificate(&dir);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{acme}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("server.pem"), "privateKey": path("server.key"), "httpPort": http, "tlsPort": free_port(),
            "certificateValidityPeriod": good_for.as_secs(), "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let records = Records::start().await;
        let mut pebble = Self { dir, acme, management, records, running: None, said: String::new() };
        pebble.start_again().await;
        pebble
    }

    /// Starts it anew: it knows no account and no certificate.
    pub(crate) async fn start_again(&mut self) {
        let program = Program::new("pebble")
            .args(["-config", "config.json", "-dnsserver", &self.records.address.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .dir(self.dir.path());
        let running = self.running.insert(Running::start("pebble", program));
        let address = SocketAddr::from(([127, 0, 0, 1], self.acme));
        eventually("pebble answers", || async {
            assert!(!running.ended(), "{}", running.said());
            tokio::net::TcpStream::connect(address).await.is_ok()
        })
        .await;
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.said.push_str(&running.said());
        }
    }

    /// Its ACME directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.acme)
    }

    /// By whom its own address is trusted.
    pub(crate) fn own_authority(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(&fs::read(self.own_authority_file()).unwrap()).unwrap()
    }

    /// Where that stands.
    pub(crate) fn own_authority_file(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }

    /// By whom the certificates are trusted that it gives.
    pub(crate) async fn root(&self) -> reqwest::Certificate {
        let client = reqwest::Client::builder().tls_certs_only([self.own_authority()]).no_proxy().build().unwrap();
        let url = format!("https://localhost:{}/roots/0", self.management);
        let pem = client.get(url).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
        reqwest::Certificate::from_pem(&pem).unwrap()
    }

    fn said(&self) -> String {
        format!("{}\n{}", self.said, self.running.as_ref().map(Running::said).unwrap_or_default())
    }

    /// How many orders were placed, whatever became of them. (A request with a nonce that pebble refuses, as it does now and
    /// then to try its clients, is none.)
    pub(crate) fn orders(&self) -> usize {
        self.said().matches("orders in the db").count()
    }

    /// How many accounts were made.
    pub(crate) fn accounts(&self) -> usize {
        self.said().matches("accounts in memory").count()
    }
}

/// A certificate for pebble's own address, and its authority.
fn own_certificate(dir: &TempDir) {
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    let own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    write("server.pem", own.signed_by(&key, &issuer).unwrap().pem());
    write("server.key", key.serialize_pem());
}
