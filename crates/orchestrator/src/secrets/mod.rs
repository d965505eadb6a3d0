//! The operator's secrets, per repository: a file of sealed values, and beside it or elsewhere the key.
//!
//! `preview secret` writes the file, the service reads it whenever it has changed; so a new value is there for the next
//! deployment. Repositories stand in it by GitHub's number: one that is renamed keeps its secrets, and another that takes
//! the old name doesn't get them.

mod known;
mod seal;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use preview_core::ids::RepoId;
use preview_core::secrets::{SecretName, Secrets};
use rustix::fs::{FlockOperation, flock};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use known::{Known, Whose};
use seal::Key;
pub use seal::KeyError;

/// Version of the file's form.
const VERSION: u32 = 1;

/// Why the secrets can't be used. None of these says a value.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be read or written.
    #[error("the secrets' file {path} could not be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no file of secrets.
    #[error(
        "{0} is not a file of secrets that this version reads; bring it back from a backup, or remove it and set all secrets again"
    )]
    Unreadable(PathBuf),
    /// The key can't be used.
    #[error("the secrets' key {path} cannot be used")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A value doesn't open.
    #[error("the secret {0} does not open: it was sealed with another key, or its line was changed; set it again")]
    Sealed(SecretName),
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    secrets: Vec<Line>,
}

/// A secret in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    repository_id: RepoId,
    name: SecretName,
    /// When it was set.
    since: Timestamp,
    sealed: String,
}

impl Line {
    fn belongs_to(&self) -> String {
        format!("{}/{}", self.repository_id, self.name)
    }
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Whose.
    pub repo: RepoId,
    /// Its name.
    pub name: SecretName,
    /// When it was set.
    pub since: Timestamp,
}

/// By which a file is known to have changed: a fresh one takes the old one's place, so its number differs.
type Stamp = (u64, i64, i64);

/// The secrets of all repositories, as they were when the file was like that.
type Opened = (Option<Stamp>, BTreeMap<RepoId, Secrets>);

/// The operator's secrets. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Vault {
    file: PathBuf,
    key: PathBuf,
    known: Known,
    opened: Arc<Mutex<Option<Opened>>>,
}

impl Vault {
    /// The secrets in this file, sealed with the key in that one; neither needs to be there. What is read becomes known.
    pub fn new(file: PathBuf, key: PathBuf, known: Known) -> Self {
        Self { file, key, known, opened: Arc::default() }
    }

    /// All that is known to be secret.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The secrets of a repository as they are now.
    pub fn of(&self, repo: RepoId) -> Result<Secrets, VaultError> {
        let opened = self.read()?;
        Ok(opened.as_ref().and_then(|(_, secrets)| secrets.get(&repo).cloned()).unwrap_or_default())
    }

    /// Reads the secrets, so that they are known.
    pub fn load(&self) -> Result<(), VaultError> {
        self.read().map(drop)
    }

    fn read(&self) -> Result<MutexGuard<'_, Option<Opened>>, VaultError> {
        // Whoever panicked here had not begun to change anything.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.stamp()?;
        if opened.as_ref().is_none_or(|(then, _)| *then != now) {
            *opened = Some((now, self.open()?));
        }
        Ok(opened)
    }

    /// Names of secrets, with whose they are.
    pub fn list(&self) -> Result<Vec<Listed>, VaultError> {
        let listed = |line: Line| Listed { repo: line.repository_id, name: line.name, since: line.since };
        Ok(self.lines()?.into_iter().map(listed).collect())
    }

    /// Gives a repository a secret, in place of one of that name.
    pub fn set(&self, repo: RepoId, name: SecretName, value: &SecretString, now: Timestamp) -> Result<(), VaultError> {
        let _lock = self.lock()?;
        let mut lines = self.lines()?;
        let key = match Key::read(&self.key) {
            Err(KeyError::Missing) if lines.is_empty() => Key::make(&self.key),
            key => key,
        };
        let key = key.map_err(|source| VaultError::Key { path: self.key.clone(), source })?;
        lines.retain(|line| (line.repository_id, &line.name) != (repo, &name));
        let mut line = Line { repository_id: repo, name, since: now, sealed: String::new() };
        line.sealed = key.seal(value, &line.belongs_to()).ok_or_else(|| VaultError::Sealed(line.name.clone()))?;
        lines.push(line);
        self.write(lines)
    }

    /// Takes a secret away; tells whether it was there.
    pub fn remove(&self, repo: RepoId, name: &SecretName) -> Result<bool, VaultError> {
        let _lock = self.lock()?;
        let (gone, kept): (Vec<Line>, Vec<Line>) =
            self.lines()?.into_iter().partition(|line| (line.repository_id, &line.name) == (repo, name));
        if gone.is_empty() {
            return Ok(false);
        }
        self.write(kept).map(|()| true)
    }

    fn open(&self) -> Result<BTreeMap<RepoId, Secrets>, VaultError> {
        let lines = self.lines()?;
        if lines.is_empty() {
            return Ok(BTreeMap::new());
        }
        let key = Key::read(&self.key).map_err(|source| VaultError::Key { path: self.key.clone(), source })?;
        let mut all: BTreeMap<RepoId, Secrets> = BTreeMap::new();
        for line in lines {
            let value = key.open(&line.sealed, &line.belongs_to());
            let value = value.ok_or_else(|| VaultError::Sealed(line.name.clone()))?;
            self.known.learn(Whose::Repository(line.repository_id), value.expose_secret());
            all.entry(line.repository_id).or_default().insert(line.name, value);
        }
        Ok(all)
    }

    fn lines(&self) -> Result<Vec<Line>, VaultError> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.io(error)),
        };
        let wire: Option<Wire> = serde_json::from_slice(&text).ok();
        let wire = wire.filter(|wire| wire.version == VERSION);
        wire.map(|wire| wire.secrets).ok_or_else(|| VaultError::Unreadable(self.file.clone()))
    }

    fn stamp(&self) -> Result<Option<Stamp>, VaultError> {
        match fs::metadata(&self.file) {
            Ok(found) => Ok(Some((found.ino(), found.mtime(), found.mtime_nsec()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io(error)),
        }
    }

    /// Whoever writes goes alone. The lock ends with the file that it is held on.
    fn lock(&self) -> Result<File, VaultError> {
        let file = private(&self.beside(".lock")).map_err(|error| self.io(error))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| self.io(error.into()))?;
        Ok(file)
    }

    fn write(&self, mut lines: Vec<Line>) -> Result<(), VaultError> {
        lines.sort_by(|a, b| (a.repository_id, &a.name).cmp(&(b.repository_id, &b.name)));
        let write = || {
            let text = serde_json::to_vec_pretty(&Wire { version: VERSION, secrets: lines })?;
            let fresh = self.beside(".new");
            let mut file = private(&fresh)?;
            file.set_len(0)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&fresh, &self.file)?;
            File::open(self.file.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        write().map_err(|error| self.io(error))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }

    fn io(&self, source: io::Error) -> VaultError {
        VaultError::Io { path: self.file.clone(), source }
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
