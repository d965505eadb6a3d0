//! DNS, as far as it leads to a server: which record is wanted, and where its name leads now.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the standard library puts in front of each failure.
const FAILED: &str = "failed to lookup address information: ";

/// The addresses of a name, or why there are none.
pub(crate) async fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = timeout(PATIENCE, lookup_host((name, 0))).await.map_err(|_| "no name server answers".to_owned())?;
    let found = found.map_err(|error| error.to_string().replace(FAILED, ""))?;
    let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The addresses of this machine by which it reaches the internet and the internet may reach it; none behind a router that translates.
fn of_this_machine() -> Vec<IpAddr> {
    // Connecting such a socket sends nothing: it finds the way, and with it our end. Source of both addresses: RFC 5737, RFC 3849.
    let ways = [("0.0.0.0:0", "198.51.100.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let ends = ways.iter().filter_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    ends.filter(is_of_the_internet).collect()
}

/// The addresses of this machine to which names have to lead: one that is said takes the place of its kind.
pub(crate) fn of_this_server(said: Option<IpAddr>) -> Vec<IpAddr> {
    let other = |own: &IpAddr| said.is_none_or(|said| said.is_ipv4() != own.is_ipv4());
    said.into_iter().chain(of_this_machine().into_iter().filter(other)).collect()
}

fn is_of_the_internet(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || is_shared)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            let is_local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
            !(is_local || v6.is_loopback() || v6.is_unspecified())
        }
    }
}

/// A record that has to lead to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// A host, or `*.` and a domain.
    pub(crate) name: String,
    /// The server's addresses, as far as they are known.
    pub(crate) server: Vec<IpAddr>,
    /// Where the name leads now.
    pub(crate) found: Result<Vec<IpAddr>, String>,
}

impl Record {
    /// The name of the record by which a host is found: previews have theirs by one for all names below the domain.
    pub(crate) fn name_for(host: &str) -> String {
        match host.split_once('.') {
            Some((label, domain)) if is_preview(label) => format!("*.{domain}"),
            _ => host.to_owned(),
        }
    }

    /// The record of the host of an address, if it is a name that others look up.
    pub(crate) async fn of_host(host: &str, server: &[IpAddr]) -> Option<Self> {
        let is_a_name = host.contains('.') && host.trim_matches(['[', ']']).parse::<IpAddr>().is_err();
        if is_a_name { Some(Self::look(host, server).await) } else { None }
    }

    /// Looks where the name leads now.
    pub(crate) async fn look(name: &str, server: &[IpAddr]) -> Self {
        let found = match name.strip_prefix("*.") {
            Some(domain) => addresses(&below(domain)).await,
            None => addresses(name).await,
        };
        Self { name: name.to_owned(), server: server.to_vec(), found }
    }

    /// Whether it leads to the server, and nowhere else.
    pub(crate) fn is_right(&self) -> bool {
        self.found.as_ref().is_ok_and(|found| !found.is_empty() && found.iter().all(|to| self.server.contains(to)))
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> String {
        let (what, now) = match &self.found {
            Ok(found) if !found.is_empty() => ("let the DNS record be", format!("the name leads to {}", list(found))),
            Ok(_) => ("add the DNS record", "the name has no address".to_owned()),
            Err(why) => ("add the DNS record", format!("the name has no address ({why})")),
        };
        let Some(wanted) = self.wanted() else {
            let line = format!("`{} A` with the server's address on the internet", self.name);
            return format!("{what} {line}; seen from here, {now}");
        };
        let found = self.found.as_deref().unwrap_or_default();
        let (right, wrong): (Vec<IpAddr>, Vec<IpAddr>) = found.iter().partition(|to| self.server.contains(to));
        if right.is_empty() {
            return format!("{what} `{}`; seen from here, {now}", self.line(wanted));
        }
        let there = format!("the DNS record `{}` is there, seen from here", self.line(right[0]));
        match wrong.as_slice() {
            [] => format!("{there}; give it some minutes to be seen everywhere"),
            wrong => {
                let lines: Vec<String> = wrong.iter().map(|to| format!("`{}`", self.line(*to))).collect();
                format!("{there}, and {} beside it, which leads elsewhere: take that away", lines.join(", "))
            }
        }
    }

    /// The address that it should have: one of the fourth version, where there is one, since not everybody has the sixth.
    fn wanted(&self) -> Option<IpAddr> {
        self.server.iter().find(|address| address.is_ipv4()).or(self.server.first()).copied()
    }

    /// As it stands in a zone.
    fn line(&self, to: IpAddr) -> String {
        format!("{} {} {to}", self.name, if to.is_ipv4() { "A" } else { "AAAA" })
    }
}

/// Whether a name's first part is a preview's, `pr-12-my-org-my-app`, or stands for all of them.
fn is_preview(label: &str) -> bool {
    label == "*" || label.strip_prefix("pr-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A name below a domain that no preview has: a pull request's number is never 0.
pub(crate) fn below(domain: &str) -> String {
    format!("pr-0-doctor.{domain}")
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn record(name: &str, server: &[&str], found: Result<&[&str], &str>) -> Record {
        Record { name: name.to_owned(), server: ips(server), found: found.map(ips).map_err(str::to_owned) }
    }

    #[test]
    fn the_record_that_is_wanted_is_told_by_type_name_and_address_and_where_it_leads_now() {
        const NAME: &str = "previews.example.com";
        const NOBODY: Result<&[&str], &str> = Err("Name or service not known");
        let server = ["203.0.113.7", "2001:db8::7"];
        let both = record(NAME, &server, Ok(&server));
        let cases = [
            record(NAME, &server, NOBODY),
            record("*.previews.example.com", &server, NOBODY),
            record(NAME, &server, Ok(&["198.51.100.1", "2001:db8::9"])),
            record(NAME, &server[..1], Ok(&["203.0.113.7", "2001:db8::9"])),
            record(NAME, &["2001:db8::7"], Ok(&[])),
            record(NAME, &[], Ok(&["198.51.100.1"])),
            both.clone(),
        ];
        assert!(both.is_right() && cases[..6].iter().all(|case| !case.is_right()));
        let told: Vec<String> = cases.iter().map(Record::advice).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn previews_are_found_by_one_record_for_all_of_them() {
        for (host, name) in [
            ("previews.example.com", "previews.example.com"),
            ("pr-12-my-org-my-app.previews.example.com", "*.previews.example.com"),
            ("*.previews.example.com", "*.previews.example.com"),
        ] {
            assert_eq!(Record::name_for(host), name);
        }
    }

    #[test]
    fn an_address_of_this_machine_that_nobody_outside_reaches_is_none_to_tell() {
        for (address, is_told) in [
            ("203.0.113.7", true),
            ("10.0.0.5", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("2a01:4f8::7", true),
            ("fd00::7", false),
            ("fe80::7", false),
        ] {
            assert_eq!(is_of_the_internet(&address.parse().unwrap()), is_told, "{address}");
        }
        assert!(of_this_machine().iter().all(is_of_the_internet));
        assert_eq!(of_this_server(None), of_this_machine());
        let said = ips(&["203.0.113.8"])[0];
        let server = of_this_server(Some(said));
        assert!(server[0] == said && server[1..].iter().all(IpAddr::is_ipv6), "{server:?}");
    }

    #[tokio::test]
    async fn a_name_is_looked_up() {
        let here = Record::look("localhost", &ips(&["127.0.0.1", "::1"])).await;
        assert!(here.is_right() && here.found.unwrap()[0] == ips(&["127.0.0.1"])[0]);
        let nowhere = Record::look("*.nothing.invalid", &[]).await;
        assert!(nowhere.found.is_err_and(|why| !why.contains("failed to lookup")));
    }
}
