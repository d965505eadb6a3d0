//! An installation under test: a model of GitHub, `preview serve` as a process of its own, and a router in front.
//!
//! A test says what it wants ([`Setup`]), gets a running [`Rig`], and ends with [`Rig::finish`], which proves that nothing is
//! left. What a rig can do is divided by what for: [`setup`] makes it, [`service`] starts and stops its process, [`waiting`] and
//! [`looking`] watch it, [`ending`] takes it down; [`berth`] keeps tests side by side apart, [`machine`] looks at this machine.

mod berth;
mod ending;
mod looking;
mod machine;
mod service;
mod setup;
mod waiting;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use preview_core::ids::ProjectSlug;
use preview_simulator::{Change, Fault, FaultGuard, GitHub, Matching, Mimic, NewPull, Pull, Repo};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use self::berth::Berth;
pub(crate) use self::berth::unique_owner;
pub(crate) use self::machine::{command_lines, pid_in, running, runs, slow_build, tell};
pub(crate) use self::setup::{RouterKind, Setup};
pub(crate) use self::waiting::assert_all_served;
use crate::gate::Gate;
use crate::nginx::Nginx;

/// How long anything may take before a test gives up: two slow cores may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The API's token of every installation under test.
pub(crate) const TOKEN: &str = "api-token-of-the-end-to-end-tests";

/// A running installation.
pub(crate) struct Rig {
    pub(crate) github: GitHub,
    /// The repositories that it serves.
    pub(crate) repos: Vec<String>,
    /// What previews' URLs begin with.
    pub(crate) base: String,
    /// The domain below which each preview has a host of its own.
    domain: Option<&'static str>,
    /// The API's address.
    pub(crate) api: String,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: TempDir,
    settings: Vec<(String, String)>,
    pub(crate) nginx: Option<Nginx>,
    gate: Option<Gate>,
    sockets: Vec<(&'static str, Arc<OwnedFd>)>,
    service: Option<JoinHandle<()>>,
    _berth: Berth,
}

impl Rig {
    /// The first repository.
    pub(crate) fn repo(&self) -> Repo {
        self.github.repo(&self.repos[0]).unwrap()
    }

    /// A deployment's id.
    pub(crate) fn id(&self, pull: &Pull) -> String {
        let slug = ProjectSlug::for_repo(&pull.repo().name(), |_| false);
        format!("{slug}-{}", pull.number())
    }

    /// Opens a pull request with a mimic.
    pub(crate) async fn open(&self, mimic: Mimic) -> Pull {
        self.open_with(mimic.files()).await
    }

    /// Opens a pull request with these changes, from a branch of its own.
    pub(crate) async fn open_with(&self, changes: Vec<Change>) -> Pull {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let branch = format!("feature-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.repo().open_pull(NewPull::new(branch, changes)).await.unwrap()
    }

    /// Opens a pull request with a mimic of this version and waits until it answers. Gives its address too.
    pub(crate) async fn up(&self, version: &str) -> (Pull, String) {
        let pull = self.open(Mimic::new(version)).await;
        let url = self.url(&pull);
        self.until_answers(&url, version).await;
        (pull, url)
    }

    /// Makes GitHub fail as long as the guard lives.
    pub(crate) fn github_fails(&self, matching: Matching, fault: Fault) -> FaultGuard {
        self.github.fail_while(matching, fault)
    }
}
