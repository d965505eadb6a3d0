//! What previews and builds may reach, as the text of a firewall's rules.
//!
//! A bridge network keeps containers of different networks apart and nothing else from them: the host's own services, on every address
//! that the host has, the metadata service of a cloud (169.254.169.254), and whatever else the host can reach. So what a
//! preview sends is looked at where it would leave its network (Docker's own chain `DOCKER-USER`, or `FORWARD`), and where it
//! would arrive at the host (`INPUT`). Rules of ours only ever refuse or hand on; they open nothing that others closed.
//!
//! Docker takes what leads into its chains away for some milliseconds whenever it makes a network, and with it both our rules and its
//! own between networks. So what leaves a network is looked at once more by the same rules where Docker never is: in the table
//! `security`, which the kernel asks after `filter`. In rest nothing is left for it: the first look has answered already.
//!
//! A preview is known by its source address, a stranger's by the name of its bridge ([`bridge_name`]), all of an installation in
//! the same fixed set of rules. So nothing of ours has to be changed when a preview comes or goes. IPv6 is refused to them altogether:
//! their networks have none.
//!
//! Source: <https://docs.docker.com/engine/network/packet-filtering-firewalls/>

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::ids::InstanceId;
use crate::subnets::Subnet;
use crate::trust::{ByTrust, Trust};

/// Networks that are nobody's on the internet: private, link-local (with the clouds' metadata), carriers' own, reserved.
///
/// Source: <https://www.iana.org/assignments/iana-ipv4-special-registry/>
const INSIDE: [&str; 11] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Whether an address is nobody's on the internet: of version 6 all but what is routed there, and what carries one of version 4 by that.
///
/// Source: <https://www.iana.org/assignments/iana-ipv6-special-registry/>
pub fn is_inside(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V4(address) => return is_inside_v4(address),
        IpAddr::V6(address) => address,
    };
    let low = Ipv4Addr::from_bits(u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap_or_default());
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_inside_v4(low),
        [first, ..] => !(0x2000..0x4000).contains(&first),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let covers = |range: &str| {
        let (base, prefix) = range.split_once('/')?;
        let (base, prefix): (Ipv4Addr, u32) = (base.parse().ok()?, prefix.parse().ok()?);
        let mask = u32::MAX.checked_shl(32 - prefix)?;
        Some(base.to_bits() & mask == address.to_bits() & mask)
    };
    INSIDE.into_iter().any(|range| covers(range) == Some(true))
}

/// The port of name servers.
const DNS: u16 = 53;

/// Whether the internet may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// It may.
    Allow,
    /// Nothing but what is allowed by name, and the host's name servers.
    Deny,
}

/// An address or a range of addresses, maybe with a port, that may be reached in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    base: Ipv4Addr,
    prefix: u8,
    port: Option<u16>,
}

/// Why a text is not an [`Allowed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowed {
    /// It has another form.
    #[error("expected IPv4 addresses or ranges, each with a port if wanted, like 10.0.0.5:5432 or 192.0.2.0/24")]
    Form,
    /// Bits are set behind the prefix: a mistake in one of the two.
    #[error("the range {0} begins at another address: did you mean {1}?")]
    NotWhole(String, String),
}

impl FromStr for Allowed {
    type Err = InvalidAllowed;
    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let (range, port) = match text.split_once(':') {
            Some((range, port)) => {
                let port = digits(port).and_then(|port| port.parse().ok()).filter(|port| *port > 0);
                (range, Some(port.ok_or(InvalidAllowed::Form)?))
            }
            None => (text, None),
        };
        let (base, prefix) = range.split_once('/').unwrap_or((range, "32"));
        let base: Ipv4Addr = base.parse().map_err(|_| InvalidAllowed::Form)?;
        let prefix = digits(prefix).and_then(|prefix| prefix.parse().ok()).filter(|prefix| *prefix <= 32);
        let prefix: u8 = prefix.ok_or(InvalidAllowed::Form)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let whole = Ipv4Addr::from_bits(base.to_bits() & mask);
        if whole != base {
            return Err(InvalidAllowed::NotWhole(range.to_owned(), format!("{whole}/{prefix}")));
        }
        Ok(Self { base, prefix, port })
    }
}

/// A number's text: what Rust parses may also begin with `+`.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(text)
}

impl Allowed {
    /// The rules' conditions that fit it: without a port one, with a port one for each protocol that has ports.
    fn conditions(&self) -> Vec<String> {
        let Self { base, prefix, port } = self;
        match port {
            None => vec![format!("-d {base}/{prefix}")],
            Some(port) => {
                ["udp", "tcp"].map(|protocol| format!("-d {base}/{prefix} -p {protocol} --dport {port}")).to_vec()
            }
        }
    }
}

/// The name of a preview's bridge: the installation and its trust, for rules to go by, and its addresses, which are its alone.
///
/// An interface's name has 15 characters at most. Docker's own bridges are called `br-` and 12 hexadecimal digits: none
/// has an `m` or an `s`.
pub fn bridge_name(instance: &InstanceId, trust: Trust, network: Subnet) -> String {
    format!("{}{:07x}", bridge_prefix(instance, trust), network.base().to_bits() >> 4)
}

/// What the names of all bridges of this trust begin with.
fn bridge_prefix(instance: &InstanceId, trust: Trust) -> String {
    let letter = match trust {
        Trust::Member => 'm',
        Trust::Stranger => 's',
    };
    let instance: String = instance.to_string().chars().take(4).collect();
    format!("br-{instance}{letter}")
}

/// All that the walls of an installation are made of.
#[derive(Debug, Clone)]
pub struct Walls {
    /// Whose they are: part of the chains' names.
    pub instance: InstanceId,
    /// Where previews' networks are.
    pub previews: Subnet,
    /// The engine's default bridge, where build steps run, if walls are to be around it too.
    pub builds: Option<String>,
    /// The host's name servers.
    pub resolvers: Vec<Ipv4Addr>,
    /// What may be reached in any case.
    pub allow: Vec<Allowed>,
    /// Whether running previews may reach the internet.
    pub egress: ByTrust<Egress>,
}

/// Rules for one of the two protocols, in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where they are.
    pub table: Table,
    /// For `iptables-restore --noflush`: our own chains, whole. Nobody else's chain is touched.
    pub chains: String,
    /// What leads into them. Each has to stand in the chain that it names, before anything that accepts.
    pub jumps: Vec<Jump>,
}

/// A rule in somebody else's chain, which leads into one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// Where it stands.
    pub from: Place,
    /// Condition and target, as words of `iptables`.
    pub rule: Vec<String>,
}

/// The tables that rules of ours are in.
///
/// Source of their order: `NF_IP_PRI_FILTER`, `NF_IP_PRI_SECURITY` in the kernel's `netfilter_ipv4.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The first look; it alone can answer with a refusal.
    Filter,
    /// The second, at what the first let pass.
    Security,
}

impl Table {
    /// Its name for `iptables`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Security => "security",
        }
    }

    /// What a rule does with a packet that may not pass. An answer where there can be one, so that an app's attempt fails at once
    /// instead of waiting for its own time limit.
    fn refusal(self) -> &'static str {
        match self {
            Self::Filter => "-j REJECT --reject-with icmp-admin-prohibited",
            Self::Security => "-j DROP",
        }
    }
}

/// The two places where packets are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What the host would pass on: in the table `filter` `DOCKER-USER` where there is one, else `FORWARD`.
    Forward,
    /// What is for the host itself.
    Input,
}

impl Walls {
    /// The rules for IPv4: the first look and the second.
    pub fn v4(&self) -> [Rules; 2] {
        let out = |table| (Place::Forward, self.out(table));
        let previews = format!("-s {}", self.previews);
        let sources: Vec<String> =
            [previews].into_iter().chain(self.builds.as_ref().map(|bridge| format!("-i {bridge}"))).collect();
        [
            self.rules(Table::Filter, &sources, &[out(Table::Filter), (Place::Input, self.host())]),
            self.rules(Table::Security, &sources, &[out(Table::Security)]),
        ]
    }

    /// The rules for IPv6: nothing for previews; for builds, whose bridge others share and may have given addresses, no more than the
    /// internet.
    pub fn v6(&self) -> Rules {
        let previews =
            [Trust::Member, Trust::Stranger].map(|trust| format!("-i {}+", bridge_prefix(&self.instance, trust)));
        let builds = self.builds.as_ref().map(|bridge| format!("-i {bridge}"));
        let sources: Vec<String> = previews.into_iter().chain(builds.clone()).collect();
        let chain = |free: &[&str]| -> Vec<String> {
            let free = builds.iter().flat_map(|from| free.iter().map(move |what| format!("{from} {what}")));
            free.chain(["-j REJECT".to_owned()]).collect()
        };
        let neighbours = self.builds.as_ref().map_or_else(String::new, |bridge| format!("-o {bridge} -j RETURN"));
        let out = chain(&[ANSWERS, &neighbours, "-d 2000::/3 -j RETURN"]);
        // How neighbours find each other's address is a part of IPv6.
        let host = chain(&[ANSWERS, "-p ipv6-icmp -j RETURN"]);
        self.rules(Table::Filter, &sources, &[(Place::Forward, out), (Place::Input, host)])
    }

    /// What may not be passed on to where it is meant for.
    fn out(&self, table: Table) -> Vec<String> {
        let (previews, refuse) = (self.previews, table.refusal());
        let mut rules = vec![ANSWERS.to_owned()];
        // From one preview's network to another's: what stays on its own bridge is passed on by that bridge alone.
        rules.push(format!("-s {previews} -d {previews} -m physdev ! --physdev-is-bridged {refuse}"));
        rules.extend(self.excepted());
        rules.push(format!("-s {previews} -d {previews} -j RETURN"));
        rules.extend(self.builds.iter().map(|bridge| format!("-i {bridge} -o {bridge} -j RETURN")));
        rules.extend(INSIDE.iter().map(|network| format!("-d {network} {refuse}")));
        let strangers = bridge_prefix(&self.instance, Trust::Stranger);
        if self.egress.stranger == Egress::Deny {
            rules.push(format!("-i {strangers}+ {refuse}"));
        }
        if self.egress.member == Egress::Deny {
            // By the other's name: networks of older versions have names of Docker's.
            rules.push(format!("-s {previews} ! -i {strangers}+ {refuse}"));
        }
        rules
    }

    /// What may not arrive at the host itself.
    fn host(&self) -> Vec<String> {
        let excepted = self.excepted();
        [ANSWERS.to_owned()].into_iter().chain(excepted).chain([Table::Filter.refusal().to_owned()]).collect()
    }

    /// Chains of ours with these rules, and what leads from these sources into them.
    fn rules(&self, table: Table, sources: &[String], places: &[(Place, Vec<String>)]) -> Rules {
        let names = places.iter().map(|(place, _)| format!(":{} - [0:0]\n", self.chain(*place)));
        let rules = places.iter().flat_map(|(place, rules)| {
            let chain = self.chain(*place);
            rules.iter().map(move |rule| format!("-A {chain} {rule}\n"))
        });
        let chains = format!("*{}\n{}{}COMMIT\n", table.name(), names.collect::<String>(), rules.collect::<String>());
        let to = |source: &String, from: Place| {
            let words = source.split(' ').map(str::to_owned);
            Jump { from, rule: words.chain(["-j".to_owned(), self.chain(from)]).collect() }
        };
        let jumps = sources.iter().flat_map(|source| places.iter().map(move |(place, _)| to(source, *place)));
        Rules { table, chains, jumps: jumps.collect() }
    }

    /// The names of our chains. A chain's name has 28 characters at most.
    pub fn chain(&self, place: Place) -> String {
        match place {
            Place::Forward => format!("PREVIEW-{}", self.instance),
            Place::Input => format!("PREVIEW-{}-HOST", self.instance),
        }
    }

    /// What may be reached in any case.
    fn excepted(&self) -> impl Iterator<Item = String> {
        let dns = self.resolvers.iter().map(|address| Allowed { base: *address, prefix: 32, port: Some(DNS) });
        dns.chain(self.allow.iter().copied())
            .flat_map(|allowed| allowed.conditions())
            .map(|condition| format!("{condition} -j RETURN"))
    }
}

/// Answers: without them, no published port and no visitor.
const ANSWERS: &str = "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN";

#[cfg(test)]
mod tests;
