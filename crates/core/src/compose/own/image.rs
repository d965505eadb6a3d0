//! Images that a Compose file may name.

use std::str::FromStr;

use super::Unfit;
use super::names::word;

/// An image of a registry, with a tag or digest.
///
/// Never without: the engine takes a bare word of hexadecimal digits for the number of any image that it has. Never by a
/// name of ours: those are other previews' images. Never from an address or a host without a dot: the engine would ask on the
/// server's own network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    registry: Option<String>,
    /// Path with tag and digest.
    rest: String,
    /// The last part of the path, for an image of the official library.
    official: Option<String>,
}

/// Users of official images that can do their work without ever having been root.
///
/// Source: the Dockerfiles at <https://github.com/docker-library>; by name, since Debian's and Alpine's variants number them
/// differently.
const OFFICIAL_USERS: [(&str, &str); 8] = [
    ("mariadb", "mysql"),
    ("memcached", "memcache"),
    ("mongo", "mongodb"),
    ("mysql", "mysql"),
    ("postgres", "postgres"),
    ("rabbitmq", "rabbitmq"),
    ("redis", "redis"),
    ("valkey", "valkey"),
];

impl ImageName {
    /// The full reference, from below `prefix` where it names no registry of its own.
    pub fn reference(&self, prefix: Option<&str>) -> String {
        match self.registry.as_deref().or(prefix) {
            Some(registry) => format!("{registry}/{}", self.rest),
            None => self.rest.clone(),
        }
    }

    /// The Dockerfile that makes it ours: under our name and with our labels, it is treated, and goes, as one that was built here.
    pub fn dockerfile(&self, prefix: Option<&str>) -> String {
        format!("FROM {}\n", self.reference(prefix))
    }

    /// Who its process is when the file doesn't say: an unprivileged user that is known to do.
    pub fn usual_user(&self) -> Option<&'static str> {
        let name = self.official.as_deref()?;
        OFFICIAL_USERS.iter().find(|(image, _)| *image == name).map(|(_, user)| *user)
    }
}

impl FromStr for ImageName {
    type Err = Unfit;
    fn from_str(text: &str) -> Result<Self, Unfit> {
        const ODD: Unfit =
            Unfit("this is no name of an image", "write it such as `redis:7` or `registry.example.com/owner/name:tag`");
        const FOREIGN: Unfit = Unfit(
            "the registry must be a public host name with a dot",
            "use an image of Docker Hub or of a registry with a name",
        );
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match name[slash..].split_once(':') {
            Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
            None => (name, None),
        };
        let (registry, path) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
            _ => (None, path),
        };
        let part = |part: &str| word(part, b"_.-", 100) && !part.bytes().any(|b| b.is_ascii_uppercase());
        let hex = |digest: &str| {
            let digits = digest.strip_prefix("sha256:");
            digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let shaped = text.len() <= 300
            && path.split('/').all(part)
            && tag.is_none_or(|tag| word(tag, b"_.-", 128))
            && digest.is_none_or(hex);
        if !shaped || path == "sha256" {
            return Err(ODD);
        }
        if registry.is_some_and(|host| !is_public(host)) {
            return Err(FOREIGN);
        }
        let hub = registry.is_none_or(|host| ["docker.io", "index.docker.io"].contains(&host));
        let library = path.strip_prefix("library/").unwrap_or(path);
        if path.split('/').any(|part| part == crate::compose::IMAGES) {
            return Err(Unfit("images of that name belong to previews", "use `build`, or an image of a registry"));
        }
        let tag = match (tag, digest) {
            (Some(tag), _) => format!(":{tag}"),
            (None, None) => ":latest".to_owned(),
            (None, Some(_)) => String::new(),
        };
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        Ok(Self {
            registry: registry.filter(|_| !hub).map(str::to_owned),
            rest: format!("{path}{tag}{digest}"),
            official: (hub && !library.contains('/')).then(|| library.to_owned()),
        })
    }
}

/// Whether a registry's host may be one of the internet. An address, or a name of one label, is the server's neighbourhood.
fn is_public(host: &str) -> bool {
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let labels: Vec<&str> = host.split('.').collect();
    let label = |label: &&str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(label)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && !["internal", "local", "localhost", "localdomain", "lan", "home", "arpa"].contains(&last)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
