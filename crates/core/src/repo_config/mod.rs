//! `preview-config.yml`: what a repository says about its own preview.
//!
//! The file is optional and so is each of its keys: what isn't said is detected. It comes from a pull request and is hostile
//! until read: see [`values`] for what a value may be and `crate::yaml` for what YAML is accepted. All mistakes are told at once, each with
//! line and column; of the file's content a mistake repeats the offending key and nothing else.
//! What the keys are stands in `keys`, of which the schema and docs/CONFIGURATION.md are made.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::backing::{Backing, Database};
use crate::compose::own::{EnvFileError, MAX_ENV_FILES, read_env_file};
use crate::framework::{Files, Framework, ReadFileError};
use crate::secrets;
use crate::yaml::Place;

use keys::{Key, Lookup};
use read::{Entry, Variable};

mod image;
mod keys;
mod read;
mod schema;
mod steps;
pub mod values;

pub use image::ImageTemplate;
pub use keys::nearest;
pub use schema::{documentation, schema};
pub(crate) use steps::JSON;
pub use steps::{AppCommand, Migrate, OnPush, Resources, Seed, ShellLine};
pub use values::{ContainerPort, EnvName, EnvVars, HealthPath, InvalidValue, PythonObject, RelativePath};

/// The file's name, at the root of the repository.
pub const FILE_NAME: &str = "preview-config.yml";
/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Longest `health_check_timeout`, in seconds.
const MAX_HEALTH_TIMEOUT: u64 = 600;

/// What `preview-config.yml` says; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoConfig {
    /// How the app is built.
    pub framework: Option<Framework>,
    /// Which database it gets.
    pub database: Option<DatabaseChoice>,
    /// Which services it gets beside that; an empty list says that it gets none.
    pub extra_services: Option<BTreeSet<Backing>>,
    /// What is asked to learn whether the app is up.
    pub health_check_path: Option<HealthPath>,
    /// How long the app may take to become healthy.
    pub health_check_timeout: Option<Duration>,
    /// Where the app listens in its container.
    pub app_port: Option<ContainerPort>,
    /// Which variable tells it so.
    pub app_port_env: Option<EnvName>,
    /// What of the app is run.
    pub app_entrypoint: Option<RelativePath>,
    /// Which object of it, where it is Python.
    pub app_object: Option<PythonObject>,
    /// Variables of the repository's own; ours win over them.
    pub env: EnvVars,
    /// Files with more variables, later ones winning; `env` overrides them.
    pub env_files: Vec<RelativePath>,
    /// The repository's own Dockerfile.
    pub dockerfile: Option<RelativePath>,
    /// The folder that is the application; the other paths are relative to it.
    pub root: Option<RelativePath>,
    /// The image that the repository's own CI makes of each commit, instead of a build.
    pub image: Option<ImageTemplate>,
    /// What is run in the build, once the sources are there.
    pub build_commands: Vec<ShellLine>,
    /// What is run in the app's container before the app, each time it starts.
    pub startup_commands: Vec<ShellLine>,
    /// What is run once for each commit before it gets visitors.
    pub migrate: Option<Migrate>,
    /// What a new database is filled with.
    pub seed: Option<Seed>,
    /// What becomes of the database when a commit is pushed.
    pub on_push: OnPush,
    /// What the app's containers get, where that is less than the server would give.
    pub resources: Resources,
}

/// The value of `database`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseChoice {
    /// None is wanted, whatever the dependencies look like.
    Without,
    /// This one.
    Use(Database),
}

/// Why there is no [`RepoConfig`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The file was read, and this is wrong with it.
    #[error("`{FILE_NAME}` is not valid: {}", joined(.0))]
    Invalid(Vec<Mistake>),
}

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Mistake {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { line: place.line, column: place.column, message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

fn joined(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ")
}

impl RepoConfig {
    /// Reads the file from a checkout; without one, nothing is said.
    pub fn load(files: &dyn Files) -> Result<Self, ConfigError> {
        match files.read(FILE_NAME)? {
            Some(text) => Self::parse(&text),
            None => Ok(Self::default()),
        }
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let start = Place::START;
        if text.len() > MAX_BYTES {
            let message = format!("the file has more than {MAX_BYTES} bytes");
            return Err(ConfigError::Invalid(vec![Mistake::new(start, message)]));
        }
        let entries = read::entries(text).map_err(|mistake| ConfigError::Invalid(vec![mistake]))?;
        let mut config = Self::default();
        let mistakes: Vec<Mistake> = entries.into_iter().flat_map(|entry| config.take(entry)).collect();
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(mistakes)) }
    }

    /// The variables of its `env_file`s, read from the whole checkout; nothing in their values is replaced.
    ///
    /// A file that only the build makes, by `cp .env.example .env` among the `build_commands`, is read where it is copied from: whoever
    /// has both wants these variables.
    pub fn variables_of_files(&self, files: &dyn Files) -> Result<EnvVars, EnvFileError> {
        let mut env = EnvVars::default();
        for path in &self.env_files {
            let read = |path: &RelativePath| files.read(self.in_checkout(path).as_str());
            let text = match (read(path)?, self.copied_to(path)) {
                (None, Some(original)) => read(&original)?,
                (text, _) => text,
            };
            let missing = || EnvFileError::MissingOf { path: path.clone(), named_by: FILE_NAME };
            read_env_file(path, &text.ok_or_else(missing)?, &mut env)?;
        }
        Ok(env)
    }

    /// Where in the checkout a path of this file leads, which is relative to `root`.
    pub fn in_checkout(&self, path: &RelativePath) -> RelativePath {
        self.root.clone().unwrap_or_default().join(path)
    }

    /// What the last of the `build_commands` that makes this file copies.
    fn copied_to(&self, path: &RelativePath) -> Option<RelativePath> {
        self.build_commands.iter().rev().find_map(|command| {
            let (from, to) = command.copy()?;
            (to == *path).then_some(from)
        })
    }

    /// Takes an entry up and returns what is wrong with it.
    fn take(&mut self, entry: Entry) -> Vec<Mistake> {
        match entry {
            Entry::Scalar(key, place, text) => {
                let mistake = self.set(key, &text).err().map(|message| Mistake::new(place, message));
                mistake.into_iter().collect()
            }
            Entry::Names(names) => {
                self.extra_services.get_or_insert_default();
                let mistake = |(place, name): (Place, String)| Some(Mistake::new(place, self.add_extra(&name).err()?));
                names.into_iter().filter_map(mistake).collect()
            }
            Entry::List(key, place, texts) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                self.set_list(key, &texts).err().map(|message| Mistake::new(place, message)).into_iter().collect()
            }
            Entry::Resources(entries) => {
                let set = |(place, name, text): (Place, String, String)| {
                    self.resources.set(&name, &text).err().map(|message| Mistake::new(place, message))
                };
                entries.into_iter().filter_map(set).collect()
            }
            Entry::Env(variables) => variables.into_iter().filter_map(|variable| self.add_variable(variable)).collect(),
            Entry::Odd(place, name, meaning) => vec![Mistake::new(place, odd_key(&name, &meaning))],
        }
    }

    fn set(&mut self, key: Key, text: &str) -> Result<(), String> {
        fn parsed<T: std::str::FromStr<Err = InvalidValue>>(name: &str, text: &str) -> Result<Option<T>, String> {
            text.parse().map(Some).map_err(|rule| format!("`{name}` {rule}"))
        }
        match key {
            Key::Framework => {
                self.framework = Some(named("framework", keys::framework(text), keys::framework_names)?);
            }
            Key::Database => self.database = Some(named("database", keys::database(text), keys::database_names)?),
            Key::ExtraServices => self.add_extra(text)?,
            Key::HealthCheckPath => self.health_check_path = parsed("health_check_path", text)?,
            Key::HealthCheckTimeout => self.health_check_timeout = Some(health_timeout(text)?),
            Key::AppPort => self.app_port = parsed("app_port", text)?,
            Key::AppPortEnv => self.app_port_env = parsed("app_port_env", text)?,
            Key::AppEntrypoint => {
                let (path, object) = text.split_once(':').map_or((text, None), |(path, object)| (path, Some(object)));
                self.app_entrypoint = parsed("app_entrypoint", path)?;
                self.app_object = object.map(|object| parsed("app_entrypoint", object)).transpose()?.flatten();
            }
            Key::Dockerfile => self.dockerfile = parsed("dockerfile", text)?,
            Key::Root => self.root = parsed("root", text)?,
            Key::Migrate => self.migrate = parsed("migrate", text)?,
            Key::Seed => self.seed = parsed("seed", text)?,
            Key::Image => self.image = parsed("image", text)?,
            Key::OnPush => self.on_push = parsed("on_push", text)?.unwrap_or_default(),
            Key::EnvFile | Key::BuildCommands | Key::StartupCommands => return self.set_list(key, &[text]),
            Key::Resources => return Err("`resources` must be a map with `memory` and `cpus`".to_owned()),
            Key::Env => return Err("`env` must be a list of `KEY=value` or a map of names and values".to_owned()),
        }
        Ok(())
    }

    fn add_extra(&mut self, name: &str) -> Result<(), String> {
        let extra = named("extra_services", keys::extra(name), keys::extra_names)?;
        self.extra_services.get_or_insert_default().insert(extra);
        Ok(())
    }

    fn set_list(&mut self, key: Key, texts: &[&str]) -> Result<(), String> {
        let of = |name: &str, rule: InvalidValue| format!("`{name}` {rule}");
        match key {
            Key::EnvFile if texts.len() > MAX_ENV_FILES => {
                return Err(format!("`env_file` must have at most {MAX_ENV_FILES} files"));
            }
            Key::EnvFile => {
                let paths = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
                self.env_files = paths.map_err(|rule| of("env_file", rule))?;
            }
            Key::BuildCommands => {
                self.build_commands = steps::lines(texts).map_err(|rule| of("build_commands", rule))?;
            }
            Key::StartupCommands => {
                self.startup_commands = steps::lines(texts).map_err(|rule| of("startup_commands", rule))?;
            }
            Key::Migrate => {
                let command = AppCommand::listed(texts).map_err(|rule| of("migrate", rule))?;
                self.migrate = Some(Migrate::Run(command));
            }
            Key::Seed => {
                self.seed = Some(Seed::Run(AppCommand::listed(texts).map_err(|rule| of("seed", rule))?));
            }
            _ => return Err("a list has no meaning here".to_owned()),
        }
        Ok(())
    }

    fn add_variable(&mut self, variable: Variable) -> Option<Mistake> {
        let (place, name, value) = match &variable {
            Variable::Named(place, name, value) => (place, name.as_str(), value.as_str()),
            Variable::Pair(place, pair) => match pair.split_once('=') {
                Some((name, value)) => (place, name, value),
                None => return Some(Mistake::new(*place, "an entry of `env` must be written as `KEY=value`")),
            },
        };
        let checked = values::env_value(value).and_then(|()| name.parse::<EnvName>());
        let message = match checked
            .map_err(|rule| rule.to_string())
            .and_then(|name| secrets::names_only_given(value).map(|()| name))
        {
            Err(rule) => format!("`env` {rule}"),
            Ok(name) if self.env.get(name.as_str()).is_some() => format!("`env` has `{}` twice", name.as_str()),
            Ok(name) => {
                self.env.insert(name, value.to_owned());
                return None;
            }
        };
        Some(Mistake::new(*place, message))
    }
}

fn health_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=MAX_HEALTH_TIMEOUT).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        format!("`health_check_timeout` must be a whole number of seconds from 1 to {MAX_HEALTH_TIMEOUT}")
    })
}

fn named<T>(key: &str, found: Lookup<T>, names: fn() -> String) -> Result<T, String> {
    match found {
        Lookup::Known(value) => Ok(value),
        Lookup::Unknown(guess) => {
            let hint = guess.map(|guess| format!("; did you mean `{guess}`?")).unwrap_or_default();
            Err(format!("`{key}` must be one of {}{hint}", names()))
        }
    }
}

fn odd_key(name: &str, meaning: &Lookup<Key>) -> String {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    match meaning {
        Lookup::Unknown(Some(guess)) => format!("unknown key `{shown}`; did you mean `{guess}`?"),
        _ => format!("unknown key `{shown}`"),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
