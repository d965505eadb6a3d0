//! Holding builds within memory and processor limits.
//!
//! Builds run in the engine, not in a process of ours, and what can hold them differs. An engine with the `cgroupfs` driver
//! on cgroup v1 puts every step beneath one group, `docker/buildkit`, and limits there hold all builds of that engine
//! *together*: whoever uses them builds one image at a time. Setting them takes root. Elsewhere nothing that we can set
//! holds (with the `systemd` driver every step gets a scope of its own beside the system's), and [`BuildLimits::Absent`]
//! says why, for `doctor` and for `/health`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where Linux has its control groups.
pub(super) const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// The group of the engine's builder within each hierarchy.
const BUILDER: &str = "docker/buildkit";
/// The kernel's default period in microseconds, of which a quota is a share.
const CPU_PERIOD_US: f64 = 100_000.0;

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
        Ok(Self { memory: root.join("memory").join(BUILDER), cpu: root.join("cpu").join(BUILDER) })
    }

    /// Sets the limits, whatever they were. The engine makes the group with its first build; here it may come earlier.
    pub(super) fn limit(&self, memory_bytes: u64, cpus: Option<f64>) -> io::Result<()> {
        fs::create_dir_all(&self.memory)?;
        let swap = self.memory.join("memory.memsw.limit_in_bytes");
        let accounts_swap = swap.exists();
        if accounts_swap {
            // Memory and swap together may never be less than memory alone, so this one moves out of the way first.
            fs::write(&swap, "-1")?;
        }
        fs::write(self.memory.join("memory.limit_in_bytes"), memory_bytes.to_string())?;
        if accounts_swap {
            fs::write(&swap, memory_bytes.to_string())?;
        }
        if let Some(cpus) = cpus {
            fs::create_dir_all(&self.cpu)?;
            fs::write(self.cpu.join("cpu.cfs_quota_us"), format!("{:.0}", cpus * CPU_PERIOD_US))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_for_memory_with_swap_and_for_cpus() {
        let root = tempfile::tempdir().unwrap();
        let memory = root.path().join("memory/docker/buildkit");
        fs::create_dir_all(&memory).unwrap();
        fs::write(memory.join("memory.memsw.limit_in_bytes"), "9223372036854771712").unwrap();

        let group = BuilderGroup::find(root.path(), "cgroupfs").unwrap();
        group.limit(2 << 30, Some(1.5)).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("memory/docker/buildkit/memory.limit_in_bytes"), "2147483648");
        assert_eq!(read("memory/docker/buildkit/memory.memsw.limit_in_bytes"), "2147483648");
        assert_eq!(read("cpu/docker/buildkit/cpu.cfs_quota_us"), "150000");
    }

    #[test]
    fn an_engine_without_such_a_group_says_why() {
        let root = tempfile::tempdir().unwrap();
        assert!(BuilderGroup::find(root.path(), "systemd").unwrap_err().contains("`systemd`"));
        assert!(BuilderGroup::find(root.path(), "cgroupfs").unwrap_err().contains("cgroup v2"));
    }
}
