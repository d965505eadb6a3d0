//! Values that a repository may choose, each valid once parsed.
//!
//! They end up in Dockerfiles, Compose files and URLs, so each type admits only what is safe there. Errors name the rule and
//! never repeat the text.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::secrets;

/// Why a value is refused, as the end of a sentence that begins with its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) &'static str);

/// A path inside the checkout: no root, no `..`, no `./`, and only characters that need quoting nowhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelativePath(String);

impl RelativePath {
    /// The path, `.` for the checkout itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the checkout itself.
    pub fn is_all(&self) -> bool {
        self.0 == "."
    }

    /// What stands at `path` in this folder.
    pub fn join(&self, path: &Self) -> Self {
        match (self.is_all(), path.is_all()) {
            (true, _) => path.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, path.0)),
        }
    }

    /// The rest of the path below a folder, if it lies there.
    pub(crate) fn within(&self, folder: &Self) -> Option<Self> {
        if folder.is_all() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(folder.as_str())? {
            "" => Some(Self::default()),
            rest => rest.strip_prefix('/').map(|rest| Self(rest.to_owned())),
        }
    }

    /// The folders that it lies in, the nearest first and the checkout last, each with the rest of the path.
    pub(crate) fn parents(&self) -> impl Iterator<Item = (Self, Self)> {
        let at_slashes = self.0.rmatch_indices('/').map(|(at, _)| (&self.0[..at], &self.0[at + 1..]));
        let all = (!self.is_all()).then_some((".", self.0.as_str()));
        at_slashes.chain(all).map(|(folder, rest)| (Self(folder.to_owned()), Self(rest.to_owned())))
    }
}

/// The checkout itself.
impl Default for RelativePath {
    fn default() -> Self {
        Self(".".to_owned())
    }
}

impl FromStr for RelativePath {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parts: Vec<&str> = text.split('/').filter(|part| *part != ".").collect();
        let safe = |part: &&str| {
            !part.is_empty()
                && *part != ".."
                && !part.starts_with('-')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
        };
        let parts = match parts.as_slice() {
            [rest @ .., ""] if !rest.is_empty() => rest,
            all => all,
        };
        if text.len() > 200 || !parts.iter().all(safe) {
            return Err(InvalidValue(
                "must be a path inside the repository: relative, without `..`, in letters, digits and `. _ - + @ /`",
            ));
        }
        Ok(Self(if parts.is_empty() { ".".to_owned() } else { parts.join("/") }))
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The object of a Python module that is its app, as `app_entrypoint` names it behind a colon: `app`, or `create_app()` for a
/// function that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonObject {
    name: String,
    is_factory: bool,
}

impl PythonObject {
    /// What most call it.
    pub fn app() -> Self {
        Self { name: "app".to_owned(), is_factory: false }
    }

    /// What Django calls it.
    pub fn application() -> Self {
        Self { name: "application".to_owned(), is_factory: false }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is to be called for the app.
    pub fn is_factory(&self) -> bool {
        self.is_factory
    }
}

impl FromStr for PythonObject {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (name, is_factory) = text.strip_suffix("()").map_or((text, false), |name| (name, true));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.len() > 64
            || !name.bytes().all(plain)
            || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            return Err(InvalidValue(
                "must name a Python object behind its colon, such as `app.main:app` or `app:create_app()`",
            ));
        }
        Ok(Self { name: name.to_owned(), is_factory })
    }
}

/// A path and query that a health check asks for: `/` and visible ASCII, at most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPath(String);

impl HealthPath {
    /// The path, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for HealthPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for HealthPath {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let rooted = text.starts_with('/') && !text.starts_with("//");
        if rooted && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue("must begin with one `/` and hold at most 200 characters, none of them white space"))
        }
    }
}

/// A TCP port inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPort(NonZeroU16);

impl ContainerPort {
    /// `None` for 0.
    pub const fn new(port: u16) -> Option<Self> {
        match NonZeroU16::new(port) {
            Some(port) => Some(Self(port)),
            None => None,
        }
    }

    /// The plain number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl FromStr for ContainerPort {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map(Self).map_err(|_| InvalidValue("must be a port from 1 to 65535"))
    }
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 100 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvName(String);

impl EnvName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnvName {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if first && text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue("must name variables in letters, digits and `_`, not beginning with a digit"))
        }
    }
}

/// Environment variables of a container. `Debug` shows names only: a value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvVars(BTreeMap<EnvName, String>);

impl EnvVars {
    /// Sets a variable and gives back what it was.
    pub fn insert(&mut self, name: EnvName, value: String) -> Option<String> {
        self.0.insert(name, value)
    }

    /// Takes up others, which win.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Gives a variable that is there another value.
    pub(crate) fn replace(&mut self, name: &str, value: String) {
        if let Some((_, old)) = self.0.iter_mut().find(|(found, _)| found.as_str() == name) {
            *old = value;
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether a text may be a variable's value: a container's environment ends at a NUL, and the other control characters have no
/// business in one. Line breaks and tabs do (keys and certificates).
pub(crate) fn env_value(text: &str) -> Result<(), InvalidValue> {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.contains(odd) {
        return Err(InvalidValue("must not hold control characters in a value"));
    }
    secrets::check(text)
}
