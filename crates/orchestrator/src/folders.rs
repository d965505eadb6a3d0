//! A deployment's folder: its lock, its password, and for the time of a build its checkout; and the folder of its logs.
//!
//! ```text
//! {DEPLOYMENTS_DIR}/{deployment id}/
//!   lock           held by us and by every program that works for the deployment
//!   password       of its database, 0600
//!   compose.yml    what runs, 0600
//!   src/           the commit being built
//! {LOG_DIR}/{deployment id}/
//!   build.log      of the newest attempt, 10 MB at most
//!   app.log        the last words of the newest app that ended
//!   migrate.log    of the newest migration, and seed.log of the newest seed
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use preview_core::compose::{DatabasePassword, Task};
use preview_core::ids::DeploymentId;

use crate::file_lock::lock_file;
use crate::needs::{DeploymentLock, Fault};
use crate::remove_tree::remove_tree;

/// Bytes kept of a log file.
pub const LOG_SIZE: u64 = 10 << 20;

/// All deployments' folders.
#[derive(Debug, Clone)]
pub struct Folders {
    root: PathBuf,
    logs: PathBuf,
}

/// Which of a deployment's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The newest attempt's build.
    Build,
    /// What the newest failed attempt's app said.
    App,
    /// What was said by what was done once for the newest commit that had it done.
    Task(Task),
}

impl Folders {
    /// The folders under `root`, and those of logs under `logs`.
    pub fn new(root: PathBuf, logs: PathBuf) -> Self {
        Self { root, logs }
    }

    /// A deployment's folder, there or not.
    pub fn of(&self, id: &DeploymentId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// Where a deployment's checkout goes.
    pub fn checkout(&self, id: &DeploymentId) -> PathBuf {
        self.of(id).join("src")
    }

    /// The file of a log.
    pub fn log(&self, id: &DeploymentId, log: Log) -> PathBuf {
        let name = match log {
            Log::Build => "build.log",
            Log::App => "app.log",
            Log::Task(Task::Migrate) => "migrate.log",
            Log::Task(Task::Seed) => "seed.log",
        };
        self.logs_of(id).join(name)
    }

    fn logs_of(&self, id: &DeploymentId) -> PathBuf {
        self.logs.join(id.to_string())
    }

    /// Whether a deployment's folder is there.
    pub fn exists(&self, id: &DeploymentId) -> bool {
        self.of(id).exists()
    }

    /// The deployments of which a folder is there.
    pub fn list(&self) -> io::Result<Vec<DeploymentId>> {
        let names = fs::read_dir(&self.root)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Makes a deployment's folders if need be, and takes its lock once no straggler holds it any more.
    pub async fn lock(&self, id: &DeploymentId) -> Result<DeploymentLock, Fault> {
        let fault = |error: io::Error| Fault::passing(format!("the preview's folder could not be used: {error}"));
        private_dir(&self.of(id)).and_then(|()| private_dir(&self.logs_of(id))).map_err(fault)?;
        lock_file(&self.of(id).join("lock")).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Fault::passing("a program of an earlier attempt has not ended yet"),
            _ => fault(error),
        })
    }

    /// The database password of a deployment, made when it is first asked for.
    pub fn password(&self, id: &DeploymentId) -> io::Result<DatabasePassword> {
        if let Some(password) = self.known_password(id)? {
            return Ok(password);
        }
        let password = DatabasePassword::from_bytes(rand::random());
        self.keep_password(id, &password)?;
        Ok(password)
    }

    /// Writes a deployment's database password down.
    pub fn keep_password(&self, id: &DeploymentId, password: &DatabasePassword) -> io::Result<()> {
        let mut file = private_file().truncate(true).open(self.of(id).join("password"))?;
        writeln!(file, "{}", password.expose())?;
        file.sync_all()
    }

    /// The database password of a deployment, if it has one; what lies in its place and is none counts for nothing.
    pub fn known_password(&self, id: &DeploymentId) -> io::Result<Option<DatabasePassword>> {
        match fs::read(self.of(id).join("password")) {
            Ok(text) => Ok(str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets the password: a database that starts afresh gets a fresh one.
    pub fn forget_password(&self, id: &DeploymentId) -> io::Result<()> {
        gone_is_fine(fs::remove_file(self.of(id).join("password")))
    }

    /// Opens a log for a new attempt.
    pub fn start_log(&self, id: &DeploymentId, log: Log) -> io::Result<LogWriter> {
        let file = private_file().truncate(true).open(self.log(id, log))?;
        Ok(LogWriter { file, left: LOG_SIZE })
    }

    /// The last lines of a log; none when there is no such log.
    pub fn tail(&self, id: &DeploymentId, log: Log, lines: usize) -> io::Result<Vec<String>> {
        let mut file = match File::open(self.log(id, log)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // Lines are cut at 8 KiB when they are read from programs; most are a hundredth of it.
        let reach = u64::try_from(lines).unwrap_or(u64::MAX).saturating_mul(1 << 10);
        let start = file.metadata()?.len().saturating_sub(reach);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(LOG_SIZE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect())
    }

    /// Removes the checkout.
    pub fn remove_checkout(&self, id: &DeploymentId) -> io::Result<()> {
        remove_tree(&self.checkout(id))
    }

    /// Removes everything of a deployment: its folder last, by which the rest is known to be there.
    pub fn remove(&self, id: &DeploymentId) -> io::Result<()> {
        remove_tree(&self.logs_of(id))?;
        remove_tree(&self.of(id))
    }
}

/// A log being written, in bounded size.
#[derive(Debug)]
pub struct LogWriter {
    file: File,
    left: u64,
}

impl LogWriter {
    /// Adds a line while there is room. A full disk costs the log, not the build.
    pub fn line(&mut self, line: &str) {
        let size = line.len() as u64 + 1;
        if size <= self.left {
            self.left -= size;
            if writeln!(self.file, "{line}").is_err() {
                self.left = 0;
            }
        }
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, Folders, DeploymentId) {
        let dir = tempfile::tempdir().unwrap();
        let folders = Folders::new(dir.path().join("deployments"), dir.path().join("logs"));
        (dir, folders, "org-app-1".parse().unwrap())
    }

    #[tokio::test]
    async fn a_password_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, folders, id) = folders();
        let _lock = folders.lock(&id).await.unwrap();
        let first = folders.password(&id).unwrap();
        assert_eq!(first.expose(), folders.password(&id).unwrap().expose());
        let mode = fs::metadata(folders.of(&id).join("password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        folders.forget_password(&id).unwrap();
        let second = folders.password(&id).unwrap();
        assert_ne!(first.expose(), second.expose());
        // Of a disk that failed.
        fs::write(folders.of(&id).join("password"), [0xFF; 48]).unwrap();
        assert_ne!(second.expose(), folders.password(&id).unwrap().expose());
    }

    #[tokio::test]
    async fn a_log_is_bounded_and_its_end_is_found() {
        let (_dir, folders, id) = folders();
        let _lock = folders.lock(&id).await.unwrap();
        assert!(folders.tail(&id, Log::Build, 5).unwrap().is_empty());
        let mut log = folders.start_log(&id, Log::Build).unwrap();
        (0..100).for_each(|n| log.line(&format!("line {n}")));
        assert_eq!(folders.tail(&id, Log::Build, 2).unwrap(), ["line 98", "line 99"]);
        (0..20_000).for_each(|_| log.line(&"x".repeat(1000)));
        assert!(fs::metadata(folders.log(&id, Log::Build)).unwrap().len() <= LOG_SIZE);
    }

    #[tokio::test]
    async fn everything_goes_even_what_cannot_be_written_to() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, folders, id) = folders();
        let lock = folders.lock(&id).await.unwrap();
        let deep = folders.checkout(&id).join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o500)).unwrap();
        drop(lock);
        drop(folders.start_log(&id, Log::Build).unwrap());
        folders.remove(&id).unwrap();
        assert!(!folders.exists(&id) && !folders.logs_of(&id).exists());
        folders.remove(&id).unwrap();
    }
}
