//! The bare repositories behind the pull requests: real ones, written by the real Git, through its plumbing only.
//!
//! No working copy, no shell, and every hostile name on standard input or behind `--`.

mod objects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use preview_core::ids::CommitSha;
use preview_exec::{ExecError, Limits, Output, Program};

use crate::change::Change;
use crate::error::{Error, Result};
use objects::{Objects, Tree};

/// The most that Git may hand us at once: a clone of a repository that somebody demonstrates with.
pub(crate) const LARGEST_ANSWER: usize = 512 << 20;

/// In bytes, on every file system that Linux boots from.
const LONGEST_FILE_NAME: usize = 255;

/// Who made a commit, when, and what they said of it.
pub(crate) struct Authorship<'a> {
    pub(crate) login: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) message: &'a str,
}

/// One bare repository on disk.
#[derive(Debug, Clone)]
pub(crate) struct Bare {
    dir: PathBuf,
}

/// Git with nobody's configuration but ours.
pub(crate) fn git(home: &Path) -> Program {
    Program::new("git")
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .limits(Limits { silence: Duration::from_secs(120), ..Limits::seconds(300) }.keeping(LARGEST_ANSWER))
}

impl Bare {
    /// The repository in this folder, which need not exist yet.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Makes an empty repository that lets itself be fetched from as GitHub's do: any commit, any filter.
    pub(crate) async fn init(&self, default_branch: &str) -> Result<()> {
        let program = git(&self.dir).args(["init", "--quiet", "--bare", "--template="]);
        let program = program.arg(format!("--initial-branch={default_branch}")).arg("--").arg(&self.dir);
        program.run().await.map_err(failed("make a repository"))?;
        for key in ["uploadpack.allowAnySHA1InWant", "uploadpack.allowReachableSHA1InWant", "uploadpack.allowFilter"] {
            self.run("configure a repository", |git| git.args(["config", key, "true"])).await?;
        }
        Ok(())
    }

    /// Shares the objects of another repository, as forks on GitHub do.
    pub(crate) fn borrow_objects_of(&self, other: &Bare) -> Result<()> {
        let path = self.dir.join("objects/info/alternates");
        let line = format!("{}\n", other.dir.join("objects").display());
        std::fs::write(&path, line).map_err(|source| Error::File { path, source })
    }

    /// Writes a commit of these changes on top of `parent`.
    pub(crate) async fn commit(
        &self,
        parent: Option<&CommitSha>,
        changes: Vec<Change>,
        authorship: Authorship<'_>,
    ) -> Result<CommitSha> {
        let mut tree = match parent {
            Some(parent) => self.tree_of(parent).await?,
            None => Tree::default(),
        };
        let mut objects = Objects::default();
        for change in changes {
            tree.apply(change, &mut objects);
        }
        let tree = tree.write(&mut objects);
        self.write_commit(&tree, parent.into_iter(), authorship, objects).await
    }

    /// Writes the commit that merges `head` into `base`; a conflict is an error.
    pub(crate) async fn merge(
        &self,
        base: &CommitSha,
        head: &CommitSha,
        authorship: Authorship<'_>,
    ) -> Result<CommitSha> {
        let merge = |git: Program| git.args(["merge-tree", "--write-tree", "--", base.as_str(), head.as_str()]);
        let tree = self.run("merge the pull request", merge).await?.text();
        self.write_commit(tree.trim(), [base, head].into_iter(), authorship, Objects::default()).await
    }

    async fn write_commit(
        &self,
        tree: &str,
        parents: impl Iterator<Item = &CommitSha>,
        by: Authorship<'_>,
        mut objects: Objects,
    ) -> Result<CommitSha> {
        let parents: String = parents.map(|parent| format!("parent {parent}\n")).collect();
        let who = format!("{0} <{0}@users.noreply.github.com> {1} +0000", by.login, by.at.as_second());
        let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{}\n", by.message);
        let sha = objects.add("commit", text.into_bytes());
        for (kind, list, _held) in objects.on_disk()? {
            let store = ["hash-object", "-w", "--no-filters", "--literally", "--stdin-paths", "-t", kind];
            self.run("write objects", |git| git.args(store).stdin(list)).await?;
        }
        sha.parse().map_err(|source| Error::NoCommit { what: "the new commit".to_owned(), source })
    }

    async fn tree_of(&self, commit: &CommitSha) -> Result<Tree> {
        let list = ["ls-tree", "-r", "-z", "--full-tree", commit.as_str(), "--"];
        Ok(Tree::parse(&self.run("list a commit's files", |git| git.args(list)).await?.stdout))
    }

    /// Takes a commit with its history over from another repository on this machine.
    pub(crate) async fn fetch(&self, from: &Path, revision: &str) -> Result<CommitSha> {
        let path = std::fs::canonicalize(from).map_err(|source| Error::File { path: from.to_owned(), source })?;
        let fetch = ["fetch", "--quiet", "--no-tags", "--update-shallow", "--no-write-fetch-head", "--"];
        let kept = format!("+{revision}:refs/imported");
        self.run("fetch from the local repository", |git| git.args(fetch).arg(&path).arg(kept)).await?;
        let parse = ["rev-parse", "--verify", "refs/imported^{commit}"];
        let sha = self.run("find the fetched commit", |git| git.args(parse)).await?.text();
        self.run("forget the import's name", |git| git.args(["update-ref", "-d", "refs/imported"])).await?;
        sha.trim().parse().map_err(|source| Error::NoCommit { what: revision.to_owned(), source })
    }

    /// Whether Git takes this text as a branch's name, and can lock the file that it is here. GitHub shows a pull request's branch
    /// whatever it is called.
    pub(crate) async fn takes_branch(&self, name: &str) -> Result<bool> {
        if name.contains('\0') || name.split('/').any(|part| part.len() + ".lock".len() > LONGEST_FILE_NAME) {
            return Ok(false);
        }
        let check = git(&self.dir).arg("check-ref-format").arg(format!("refs/heads/{name}"));
        Ok(check.status().await.map_err(failed("check a branch's name"))?.status.success())
    }

    /// Points each of these references at its commit, or removes it, all or none.
    pub(crate) async fn set_refs(&self, refs: &[(String, Option<&CommitSha>)]) -> Result<()> {
        let mut input = Vec::new();
        for (name, commit) in refs {
            match commit {
                Some(commit) => input.extend_from_slice(format!("update {name}\0{commit}\0\0").as_bytes()),
                None => input.extend_from_slice(format!("delete {name}\0\0").as_bytes()),
            }
        }
        let update = |git: Program| git.args(["update-ref", "--stdin", "-z"]).stdin(input);
        self.run("move a branch", update).await.map(drop)
    }

    async fn run(&self, action: &'static str, with: impl FnOnce(Program) -> Program) -> Result<Output> {
        let program = with(git(&self.dir).arg("--git-dir").arg(&self.dir));
        program.run().await.map_err(failed(action))
    }
}

fn failed(action: &'static str) -> impl FnOnce(ExecError) -> Error {
    move |source| Error::Git { action, source }
}
