//! A server's repository on this disk, written object by object, and all that a checkout of it needs.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use preview_core::deployment::Blame;
use preview_core::ids::{CommitSha, PrNumber, RepoId};
use preview_exec::{Limits, Program};
use preview_orchestrator::git::GitSource;
use preview_orchestrator::needs::{Checkout, DeploymentLock, Fault, Source, Tokens, Want};
use secrecy::SecretString;
use tempfile::TempDir;

/// What must never be seen anywhere.
pub(crate) const TOKEN: &str = "canary-token-5f0c1d2e";

/// A token that stays.
pub(crate) fn token(text: &str) -> Arc<dyn Tokens> {
    Arc::new(SecretString::from(text))
}

/// A commit that no repository has.
pub(crate) const NOWHERE: &str = "1234567890123456789012345678901234567890";

/// A server's repository `org/app`, our mirrors, and a deployment's folder.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) hold: DeploymentLock,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lock = fs::File::create(dir.path().join("lock")).unwrap();
        let world = Self { dir, hold: Arc::new(OwnedFd::from(lock)) };
        fs::create_dir_all(world.repo()).unwrap();
        world.git(&["init", "--quiet", "--bare", "--template="], "").await;
        world
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("server/org/app.git")
    }

    pub(crate) fn mirrors(&self) -> PathBuf {
        self.dir.path().join("mirrors")
    }

    pub(crate) fn mirror(&self) -> PathBuf {
        self.mirrors().join("7.git")
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.dir.path().join("deployments/org-app-1/src")
    }

    /// Runs git in the server's repository; gives what it prints.
    pub(crate) async fn git(&self, args: &[&str], stdin: impl Into<Vec<u8>>) -> String {
        let git = Program::new("git").args(args).dir(self.repo()).stdin(stdin).env("GIT_DIR", self.repo());
        let named = ["AUTHOR", "COMMITTER"].iter().fold(git, |git, who| {
            git.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.com")
        });
        named.limits(Limits::seconds(30)).run().await.unwrap().text().trim().to_owned()
    }

    pub(crate) async fn blob(&self, content: impl Into<Vec<u8>>) -> String {
        self.git(&["hash-object", "-w", "--stdin"], content).await
    }

    /// Writes a tree as it is, checking nothing: `(mode, name, object)`.
    pub(crate) async fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let raw = |(mode, name, object): &(&str, &str, &str)| {
            [format!("{mode} {name}\0").into_bytes(), hex::decode(object).unwrap()].concat()
        };
        let raw: Vec<u8> = entries.iter().flat_map(raw).collect();
        self.git(&["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], raw).await
    }

    /// A commit that only the pull request's ref holds.
    pub(crate) async fn commit(&self, tree: &str) -> CommitSha {
        let commit = self.git(&["commit-tree", tree, "-m", "x"], "").await;
        self.git(&["update-ref", "refs/pull/1/head", &commit], "").await;
        commit.parse().unwrap()
    }

    /// A commit of plain files at its root.
    pub(crate) async fn files(&self, files: &[(&str, &str)]) -> CommitSha {
        let mut entries = Vec::new();
        for (name, content) in files {
            entries.push((*name, self.blob(*content).await));
        }
        let entries: Vec<_> = entries.iter().map(|(name, blob)| ("100644", *name, blob.as_str())).collect();
        let tree = self.tree(&entries).await;
        self.commit(&tree).await
    }

    pub(crate) fn source(&self) -> GitSource {
        let server = format!("file://{}", self.dir.path().join("server").display());
        GitSource::new(self.mirrors(), &server, token(TOKEN))
    }

    pub(crate) async fn checkout_by(&self, source: &GitSource, commit: &CommitSha) -> Result<Checkout, Fault> {
        source.checkout(&want(commit, 1), self.src(), &self.hold).await
    }

    pub(crate) async fn checkout(&self, commit: &CommitSha) -> Result<Checkout, Fault> {
        self.checkout_by(&self.source(), commit).await
    }

    /// Checks out what must be refused for good, and of which nothing may be left.
    pub(crate) async fn refusal(&self, commit: &CommitSha) -> String {
        let Err(fault) = self.checkout(commit).await else { panic!("{commit} should be refused") };
        assert_eq!(fault.blame, Blame::Author, "{fault}: {:?}", fault.log_tail);
        assert_eq!(names(self.src().parent().unwrap()), [""; 0]);
        fault.cause
    }

    /// Checks out what can't be had now; gives the words.
    pub(crate) async fn passing(&self, source: &GitSource, commit: &CommitSha) -> String {
        let Err(fault) = self.checkout_by(source, commit).await else { panic!("{commit} can't be had") };
        assert_eq!(fault.blame, Blame::Passing, "{fault}");
        assert!(!format!("{fault:?}").contains(TOKEN));
        fault.cause
    }
}

pub(crate) fn want(commit: &CommitSha, number: u64) -> Want {
    let number = PrNumber::new(number).unwrap();
    Want { repo: RepoId(7), name: "org/app".parse().unwrap(), number, commit: commit.clone() }
}

/// The names in a folder, sorted; none where there is no folder.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}
