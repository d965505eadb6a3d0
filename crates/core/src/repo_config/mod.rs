//! `preview-config.yml`: what a repository says about its own preview.
//!
//! The file is optional and so is each of its keys: what isn't said is detected. It comes from a pull request and is hostile
//! until read: see [`values`] for what a value may be and `crate::yaml` for what YAML is accepted. All mistakes are told at once, each with
//! line and column; of the file's content a mistake repeats the offending key and nothing else.
//! What the keys are stands in [`keys`], of which the schema and docs/CONFIGURATION.md are made.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::backing::{Backing, Database};
use crate::framework::{Files, Framework, ReadFileError};
use crate::yaml::Place;

use keys::{Key, Lookup};
use read::{Entry, Variable};

mod keys;
mod read;
mod schema;
pub mod values;

pub use schema::{documentation, schema};
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
    /// The repository's own Dockerfile.
    pub dockerfile: Option<RelativePath>,
    /// The folder that is the application; the other paths are relative to it.
    pub root: Option<RelativePath>,
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
            Key::Env => return Err("`env` must be a list of `KEY=value` or a map of names and values".to_owned()),
        }
        Ok(())
    }

    fn add_extra(&mut self, name: &str) -> Result<(), String> {
        let extra = named("extra_services", keys::extra(name), keys::extra_names)?;
        self.extra_services.get_or_insert_default().insert(extra);
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
        let message = match checked {
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
        Lookup::NotYet => Err(format!("this version does not support that `{key}` yet; it knows {}", names())),
        Lookup::Unknown(guess) => {
            let hint = guess.map(|guess| format!("; did you mean `{guess}`?")).unwrap_or_default();
            Err(format!("`{key}` must be one of {}{hint}", names()))
        }
    }
}

fn odd_key(name: &str, meaning: &Lookup<Key>) -> String {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    match meaning {
        Lookup::NotYet => format!("this version does not support the key `{shown}` yet; remove it"),
        Lookup::Unknown(Some(guess)) => format!("unknown key `{shown}`; did you mean `{guess}`?"),
        _ => format!("unknown key `{shown}`"),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
