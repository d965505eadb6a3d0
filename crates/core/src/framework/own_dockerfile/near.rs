//! `ADD` from the server's own neighbourhood: the engine itself fetches, on the host's network and past every wall.
//!
//! Refused where it can be seen in the file. A name may lead anywhere: which ones there are is told, and whoever builds looks where they
//! lead ([`OwnDockerfile::hosts`](super::OwnDockerfile::hosts)). What an answer redirects to, nobody looks at.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::Instruction;
use super::variables::{Choice, UNTOLD, expand_by};
use crate::walls;

/// Names of the machine itself, and of what clouds and engines keep beside it.
const NAMES: [&str; 5] =
    ["ip6-localhost", "ip6-loopback", "host.docker.internal", "gateway.docker.internal", "metadata.google.internal"];
/// No name that can be looked up is longer.
const LONGEST_NAME: usize = 253;

/// A host that something is added from.
#[derive(Debug, Clone)]
pub(super) struct AddedFrom {
    pub(super) name: String,
    pub(super) line: usize,
}

impl Instruction {
    /// The hosts that it adds from, by the values of these variables.
    pub(super) fn hosts(&self, variables: &BTreeMap<String, String>) -> Vec<AddedFrom> {
        let mut hosts = Vec::new();
        for source in self.added() {
            let choices: &[Choice] =
                if source.contains("${") { &[Choice::Known, Choice::Word] } else { &[Choice::Known] };
            for text in choices.iter().map(|choice| expand_by(&source, variables, *choice)) {
                let name = if hides_host(&text) { Some(UNTOLD.to_string()) } else { host(&text).map(plain_name) };
                hosts.extend(name.map(|name| AddedFrom { name, line: self.line }));
            }
        }
        hosts
    }
}

/// Whether what can't be told may say from where it is.
fn hides_host(source: &str) -> bool {
    let Some((before, _)) = source.split_once(UNTOLD) else { return false };
    match before.split_once("://") {
        Some((_, rest)) => !rest.contains(['/', '?', '#']),
        // A path within a folder can't become an address any more.
        None => before.contains(':') || !before.contains('/'),
    }
}

fn plain_name(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl AddedFrom {
    /// Whether it can't be told what it is.
    pub(super) fn is_untold(&self) -> bool {
        self.name.contains(UNTOLD)
    }

    /// Whether it is an address that is nobody's on the internet, or this very machine by name.
    pub(super) fn is_near(&self) -> bool {
        is_near(&self.name)
    }

    /// Whether it is a name that can be looked up; an address leads where it says.
    pub(super) fn is_name(&self) -> bool {
        (1..=LONGEST_NAME).contains(&self.name.len()) && self.name.parse::<IpAddr>().is_err()
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

/// Whether it is an address that is nobody's on the internet, or this very machine by name.
pub(super) fn is_near(host: &str) -> bool {
    if let Some(address) = host.split('%').next().and_then(|host| host.parse::<Ipv6Addr>().ok()) {
        return walls::is_inside(address.into());
    }
    // Those who fetch write it in plain letters: a digit of another script is a digit to them.
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return true;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        // A number in another spelling (`127.1`, `0x7f000001`) is a resolver's to read, and nobody's to write.
        return host.parse().map_or(true, walls::is_inside);
    }
    ["localhost", "localdomain"].contains(&last) || NAMES.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::super::{BuiltWith, DockerfileError, OwnDockerfile};
    use crate::repo_config::EnvVars;

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
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/x",
            "http://127\u{3002}0\u{3002}0\u{3002}1/x",
            "http://127%2e0.0.1/x",
            "http://l\u{f3}calhost/x",
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
            "ADD http://${HOST-localhost}/x /x",
            "ENV X=x\nADD http://${X:+127.0.0.1}/x /x",
            "ENV X=x\nADD http://${X+127.0.0.1}/x /x",
            "ARG X=example.com\nARG X\nADD http://${X-127.0.0.1}/x /x",
            "ARG X=127.0.0.1\nARG X=example.com\nADD http://$X/x /x",
            "RUN <<EOF\nADD http://127.0.0.1/x /x\nEOF",
            "ARG HOST=127.0.0.1\nADD http://$HOST/x /x\nARG HOST=example.com",
            "ARG HOST=127.0.0.1\nADD http://$HOST/x /x\nFROM y\nARG HOST=example.com",
        ] {
            assert!(matches!(parse(lines), Err(DockerfileError::NearAdd(_))), "{lines}");
        }
    }

    #[test]
    fn what_is_added_from_where_nobody_can_tell_is_refused() {
        for lines in [
            "ADD http://${X+127.0.0.1}/x /x",
            "ADD http://${PATH:+127.0.0.1}/x /x",
            "ADD http://${X#y}/x /x",
            "ADD http://${X%y}:80/x /x",
            "ADD http://example${X/a/b}?x /x",
            "ADD ${X:?http://127.0.0.1/x} /x",
            "ADD ${X:-${Y}} /x",
            "ADD http:/${X%y} /x",
            "ADD http://${X /x",
            "ADD http://$1localhost/x /x",
            "ADD http://x$@localhost/x /x",
            "ENV A\u{e9}=http://127.0.0.1/x\nADD $A\u{e9} /x",
            "ARG A=${X%y}\nADD http://$A/x /x",
            "ADD [\"http://${X%y}/x\", \"/x\"]",
            "ONBUILD ADD http://${X%y}/x /x",
        ] {
            assert!(matches!(parse(lines), Err(DockerfileError::UntoldAdd(_))), "{lines}: {:?}", parse(lines));
        }
        for fine in [
            "ADD https://example.com/${X%y}.tar /x",
            "ADD files/${X#y} /x",
            "ARG X=example.com\nADD https://${X:-other.example.com}/x https://${X+y.example.com}/x /x",
        ] {
            assert_eq!(parse(fine), Ok(()), "{fine}");
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
    #[test]
    fn what_the_build_is_given_counts() {
        let text = "ARG HOST=example.com\nFROM x\nARG HOST\nARG OTHER\nADD http://$HOST/x http://$OTHER/y /\n";
        let parse = |args: [(&str, &str); 1]| {
            let mut given = EnvVars::default();
            for (name, value) in args {
                given.insert(name.parse().unwrap(), value.to_owned());
            }
            let with = BuiltWith { args: given, target: None };
            OwnDockerfile::parse_with(text, &with).map(|read| read.hosts().keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(parse([("HOST", "127.0.0.1")]), Err(DockerfileError::NearAdd(5)));
        assert_eq!(parse([("OTHER", "127.0.0.1")]), Err(DockerfileError::NearAdd(5)));
        assert_eq!(parse([("OTHER", "files.example.org")]).unwrap(), ["example.com", "files.example.org"]);
    }

    #[test]
    fn hosts_are_told_by_name_with_the_line_that_adds_from_them() {
        let text = "FROM x\nADD https://A.example.com./x git@git.example.org:a/b.git /x\nADD http://1.1.1.1/x /y\nRUN curl http://c\n\
                    ONBUILD ADD [\"http://b.example.com:80/x\", \"/x\"]\nADD https://a.example.com/y https://${UNKNOWN}/z /z\n";
        let read = OwnDockerfile::parse(text).unwrap();
        let hosts: Vec<_> = read.hosts().iter().map(|(host, line)| (host.as_str(), *line)).collect();
        assert_eq!(hosts, [("a.example.com", 2), ("b.example.com", 5), ("git.example.org", 2)]);
        let many: String = (0..21).map(|n| format!("ADD http://h{n}.example.com/x /x\n")).collect();
        assert_eq!(OwnDockerfile::parse(&format!("FROM x\n{many}")).unwrap_err(), DockerfileError::TooMuch);
    }
}
