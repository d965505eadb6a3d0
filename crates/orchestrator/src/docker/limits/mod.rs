//! Holding builds within limits of memory, processors and processes.
//!
//! Builds run in the engine, not in a process of ours, so what can hold them differs from engine to engine. [`Holder::find`]
//! finds out what does on the one in hand; where nothing does, it says why, for the log and for `/health`, and builds are
//! limited in time and silence alone.

mod builder_groups;
mod files;

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use builder_groups::{BuilderGroups, Held as HeldGroups};

/// Where Linux has its control groups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// How often a build is looked at: its new groups limited, its processes counted.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For how long a build may have as many processes as it gets. What doesn't fit by then goes on trying for ever.
const CROWDED_FOR: Duration = Duration::from_secs(10);

/// What one build may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Bytes of memory and swap together.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: f64,
    /// Processes and threads at one time.
    pub processes: u64,
}

/// What holds builds on this engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildLimits {
    /// Limits for all builds together: whoever wants them to be each build's builds one image at a time.
    Together,
    /// Nothing, and why.
    Absent(String),
}

/// The limits that a build ran into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// The kernel killed something for want of memory.
    pub(super) memory: bool,
    /// It had as many processes as it may.
    pub(super) processes: bool,
}

/// What a build wanted more of than it may have, though nobody killed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgrown {
    Memory,
    Processes,
}

/// What can hold builds, if anything.
#[derive(Debug)]
pub(super) struct Holder(Result<BuilderGroups, String>);

/// The limits hold while this lives, and is [watched](Self::outgrown).
#[derive(Debug)]
pub(super) struct Held<'a> {
    groups: HeldGroups<'a>,
    ceilings: Ceilings,
    crowded: bool,
}

impl Holder {
    /// Finds out what holds builds of an engine with this cgroup driver (`cgroupfs`, `systemd`), whose builder has this group, or the
    /// usual one.
    pub(super) fn find(driver: &str, group: Option<&Path>) -> Self {
        let found = BuilderGroups::find(Path::new(CGROUP_ROOT), driver, group);
        if let Ok(groups) = &found {
            groups.lift_unless_held();
        }
        Self(found)
    }

    pub(super) fn limits(&self) -> BuildLimits {
        match &self.0 {
            Ok(_) => BuildLimits::Together,
            Err(why) => BuildLimits::Absent(why.clone()),
        }
    }

    /// Makes the limits hold for one build, where anything can.
    pub(super) fn hold(&self, ceilings: &Ceilings) -> io::Result<Option<Held<'_>>> {
        let Ok(groups) = &self.0 else { return Ok(None) };
        Ok(Some(Held { groups: groups.hold(ceilings)?, ceilings: *ceilings, crowded: false }))
    }
}

/// Makes the builder's group of this name (or the usual one), if the engine has not yet, and gives the files that limit it to a
/// user: with them that user may hold builds, and do nothing else that takes root.
pub fn hand_over_builder_group(group: Option<&Path>, user: u32) -> io::Result<()> {
    builder_groups::hand_over(Path::new(CGROUP_ROOT), group, user)
}

impl Held<'_> {
    /// Which limits the build has run into so far.
    pub(super) fn hit(&mut self) -> Hit {
        Hit { memory: self.groups.ran_out_of_memory(), processes: self.crowded }
    }

    /// Watches the build, and returns once it has had more than it may: memory at once, processes for too long.
    pub(super) async fn outgrown(&mut self) -> Outgrown {
        let Ceilings { memory_bytes, processes: most, .. } = self.ceilings;
        let mut since: Option<Instant> = None;
        loop {
            let now = self.groups.look();
            if now.memory_bytes > memory_bytes {
                return Outgrown::Memory;
            }
            // Where many come and go, not every place is taken each time that we look.
            let full = now.processes >= most - most / 20;
            self.crowded |= full;
            since = full.then(|| since.unwrap_or_else(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= CROWDED_FOR) {
                return Outgrown::Processes;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
