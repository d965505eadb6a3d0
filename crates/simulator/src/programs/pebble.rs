//! A certificate authority: `pebble`, an ACME server, and the names that it looks up.
//!
//! Source: <https://github.com/letsencrypt/pebble>

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use preview_exec::Program;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;

use super::records::Zone;
use super::{Records, Running, listens};
use crate::free_port;
use crate::post::client;

/// A pebble of the test's own. Its ports stay when it is stopped and started again; all else is forgotten then.
#[derive(Debug)]
pub struct Pebble {
    dir: TempDir,
    acme: u16,
    management: u16,
    records: Records,
    running: Option<Running>,
    /// What former ones said.
    said: String,
}

impl Pebble {
    /// Starts one for which every name is this machine, which it asks at this port for answers. It gives certificates for so long.
    pub async fn start(asked: (Ipv4Addr, u16), good_for: Duration) -> Self {
        let dir = TempDir::with_prefix("preview-pebble-").expect("a folder can be made");
        let (acme, management) = (free_port(), free_port());
        own_certificate(&dir);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{acme}"), "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("server.pem"), "privateKey": path("server.key"), "httpPort": asked.1, "tlsPort": free_port(),
            "certificateValidityPeriod": good_for.as_secs(), "ocspResponderURL": "", "externalAccountBindingRequired": false,
        }});
        fs::write(dir.path().join("config.json"), config.to_string()).expect("its settings can be written");
        let records = Records::start(asked.0).await;
        let mut pebble = Self { dir, acme, management, records, running: None, said: String::new() };
        pebble.start_again().await;
        pebble
    }

    /// Starts it anew: it knows no account and no certificate.
    pub async fn start_again(&mut self) {
        let program = Program::new("pebble")
            .args(["-config", "config.json", "-dnsserver", &self.records.address().to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .dir(self.dir.path());
        let running = self.running.insert(Running::start("pebble", program));
        listens(running, SocketAddr::from((Ipv4Addr::LOCALHOST, self.acme))).await;
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.said.push_str(&running.said());
        }
    }

    /// Its ACME directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.acme)
    }

    /// The port of that, of the loopback address.
    pub fn port(&self) -> u16 {
        self.acme
    }

    /// Where the names that it looks up are set.
    pub fn zone(&self) -> Zone {
        self.records.zone()
    }

    /// By whom its own address is trusted.
    pub fn own_authority(&self) -> reqwest::Certificate {
        let pem = fs::read(self.own_authority_file()).expect("it was written");
        reqwest::Certificate::from_pem(&pem).expect("it is a certificate")
    }

    /// Where that stands.
    pub fn own_authority_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// By whom the certificates are trusted that it gives.
    pub async fn root(&self) -> reqwest::Certificate {
        let client = client(&[], &[self.own_authority()]).expect("a client can be made");
        let asked = client.get(format!("https://localhost:{}/roots/0", self.management)).send().await;
        let answer = asked.and_then(reqwest::Response::error_for_status).expect("pebble tells its root");
        let pem = answer.bytes().await.expect("pebble tells its root");
        reqwest::Certificate::from_pem(&pem).expect("it is a certificate")
    }

    fn said(&self) -> String {
        format!("{}\n{}", self.said, self.running.as_ref().map(Running::said).unwrap_or_default())
    }

    /// How many orders were placed, whatever became of them. (A request with a nonce that pebble refuses, as it does now and
    /// then to try its clients, is none.)
    pub fn orders(&self) -> usize {
        self.said().matches("orders in the db").count()
    }

    /// How many accounts were made.
    pub fn accounts(&self) -> usize {
        self.said().matches("accounts in memory").count()
    }
}

/// A certificate for pebble's own address, and its authority.
fn own_certificate(dir: &TempDir) {
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("files can be written");
    let made = || -> Result<[(&str, String); 3], rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let ca = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);
        let own = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let key = KeyPair::generate()?;
        Ok([("ca.pem", ca), ("server.pem", own.signed_by(&key, &issuer)?.pem()), ("server.key", key.serialize_pem())])
    };
    made().expect("certificates can be made").into_iter().for_each(|(name, text)| write(name, text));
}
