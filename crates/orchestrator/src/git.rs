//! Commits, from git.
//!
//! A repository has one bare mirror of its own, which holds only the newest commit of each pull request (depth 1): the least data, and
//! what is there already isn't sent again. A commit's files leave it through a temporary index into a fresh folder without `.git`, so
//! no git ever runs inside code of theirs.
//!
//! ```text
//! checkout ─ mirror (locked) ─ is it all there? ─ no: fetch ─ within the limits? ─ read-tree ─ checkout-index ─ rename
//! ```
//!
//! | file | what lives there |
//! | --- | --- |
//! | `command` | the one way to start git: every hostile default off, the token in the environment alone |
//! | `mirror` | a mirror's folder, its lock, and how it stays small and whole |
//! | `listing` | counting a commit's files before one is written |
//! | `trouble` | what went wrong, read from what git says |
//! | `opener` | reading single files of a checkout |

mod command;
mod listing;
mod mirror;
mod opener;
mod trouble;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use preview_core::ids::{CommitSha, RepoId};
use tokio::task::spawn_blocking;

pub(crate) use command::{login, version};

use crate::needs::{Checkout, DeploymentLock, Fault, Source, Tokens, Want};
use crate::remove_tree::remove_tree;
use command::Git;
use listing::Listing;
use mirror::Mirror;
pub use opener::CheckoutFiles;
use trouble::Trouble;

/// What one commit, and the mirror that it comes through, may cost.
#[derive(Debug, Clone, Copy)]
pub struct CheckoutLimits {
    /// Files in it, and as many folders.
    pub files: u64,
    /// Levels of folders: whoever removes them has each open.
    pub depth: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of one of them.
    pub file_bytes: u64,
    /// Bytes of a repository's mirror; a larger one is thrown away and fetched anew.
    pub mirror: u64,
    /// Bytes of memory that each git may have: a few bytes of a pack can stand for any number of bytes.
    pub memory: u64,
    /// How long it may take to arrive.
    pub fetch: Duration,
    /// How long each step on our own disk may take.
    pub local: Duration,
}

impl Default for CheckoutLimits {
    fn default() -> Self {
        Self {
            files: 200_000,
            depth: 100,
            bytes: 2 << 30,
            file_bytes: 1 << 30,
            mirror: 4 << 30,
            memory: 2 << 30,
            fetch: Duration::from_secs(300),
            local: Duration::from_secs(120),
        }
    }
}

/// The repositories of one server, through mirrors on our disk.
pub struct GitSource {
    mirrors: PathBuf,
    git: Git,
    limits: CheckoutLimits,
    locks: Mutex<HashMap<RepoId, Arc<tokio::sync::Mutex<()>>>>,
}

impl GitSource {
    /// Mirrors in the folder `mirrors` of repositories at `server` (`https://github.com`), fetched with the token of the moment.
    pub fn new(mirrors: PathBuf, server: &str, tokens: Arc<dyn Tokens>) -> Self {
        let limits = CheckoutLimits::default();
        Self { mirrors, git: Git::new(server, tokens, limits), limits, locks: Mutex::default() }
    }

    /// The same with other limits.
    pub fn with_limits(mut self, limits: CheckoutLimits) -> Self {
        self.git.limits = limits;
        self.limits = limits;
        self
    }

    /// Removes a repository's mirror, or packs it; gives the bytes that it takes now.
    async fn tidy_one(&self, repo: RepoId, wanted: bool) -> Result<u64, Trouble> {
        let _turn = self.turn(repo).await;
        if wanted {
            return Mirror::open(&self.mirrors, repo, &self.git, None).await?.keep_house(self.limits.mirror).await;
        }
        let mirrors = self.mirrors.clone();
        blocking(&[], move || mirror::remove(&mirrors, repo)).await?;
        tracing::info!(repository = %repo, "removed the git mirror of a repository that is no longer served");
        Ok(0)
    }

    /// Waits until nobody else in this process uses the repository's mirror.
    async fn turn(&self, repo: RepoId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = self.locks.lock().unwrap_or_else(PoisonError::into_inner).entry(repo).or_default().clone();
        lock.lock_owned().await
    }

    /// Fills `staging` with the commit's files, from a mirror that is made anew, once, if it turns out to be broken.
    async fn fill(&self, want: &Want, staging: &Path, hold: &DeploymentLock) -> Result<(), Trouble> {
        let _turn = self.turn(want.repo).await;
        let mirror = Mirror::open(&self.mirrors, want.repo, &self.git, Some(hold)).await?;
        match self.fill_from(&mirror, want, staging).await {
            Err(Trouble::Broken(said)) => {
                tracing::warn!(repository = %want.name, said, "a git mirror is broken and fetched anew");
                mirror.renew().await?;
                self.fill_from(&mirror, want, staging).await
            }
            done => done,
        }
    }

    async fn fill_from(&self, mirror: &Mirror<'_>, want: &Want, staging: &Path) -> Result<(), Trouble> {
        // Counting reads every object's header, so it also proves that a fetch was not cut off in the middle.
        match self.count(mirror, &want.commit).await {
            Err(Trouble::Broken(_)) => {
                mirror.tidy(self.limits.mirror).await?;
                mirror.fetch(want).await?;
                self.count(mirror, &want.commit).await?;
            }
            counted => counted?,
        }
        let fresh = staging.to_owned();
        blocking(mirror.held(), move || {
            remove_tree(&fresh)?;
            std::fs::create_dir_all(fresh.join(FILES))
        })
        .await?;
        mirror.check_out(&want.commit, staging, FILES).await
    }

    async fn count(&self, mirror: &Mirror<'_>, commit: &CommitSha) -> Result<(), Trouble> {
        let mut listing = Listing::new(&self.limits);
        mirror.list(commit, &mut listing).await?;
        listing.verdict()
    }
}

/// Where in the staging folder the files grow; beside them is git's index.
const FILES: &str = "files";

#[async_trait]
impl Source for GitSource {
    async fn checkout(&self, want: &Want, into: PathBuf, hold: &DeploymentLock) -> Result<Checkout, Fault> {
        let staging = staging(&into).ok_or_else(|| Fault::passing("the folder for a checkout has no name"))?;
        let filled = self.fill(want, &staging, hold).await;
        let finish = move || match filled {
            Ok(()) => swap(&staging, into).map_err(|error| Trouble::ours(&error)),
            Err(trouble) => {
                // What is half written may be large, and nobody will ask for it again.
                let _ = remove_tree(&staging);
                Err(trouble)
            }
        };
        let done = blocking(std::slice::from_ref(hold), move || Ok(finish())).await;
        done.flatten().map_err(|trouble| trouble.into_fault(want))
    }

    async fn tidy(&self, served: Option<&BTreeSet<RepoId>>) -> Result<u64, Fault> {
        let mirrors = mirror::all(&self.mirrors);
        let mirrors =
            mirrors.map_err(|error| Fault::passing(format!("the git mirrors could not be listed: {error}")))?;
        let mut bytes = 0;
        for repo in mirrors {
            match self.tidy_one(repo, served.is_none_or(|served| served.contains(&repo))).await {
                Ok(size) => bytes += size,
                // The others can be tidied all the same.
                Err(trouble) => tracing::warn!(repository = %repo, ?trouble, "a git mirror could not be tidied"),
            }
        }
        Ok(bytes)
    }
}

/// The neighbour in which a checkout grows until it is whole. The deployment's lock keeps it ours alone.
fn staging(into: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(into.file_name()?);
    name.push(".new");
    Some(into.with_file_name(name))
}

fn swap(staging: &Path, into: PathBuf) -> io::Result<Checkout> {
    remove_tree(&into)?;
    std::fs::rename(staging.join(FILES), &into)?;
    remove_tree(staging)?;
    let files = Arc::new(CheckoutFiles::open(&into)?);
    Ok(Checkout { dir: into, files })
}

/// Does what may take a disk's time, off the runtime's own threads. It can't be called back: who gives up waiting leaves it the locks,
/// so that it is through before whoever comes next begins.
async fn blocking<T: Send + 'static>(
    held: &[DeploymentLock],
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let held = held.to_vec();
    let work = move || {
        let done = work();
        drop(held);
        done
    };
    let done = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| Trouble::ours(&error))
}
