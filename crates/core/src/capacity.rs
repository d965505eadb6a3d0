//! Whether there is room for one more preview, and how much has to go to make some.

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
}

impl Room {
    /// The disk where the engine keeps its data.
    pub fn disk(self) -> Disk {
        Disk { free: self.disk_free, total: self.disk_total }
    }
}

/// A disk, at the moment of asking. Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for us.
    pub free: u64,
    /// Free and taken together.
    pub total: u64,
}

impl Disk {
    /// How much of it is taken, in per cent, rounded down.
    pub fn percent_taken(self) -> u64 {
        match self.total {
            0 => 100,
            total => self.total.saturating_sub(self.free).saturating_mul(100) / total,
        }
    }

    /// Whether somebody should look: four fifths of it are taken.
    pub fn is_filling(self) -> bool {
        self.percent_taken() >= 80
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

/// The free space that must stay: the larger of 2 GB and a tenth of the disk. Bytes.
pub fn disk_floor(total: u64) -> u64 {
    DISK_FLOOR.max(total / 10)
}

/// The bytes that our things may take together: what the operator says, else half of the disk.
pub fn disk_budget(said: Option<u64>, total: u64) -> u64 {
    said.unwrap_or(total / 2)
}

/// How many bytes of caches have to go: what is over the budget, or, below the floor, what is missing to a quarter above it, so
/// that the next build doesn't get there again at once.
pub fn to_free(disk: Disk, used: DiskUse, budget: u64) -> u64 {
    let floor = disk_floor(disk.total);
    let missing = if disk.free < floor { floor + floor / 4 - disk.free } else { 0 };
    used.sum().saturating_sub(budget).max(missing)
}

/// Whether containers with these limits may start now. It asks for what is available at this moment, not for the sum of all
/// limits: most previews use a tenth of what they may.
pub fn may_start(room: Room, memory_limit: u64) -> Result<(), QueueReason> {
    if room.disk_free < disk_floor(room.disk_total) {
        Err(QueueReason::Disk)
    } else if room.memory_available < memory_limit {
        Err(QueueReason::Memory)
    } else {
        Ok(())
    }
}

/// Whether so little of the disk is left that what still writes to it has to end: half of what had to be free before it began.
pub fn disk_ends(room: Room) -> bool {
    room.disk_free < disk_floor(room.disk_total) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn a_start_needs_its_own_memory_and_a_disk_above_the_floor() {
        let room = Room { memory_available: GB, disk_free: 11 * GB, disk_total: 100 * GB };
        assert_eq!(may_start(room, GB), Ok(()));
        assert_eq!(may_start(room, GB + 1), Err(QueueReason::Memory));
        assert_eq!(may_start(Room { disk_free: 9 * GB, ..room }, 0), Err(QueueReason::Disk));
        assert!(!disk_ends(Room { disk_free: 5 * GB, ..room }) && disk_ends(Room { disk_free: 5 * GB - 1, ..room }));
        let small = Room { disk_total: 10 * GB, disk_free: 19 * GB / 10, ..room };
        assert_eq!(may_start(small, 0), Err(QueueReason::Disk));
    }

    #[test]
    fn a_disk_is_filling_at_four_fifths() {
        let disk = |free| Disk { free, total: 100 * GB };
        assert_eq!((disk(21 * GB).percent_taken(), disk(21 * GB).is_filling()), (79, false));
        assert_eq!((disk(20 * GB).percent_taken(), disk(20 * GB).is_filling()), (80, true));
        assert!(Disk { free: 0, total: 0 }.is_filling());
    }

    #[test]
    fn what_has_to_go_is_what_is_over_the_budget_or_missing_to_the_floor() {
        let roomy = Disk { free: 50 * GB, total: 100 * GB };
        let used = DiskUse { previews: 10 * GB, build_cache: 20 * GB, mirrors: GB };
        assert_eq!(disk_budget(None, roomy.total), 50 * GB);
        assert_eq!(to_free(roomy, used, disk_budget(None, roomy.total)), 0);
        assert_eq!(to_free(roomy, used, disk_budget(Some(25 * GB), roomy.total)), 6 * GB);
        assert_eq!(to_free(Disk { free: 10 * GB, ..roomy }, used, 50 * GB), 0);
        let tight = Disk { free: 9 * GB, ..roomy };
        assert_eq!(to_free(tight, used, 50 * GB), 7 * GB / 2, "the floor of 10 GB and a quarter of it");
        assert_eq!(to_free(tight, used, 25 * GB), 6 * GB);
    }
}
