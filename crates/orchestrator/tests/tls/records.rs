//! The names of the internet: `pebble-challtestsrv`, by which every name is this machine, and where records can be set.

use std::net::SocketAddr;

use preview_exec::Program;
use preview_simulator::free_port;
use serde_json::json;

use crate::eventually;
use crate::program::Running;

pub(crate) struct Records {
    /// Where names are looked up.
    pub(crate) address: SocketAddr,
    management: String,
    _running: Running,
}

impl Records {
    pub(crate) async fn start() -> Self {
        let (dns, management) = (free_port(), free_port());
        let [address, management] = [dns, management].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let program = Program::new("pebble-challtestsrv")
            .args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &address.to_string(), "-management", &management.to_string()]);
        let running = Running::start("pebble", program);
        eventually("names can be looked up", || async {
            assert!(!running.ended(), "{}", running.said());
            tokio::net::TcpStream::connect(management).await.is_ok()
        })
        .await;
        Self { address, management: format!("http://{management}"), _running: running }
    }

    /// Where records are set.
    pub(crate) fn management(&self) -> String {
        self.management.clone()
    }
}

/// Sets a TXT record, as whoever has the zone does.
pub(crate) async fn set(management: &str, name: &str, value: &str) {
    tell(&format!("{management}/set-txt"), json!({"host": format!("{name}."), "value": value})).await;
}

/// Takes a name's TXT records away.
pub(crate) async fn clear(management: &str, name: &str) {
    tell(&format!("{management}/clear-txt"), json!({"host": format!("{name}.")})).await;
}

async fn tell(url: &str, what: serde_json::Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(url).json(&what).send().await.unwrap().error_for_status().unwrap();
}
