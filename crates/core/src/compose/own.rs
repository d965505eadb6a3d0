//! What a repository's own Compose file may say, as our model: the words that there are, and no others.
//!
//! Every type is valid once parsed. There is no word here for a path of the host, a namespace, a capability, a device or an address,
//! so nothing that is made of these values can name one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::framework::{Files, ReadFileError};
use crate::repo_config::{ContainerPort, EnvName, EnvVars, RelativePath, values};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "docker-compose.preview.yml";
/// Most services of a file, the app among them.
pub const MAX_SERVICES: usize = 8;

/// Why a value is not taken, and what to write instead. Says nothing of the value itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit(pub(super) &'static str, pub(super) &'static str);

/// A repository's own Compose file, taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStack {
    /// The service that visitors reach; it has slots.
    pub app: OwnApp,
    /// The services beside it.
    pub services: BTreeMap<OwnName, OwnService>,
    /// The named volumes. They stay over updates.
    pub volumes: BTreeSet<VolumeName>,
}

/// The service that visitors reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnApp {
    /// Its name in the file, by which the others find it.
    pub name: OwnName,
    /// How its image is built.
    pub build: BuildSettings,
    /// Where the file says that it listens.
    pub port: Option<ContainerPort>,
    /// How its container runs.
    pub runtime: OwnContainer,
}

/// A service beside the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnService {
    /// Where its image comes from.
    pub origin: Origin,
    /// How its container runs.
    pub runtime: OwnContainer,
    /// How the engine learns that it is ready.
    pub health: Option<Health>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A registry.
    Image(ImageName),
    /// The commit.
    Build(BuildSettings),
}

/// How an image is built of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// The folder of the checkout that the build sees, `.` for all of it.
    pub context: RelativePath,
    /// The Dockerfile, relative to `context`.
    pub dockerfile: RelativePath,
    /// The stage to stop at; the last one without.
    pub target: Option<StageName>,
    /// Build arguments. Not for secrets: they stand on a command line and in the image's history.
    pub args: EnvVars,
}

impl BuildSettings {
    /// The Dockerfile's path from the root of the checkout.
    pub fn dockerfile_path(&self) -> String {
        match self.context.as_str() {
            "." => self.dockerfile.as_str().to_owned(),
            context => format!("{context}/{}", self.dockerfile.as_str()),
        }
    }
}

/// What any service may say of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnContainer {
    /// Instead of the image's command.
    pub command: Option<Command>,
    /// Instead of the image's entrypoint.
    pub entrypoint: Option<Command>,
    /// Variables.
    pub env: EnvVars,
    /// Files of the repository with more variables, which `env` overrides, the later the stronger.
    pub env_files: Vec<EnvFile>,
    /// What has to be up before.
    pub waits_for: BTreeMap<OwnName, Condition>,
    /// Where volumes appear.
    pub mounts: Vec<OwnMount>,
    /// Where the process starts.
    pub working_dir: Option<InsidePath>,
    /// Who the process is; never root.
    pub user: Option<UserName>,
    /// How long it may take to stop.
    pub stop_grace: Option<Duration>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<SignalName>,
    /// Whether its root file system is read-only.
    pub read_only: bool,
}

/// A command, in either of Compose's forms.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Command {
    /// One line, which Compose splits as a shell would.
    Line(String),
    /// Program and arguments.
    Words(Vec<String>),
}

/// A file of the repository with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it is.
    pub path: RelativePath,
    /// Whether it has to be there.
    pub required: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has been started.
    Started,
    /// Its health check succeeds.
    Healthy,
}

/// Where a volume appears in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMount {
    /// Which volume.
    pub volume: VolumeName,
    /// Where.
    pub target: InsidePath,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `CMD` or `CMD-SHELL` with what follows.
    pub test: Vec<String>,
    /// From one check to the next, [`Health::SHORTEST_INTERVAL`] at least.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// How long failures don't count at first.
    pub start_period: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

impl Health {
    /// Each check starts a process: a small server has better things to do than that each millisecond.
    pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);
}

/// Makes a text type: what is checked once and read as `&str`.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr, $unfit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Unfit;
            fn from_str(text: &str) -> Result<Self, Unfit> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err($unfit) }
            }
        }
    };
}

/// Letters, digits and these others, beginning with a letter or digit.
fn word(text: &str, others: &[u8], longest: usize) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

text_type!(
    /// The name of a volume within its file: a bare name, no path.
    VolumeName,
    |text| word(text, b"_.-", 60),
    Unfit("a volume is a bare name of this file, not a path of the server", "declare a name under the file's `volumes`")
);
text_type!(
    /// A stage of a Dockerfile.
    StageName,
    |text| word(text, b"_.-", 60),
    Unfit("a stage is named in letters, digits and `_ . -`", "name a stage of the Dockerfile")
);
text_type!(
    /// An absolute path within a container, outside of what the kernel shows there.
    InsidePath,
    |text| {
        let parts = || text.split('/').skip(1);
        let kernel = parts().next().is_some_and(|first| ["proc", "sys", "dev"].contains(&first));
        text.starts_with('/')
            && (2..=200).contains(&text.len())
            && !kernel
            && parts().all(|part| !part.is_empty() && part != "." && part != "..")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b))
    },
    Unfit(
        "a path in a container is absolute, without `..`, and not `/` or beneath `/proc`, `/sys`, `/dev`",
        "write it such as `/var/lib/data`"
    )
);
text_type!(
    /// A user of an image, or a number, with or without a group; not root.
    UserName,
    |text| {
        let (user, group) = text.split_once(':').unwrap_or((text, "0"));
        let name = |name: &str| {
            (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        let number_too_large = user.bytes().all(|b| b.is_ascii_digit()) && user.parse::<u32>().is_err();
        name(user) && name(group) && !number_too_large && !crate::framework::own_dockerfile::runs_as_root(user)
    },
    Unfit("no container runs as root", "name another user of the image, or a number such as `1000`")
);
text_type!(
    /// A signal by its name.
    SignalName,
    |text| {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        (2..=12).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'+')
            && name.starts_with(|c: char| c.is_ascii_uppercase())
    },
    Unfit("a signal goes by its name", "write it such as `SIGINT`")
);

/// The name of a service: a host name in the preview's network. Plain data, as [`super::ServiceName`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnName {
    /// Filled up with zeroes.
    bytes: [u8; Self::LONGEST],
}

impl OwnName {
    /// In bytes.
    pub const LONGEST: usize = 30;

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(Self::LONGEST);
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }
}

impl FromStr for OwnName {
    type Err = Unfit;
    fn from_str(text: &str) -> Result<Self, Unfit> {
        let fits = word(text, b"_-", Self::LONGEST) && !text.bytes().any(|b| b.is_ascii_uppercase());
        if !fits {
            return Err(Unfit(
                "a service is named in lower-case letters, digits, `-` and `_`, at most 30, beginning with no sign",
                "rename it",
            ));
        }
        let mut bytes = [0; Self::LONGEST];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }
}

impl fmt::Display for OwnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for OwnName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for OwnName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|Unfit(reason, _)| serde::de::Error::custom(reason))
    }
}

impl fmt::Debug for OwnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

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
        if path.split('/').any(|part| part == super::IMAGES) {
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

/// Why the variables of an `env_file` were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvFileError {
    /// It was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// It isn't there.
    #[error("there is no `{0}`, which `{FILE_NAME}` names as `env_file`; add it, or say `required: false`")]
    Missing(RelativePath),
    /// A line of it is none.
    #[error("`{path}`, line {line}: a line of an `env_file` must be `KEY=value`, a comment, or empty")]
    Line {
        /// Which file.
        path: RelativePath,
        /// From 1.
        line: usize,
    },
}

impl OwnContainer {
    /// The same with the variables of its files in it, and no file left to read.
    pub fn with_files_read(mut self, files: &dyn Files) -> Result<Self, EnvFileError> {
        let mut env = EnvVars::default();
        for file in std::mem::take(&mut self.env_files) {
            match files.read(file.path.as_str())? {
                Some(text) => read_env_file(&file.path, &text, &mut env)?,
                None if file.required => return Err(EnvFileError::Missing(file.path)),
                None => {}
            }
        }
        env.extend(self.env);
        Ok(Self { env, ..self })
    }
}

/// Takes up the lines of a file. A value in quotes loses them; nothing in it is replaced.
fn read_env_file(path: &RelativePath, text: &str, env: &mut EnvVars) -> Result<(), EnvFileError> {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let variable = line.strip_prefix("export ").unwrap_or(line).split_once('=').and_then(|(name, value)| {
            let value = value.trim();
            let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            let value = quoted.unwrap_or(value);
            values::env_value(value).ok()?;
            Some((name.trim().parse::<EnvName>().ok()?, value.to_owned()))
        });
        let (name, value) = variable.ok_or_else(|| EnvFileError::Line { path: path.clone(), line: index + 1 })?;
        env.insert(name, value);
    }
    Ok(())
}

impl OwnStack {
    /// The services that can be started when these have been built: no other is to be built, and none waits for one that isn't
    /// among them.
    pub fn services_with(&self, built: &BTreeSet<OwnName>) -> BTreeSet<OwnName> {
        let has_image = |(name, service): &(&OwnName, &OwnService)| {
            matches!(service.origin, Origin::Image(_)) || built.contains(name)
        };
        let mut there: BTreeSet<OwnName> = self.services.iter().filter(has_image).map(|(name, _)| *name).collect();
        loop {
            let waits_in_vain =
                |name: &OwnName| !self.services[name].runtime.waits_for.keys().all(|other| there.contains(other));
            let Some(lost) = there.iter().copied().find(waits_in_vain) else { return there };
            there.remove(&lost);
        }
    }

    /// How the services beside the app are built that are built.
    pub fn builds(&self) -> impl Iterator<Item = (OwnName, &BuildSettings)> {
        self.services.iter().filter_map(|(name, service)| match &service.origin {
            Origin::Build(build) => Some((*name, build)),
            Origin::Image(_) => None,
        })
    }

    /// The same with the variables of all files in it.
    pub fn with_files_read(self, files: &dyn Files) -> Result<Self, EnvFileError> {
        let app = OwnApp { runtime: self.app.runtime.with_files_read(files)?, ..self.app };
        let read = |(name, service): (OwnName, OwnService)| {
            Ok((name, OwnService { runtime: service.runtime.with_files_read(files)?, ..service }))
        };
        let services = self.services.into_iter().map(read).collect::<Result<_, EnvFileError>>()?;
        Ok(Self { app, services, ..self })
    }
}
