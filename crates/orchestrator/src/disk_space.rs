//! How full a disk is.

use std::io;
use std::path::Path;

use preview_core::capacity::Disk;

/// The disk that a folder is on. What is reserved for root is neither free nor part of the whole, as in the per cent of `df`.
pub fn disk_space(folder: &Path) -> io::Result<Disk> {
    let found = rustix::fs::statvfs(folder)?;
    let free = found.f_bavail * found.f_frsize;
    let taken = found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize;
    Ok(Disk { free, total: taken + free })
}
