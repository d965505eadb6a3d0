//! Whether there is room for one more preview.

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

/// Free space below which nothing new is built, whatever the disk's size: 2 GB.
const DISK_FLOOR: u64 = 2_000_000_000;

/// The free space that must stay: the larger of 2 GB and a tenth of the disk. Bytes.
pub fn disk_floor(total: u64) -> u64 {
    DISK_FLOOR.max(total / 10)
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
        let small = Room { disk_total: 10 * GB, disk_free: 19 * GB / 10, ..room };
        assert_eq!(may_start(small, 0), Err(QueueReason::Disk));
    }
}
