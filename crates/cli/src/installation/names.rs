//! The words of the file as types. A value of them can be put into an argument vector, a file name or an address without another
//! check: none begins with a hyphen, none has a space or a control character.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// What a word has to be, as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct Expected(&'static str);

/// A type that is a text which fits a rule.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $rule:path, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = Expected;
            fn from_str(text: &str) -> Result<Self, Expected> {
                if $rule(text) { Ok(Self(text.to_owned())) } else { Err(Expected($expected)) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// What everything that is made at a provider is called.
    ProjectName,
    is_project,
    "at most 40 lower-case letters, digits and hyphens, with a letter first and no hyphen last"
);
word!(
    /// Where a droplet is, as DigitalOcean calls it.
    Region,
    is_region,
    "one of DigitalOcean's regions, like `fra1` or `nyc3`"
);
word!(
    /// How large a droplet is, as DigitalOcean calls it.
    Size,
    is_size,
    "one of DigitalOcean's sizes, like `s-1vcpu-2gb`"
);
word!(
    /// The name that leads to the server, and below which previews may have names of their own.
    Domain,
    is_domain,
    "a domain like previews.example.com, in lower case, without scheme, port or `*.`"
);
word!(
    /// A range of addresses.
    Range,
    is_range,
    "a range of addresses, like 203.0.113.0/24"
);

// These four say what the variables of terraform/digitalocean say.

fn is_project(text: &str) -> bool {
    let label = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    label && text.len() <= 40 && text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-')
}

fn is_region(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 4 && bytes[..3].iter().all(u8::is_ascii_lowercase) && bytes[3].is_ascii_digit()
}

fn is_size(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
    };
    text.len() <= 60 && text.contains('-') && !text.starts_with('.') && text.split('-').all(part)
}

fn is_range(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = text.rsplit('.').next().unwrap_or_default();
    // One label in front, of up to 63 characters and a dot, must still fit into 253.
    text.len() <= 189
        && text.contains('.')
        && text.split('.').all(label)
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_lowercase())
}

impl Domain {
    /// Whether it is the other or a name below it.
    pub(crate) fn is_in(&self, zone: &Self) -> bool {
        self == zone || self.0.strip_suffix(&zone.0).is_some_and(|host| host.ends_with('.'))
    }
}

/// Where SSH goes: `user@host`, with `:port` where it isn't 22.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    user: String,
    host: String,
    port: u16,
}

/// The port of SSH.
const SSH: u16 = 22;

impl Destination {
    /// A user of a server with this address.
    pub(crate) fn of(user: &str, address: IpAddr) -> Result<Self, Expected> {
        match address {
            IpAddr::V4(address) => format!("{user}@{address}").parse(),
            IpAddr::V6(address) => format!("{user}@[{address}]").parse(),
        }
    }

    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// A name or an address; IPv6 without its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What `ssh` takes as its destination; the port goes beside it.
    pub(crate) fn login(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

impl FromStr for Destination {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let wrong = Expected("user@address, like root@203.0.113.7");
        let (user, rest) = text.split_once('@').ok_or(wrong)?;
        let (host, port) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(bracketed) => {
                let (host, port) = bracketed.ok_or(wrong)?;
                (host, port.strip_prefix(':').or((!port.is_empty()).then_some("")))
            }
            None if rest.parse::<Ipv6Addr>().is_ok() => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(SSH), str::parse).ok().filter(|port| *port != 0).ok_or(wrong)?;
        if is_user(user) && is_host(host) {
            Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
        } else {
            Err(wrong)
        }
    }
}

fn is_user(text: &str) -> bool {
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    (1..=32).contains(&text.len()) && rest && !text.starts_with(['-', '.'])
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let inside = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        !label.is_empty() && inside && !label.starts_with('-')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, host) = (&self.user, &self.host);
        match (host.contains(':'), self.port) {
            (true, SSH) => write!(f, "{user}@[{host}]"),
            (true, port) => write!(f, "{user}@[{host}]:{port}"),
            (false, SSH) => write!(f, "{user}@{host}"),
            (false, port) => write!(f, "{user}@{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_with_and_without_port() {
        for (text, login, port) in [
            ("root@203.0.113.7", "root@203.0.113.7", 22),
            ("me@server.example.com:2222", "me@server.example.com", 2222),
            ("root@2001:db8::7", "root@2001:db8::7", 22),
            ("root@[2001:db8::7]:2222", "root@2001:db8::7", 2222),
        ] {
            let read: Destination = text.parse().unwrap();
            assert_eq!((read.login().as_str(), read.port()), (login, port));
            assert_eq!(read.to_string().parse::<Destination>().unwrap(), read);
        }
    }

    #[test]
    fn no_destination_is_an_option_or_a_command() {
        for text in [
            "203.0.113.7",
            "-oProxyCommand=x@host",
            "root@-oProxyCommand=x",
            "root@host;id",
            "root@a b",
            "root@",
            "@host",
            "root@host:0",
            "root@host:x",
            "root@[::1]x",
            "root@[::1",
            "root@host:22:22",
            "ro ot@host",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_word_has_its_rule() {
        for (good, bad) in [("preview-deployer", "Preview"), ("a", "-a"), ("a1", "a-"), ("x", "")] {
            assert!(good.parse::<ProjectName>().is_ok() && bad.parse::<ProjectName>().is_err(), "{good} {bad}");
        }
        assert!("fra1".parse::<Region>().is_ok() && "frankfurt".parse::<Region>().is_err());
        assert!("s-1vcpu-2gb".parse::<Size>().is_ok() && "c-2".parse::<Size>().is_ok());
        assert!("-s".parse::<Size>().is_err() && "large".parse::<Size>().is_err());
        for good in ["0.0.0.0/0", "::/0", "203.0.113.0/24"] {
            assert!(good.parse::<Range>().is_ok(), "{good}");
        }
        for bad in ["203.0.113.0", "1.2.3.4/33", "::/129", "1.2.3.4/+1", "x/8"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
        for bad in ["example", "https://example.com", "*.example.com", "Example.com", "1.2.3.4", "a..com"] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
        let domain = |text: &str| text.parse::<Domain>().unwrap();
        assert!(domain("a.example.com").is_in(&domain("example.com")));
        assert!(!domain("badexample.com").is_in(&domain("example.com")));
    }
}
