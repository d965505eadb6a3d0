//! The files that limit a control group, as the two versions of cgroups name them.
//!
//! Source: <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>, <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::Ceilings;
use crate::platform::events_of;

/// The kernel's default period in microseconds, of which a quota is a share.
const CPU_PERIOD_US: f64 = 100_000.0;

/// Where a group's limits are written.
#[derive(Debug)]
pub(super) enum Files {
    /// One folder of each kind.
    First { memory: PathBuf, cpu: PathBuf, pids: PathBuf },
    /// One folder for all kinds.
    Second(PathBuf),
}

/// What tells that the kernel found no more memory.
#[derive(Debug)]
pub(super) enum OutOfMemory {
    /// The kernel counts in here since it was last read, and once more when the group goes.
    Event { counter: OwnedFd, times: u64 },
    /// A file whose count only grows: where it stood at first, and when it was last read.
    Count { file: PathBuf, first: u64, last: u64 },
    /// The kernel doesn't tell.
    Untold,
}

impl Files {
    /// Of the group of this name below `root`, in the version that `root` is of.
    pub(super) fn below(root: &Path, name: &Path) -> Self {
        if Self::are_second(root) {
            return Self::Second(root.join(name));
        }
        let of = |kind: &str| root.join(kind).join(name);
        Self::First { memory: of("memory"), cpu: of("cpu"), pids: of("pids") }
    }

    /// Whether the groups below `root` are of the second version.
    pub(super) fn are_second(root: &Path) -> bool {
        root.join("cgroup.controllers").exists()
    }

    /// The folder of the limit of memory.
    pub(super) fn memory(&self) -> &Path {
        match self {
            Self::First { memory, .. } => memory,
            Self::Second(group) => group,
        }
    }

    /// The engine makes the group with its first build; here it may come earlier.
    pub(super) fn make(&self) -> io::Result<()> {
        match self {
            Self::First { memory, cpu, pids } => [memory, cpu, pids].into_iter().try_for_each(fs::create_dir_all),
            Self::Second(group) => fs::create_dir_all(group),
        }
    }

    /// The second version has a group's limits only where all groups above it offer them.
    pub(super) fn offer_controllers(&self, root: &Path) -> io::Result<()> {
        let Self::Second(group) = self else { return Ok(()) };
        let mut above: Vec<&Path> = group.ancestors().skip(1).take_while(|above| above.starts_with(root)).collect();
        above.reverse();
        above.iter().try_for_each(|above| fs::write(above.join("cgroup.subtree_control"), "+cpu +memory +pids"))
    }

    /// Gives every file that limits the group, and is there, to a user.
    pub(super) fn give_to(&self, user: u32) -> io::Result<()> {
        let (needed, if_there) = match self {
            Self::First { memory, cpu, pids } => (
                vec![
                    memory.join("memory.limit_in_bytes"),
                    cpu.join("cpu.cfs_quota_us"),
                    cpu.join("cpu.shares"),
                    pids.join("pids.max"),
                ],
                ["memory.memsw.limit_in_bytes", "cgroup.event_control"].map(|name| memory.join(name)).to_vec(),
            ),
            Self::Second(group) => (
                ["memory.max", "cpu.max", "cpu.weight", "pids.max"].map(|name| group.join(name)).to_vec(),
                vec![group.join("memory.swap.max")],
            ),
        };
        let if_there = if_there.into_iter().filter(|file| file.exists());
        needed.into_iter().chain(if_there).try_for_each(|file| chown(file, Some(user), None))
    }

    /// Whether limits can be written.
    pub(super) fn probe(&self) -> io::Result<()> {
        let limit = match self {
            Self::First { memory, .. } => memory.join("memory.limit_in_bytes"),
            Self::Second(group) => group.join("memory.max"),
        };
        OpenOptions::new().write(true).open(limit).map(drop)
    }

    /// Holds the group within these limits; lifts them when there are none. Its weight then is a quarter of a container's:
    /// processors go to previews first, and idle ones to builds.
    pub(super) fn limit(&self, ceilings: Option<&Ceilings>) -> io::Result<()> {
        let processes = ceilings.map_or_else(|| "max".to_owned(), |within| within.processes.to_string());
        let memory = ceilings.map(|within| within.memory_bytes.to_string());
        let quota = ceilings.map(|within| format!("{:.0}", within.cpus * CPU_PERIOD_US));
        match self {
            Self::First { memory: dir, cpu, pids } => {
                limit_memory_and_swap(dir, memory.as_deref().unwrap_or("-1"))?;
                fs::write(cpu.join("cpu.cfs_quota_us"), quota.as_deref().unwrap_or("-1"))?;
                fs::write(cpu.join("cpu.shares"), if ceilings.is_some() { "256" } else { "1024" })?;
                fs::write(pids.join("pids.max"), processes)
            }
            Self::Second(group) => {
                fs::write(group.join("memory.max"), memory.as_deref().unwrap_or("max"))?;
                let swap = group.join("memory.swap.max");
                if swap.exists() {
                    fs::write(swap, if ceilings.is_some() { "0" } else { "max" })?;
                }
                let quota = quota.as_deref().unwrap_or("max");
                fs::write(group.join("cpu.max"), format!("{quota} {CPU_PERIOD_US:.0}"))?;
                fs::write(group.join("cpu.weight"), if ceilings.is_some() { "25" } else { "100" })?;
                fs::write(group.join("pids.max"), processes)
            }
        }
    }

    /// How many processes and threads the group has.
    pub(super) fn processes(&self) -> Option<u64> {
        let dir = match self {
            Self::First { pids, .. } => pids,
            Self::Second(group) => group,
        };
        fs::read_to_string(dir.join("pids.current")).ok()?.trim().parse().ok()
    }

    /// Bytes that the group has and that can't be written back to a disk: unlike what it has read of files, nobody can take them.
    pub(super) fn own_memory(&self) -> Option<u64> {
        let (dir, kinds): (_, &[&str]) = match self {
            Self::First { memory, .. } => (memory, &["total_rss", "total_shmem", "total_swap"]),
            Self::Second(group) => (group, &["anon", "shmem"]),
        };
        let stat = fs::read_to_string(dir.join("memory.stat")).ok()?;
        let each = stat.lines().filter_map(|line| line.split_once(' ')).filter(|(kind, _)| kinds.contains(kind));
        Some(each.filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok()).sum())
    }

    /// Counts, from now on, how often the group found no more memory. What happens in groups beneath it counts too.
    pub(super) fn count_out_of_memory(&self) -> OutOfMemory {
        match self {
            Self::First { memory, .. } => {
                events_of(memory).map_or(OutOfMemory::Untold, |counter| OutOfMemory::Event { counter, times: 0 })
            }
            Self::Second(group) => {
                let file = group.join("memory.events");
                let now = kills(&file).unwrap_or(0);
                OutOfMemory::Count { file, first: now, last: now }
            }
        }
    }

    /// Whether there is such a group.
    pub(super) fn exist(&self) -> bool {
        self.memory().exists()
    }
}

impl OutOfMemory {
    /// Whether it happened since it is counted. `gone` is whether the group has been removed meanwhile.
    pub(super) fn happened(&mut self, gone: bool) -> bool {
        match self {
            Self::Event { counter, times } => {
                let mut more = [0; 8];
                // With none counted, reading would have to wait, and is an error.
                if rustix::io::read(counter, &mut more).is_ok() {
                    *times = times.saturating_add(u64::from_ne_bytes(more));
                }
                *times > u64::from(gone)
            }
            Self::Count { file, first, last } => {
                *last = kills(file).unwrap_or(*last);
                last > first
            }
            Self::Untold => false,
        }
    }
}

/// On the first version the limit of both together, absent where the kernel doesn't account for swap, may never be less than
/// that of memory alone: it moves out of the way first.
fn limit_memory_and_swap(dir: &Path, bytes: &str) -> io::Result<()> {
    let both = Some(dir.join("memory.memsw.limit_in_bytes")).filter(|file| file.exists());
    both.iter().try_for_each(|file| fs::write(file, "-1"))?;
    fs::write(dir.join("memory.limit_in_bytes"), bytes)?;
    both.iter().try_for_each(|file| fs::write(file, bytes))
}

fn kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
