//! Holding builds within limits of memory, processors and processes.
//!
//! Builds run in the engine, not in a process of ours, so what can hold them differs from engine to engine. [`Holder::find`]
//! finds out what does on the one in hand; where nothing does, it says why, for the log and for `/health`, and builds are
//! limited in time and silence alone.

mod builder_group;

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use builder_group::{BuilderGroup, Held as HeldGroup};

/// Where Linux has its control groups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// How often a build's processes are counted.
const COUNT_EVERY: Duration = Duration::from_millis(50);
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
    /// One limit for all builds together: whoever wants it to be each build's builds one image at a time.
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

/// What can hold builds, if anything.
#[derive(Debug)]
pub(super) struct Holder(Result<BuilderGroup, String>);

/// The limits hold while this lives.
#[derive(Debug)]
pub(super) struct Held<'a> {
    group: HeldGroup<'a>,
    most: u64,
    crowded: bool,
}

impl Holder {
    /// Finds out what holds builds of an engine with this cgroup driver (`cgroupfs`, `systemd`), whose builder has this group.
    pub(super) fn find(driver: &str, group: &Path) -> Self {
        let found = BuilderGroup::find(Path::new(CGROUP_ROOT), driver, group);
        if let Ok(group) = &found {
            group.lift_unless_held();
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
        let Ok(group) = &self.0 else { return Ok(None) };
        Ok(Some(Held { group: group.hold(ceilings)?, most: ceilings.processes, crowded: false }))
    }
}

/// Makes the builder's group of this name, if the engine has not yet, and gives the files that limit it to a user: with them that
/// user may hold builds, and do nothing else that takes root.
pub fn hand_over_builder_group(group: &Path, user: u32) -> io::Result<()> {
    builder_group::hand_over(Path::new(CGROUP_ROOT), group, user)
}

impl Held<'_> {
    /// Which limits the build has run into so far.
    pub(super) fn hit(&mut self) -> Hit {
        Hit { memory: self.group.ran_out_of_memory(), processes: self.crowded }
    }

    /// Watches the number of processes, and returns once it has been at its limit for too long.
    pub(super) async fn overcrowded(&mut self) {
        let mut since: Option<Instant> = None;
        loop {
            // Where many come and go, not every place is taken each time that we look.
            let full = self.group.processes().is_some_and(|now| now >= self.most - self.most / 20);
            self.crowded |= full;
            since = full.then(|| since.unwrap_or_else(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= CROWDED_FOR) {
                return;
            }
            sleep(COUNT_EVERY).await;
        }
    }
}
