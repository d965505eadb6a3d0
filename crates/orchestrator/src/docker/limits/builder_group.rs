//! The builder's control groups, on an engine with the `cgroupfs` driver.
//!
//! Every step of every build runs beneath one group (on cgroup v1: one of each kind), and limits there hold all builds of that
//! engine *together*. Setting them takes root, or somebody who may write to these files. They are set while a build of ours
//! runs: what others build on this engine is free again afterwards.

mod files;

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::Ceilings;
use files::{Files, OutOfMemory};

/// The builder's groups.
#[derive(Debug)]
pub(super) struct BuilderGroup {
    files: Files,
}

/// Makes the groups of this name below `root` and gives what limits them to a user.
pub(super) fn hand_over(root: &Path, name: &Path, user: u32) -> io::Result<()> {
    let files = Files::below(root, name.strip_prefix("/").unwrap_or(name));
    files.make()?;
    files.offer_controllers(root)?;
    files.give_to(user)
}

/// The limits hold while this lives. Others of us on the same engine share them: the last to end lifts them.
#[derive(Debug)]
pub(super) struct Held<'a> {
    group: &'a BuilderGroup,
    lock: File,
    out_of_memory: OutOfMemory,
}

impl BuilderGroup {
    /// Finds the groups of this name below `root`, or says why there are none to use.
    pub(super) fn find(root: &Path, driver: &str, name: &Path) -> Result<Self, String> {
        if driver != "cgroupfs" {
            return Err(format!(
                "the engine's cgroup driver is `{driver}`, which gives every build step a group of its own; with \
                 `\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]` in its `daemon.json` builds share one"
            ));
        }
        let group = Self { files: Files::below(root, name.strip_prefix("/").unwrap_or(name)) };
        match group.files.make().and_then(|()| group.files.probe()) {
            Ok(()) => Ok(group),
            Err(error) => Err(format!("the builder's control group can't be set (that takes root): {error}")),
        }
    }

    /// Holds builds within these limits.
    pub(super) fn hold(&self, ceilings: &Ceilings) -> io::Result<Held<'_>> {
        // An engine that was restarted has no group until its first build.
        self.files.make()?;
        let lock = File::open(self.files.memory())?;
        flock(&lock, FlockOperation::LockShared)?;
        let held = Held { group: self, lock, out_of_memory: self.files.count_out_of_memory() };
        self.files.limit(Some(ceilings))?;
        Ok(held)
    }

    /// Lifts what one of us left behind who was killed.
    pub(super) fn lift_unless_held(&self) {
        if let Ok(lock) = File::open(self.files.memory()) {
            drop(Held { group: self, lock, out_of_memory: OutOfMemory::Untold });
        }
    }
}

impl Held<'_> {
    /// Whether the kernel found no more memory for the builds, since the last time that it was asked.
    pub(super) fn ran_out_of_memory(&mut self) -> bool {
        self.out_of_memory.happened()
    }

    /// How many processes and threads the builds have.
    pub(super) fn processes(&self) -> Option<u64> {
        self.group.files.processes()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let last = flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if last && let Err(error) = self.group.files.limit(None) {
            tracing::warn!(%error, "the engine's builds stay limited: the builder's control group can't be set back");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const NAME: &str = "/docker/buildkit";
    /// Files of each version with what stands in them when nothing is limited, and within 2 GiB, 1.5 processors and 100 processes.
    const FIRST: [(&str, &str, &str); 5] = [
        ("memory/docker/buildkit/memory.limit_in_bytes", "-1", "2147483648"),
        ("memory/docker/buildkit/memory.memsw.limit_in_bytes", "-1", "2147483648"),
        ("cpu/docker/buildkit/cpu.cfs_quota_us", "-1", "150000"),
        ("cpu/docker/buildkit/cpu.shares", "1024", "256"),
        ("pids/docker/buildkit/pids.max", "max", "100"),
    ];
    const SECOND: [(&str, &str, &str); 5] = [
        ("docker/buildkit/memory.max", "max", "2147483648"),
        ("docker/buildkit/memory.swap.max", "max", "0"),
        ("docker/buildkit/cpu.max", "max 100000", "150000 100000"),
        ("docker/buildkit/cpu.weight", "100", "25"),
        ("docker/buildkit/pids.max", "max", "100"),
    ];

    fn within(megabytes: u64) -> Ceilings {
        Ceilings { memory_bytes: megabytes << 20, cpus: 1.5, processes: 100 }
    }

    fn system(files: [(&str, &str, &str); 5]) -> (TempDir, BuilderGroup) {
        let root = tempfile::tempdir().unwrap();
        if files == SECOND {
            fs::write(root.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        }
        for (file, free, _) in files {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, free).unwrap();
        }
        let group = BuilderGroup::find(root.path(), "cgroupfs", Path::new(NAME)).unwrap();
        (root, group)
    }

    fn read(root: &TempDir, files: [(&str, &str, &str); 5]) -> [String; 5] {
        files.map(|(file, ..)| fs::read_to_string(root.path().join(file)).unwrap())
    }

    #[test]
    fn limits_hold_for_memory_with_swap_for_cpus_and_processes_and_go_again() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            let held = group.hold(&within(2048)).unwrap();
            assert_eq!(read(&root, files), files.map(|(_, _, limited)| limited));
            drop(held);
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn the_last_of_several_lifts_them() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            let first = group.hold(&within(2048)).unwrap();
            let second = group.hold(&within(1024)).unwrap();
            drop(first);
            group.lift_unless_held();
            assert_eq!(read(&root, files)[0], "1073741824");
            drop(second);
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_lifted() {
        for files in [FIRST, SECOND] {
            let (root, group) = system(files);
            group.files.limit(Some(&within(64))).unwrap();
            group.lift_unless_held();
            assert_eq!(read(&root, files), files.map(|(_, free, _)| free));
        }
    }

    #[test]
    fn on_the_second_version_each_kill_for_want_of_memory_is_told_once() {
        let (root, group) = system(SECOND);
        let events = root.path().join("docker/buildkit/memory.events");
        fs::write(&events, "low 0\noom 3\noom_kill 2\n").unwrap();
        let mut held = group.hold(&within(64)).unwrap();
        assert!(!held.ran_out_of_memory());
        fs::write(&events, "low 0\noom 4\noom_kill 3\n").unwrap();
        assert!(held.ran_out_of_memory());
        assert!(!held.ran_out_of_memory());
    }

    #[test]
    fn what_limits_the_group_and_nothing_above_it_is_given_away() {
        let me = rustix::process::getuid().as_raw();
        for files in [FIRST, SECOND] {
            let (root, _) = system(files);
            hand_over(root.path(), Path::new(NAME), me).unwrap();
            if files == SECOND {
                for above in ["cgroup.subtree_control", "docker/cgroup.subtree_control"] {
                    assert_eq!(fs::read_to_string(root.path().join(above)).unwrap(), "+cpu +memory +pids");
                }
                assert!(!root.path().join("docker/buildkit/cgroup.subtree_control").exists());
            }
        }
        // Whoever may not give files away learns so, or the service would wonder later.
        let (root, _) = system(FIRST);
        fs::remove_file(root.path().join("pids/docker/buildkit/pids.max")).unwrap();
        assert!(hand_over(root.path(), Path::new(NAME), me).is_err());
    }

    #[test]
    fn an_engine_without_such_a_group_says_why() {
        let root = tempfile::tempdir().unwrap();
        let find = |driver| BuilderGroup::find(root.path(), driver, Path::new(NAME)).unwrap_err();
        assert!(find("systemd").contains("`systemd`"));
        assert!(find("cgroupfs").contains("can't be set"));
        fs::write(root.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert!(find("cgroupfs").contains("can't be set"));
    }
}
