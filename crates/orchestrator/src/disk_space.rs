//! How full a disk is.

use std::io;
use std::path::Path;

use preview_core::capacity::{Disk, Files};

/// The disk that a folder is on. What is reserved for root is neither free nor part of the whole, as in the per cent of `df`.
pub fn disk_space(folder: &Path) -> io::Result<Disk> {
    let found = rustix::fs::statvfs(folder)?;
    let free = found.f_bavail * found.f_frsize;
    let taken = found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize;
    let files = Files { free: found.f_favail, total: found.f_files };
    // A file system that makes inodes as it needs them tells none at all.
    Ok(Disk { free, total: taken + free, files: Some(files).filter(|files| files.total > 0) })
}

#[cfg(test)]
mod tests {
    use preview_core::capacity::{Measure, Room, disk_ends};
    use preview_exec::Program;

    use super::*;

    /// A disk of 64 MB and a hundred files, which root makes.
    struct Small(tempfile::TempDir);

    impl Small {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = ["-t", "tmpfs", "-o", "size=64m,nr_inodes=100", "none"];
            Program::new("mount").args(options).arg(dir.path()).run().await.expect("root may mount");
            Self(dir)
        }

        async fn end(self) {
            Program::new("umount").arg(self.0.path()).run().await.unwrap();
        }
    }

    #[tokio::test]
    async fn empty_files_fill_a_disk_though_its_bytes_are_free() {
        let small = Small::new().await;
        let before = disk_space(small.0.path()).unwrap();
        assert_eq!(before.files, Some(Files { free: 99, total: 100 }), "one is the folder itself");
        assert!(!before.is_filling());
        for number in 0..99 {
            std::fs::write(small.0.path().join(number.to_string()), "").unwrap();
        }
        let full = std::fs::write(small.0.path().join("one more"), "").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let after = disk_space(small.0.path()).unwrap();
        assert_eq!((after.free, after.files), (before.free, Some(Files { free: 0, total: 100 })));
        assert!(after.is_filling() && after.is_below_floor());
        let room = Room { memory_available: 1, disk_free: 1 << 40, disk_total: 1 << 40, files: after.files };
        assert_eq!(disk_ends(room), Some(Measure::Files));
        small.end().await;
    }
}
