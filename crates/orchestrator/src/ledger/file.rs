//! The ledger's file: read once, locked while we live, replaced whole.
//!
//! A write goes to a temporary file, is flushed to the disk, takes the old file's place, and the folder is flushed: after a
//! crash at any moment there is either the old or the new text. The one before stays beside it as `.bak`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;

use super::older;
use super::state::{State, VERSION};

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another orchestrator uses it.
    #[error(
        "another orchestrator (process {pid}) already uses the ledger {path}; stop it first, or give this one another DEPLOYMENTS_DB"
    )]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The other's process id, as it wrote it down.
        pid: String,
    },
    /// A newer version wrote it.
    #[error(
        "the ledger {path} was written by a newer version (form {found}, this one reads {VERSION}); install that version again"
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The operating system refused.
    #[error("could not {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// How the ledger was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There was none: a first start.
    New,
    /// As it was left.
    Whole,
    /// The older system's file was taken over.
    Imported,
    /// It was unreadable and kept under this name; the copy before it serves.
    Restored(PathBuf),
    /// It and its copy were unreadable and kept under this name; what exists is to be found out from elsewhere.
    Lost(PathBuf),
}

/// Puts the ledger where it survives a power cut.
pub trait Storage: Send + 'static {
    /// Replaces what is there. When it gives `Ok`, the state is on the disk.
    fn store(&mut self, state: &State) -> io::Result<()>;
}

/// The ledger's file, locked.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    _lock: File,
}

impl LedgerFile {
    /// Locks and reads the ledger at `path`.
    pub fn open(path: &Path, now: Timestamp) -> Result<(Self, State, Found), OpenError> {
        let io = |what: &'static str| move |source| OpenError::Io { what, path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("make the folder of"))?;
        }
        let file = Self { _lock: lock(path)?, path: path.to_owned() };
        let (state, found) = file.read(now)?;
        Ok((file, state, found))
    }

    fn read(&self, now: Timestamp) -> Result<(State, Found), OpenError> {
        let copy = beside(&self.path, "bak");
        match parse(&self.path)? {
            Parsed::State(state) => return Ok((*state, Found::Whole)),
            Parsed::Older(state) => return Ok((*state, Found::Imported)),
            Parsed::Missing => match parse(&copy)? {
                Parsed::State(state) => return Ok((state.restored(), Found::Restored(copy))),
                Parsed::Missing => return Ok((State::default(), Found::New)),
                Parsed::Older(_) | Parsed::Unreadable => {}
            },
            Parsed::Unreadable => {}
        }
        let kept = beside(&self.path, &format!("unreadable-{}", now.as_second()));
        if self.path.exists() {
            fs::rename(&self.path, &kept).map_err(|source| OpenError::Io {
                what: "set aside",
                path: self.path.clone(),
                source,
            })?;
        }
        match parse(&copy)? {
            Parsed::State(state) => Ok((state.restored(), Found::Restored(kept))),
            _ => Ok((State::default(), Found::Lost(kept))),
        }
    }
}

/// What the ledger says, for whoever only looks: nothing is locked, set aside or made.
pub fn peek(path: &Path) -> Result<State, OpenError> {
    match parse(path)? {
        Parsed::State(state) => Ok(*state),
        Parsed::Missing => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such file")),
        Parsed::Older(_) | Parsed::Unreadable => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is no ledger of this version"))
        }
    }
    .map_err(|source| OpenError::Io { what: "read", path: path.to_owned(), source })
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Parsed {
    Missing,
    State(Box<State>),
    Older(Box<State>),
    Unreadable,
}

/// Reads one file. Only a newer version and a refusing operating system are errors: anything else can be repaired.
fn parse(path: &Path) -> Result<Parsed, OpenError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Parsed::Missing),
        Err(source) => return Err(OpenError::Io { what: "read", path: path.to_owned(), source }),
    };
    let _reading = tracing::error_span!("ledger", path = %path.display()).entered();
    read_text(&text).map_err(|found| OpenError::Newer { path: path.to_owned(), found })
}

/// What a ledger's text says; an error is the number of a form newer than ours.
pub(super) fn read_text(text: &[u8]) -> Result<Parsed, u64> {
    #[derive(Deserialize)]
    struct Head {
        version: Option<u64>,
    }
    let Ok(head) = serde_json::from_slice::<Head>(text) else { return Ok(Parsed::Unreadable) };
    Ok(match head.version {
        Some(found) if found > u64::from(VERSION) => return Err(found),
        Some(_) => serde_json::from_slice(text).map_or_else(
            |error| {
                tracing::error!(%error, "the ledger is unreadable");
                Parsed::Unreadable
            },
            |state| Parsed::State(Box::new(state)),
        ),
        None => older::import(text).map_or(Parsed::Unreadable, |state| Parsed::Older(Box::new(state))),
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let path_of_lock = beside(path, "lock");
    let io = |what: &'static str| move |source| OpenError::Io { what, path: path.to_owned(), source };
    let mut file = private().read(true).truncate(false).open(&path_of_lock).map_err(io("open the lock of"))?;
    if !locked_within(&file, PATIENCE) {
        let mut pid = String::new();
        file.read_to_string(&mut pid).map_err(io("read the lock of"))?;
        return Err(OpenError::InUse { path: path.to_owned(), pid: pid.trim().to_owned() });
    }
    if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
        // It is for people to read; a full disk must not keep away who makes room on it.
        tracing::warn!(path = %path_of_lock.display(), %error, "could not write down which process holds the ledger");
    }
    Ok(file)
}

/// A program that was just being started when our predecessor died holds the lock until its exec: milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

fn locked_within(file: &File, patience: Duration) -> bool {
    let begun = Instant::now();
    while flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

impl Storage for LedgerFile {
    fn store(&mut self, state: &State) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(state)?;
        let (fresh, copy) = (beside(&self.path, "new"), beside(&self.path, "bak"));
        let mut file = private().truncate(true).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // A link first and a rename after: at no moment is there neither the file nor its copy.
        let link = beside(&self.path, "bak-new");
        match fs::hard_link(&self.path, &link) {
            Ok(()) => fs::rename(&link, &copy)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(&link)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(&fresh, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}
