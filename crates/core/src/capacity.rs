//! Whether there is room for one more preview, and how much has to go to make some.

use serde::{Deserialize, Serialize};

use crate::deployment::QueueReason;

/// What there is, at the moment of asking. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Memory available without swapping.
    pub memory_available: u64,
    /// Free bytes of the disk where the engine keeps its data.
    pub disk_free: u64,
    /// All bytes of that disk.
    pub disk_total: u64,
    /// The files that this disk has room for, as [`Disk::files`].
    pub files: Option<Files>,
}

impl Room {
    /// The disk where the engine keeps its data.
    pub fn disk(self) -> Disk {
        Disk { free: self.disk_free, total: self.disk_total, files: self.files }
    }
}

/// A disk, at the moment of asking. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for us.
    pub free: u64,
    /// Free and taken together.
    pub total: u64,
    /// The files that it has room for; `None` where their number has no end but the disk's (btrfs).
    pub files: Option<Files>,
}

/// How many files (inodes) a disk has room for. A file system that was made for so many holds no more, however many bytes are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// That can still be made.
    pub free: u64,
    /// Those that are there, and those that can still be made.
    pub total: u64,
}

/// What a disk, or what somebody may have of it, is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// What is in the files.
    Bytes,
    /// How many there are, whatever is in them.
    Files,
}

impl Disk {
    /// How much of it is taken, in per cent, rounded down.
    pub fn percent_taken(self) -> u64 {
        percent(self.free, self.total)
    }

    /// Whether somebody should look: four fifths of its bytes are taken, or four fifths of its files.
    pub fn is_filling(self) -> bool {
        self.fills_by(Measure::Bytes) || self.fills_by(Measure::Files)
    }

    /// Whether four fifths of it are taken by this measure.
    pub fn fills_by(self, measure: Measure) -> bool {
        let taken = match measure {
            Measure::Bytes => Some(self.percent_taken()),
            Measure::Files => self.files.map(Files::percent_taken),
        };
        taken.is_some_and(|taken| taken >= 80)
    }

    /// Whether less is free than must stay.
    pub fn is_below_floor(self) -> bool {
        self.free < disk_floor(self.total) || self.files.is_some_and(Files::is_below_floor)
    }

    /// The files that go with so many bytes of it: a container that may have a tenth of the one may have a tenth of the other.
    pub fn files_beside(self, bytes: u64) -> Option<u64> {
        let Files { total, .. } = self.files?;
        let share = u128::from(total) * u128::from(bytes) / u128::from(self.total.max(1));
        Some(u64::try_from(share).unwrap_or(u64::MAX).max(FEW_FILES))
    }
}

impl Files {
    /// How many of them are taken, in per cent, rounded down.
    pub fn percent_taken(self) -> u64 {
        percent(self.free, self.total)
    }

    /// The number that must stay free: a tenth.
    pub fn floor(self) -> u64 {
        self.total / 10
    }

    fn is_below_floor(self) -> bool {
        self.free < self.floor()
    }
}

fn percent(free: u64, total: u64) -> u64 {
    match total {
        0 => 100,
        total => total.saturating_sub(free).saturating_mul(100) / total,
    }
}

/// What our things take on the disk where the engine keeps its data. Bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Images, containers and volumes of previews.
    pub previews: u64,
    /// The builder's cache: everybody's on this engine, since it carries no names.
    pub build_cache: u64,
    /// Copies of repositories.
    pub mirrors: u64,
}

impl DiskUse {
    /// All of it.
    pub fn sum(self) -> u64 {
        self.previews.saturating_add(self.build_cache).saturating_add(self.mirrors)
    }
}

/// Free space below which nothing new is built, whatever the disk's size: 2 GB.
const DISK_FLOOR: u64 = 2_000_000_000;

/// Files that any container may make, however small its part of the disk: what a package manager unpacks at a start.
const FEW_FILES: u64 = 10_000;

/// The free space that must stay: the larger of 2 GB and a tenth of the disk. Bytes.
pub fn disk_floor(total: u64) -> u64 {
    DISK_FLOOR.max(total / 10)
}

/// The bytes that our things may take together: what the operator says, else half of the disk.
pub fn disk_budget(said: Option<u64>, total: u64) -> u64 {
    said.unwrap_or(total / 2)
}

/// How many bytes of caches have to go: what is over the budget, or, below the floor, what is missing to a quarter above it, so
/// that the next build doesn't get there again at once. Where files are missing the whole build cache goes: nothing tells how many
/// are in a part of it.
pub fn to_free(disk: Disk, used: DiskUse, budget: u64) -> u64 {
    let floor = disk_floor(disk.total);
    let missing = if disk.free < floor { floor + floor / 4 - disk.free } else { 0 };
    let for_files = if disk.files.is_some_and(Files::is_below_floor) { used.build_cache } else { 0 };
    used.sum().saturating_sub(budget).max(missing).max(for_files)
}

/// Whether containers with these limits may start now. It asks for what is available at this moment, not for the sum of all
/// limits: most previews use a tenth of what they may.
pub fn may_start(room: Room, memory_limit: u64) -> Result<(), QueueReason> {
    if room.disk().is_below_floor() {
        Err(QueueReason::Disk)
    } else if room.memory_available < memory_limit {
        Err(QueueReason::Memory)
    } else {
        Ok(())
    }
}

/// What so little is left of on the disk that what still writes to it has to end: less than half of what had to be free before it
/// began.
pub fn disk_ends(room: Room) -> Option<Measure> {
    if room.disk_free < disk_floor(room.disk_total) / 2 {
        return Some(Measure::Bytes);
    }
    room.files.filter(|files| files.free < files.floor() / 2).map(|_| Measure::Files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn a_start_needs_its_own_memory_and_a_disk_above_the_floor() {
        let room = Room { memory_available: GB, disk_free: 11 * GB, disk_total: 100 * GB, files: None };
        assert_eq!(may_start(room, GB), Ok(()));
        assert_eq!(may_start(room, GB + 1), Err(QueueReason::Memory));
        assert_eq!(may_start(Room { disk_free: 9 * GB, ..room }, 0), Err(QueueReason::Disk));
        assert_eq!(disk_ends(Room { disk_free: 5 * GB, ..room }), None);
        assert_eq!(disk_ends(Room { disk_free: 5 * GB - 1, ..room }), Some(Measure::Bytes));
        let small = Room { disk_total: 10 * GB, disk_free: 19 * GB / 10, ..room };
        assert_eq!(may_start(small, 0), Err(QueueReason::Disk));
    }

    #[test]
    fn a_disk_is_filling_at_four_fifths() {
        let disk = |free| Disk { free, total: 100 * GB, files: None };
        assert_eq!((disk(21 * GB).percent_taken(), disk(21 * GB).is_filling()), (79, false));
        assert_eq!((disk(20 * GB).percent_taken(), disk(20 * GB).is_filling()), (80, true));
        assert!(Disk { free: 0, total: 0, files: None }.is_filling());
    }

    #[test]
    fn what_has_to_go_is_what_is_over_the_budget_or_missing_to_the_floor() {
        let roomy = Disk { free: 50 * GB, total: 100 * GB, files: None };
        let used = DiskUse { previews: 10 * GB, build_cache: 20 * GB, mirrors: GB };
        assert_eq!(disk_budget(None, roomy.total), 50 * GB);
        assert_eq!(to_free(roomy, used, disk_budget(None, roomy.total)), 0);
        assert_eq!(to_free(roomy, used, disk_budget(Some(25 * GB), roomy.total)), 6 * GB);
        assert_eq!(to_free(Disk { free: 10 * GB, ..roomy }, used, 50 * GB), 0);
        let tight = Disk { free: 9 * GB, ..roomy };
        assert_eq!(to_free(tight, used, 50 * GB), 7 * GB / 2, "the floor of 10 GB and a quarter of it");
        assert_eq!(to_free(tight, used, 25 * GB), 6 * GB);
    }

    /// Empty files take no bytes: a million of them leaves no room all the same.
    #[test]
    fn a_disk_may_have_bytes_left_and_no_files() {
        let files = |free| Some(Files { free, total: 1_000_000 });
        let room = Room { memory_available: GB, disk_free: 80 * GB, disk_total: 100 * GB, files: files(100_000) };
        assert_eq!(may_start(room, GB), Ok(()));
        assert_eq!(may_start(Room { files: files(99_999), ..room }, 0), Err(QueueReason::Disk));
        assert_eq!(disk_ends(Room { files: files(50_000), ..room }), None);
        assert_eq!(disk_ends(Room { files: files(49_999), ..room }), Some(Measure::Files));
        let disk = |free| Disk { files: files(free), ..room.disk() };
        assert_eq!((disk(200_001).is_filling(), disk(200_000).is_filling()), (false, true));
        assert!(disk(200_000).fills_by(Measure::Files) && !disk(200_000).fills_by(Measure::Bytes));

        let used = DiskUse { build_cache: 20 * GB, ..DiskUse::default() };
        assert_eq!(to_free(disk(100_000), used, 50 * GB), 0);
        assert_eq!(to_free(disk(99_999), used, 50 * GB), 20 * GB);
    }

    #[test]
    fn who_may_have_a_tenth_of_the_bytes_may_have_a_tenth_of_the_files() {
        let disk = Disk { free: 0, total: 100 * GB, files: Some(Files { free: 0, total: 6_000_000 }) };
        assert_eq!(disk.files_beside(10 * GB), Some(600_000));
        assert_eq!(disk.files_beside(GB / 10), Some(10_000), "a start may unpack some, whatever the share");
        assert_eq!(Disk { files: None, ..disk }.files_beside(GB), None);
        assert_eq!(Disk { total: 0, ..disk }.files_beside(u64::MAX), Some(u64::MAX));
    }
}
