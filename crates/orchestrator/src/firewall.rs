//! Keeping the walls up that `preview_core::walls` draws.
//!
//! They are set when the service starts and looked at again every half minute: whoever reloads a firewall of the system's may take
//! them away. They stay when the service stops, since previews go on running. Whether the service may do so is found out by
//! trying; where it may not, that is told in the log and in `/health`, and `preview firewall` prints the same rules for somebody
//! who may.

mod tables;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use preview_core::ids::InstanceId;
use preview_core::walls::{Rules, Walls};

use crate::settings::{Firewall, Network, Reach};
use tables::Protocol;
pub use tables::Refused;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(30);

/// Where the system has its name servers written down. The second is systemd's own list, which Docker takes when the first
/// names nobody but the machine itself.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Whom Docker lets containers ask when the machine's own list is of no use to them.
///
/// Source: <https://docs.docker.com/engine/network/#dns-services>
const DOCKERS_RESOLVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(8, 8, 4, 4)];

/// The walls of this installation, and whether they stand.
#[derive(Debug)]
pub struct Fence {
    plan: Plan,
    trouble: Mutex<Option<String>>,
}

/// What the walls are drawn from; what changes by itself (name servers) is read each time.
#[derive(Debug, Clone)]
pub struct Plan {
    instance: InstanceId,
    network: Network,
    reach: Reach,
    bridge: String,
}

impl Plan {
    /// A plan for this installation, on an engine whose default bridge has this name.
    pub fn new(instance: InstanceId, network: Network, reach: Reach, bridge: String) -> Self {
        Self { instance, network, reach, bridge }
    }

    fn walls(&self) -> Walls {
        Walls {
            instance: self.instance.clone(),
            previews: self.network.subnet,
            builds: (self.reach.firewall == Firewall::All).then(|| self.bridge.clone()),
            resolvers: resolvers(RESOLVERS.iter().filter_map(|path| std::fs::read_to_string(Path::new(path)).ok())),
            allow: self.reach.allow.clone(),
            egress: self.reach.egress,
        }
    }

    /// The rules as a script for `sh`, run by root: what the service does itself where it may.
    pub fn script(&self) -> String {
        tables::script(&self.rules())
    }

    fn rules(&self) -> [(Protocol, Rules); 3] {
        let walls = self.walls();
        let [first, second] = walls.v4();
        [(Protocol::V4, first), (Protocol::V4, second), (Protocol::V6, walls.v6())]
    }

    /// Puts the walls up, or makes them what they should be. Asking twice changes nothing.
    pub async fn put_up(&self) -> Result<(), Refused> {
        for (protocol, rules) in self.rules() {
            if protocol.is_spoken() {
                tables::put_up(protocol, &rules).await?;
            }
        }
        Ok(())
    }

    /// The same, by the command that has the right to, where there is one.
    async fn have_put_up(&self) -> Result<(), Refused> {
        match &self.reach.command {
            Some(command) => command.run().await.map_err(|error| tables::refused(&command.to_string(), error)),
            None => self.put_up().await,
        }
    }

    /// Takes them down.
    pub async fn take_down(&self) -> Result<(), Refused> {
        for (protocol, rules) in self.rules() {
            if protocol.is_spoken() {
                tables::take_down(protocol, &rules).await?;
            }
        }
        Ok(())
    }
}

impl Fence {
    /// Puts the walls up as far as that is wanted and may be done. An error only where the operator was promised what can't be kept.
    pub async fn around(plan: Plan) -> Result<Self, Refused> {
        let strict = plan.reach.is_promised();
        let fence = Self { plan, trouble: Mutex::default() };
        match fence.look_after().await {
            Err(refused) if strict => Err(refused),
            _ => Ok(fence),
        }
    }

    /// Looks after the walls for ever.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            // Told by what it notes.
            _ = self.look_after().await;
        }
    }

    /// What is not kept from whom, if so.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look_after(&self) -> Result<(), Refused> {
        let outcome = match self.plan.reach.firewall {
            Firewall::Off => {
                return self.note(
                    Some("FIREWALL is off: the service keeps previews and builds from nothing".to_owned()),
                    Ok(()),
                );
            }
            Firewall::All | Firewall::Previews => self.plan.have_put_up().await,
        };
        let trouble = match (&outcome, self.plan.reach.firewall) {
            (Err(refused), _) => Some(format!(
                "the firewall can't be set ({refused}), so previews and builds may reach this machine's own services, cloud \
                 metadata and private networks: give the service CAP_NET_ADMIN or a FIREWALL_COMMAND, or have root run `preview \
                 firewall | sh` at each start of the machine and set FIREWALL=off"
            )),
            (Ok(()), Firewall::Previews) => Some(
                "FIREWALL is `previews`: build steps may reach this machine's own services and private networks"
                    .to_owned(),
            ),
            (Ok(()), _) => None,
        };
        self.note(trouble, outcome)
    }

    /// Writes down how it stands, and tells it when it has changed.
    fn note(&self, trouble: Option<String>, outcome: Result<(), Refused>) -> Result<(), Refused> {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != trouble {
            match &trouble {
                Some(trouble) => tracing::warn!("{trouble}"),
                None => tracing::info!("the firewall stands again"),
            }
            *known = trouble;
        }
        outcome
    }
}

/// The name servers in such files that a container can ask: IPv4, and not the machine's own loopback.
fn resolvers(files: impl Iterator<Item = String>) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for text in files {
        let named = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let servers =
            named.filter(|(word, _)| *word == "nameserver").filter_map(|(_, address)| address.trim().parse().ok());
        for server in servers {
            match server {
                IpAddr::V4(address) if !address.is_loopback() && !found.contains(&address) => found.push(address),
                _ => {}
            }
        }
    }
    if found.is_empty() { DOCKERS_RESOLVERS.to_vec() } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_those_that_a_container_can_ask() {
        let files = |texts: &[&str]| resolvers(texts.iter().map(|text| (*text).to_owned()));
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert_eq!(files(&["# x\nnameserver 127.0.0.53\n", "nameserver 10.0.0.2\n"]), [address("10.0.0.2")]);
        assert_eq!(files(&["nameserver 10.0.0.2\nnameserver\t10.0.0.3 \n", "nameserver 10.0.0.2\n"]).len(), 2);
        for none in ["", "nameserver ::1\n", "search x\nnameserver 127.0.0.1\n", "nameserver 1.1.1.1; rm\n"] {
            assert_eq!(files(&[none]), DOCKERS_RESOLVERS, "{none:?}");
        }
    }
}
