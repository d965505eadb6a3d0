//! A repository's mirror: a bare git folder that is ours alone.
//!
//! While it is open nobody else works on it: a lock in this process comes first (one per repository), then a lock file that every git holds too, so
//! that a git which outlives us keeps our successor out. So a `*.lock` that is found then is left over from one that was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use preview_core::ids::{CommitSha, RepoId};
use preview_exec::{ExecError, Output, Program, Stream};
use tokio::sync::Notify;

use super::blocking;
use super::command::Git;
use super::listing::Listing;
use super::trouble::Trouble;
use crate::file_lock::lock_file;
use crate::needs::{DeploymentLock, Want};
use crate::remove_tree::remove_tree;

/// Commits that are remembered, so that the next ones come as differences: a pull request's number modulo this names its place.
/// More would only keep the objects of closed ones for ever.
const REMEMBERED: u64 = 64;

/// Packs and loose objects (in the one of 256 folders that is looked at) beyond which a mirror is packed anew; git's own numbers.
const MOST_PACKS: usize = 50;
const MOST_LOOSE: usize = 27;

/// Between two packings of a mirror that isn't ragged.
const REPACK: Duration = Duration::from_secs(24 * 60 * 60);

/// Beats every `.gitattributes`: files leave as they were committed, and no filter runs.
const ATTRIBUTES: &str = "* -text -eol -crlf -filter -ident -working-tree-encoding -merge -diff\n";

/// Folders in which git leaves lock files when it is killed.
const LOCKED: &[&str] = &["", "refs", "refs/preview", "objects/info"];

pub(super) struct Mirror<'a> {
    dir: PathBuf,
    git: &'a Git,
    held: Vec<DeploymentLock>,
}

fn path(mirrors: &Path, repo: RepoId) -> PathBuf {
    mirrors.join(format!("{repo}.git"))
}

/// The repositories of which there is a mirror.
pub(super) fn all(mirrors: &Path) -> io::Result<Vec<RepoId>> {
    let names = match fs::read_dir(mirrors) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()),
    };
    Ok(names.filter_map(|name| name.strip_suffix(".git")?.parse().ok().map(RepoId)).collect())
}

/// Removes a repository's mirror.
pub(super) fn remove(mirrors: &Path, repo: RepoId) -> io::Result<()> {
    let dir = path(mirrors, repo);
    remove_tree(&dir)?;
    remove_tree(&dir.with_extension("lock"))
}

/// Bytes of all files below a folder.
fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size_of(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

impl<'a> Mirror<'a> {
    /// Takes the lock file, clears what a killed git left, and makes the mirror if there is none.
    pub(super) async fn open(
        mirrors: &Path,
        repo: RepoId,
        git: &'a Git,
        hold: Option<&DeploymentLock>,
    ) -> Result<Self, Trouble> {
        let dir = path(mirrors, repo);
        fs::create_dir_all(mirrors).map_err(|error| Trouble::ours(&error))?;
        let lock = lock_file(&dir.with_extension("lock")).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Trouble::Locked,
            _ => Trouble::ours(&error),
        })?;
        let mirror = Self { dir, git, held: hold.into_iter().cloned().chain([lock]).collect() };
        // Written last when a mirror is made: without it, the making was cut off.
        if mirror.attributes().exists() {
            mirror.unlock();
        } else {
            mirror.renew().await?;
        }
        Ok(mirror)
    }

    /// The locks that keep others out.
    pub(super) fn held(&self) -> &[DeploymentLock] {
        &self.held
    }

    fn attributes(&self) -> PathBuf {
        self.dir.join("info/attributes")
    }

    /// Throws away what is there and makes an empty mirror.
    pub(super) async fn renew(&self) -> Result<(), Trouble> {
        let dir = self.dir.clone();
        blocking(&self.held, move || remove_tree(&dir).and_then(|()| fs::create_dir(&dir))).await?;
        self.run(self.git.local(&["init", "--quiet", "--bare", "--template="])).await?;
        let info = self.dir.join("info");
        let written = fs::create_dir_all(info).and_then(|()| fs::write(self.attributes(), ATTRIBUTES));
        written.map_err(|error| Trouble::ours(&error))
    }

    /// Removes lock files of a git that was killed.
    fn unlock(&self) {
        for folder in LOCKED {
            let entries = fs::read_dir(self.dir.join(folder)).into_iter().flatten().flatten();
            for stale in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "lock"))
            {
                tracing::info!(file = %stale.display(), "removing the lock of a git that was killed");
                let _ = fs::remove_file(stale);
            }
        }
    }

    /// Fetches the commit and nothing else: by its name, or, where a server doesn't give that, as the pull request's head.
    ///
    /// GitHub gives any commit of a repository's network by name, one that a forced push left behind too.
    pub(super) async fn fetch(&self, want: &Want) -> Result<(), Trouble> {
        match self.fetch_ref(want, want.commit.as_str()).await {
            Err(Trouble::NoCommit) => {
                self.fetch_ref(want, &format!("refs/pull/{}/head", want.number)).await?;
                let there = self.git.local(&["cat-file", "-e", &format!("{}^{{commit}}", want.commit)]);
                // The pull request has moved on, or the server is behind.
                self.run(there).await.map(drop).map_err(|_| Trouble::NoCommit)
            }
            fetched => fetched,
        }
    }

    async fn fetch_ref(&self, want: &Want, theirs: &str) -> Result<(), Trouble> {
        let (url, place) = (self.git.url(&want.name), want.number.get() % REMEMBERED);
        let refspec = format!("+{theirs}:refs/preview/{place}");
        let options = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", &url, &refspec];
        let fetch = self.git.remote(&options).await.map_err(|fault| Trouble::SignIn(Box::new(fault)))?;
        self.run(fetch).await.map(drop)
    }

    /// Whether all of the commit is there, telling `listing` of every file and folder, as long as that wants to hear of more.
    pub(super) async fn list(&self, commit: &CommitSha, listing: &mut Listing<'_>) -> Result<(), Trouble> {
        let enough = Notify::new();
        let list = self.program(self.git.local(&["ls-tree", "-r", "-t", "-l", "--full-tree", commit.as_str()]));
        let each = |stream, line: &str| {
            if stream == Stream::Out && !listing.line(line) {
                enough.notify_one();
            }
        };
        tokio::select! {
            biased;
            () = enough.notified() => Ok(()),
            listed = list.run_with(each) => listed.map(drop).map_err(|error| Trouble::of(&error)),
        }
    }

    /// Writes the commit's files into `folder` of `staging`, through an index there.
    pub(super) async fn check_out(&self, commit: &CommitSha, staging: &Path, folder: &str) -> Result<(), Trouble> {
        let index = staging.join("index");
        self.run(self.git.local(&["read-tree", commit.as_str()]).env("GIT_INDEX_FILE", &index)).await?;
        let write = self.git.local(&["checkout-index", "--all", "--quiet", &format!("--prefix={folder}/")]);
        self.run(write.env("GIT_INDEX_FILE", &index).env("GIT_WORK_TREE", staging)).await.map(drop)
    }

    /// Keeps it small before a fetch: packs it if it has grown ragged, empties it if it has grown beyond `most` bytes.
    pub(super) async fn tidy(&self, most: u64) -> Result<(), Trouble> {
        self.shrink(most, self.is_ragged()).await
    }

    /// The same when nobody waits, and a good while after the last time too. Gives the bytes that it takes now.
    pub(super) async fn keep_house(&self, most: u64) -> Result<u64, Trouble> {
        self.shrink(most, self.is_ragged() || self.is_due()).await?;
        self.size().await
    }

    async fn shrink(&self, most: u64, pack: bool) -> Result<(), Trouble> {
        let size = self.size().await?;
        if size > most {
            tracing::info!(mirror = %self.dir.display(), size, most, "a git mirror has grown too large and starts afresh");
            self.renew().await
        } else if pack {
            self.pack().await
        } else {
            Ok(())
        }
    }

    fn is_ragged(&self) -> bool {
        let entries = |folder: &str| fs::read_dir(self.dir.join(folder)).map_or(0, Iterator::count);
        // A pack is two or three files.
        entries("objects/pack") > 2 * MOST_PACKS || entries("objects/17") > MOST_LOOSE
    }

    /// Whether something was fetched since it was packed, and that is a good while ago. What pushes by force have left behind
    /// takes room until then. A fetch writes its ref as a file of its own; packing gathers them in one, whose time tells when.
    fn is_due(&self) -> bool {
        let fetched = fs::read_dir(self.dir.join("refs/preview")).is_ok_and(|mut refs| refs.next().is_some());
        let packed = fs::metadata(self.dir.join("packed-refs")).or_else(|_| fs::metadata(self.attributes()));
        let age = packed.and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        fetched && age.is_some_and(|age| age >= REPACK)
    }

    /// Packs everything into one, dropping what no remembered commit needs, with little of the machine.
    async fn pack(&self) -> Result<(), Trouble> {
        let bounds = ["-c", "pack.threads=1", "-c", "pack.windowMemory=100m"];
        let gc = [&bounds[..], &["gc", "--quiet", "--force", "--prune=now"]].concat();
        self.run(self.git.local(&gc)).await.map(drop)
    }

    async fn size(&self) -> Result<u64, Trouble> {
        let dir = self.dir.clone();
        blocking(&self.held, move || size_of(&dir)).await
    }

    fn program(&self, program: Program) -> Program {
        let program = program.dir(&self.dir).env("GIT_DIR", &self.dir);
        self.held.iter().fold(program, |program, lock| program.holding(lock.clone()))
    }

    async fn run(&self, program: Program) -> Result<Output, Trouble> {
        self.program(program).run().await.map_err(|error: ExecError| Trouble::of(&error))
    }
}
