//! The registries that a stranger's images may come from.
//!
//! Whoever asks a registry does what it says: where to get leave, and where the files are. The engine asks from the host's network, past
//! every wall, so a registry of a stranger's own would send it to the server's neighbourhood. Only known ones are asked.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Docker Hub, by the name that references give it.
pub const HUB: &str = "docker.io";
/// Public registries whose answers nobody but their makers writes.
pub const PUBLIC: &str =
    "docker.io, ghcr.io, quay.io, gcr.io, public.ecr.aws, registry.k8s.io, mcr.microsoft.com, registry.gitlab.com";

/// Registries by their hosts' names, with a port where they have one of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registries(BTreeSet<String>);

/// A text names no registries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected hosts of registries, separated by commas, such as `ghcr.io, registry.example.com:5000`")]
pub struct InvalidRegistries;

impl Registries {
    /// Whether this one is among them.
    pub fn contains(&self, registry: &str) -> bool {
        self.0.contains(registry)
    }
}

impl Default for Registries {
    fn default() -> Self {
        Self(PUBLIC.split(", ").map(str::to_owned).collect())
    }
}

impl FromStr for Registries {
    type Err = InvalidRegistries;

    fn from_str(text: &str) -> Result<Self, InvalidRegistries> {
        let hosts = text.split(',').map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty());
        let checked = hosts.map(|host| if is_registry(&host) { Ok(host) } else { Err(InvalidRegistries) });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        label.starts_with(|c: char| c.is_ascii_alphanumeric())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_read_by_their_hosts() {
        let read: Registries = "GHCR.io, registry.example.com:5000,,localhost:1".parse().unwrap();
        assert_eq!(read.to_string(), "ghcr.io, localhost:1, registry.example.com:5000");
        assert!(read.contains("ghcr.io") && !read.contains("ghcr.io:443") && !read.contains(HUB));
        assert_eq!("".parse::<Registries>().unwrap().to_string(), "", "none at all");
        assert_eq!(PUBLIC.parse(), Ok(Registries::default()));
        assert!(Registries::default().contains(HUB));
        for bad in ["https://ghcr.io", "ghcr.io/org", "a b", "x:", "x:0", "x:y", "-x", "x..y", "*.x.org"] {
            assert_eq!(bad.parse::<Registries>(), Err(InvalidRegistries), "{bad}");
        }
    }
}
