//! What is asked of where commits come from: git.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use preview_core::framework::Files;
use preview_core::ids::{CommitSha, PrNumber, RepoId, RepoName};
use secrecy::SecretString;

use super::{DeploymentLock, Fault};

/// Which files are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The base repository.
    pub repo: RepoId,
    /// Its name now.
    pub name: RepoName,
    /// The pull request whose head it is.
    pub number: PrNumber,
    /// The commit.
    pub commit: CommitSha,
}

/// Files of one commit, in a folder of their own.
pub struct Checkout {
    /// The folder: build context of an image.
    pub dir: PathBuf,
    /// The same files, each opened beneath the folder without following links.
    pub files: Arc<dyn Files + Send + Sync>,
}

/// What signs in to GitHub: a token that stays, or one that is renewed.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// The token that counts now.
    async fn token(&self) -> Result<SecretString, Fault>;
}

#[async_trait]
impl Tokens for SecretString {
    async fn token(&self) -> Result<SecretString, Fault> {
        Ok(self.clone())
    }
}

/// Where commits come from: git.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Puts the commit's files into `into`, replacing what was there. No `.git`, no hook, no filter, nothing executed.
    async fn checkout(&self, want: &Want, into: PathBuf, hold: &DeploymentLock) -> Result<Checkout, Fault>;
    /// Removes what it keeps of other repositories than these, where all that are served are known; packs the rest, and gives the
    /// bytes that this takes.
    async fn tidy(&self, served: Option<&BTreeSet<RepoId>>) -> Result<u64, Fault>;
}
