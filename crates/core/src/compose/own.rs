//! What a repository's own Compose file may say, as our model: the words that there are, and no others.
//!
//! Every type is valid once parsed. There is no word here for a path of the host, a namespace, a capability, a device or an address,
//! so nothing that is made of these values can name one.

mod image;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::framework::{Files, ReadFileError};
use crate::repo_config::{ContainerPort, EnvName, EnvVars, RelativePath, values};

pub use image::ImageName;
pub use names::{InsidePath, OwnName, SignalName, StageName, UserName, VolumeName};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "docker-compose.preview.yml";
/// Most services of a file, the app among them.
pub const MAX_SERVICES: usize = 8;
/// Most `env_file`s of a service.
pub const MAX_ENV_FILES: usize = 16;
/// Largest `env_file`, in bytes. No program can be started with as many variables.
const MAX_ENV_BYTES: usize = 256 * 1024;

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
    /// Where its image comes from. One of a registry is asked for anew with each commit: its tag may have moved.
    pub origin: Origin,
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

/// Why the variables of an `env_file` were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvFileError {
    /// It was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// It isn't there.
    #[error("there is no `{0}`, which `{FILE_NAME}` names as `env_file`; add it, or say `required: false`")]
    Missing(RelativePath),
    /// It isn't there, and another file names it.
    #[error("there is no `{path}`, which `{named_by}` names as `env_file`")]
    MissingOf {
        /// Where it should be.
        path: RelativePath,
        /// The file that names it.
        named_by: &'static str,
    },
    /// It is too large.
    #[error("`{0}` has more than {MAX_ENV_BYTES} bytes, which is too large for an `env_file`")]
    TooLarge(RelativePath),
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
pub(crate) fn read_env_file(path: &RelativePath, text: &str, env: &mut EnvVars) -> Result<(), EnvFileError> {
    if text.len() > MAX_ENV_BYTES {
        return Err(EnvFileError::TooLarge(path.clone()));
    }
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
