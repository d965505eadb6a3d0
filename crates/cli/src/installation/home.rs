//! The folder of the installation, and what is where in it.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind};

/// The installation's folder; it need not be there yet.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// `PREVIEW_HOME`, else `.preview-deployer` in the person's own folder.
    pub(crate) fn find() -> Result<Self, Failure> {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = given("PREVIEW_HOME").or_else(|| Some(given("HOME")?.join(".preview-deployer")));
        let folder = folder.ok_or_else(|| {
            let failure = Failure::new("there is no folder for the installation's files: HOME is not set");
            failure.kind(Kind::Settings).hint("set PREVIEW_HOME to a folder of yours")
        })?;
        Ok(Self::at(std::path::absolute(folder)?))
    }

    /// This folder.
    pub(crate) fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// What the person says.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.yml")
    }

    /// What came of it.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Secrets, where the system has no keychain.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets.yml")
    }

    /// Terraform's files and its state.
    pub(crate) fn terraform(&self) -> PathBuf {
        self.0.join("terraform")
    }

    /// The playbook and its roles.
    pub(crate) fn ansible(&self) -> PathBuf {
        self.0.join("ansible")
    }

    /// Which key the server showed first.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    /// The key that `preview init` makes for the server.
    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("id_ed25519")
    }

    /// Makes the folder, for its owner alone.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        let made = made.and_then(|()| std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700)));
        made.map_err(|error| {
            Failure::new(format!("the folder {} could not be made", self.0.display()))
                .because(&error)
                .hint("set PREVIEW_HOME to a folder that you may write")
        })
    }

    /// Keeps other commands that change what is installed away until what is given is dropped, or its process ends.
    pub(crate) fn alone(&self) -> Result<File, Failure> {
        self.make()?;
        let folder = File::open(&self.0)?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(TryLockError::Error(error)) => Err(error.into()),
            Err(TryLockError::WouldBlock) => {
                let what = format!("another `preview` is at work on the installation in {}", self.0.display());
                Err(Failure::new(what).hint("wait until it has ended, then try again"))
            }
        }
    }

    /// Writes a file of the folder, whole or not at all, for its owner alone.
    pub(crate) fn write(&self, file: &Path, text: &[u8]) -> Result<(), Failure> {
        self.make()?;
        let written = || -> std::io::Result<()> {
            // 0600 from the start.
            let mut new = tempfile::NamedTempFile::new_in(&self.0)?;
            new.write_all(text)?;
            new.as_file().sync_all()?;
            new.persist(file)?;
            Ok(())
        };
        written().map_err(|error| Failure::new(format!("{} could not be written", file.display())).because(&error))
    }

    /// Reads a file of the folder; `None` where there is none.
    pub(crate) fn read(file: &Path) -> Result<Option<String>, Failure> {
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Failure::new(format!("{} could not be read", file.display())).because(&error).kind(Kind::Settings))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("a/b"));
        assert_eq!(Home::read(&home.config()).unwrap(), None);
        home.write(&home.config(), b"one").unwrap();
        home.write(&home.config(), b"two").unwrap();
        assert_eq!(Home::read(&home.config()).unwrap().as_deref(), Some("two"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(home.folder()), mode(&home.config())), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(home.folder()).unwrap().count(), 1);
    }
}
