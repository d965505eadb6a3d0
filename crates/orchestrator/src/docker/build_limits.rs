//! Holding builds within memory and processor limits.
//!
//! Builds run in the engine, not in a process of ours, and what can hold them differs. An engine with the `cgroupfs` driver
//! on cgroup v1 puts every step beneath one group, `docker/buildkit`, and limits there hold all builds of that engine
//! *together*: whoever uses them builds one image at a time. Setting them takes root, and
//! they are set while a build of ours runs. Elsewhere nothing that we can set
//! holds (with the `systemd` driver every step gets a scope of its own beside the system's), and [`BuildLimits::Absent`]
//! says why, for `doctor` and for `/health`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Where Linux has its control groups.
pub(super) const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// The group of the engine's builder within each hierarchy.
const BUILDER: &str = "docker/buildkit";
/// The kernel's default period in microseconds, of which a quota is a share.
const CPU_PERIOD_US: f64 = 100_000.0;
/// What lifts any of the limits.
const UNLIMITED: &str = "-1";

/// What holds builds on this engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildLimits {
    /// One limit for all builds together: one build at a time.
    Together,
    /// Nothing, and why.
    Absent(String),
}

/// The builder's control group on cgroup v1.
#[derive(Debug, Clone)]
pub(super) struct BuilderGroup {
    memory: PathBuf,
    cpu: PathBuf,
}

/// The limits hold while this lives. Others of us on the same engine share them: the last to end lifts them, so that builds that
/// aren't ours are free again.
#[derive(Debug)]
pub(super) struct Held<'a> {
    group: &'a BuilderGroup,
    lock: File,
}

impl BuilderGroup {
    /// Finds the group of an engine with this driver (`cgroupfs`, `systemd`) below `root`, or says why there is none to use.
    pub(super) fn find(root: &Path, driver: &str) -> Result<Self, String> {
        if driver != "cgroupfs" {
            return Err(format!(
                "the engine's cgroup driver is `{driver}`, which gives every build step a scope of its own"
            ));
        }
        if !root.join("memory").is_dir() {
            return Err("the system uses cgroup v2, on which the engine's builder has no group to limit".to_owned());
        }
        let group = Self { memory: root.join("memory").join(BUILDER), cpu: root.join("cpu").join(BUILDER) };
        let writable = group.make().and_then(|()| OpenOptions::new().write(true).open(group.memory_limit()));
        match writable {
            Ok(_) => Ok(group),
            Err(error) => Err(format!("the builder's control group can't be set (that takes root): {error}")),
        }
    }

    /// Holds builds within these limits.
    pub(super) fn hold(&self, memory_bytes: u64, cpus: Option<f64>) -> io::Result<Held<'_>> {
        // An engine that was restarted has no group until its first build.
        self.make()?;
        let lock = File::open(&self.memory)?;
        flock(&lock, FlockOperation::LockShared)?;
        let quota = cpus.map_or_else(|| UNLIMITED.to_owned(), |cpus| format!("{:.0}", cpus * CPU_PERIOD_US));
        self.write(&memory_bytes.to_string(), &quota)?;
        Ok(Held { group: self, lock })
    }

    /// The engine makes it with its first build; here it may come earlier.
    fn make(&self) -> io::Result<()> {
        fs::create_dir_all(&self.memory)?;
        fs::create_dir_all(&self.cpu)
    }

    fn memory_limit(&self) -> PathBuf {
        self.memory.join("memory.limit_in_bytes")
    }

    /// Of memory and swap together; absent where the kernel doesn't account for swap.
    fn swap_limit(&self) -> PathBuf {
        self.memory.join("memory.memsw.limit_in_bytes")
    }

    fn cpu_quota(&self) -> PathBuf {
        self.cpu.join("cpu.cfs_quota_us")
    }

    fn write(&self, memory: &str, quota: &str) -> io::Result<()> {
        let swap = self.swap_limit().exists();
        if swap {
            // It may never be less than the limit of memory alone, so it moves out of the way first.
            fs::write(self.swap_limit(), UNLIMITED)?;
        }
        fs::write(self.memory_limit(), memory)?;
        if swap {
            fs::write(self.swap_limit(), memory)?;
        }
        fs::write(self.cpu_quota(), quota)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let last = flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if last && let Err(error) = self.group.write(UNLIMITED, UNLIMITED) {
            tracing::warn!(%error, "the engine's builds stay limited: the builder's control group can't be set back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: [&str; 3] = ["-1"; 3];
    const FILES: [&str; 3] = [
        "memory/docker/buildkit/memory.limit_in_bytes",
        "memory/docker/buildkit/memory.memsw.limit_in_bytes",
        "cpu/docker/buildkit/cpu.cfs_quota_us",
    ];

    fn system() -> (tempfile::TempDir, BuilderGroup) {
        let root = tempfile::tempdir().unwrap();
        for file in FILES.map(|file| root.path().join(file)) {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, UNLIMITED).unwrap();
        }
        let group = BuilderGroup::find(root.path(), "cgroupfs").unwrap();
        (root, group)
    }

    fn read(root: &tempfile::TempDir) -> [String; 3] {
        FILES.map(|file| fs::read_to_string(root.path().join(file)).unwrap())
    }

    #[test]
    fn limits_hold_for_memory_with_swap_and_for_cpus_and_go_again() {
        let (root, group) = system();
        assert_eq!(read(&root), FREE);
        let held = group.hold(2 << 30, Some(1.5)).unwrap();
        assert_eq!(read(&root), ["2147483648", "2147483648", "150000"]);
        drop(held);
        assert_eq!(read(&root), FREE);
    }

    #[test]
    fn the_last_of_several_lifts_them() {
        let (root, group) = system();
        let first = group.hold(2 << 30, None).unwrap();
        let second = group.hold(1 << 30, None).unwrap();
        drop(first);
        assert_eq!(read(&root), ["1073741824", "1073741824", "-1"]);
        drop(second);
        assert_eq!(read(&root), FREE);
    }

    #[test]
    fn an_engine_without_such_a_group_says_why() {
        let root = tempfile::tempdir().unwrap();
        assert!(BuilderGroup::find(root.path(), "systemd").unwrap_err().contains("`systemd`"));
        assert!(BuilderGroup::find(root.path(), "cgroupfs").unwrap_err().contains("cgroup v2"));
        fs::create_dir(root.path().join("memory")).unwrap();
        assert!(BuilderGroup::find(root.path(), "cgroupfs").unwrap_err().contains("can't be set"));
    }
}
