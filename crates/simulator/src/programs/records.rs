//! The names of the internet: `pebble-challtestsrv`, where every name is one machine, and records can be set.

use std::net::{Ipv4Addr, SocketAddr};

use preview_exec::Program;
use serde_json::{Value, json};

use super::{Running, listens};
use crate::free_port;
use crate::post::client;

/// A server of names.
#[derive(Debug)]
pub struct Records {
    address: SocketAddr,
    zone: Zone,
    _running: Running,
}

/// Where records are set. Clones mean the same.
#[derive(Debug, Clone)]
pub struct Zone(String);

impl Records {
    /// Starts one where every name is this machine's that has this address.
    pub async fn start(of_all: Ipv4Addr) -> Self {
        let [address, management] =
            [free_port(), free_port()].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let program = Program::new("pebble-challtestsrv")
            .args(["-defaultIPv4", &of_all.to_string(), "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &address.to_string(), "-management", &management.to_string()]);
        let running = Running::start("pebble", program);
        listens(&running, management).await;
        Self { address, zone: Zone(format!("http://{management}")), _running: running }
    }

    /// Where names are looked up.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where records are set.
    pub fn zone(&self) -> Zone {
        self.zone.clone()
    }
}

impl Zone {
    /// Sets a TXT record, as whoever has the zone does.
    pub async fn set_text(&self, name: &str, value: &str) {
        self.tell("set-txt", json!({"host": format!("{name}."), "value": value})).await;
    }

    /// Takes a name's TXT records away.
    pub async fn clear_text(&self, name: &str) {
        self.tell("clear-txt", json!({"host": format!("{name}.")})).await;
    }

    /// Has a name lead to this machine instead of the one of all others.
    pub async fn lead_to(&self, name: &str, address: Ipv4Addr) {
        self.tell("add-a", json!({"host": format!("{name}."), "addresses": [address]})).await;
    }

    /// Has it lead where all others do again.
    pub async fn lead_back(&self, name: &str) {
        self.tell("clear-a", json!({"host": format!("{name}.")})).await;
    }

    async fn tell(&self, what: &str, body: Value) {
        let client = client(&[], &[]).expect("a client can be made");
        let sent = client.post(format!("{}/{what}", self.0)).body(body.to_string()).send().await;
        sent.and_then(reqwest::Response::error_for_status).expect("records can be set");
    }
}
