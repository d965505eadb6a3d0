//! What a person commits: files written, linked and deleted, any of them with names and kinds that Git itself would
//! refuse to make, because a hostile author isn't bound to Git's own tools.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use preview_core::ids::CommitSha;

use crate::error::{Error, Result};

/// One change of a commit. Paths are divided by `/` and otherwise taken as they are: `.git/config` and `../x` too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file with this content.
    Write {
        /// Where.
        path: String,
        /// The content.
        bytes: Vec<u8>,
        /// Whether it may be run (mode 100755).
        executable: bool,
    },
    /// A symbolic link (mode 120000).
    Symlink {
        /// Where.
        path: String,
        /// What it points at; need not exist.
        target: String,
    },
    /// The file, or the folder with all that is in it, goes.
    Delete {
        /// Where.
        path: String,
    },
    /// A commit of another repository (mode 160000).
    Submodule {
        /// Where.
        path: String,
        /// Which; need not exist.
        commit: CommitSha,
    },
}

impl Change {
    /// A plain file.
    pub fn write(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::Write { path: path.into(), bytes: bytes.into(), executable: false }
    }

    /// A file that may be run.
    pub fn executable(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::Write { path: path.into(), bytes: bytes.into(), executable: true }
    }

    /// A symbolic link.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self::Symlink { path: path.into(), target: target.into() }
    }

    /// A deletion.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::Delete { path: path.into() }
    }

    /// A submodule entry.
    pub fn submodule(path: impl Into<String>, commit: CommitSha) -> Self {
        Self::Submodule { path: path.into(), commit }
    }

    /// Everything in a folder, as changes that write it. `.git` and `node_modules` are left where they are.
    pub fn folder(root: &Path) -> Result<Vec<Self>> {
        let mut changes = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |source| Error::File { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                match read_entry(root, &path).map_err(|source| Error::File { path: path.clone(), source })? {
                    Found::Folder(path) => folders.push(path),
                    Found::Entry(change) => changes.push(change),
                    Found::Nothing => {}
                }
            }
        }
        Ok(changes)
    }
}

enum Found {
    Folder(PathBuf),
    Entry(Change),
    Nothing,
}

fn read_entry(root: &Path, path: &Path) -> io::Result<Found> {
    let text = |path: &Path| String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    let name = text(path.strip_prefix(root).unwrap_or(path));
    let about = fs::symlink_metadata(path)?;
    Ok(if path.ends_with(".git") || path.ends_with("node_modules") {
        Found::Nothing
    } else if about.is_dir() {
        Found::Folder(path.to_owned())
    } else if about.is_symlink() {
        Found::Entry(Change::symlink(name, text(&fs::read_link(path)?)))
    } else if about.is_file() {
        let executable = about.permissions().mode() & 0o100 != 0;
        Found::Entry(Change::Write { path: name, bytes: fs::read(path)?, executable })
    } else {
        Found::Nothing
    })
}

/// Where a repository's or a push's content comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// These changes, on top of what is there.
    Changes(Vec<Change>),
    /// Everything in this folder, on top of what is there.
    Folder(PathBuf),
    /// A commit of another repository on this machine, with its history.
    Git {
        /// The repository: a working copy or a bare one.
        path: PathBuf,
        /// A branch, a tag or `HEAD`.
        revision: String,
    },
}

impl From<Vec<Change>> for Source {
    fn from(changes: Vec<Change>) -> Self {
        Self::Changes(changes)
    }
}
impl<const N: usize> From<[Change; N]> for Source {
    fn from(changes: [Change; N]) -> Self {
        Self::Changes(changes.into())
    }
}
impl From<&Path> for Source {
    fn from(folder: &Path) -> Self {
        Self::Folder(folder.to_owned())
    }
}
impl From<PathBuf> for Source {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}
