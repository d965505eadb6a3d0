//! `ADD` from the server's own neighbourhood: the engine itself fetches, on the host's network and past every wall.
//!
//! Refused where it can be seen in the file. A name may lead anywhere, and so may what an answer redirects to: those are not looked at.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Instruction, expand};
use crate::walls;

/// Names of the machine itself, and of what clouds and engines keep beside it.
const NAMES: [&str; 5] =
    ["ip6-localhost", "ip6-loopback", "host.docker.internal", "gateway.docker.internal", "metadata.google.internal"];

impl Instruction {
    /// Whether it adds from an address that is nobody's on the internet, or from this very machine by name.
    pub(super) fn fetches_near(&self, escape: char, variables: &BTreeMap<String, String>) -> bool {
        self.added(escape).iter().any(|source| host(&expand(source, variables)).is_some_and(is_near))
    }
}

/// The host of an address: `http://user@host:1/path`, `git@host:path`.
fn host(source: &str) -> Option<&str> {
    let (rest, has_scheme) = source.split_once("://").map_or((source, false), |(_, rest)| (rest, true));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if !(has_scheme || user.is_some() && host.contains(':')) {
        return None;
    }
    match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next(),
        None => host.split(':').next(),
    }
}

fn is_near(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    if let Some(address) = host.split('%').next().and_then(|host| host.parse::<Ipv6Addr>().ok()) {
        return is_inside_v6(address);
    }
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        // A number in another spelling (`127.1`, `0x7f000001`) is a resolver's to read, and nobody's to write.
        return host.parse().map_or(true, walls::is_inside);
    }
    ["localhost", "localdomain"].contains(&last) || NAMES.contains(&host.as_str())
}

/// As for version 4: all but what is routed on the internet, and what carries an address of version 4 by that.
///
/// Source: <https://www.iana.org/assignments/iana-ipv6-special-registry/>
fn is_inside_v6(address: Ipv6Addr) -> bool {
    let low = Ipv4Addr::from_bits(u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap_or_default());
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => walls::is_inside(low),
        [first, ..] => !(0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DockerfileError, OwnDockerfile};

    fn parse(lines: &str) -> Result<(), DockerfileError> {
        OwnDockerfile::parse(&format!("FROM x\n{lines}\n")).map(drop)
    }

    #[test]
    fn what_is_added_from_the_servers_neighbourhood_is_refused() {
        for source in [
            "http://127.0.0.1:3000/api/previews",
            "HTTP://127.0.0.1/",
            "https://user:word@127.0.0.1/x",
            "http://a@b@127.0.0.1/x",
            "http://0.0.0.0:80/x",
            "http://10.1.2.3/x",
            "http://172.17.0.1:2375/x",
            "http://192.168.0.1?x",
            "http://100.64.0.1#x",
            "http://169.254.169.254/latest/meta-data",
            "http://127.1/x",
            "http://2130706433/x",
            "http://0x7f000001/x",
            "http://0177.0.0.1/x",
            "http://127.0.0.1.:80/x",
            "http://[::1]:3000/x",
            "http://[::]/x",
            "http://[::ffff:127.0.0.1]/x",
            "http://[::ffff:a9fe:a9fe]/x",
            "http://[64:ff9b::7f00:1]/x",
            "http://[fe80::1%eth0]/x",
            "http://[fd00:ec2::254]/x",
            "http://localhost:3000/x",
            "http://LocalHost./x",
            "http://api.localhost/x",
            "http://localhost.localdomain/x",
            "http://ip6-localhost/x",
            "http://host.docker.internal/x",
            "http://metadata.google.internal/x",
            "git://127.0.0.1/x.git",
            "ssh://git@127.0.0.1/x.git",
            "git@127.0.0.1:a/b.git",
            "h\\ttp://127.0.0.1/x",
            "\"http://127.0.0.1/x\"",
            "http://127.0.\\\n0.1/x",
        ] {
            let refused = parse(&format!("ADD {source} /x"));
            assert_eq!(refused, Err(DockerfileError::NearAdd(2)), "{source}");
        }
        for lines in [
            "ADD [\"http://127.0.0.1/x\", \"/x\"]",
            "ADD --chown=1:1 fine http://127.0.0.1/x /x",
            "ONBUILD ADD http://127.0.0.1/x /x",
            "ARG HOST=127.0.0.1\nADD http://$HOST:3000/x /x",
            "ENV HOST 127.0.0.1\nADD http://${HOST}/x /x",
            "ARG A=http://local\nARG B=host\nADD ${A}${B}/x /x",
            "ADD http://${HOST:-localhost}/x /x",
            "RUN <<EOF\nADD http://127.0.0.1/x /x\nEOF",
        ] {
            assert!(matches!(parse(lines), Err(DockerfileError::NearAdd(_))), "{lines}");
        }
    }

    #[test]
    fn what_is_added_from_the_internet_is_not() {
        for source in [
            "https://github.com/a/b/releases/download/v1/b.tar.gz",
            "http://1.1.1.1/x",
            "http://[2606:4700::1111]:80/x",
            "http://[::ffff:1.1.1.1]/x",
            "https://${MIRROR}/x",
            "https://${NAME}.example.com/x",
            "https://localhost.example.com/x",
            "https://example.com/localhost/127.0.0.1",
            "git@github.com:a/b.git",
            "localhost",
            "127.0.0.1/x",
            "mail@localhost",
        ] {
            assert_eq!(parse(&format!("ADD {source} /x")), Ok(()), "{source}");
        }
        assert_eq!(parse("RUN curl http://127.0.0.1/\nENV URL=http://localhost"), Ok(()));
    }
}
