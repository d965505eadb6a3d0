//! Folders and files of an installation, and whether they can be used.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::reader::{Mistake, Mistakes};
use super::variables::{DEPLOYMENTS_DB, DEPLOYMENTS_DIR, LOG_DIR};

/// The file with the installation's name, in the folder of what the service keeps for itself.
pub(crate) const INSTANCE: &str = "instance";

/// Folders and files of an installation. All are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// One folder per deployment.
    pub deployments: PathBuf,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// Logs of builds.
    pub logs: PathBuf,
    /// The key of the operator's secrets.
    pub secrets_key: PathBuf,
}

impl Paths {
    /// The folder of what the service keeps for itself: the ledger's.
    pub fn state(&self) -> &Path {
        state(&self.ledger)
    }

    /// One git mirror per repository.
    pub fn mirrors(&self) -> PathBuf {
        self.state().join("mirrors")
    }

    /// The password of previews, where none was given.
    pub fn preview_password(&self) -> PathBuf {
        self.state().join("preview-password")
    }

    /// Certificates, their keys, and the account that they are got by.
    pub fn tls(&self) -> PathBuf {
        self.state().join("tls")
    }

    /// The operator's secrets, sealed.
    pub fn secrets(&self) -> PathBuf {
        secrets(&self.ledger)
    }

    /// The API's token, where none was given.
    pub fn api_token(&self) -> PathBuf {
        api_token(&self.ledger)
    }
}

fn state(ledger: &Path) -> &Path {
    ledger.parent().unwrap_or(ledger)
}

/// Where the API's token is kept that the service made, beside this ledger.
pub(super) fn api_token(ledger: &Path) -> PathBuf {
    state(ledger).join("api-token")
}

/// Where the installation's name is kept, beside this ledger.
pub(super) fn instance(ledger: &Path) -> PathBuf {
    state(ledger).join(INSTANCE)
}

/// Where the operator's secrets are kept, beside this ledger.
pub(super) fn secrets(ledger: &Path) -> PathBuf {
    state(ledger).join("secrets.json")
}

/// Where their key is, unless it was put elsewhere.
pub(super) fn secrets_key(ledger: &Path) -> PathBuf {
    state(ledger).join("secrets.key")
}

/// Makes the folders that are missing, for us alone, and writes into each of them: a folder without rights shows at the start
/// and not with the first pull request.
pub fn check_paths(paths: &Paths) -> Result<(), Mistakes> {
    let wanted = [
        (DEPLOYMENTS_DIR.name, paths.deployments.as_path()),
        (DEPLOYMENTS_DB.name, paths.state()),
        (LOG_DIR.name, paths.logs.as_path()),
    ];
    let check = |(variable, folder): (&'static str, &Path)| {
        let error = usable(folder).err()?;
        let folder = folder.display();
        let problem = format!(
            "needs the folder {folder}, which can't be made or written to ({error}): give our user the \
            rights to it, or name another"
        );
        Some(Mistake { variable, problem })
    };
    let mistakes: Vec<_> = wanted.into_iter().filter_map(check).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
}

fn usable(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let probe = folder.join(format!(".writable-{}", std::process::id()));
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
    std::fs::remove_file(probe)
}
