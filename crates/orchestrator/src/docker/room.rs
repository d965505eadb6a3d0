//! What the machine has to give right now.

use std::path::Path;

use preview_core::capacity::Room;

use crate::disk_space::disk_space;
use crate::needs::Fault;

/// Source: <https://docs.kernel.org/filesystems/proc.html#meminfo>
const MEMINFO: &str = "/proc/meminfo";

/// Memory of this machine, and room on the disk that `data` (the engine's folder) is on.
pub(super) fn room(data: &Path) -> Result<Room, Fault> {
    let meminfo = std::fs::read_to_string(MEMINFO).ok();
    let memory_available = meminfo.as_deref().and_then(available);
    let memory_available = memory_available.ok_or_else(|| Fault::passing("the available memory could not be read"))?;
    // The engine's folder is named by the engine, which may see other folders than we do (a virtual machine around it).
    let disk = disk_space(data).or_else(|_| disk_space(Path::new("/")));
    let disk = disk.map_err(|_| Fault::passing("the free disk space could not be read"))?;
    Ok(Room { memory_available, disk_free: disk.free, disk_total: disk.total, files: disk.files })
}

/// `MemAvailable:   24100000 kB`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:     2048 kB\nBuffers: 1 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        let here = room(Path::new("/no/such/folder")).unwrap();
        assert!(here.memory_available > 0 && here.disk_free > 0 && here.disk_total >= here.disk_free, "{here:?}");
    }
}
