//! What of this machine is taken already: ports that somebody listens on, and networks that it reaches, so that previews'
//! networks don't hide one of them.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use async_trait::async_trait;
use preview_core::ids::HostPort;
use preview_core::subnets::Subnet;
use preview_core::walls;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::needs::Host;

/// Source: <https://docs.kernel.org/networking/proc_net_tcp.html>; the file's columns are those of `route -n`, addresses in
/// hexadecimal and network byte order.
const ROUTES: &str = "/proc/net/route";

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network of this machine that shares addresses with `range`, and the interface that leads to it. Bridges of containers
/// (`br-…`) don't count: our own previews' are among them, and Docker itself refuses two that overlap.
pub(crate) fn in_the_way_of(range: Subnet) -> Option<(Subnet, String)> {
    overlapping(&read(), range)
}

/// The machine that we run on.
pub(crate) struct ThisHost;

#[async_trait]
impl Host for ThisHost {
    fn is_free(&self, port: HostPort) -> bool {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).is_ok()
    }

    fn networks(&self) -> Vec<Subnet> {
        read().lines().skip(1).filter_map(route).map(|(network, _)| network).collect()
    }

    async fn leads_inside(&self, name: &str) -> bool {
        let Ok(Ok(found)) = timeout(PATIENCE, lookup_host((name, 0))).await else { return false };
        found.map(|address| address.ip()).any(|address| walls::is_inside(address) || is_own(address))
    }
}

/// Whether an address is one of this machine's: the kernel lets nobody take another.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn read() -> String {
    std::fs::read_to_string(ROUTES).unwrap_or_default()
}

fn overlapping(routes: &str, range: Subnet) -> Option<(Subnet, String)> {
    let routes = routes.lines().skip(1).filter_map(route);
    routes.filter(|(_, interface)| !interface.starts_with("br-")).find(|(network, _)| network.overlaps(range))
}

/// A route to a private network; the default route and public networks can't be in the way of a private range.
fn route(line: &str) -> Option<(Subnet, String)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (interface, destination, mask) = (columns.first()?, columns.get(1)?, columns.get(7)?);
    let address = |text: &str| u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from(bits.to_le_bytes()));
    let prefix = address(mask)?.to_bits().leading_ones();
    let network = format!("{}/{prefix}", address(destination)?).parse().ok()?;
    Some((network, (*interface).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        tun0\t0000DE0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
        br-123\t0010DE0A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\n";

    #[test]
    fn a_network_in_the_way_is_named_with_its_interface() {
        let found = |range: &str| overlapping(SEEN, range.parse().unwrap()).map(|(n, i)| format!("{n} on {i}"));
        assert_eq!(found("10.222.0.0/16").as_deref(), Some("10.222.0.0/16 on tun0"));
        assert_eq!(found("10.0.0.0/8").as_deref(), Some("10.222.0.0/16 on tun0"));
        assert_eq!(found("172.16.0.0/12").as_deref(), Some("172.17.0.0/16 on docker0"));
        assert_eq!(found("10.223.0.0/16"), None);
    }

    #[test]
    fn a_bridge_of_containers_is_in_nobodys_way() {
        let without_tunnel = SEEN.replace("tun0\t0000DE0A", "tun0\t0000E00A");
        assert_eq!(overlapping(&without_tunnel, "10.222.0.0/16".parse().unwrap()), None);
    }

    #[tokio::test]
    async fn a_name_leads_inside_where_one_of_its_addresses_does() {
        for inside in ["localhost", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1"] {
            assert!(ThisHost.leads_inside(inside).await, "{inside}");
        }
        for outside in ["1.1.1.1", "2606:4700::1111", "no-such-name.invalid"] {
            assert!(!ThisHost.leads_inside(outside).await, "{outside}");
        }
        assert!(is_own(Ipv4Addr::LOCALHOST.into()) && !is_own("192.0.2.1".parse().unwrap()));
    }
}
