//! The builder's control groups, on an engine with the `cgroupfs` driver and cgroup v1.
//!
//! Every step of every build runs beneath one group of each kind, and limits there hold all builds of that engine *together*.
//! Setting them takes root. They are set while a build of ours runs: what others build on this engine is free again afterwards.
//!
//! Source: <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FlockOperation, flock};

use super::Ceilings;

/// The kernel's default period in microseconds, of which a quota is a share.
const CPU_PERIOD_US: f64 = 100_000.0;
/// A builder's weight beside each container, which has 1024: processors go to previews first, and idle ones to builds.
const CPU_SHARES: &str = "256";
const USUAL_CPU_SHARES: &str = "1024";

/// The builder's groups.
#[derive(Debug)]
pub(super) struct BuilderGroup {
    memory: PathBuf,
    cpu: PathBuf,
    pids: PathBuf,
}

/// The limits hold while this lives. Others of us on the same engine share them: the last to end lifts them.
#[derive(Debug)]
pub(super) struct Held<'a> {
    group: &'a BuilderGroup,
    lock: File,
    /// Counts how often the kernel found no more memory for the group; none where it doesn't tell.
    out_of_memory: Option<OwnedFd>,
}

/// What is written into the groups' files.
struct Values {
    memory: String,
    cpu_quota: String,
    cpu_shares: &'static str,
    processes: String,
}

impl Values {
    fn of(ceilings: &Ceilings) -> Self {
        Self {
            memory: ceilings.memory_bytes.to_string(),
            cpu_quota: format!("{:.0}", ceilings.cpus * CPU_PERIOD_US),
            cpu_shares: CPU_SHARES,
            processes: ceilings.processes.to_string(),
        }
    }

    /// What lifts every limit.
    fn unlimited() -> Self {
        Self {
            memory: "-1".to_owned(),
            cpu_quota: "-1".to_owned(),
            cpu_shares: USUAL_CPU_SHARES,
            processes: "max".to_owned(),
        }
    }
}

impl BuilderGroup {
    /// Finds the groups of this name below `root`, or says why there are none to use.
    pub(super) fn find(root: &Path, driver: &str, name: &Path) -> Result<Self, String> {
        if driver != "cgroupfs" {
            return Err(format!(
                "the engine's cgroup driver is `{driver}`, which gives every build step a scope of its own"
            ));
        }
        if !root.join("memory").is_dir() {
            return Err("the system uses cgroup v2, on which the engine's builder has no group to limit".to_owned());
        }
        let name = name.strip_prefix("/").unwrap_or(name);
        let of = |kind: &str| root.join(kind).join(name);
        let group = Self { memory: of("memory"), cpu: of("cpu"), pids: of("pids") };
        let writable = group.make().and_then(|()| OpenOptions::new().write(true).open(group.memory_limit()));
        match writable {
            Ok(_) => Ok(group),
            Err(error) => Err(format!("the builder's control group can't be set (that takes root): {error}")),
        }
    }

    /// Holds builds within these limits.
    pub(super) fn hold(&self, ceilings: &Ceilings) -> io::Result<Held<'_>> {
        // An engine that was restarted has no group until its first build.
        self.make()?;
        let lock = File::open(&self.memory)?;
        flock(&lock, FlockOperation::LockShared)?;
        let held = Held { group: self, lock, out_of_memory: self.out_of_memory_events() };
        self.write(&Values::of(ceilings))?;
        Ok(held)
    }

    /// Lifts what one of us left behind who was killed.
    pub(super) fn lift_unless_held(&self) {
        if let Ok(lock) = File::open(&self.memory) {
            drop(Held { group: self, lock, out_of_memory: None });
        }
    }

    /// The engine makes them with its first build; here it may come earlier.
    fn make(&self) -> io::Result<()> {
        [&self.memory, &self.cpu, &self.pids].into_iter().try_for_each(fs::create_dir_all)
    }

    fn memory_limit(&self) -> PathBuf {
        self.memory.join("memory.limit_in_bytes")
    }

    /// Of memory and swap together; absent where the kernel doesn't account for swap.
    fn swap_limit(&self) -> PathBuf {
        self.memory.join("memory.memsw.limit_in_bytes")
    }

    fn write(&self, values: &Values) -> io::Result<()> {
        let swap = self.swap_limit().exists();
        if swap {
            // It may never be less than the limit of memory alone, so it moves out of the way first.
            fs::write(self.swap_limit(), "-1")?;
        }
        fs::write(self.memory_limit(), &values.memory)?;
        if swap {
            fs::write(self.swap_limit(), &values.memory)?;
        }
        fs::write(self.cpu.join("cpu.cfs_quota_us"), &values.cpu_quota)?;
        fs::write(self.cpu.join("cpu.shares"), values.cpu_shares)?;
        fs::write(self.pids.join("pids.max"), &values.processes)
    }

    /// Has the kernel count, from now on, how often the group found no more memory. In the steps' own groups, which it counts in
    /// too, nobody can read it once the step has ended.
    fn out_of_memory_events(&self) -> Option<OwnedFd> {
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
        let control = File::open(self.memory.join("memory.oom_control")).ok()?;
        let wish = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(self.memory.join("cgroup.event_control"), wish).ok()?;
        Some(events)
    }
}

impl Held<'_> {
    /// Whether the kernel found no more memory for the builds, since the last time that it was asked.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        // With none counted, reading would have to wait, and is an error.
        self.out_of_memory.as_ref().is_some_and(|events| rustix::io::read(events, &mut [0; 8]).is_ok())
    }

    /// How many processes and threads the builds have.
    pub(super) fn processes(&self) -> Option<u64> {
        fs::read_to_string(self.group.pids.join("pids.current")).ok()?.trim().parse().ok()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let last = flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if last && let Err(error) = self.group.write(&Values::unlimited()) {
            tracing::warn!(%error, "the engine's builds stay limited: the builder's control group can't be set back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "/docker/buildkit";
    const FREE: [&str; 5] = ["-1", "-1", "-1", "1024", "max"];
    const FILES: [&str; 5] = [
        "memory/docker/buildkit/memory.limit_in_bytes",
        "memory/docker/buildkit/memory.memsw.limit_in_bytes",
        "cpu/docker/buildkit/cpu.cfs_quota_us",
        "cpu/docker/buildkit/cpu.shares",
        "pids/docker/buildkit/pids.max",
    ];

    fn within(megabytes: u64) -> Ceilings {
        Ceilings { memory_bytes: megabytes << 20, cpus: 1.5, processes: 100 }
    }

    fn system() -> (tempfile::TempDir, BuilderGroup) {
        let root = tempfile::tempdir().unwrap();
        for (file, value) in FILES.iter().zip(FREE) {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, value).unwrap();
        }
        let group = BuilderGroup::find(root.path(), "cgroupfs", Path::new(NAME)).unwrap();
        (root, group)
    }

    fn read(root: &tempfile::TempDir) -> [String; 5] {
        FILES.map(|file| fs::read_to_string(root.path().join(file)).unwrap())
    }

    #[test]
    fn limits_hold_for_memory_with_swap_for_cpus_and_processes_and_go_again() {
        let (root, group) = system();
        assert_eq!(read(&root), FREE);
        let held = group.hold(&within(2048)).unwrap();
        assert_eq!(read(&root), ["2147483648", "2147483648", "150000", "256", "100"]);
        drop(held);
        assert_eq!(read(&root), FREE);
    }

    #[test]
    fn the_last_of_several_lifts_them() {
        let (root, group) = system();
        let first = group.hold(&within(2048)).unwrap();
        let second = group.hold(&within(1024)).unwrap();
        drop(first);
        group.lift_unless_held();
        assert_eq!(read(&root)[0], "1073741824");
        drop(second);
        assert_eq!(read(&root), FREE);
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_lifted() {
        let (root, group) = system();
        group.write(&Values::of(&within(64))).unwrap();
        group.lift_unless_held();
        assert_eq!(read(&root), FREE);
    }

    #[test]
    fn an_engine_without_such_a_group_says_why() {
        let root = tempfile::tempdir().unwrap();
        let find = |driver| BuilderGroup::find(root.path(), driver, Path::new(NAME)).unwrap_err();
        assert!(find("systemd").contains("`systemd`"));
        assert!(find("cgroupfs").contains("cgroup v2"));
        fs::create_dir(root.path().join("memory")).unwrap();
        assert!(find("cgroupfs").contains("can't be set"));
    }
}
