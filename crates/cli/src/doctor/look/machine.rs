//! Disks, memory and the ledger's file.

use std::path::{Path, PathBuf};

use preview_core::capacity::Disk;
use preview_core::causes::with_causes;
use preview_orchestrator::disk_space::disk_space;
use preview_orchestrator::ledger::peek;
use rustix::fs::{Access, access};

use crate::doctor::facts::{Ledger, Look, Memory};

pub(super) fn disks(folders: &[(&'static str, PathBuf)]) -> Vec<(&'static str, Look<Disk>)> {
    let look = |path: &Path| disk_space(path).map_err(|error| format!("{}: {error}", path.display()));
    folders.iter().map(|(what, path)| (*what, look(path))).collect()
}

/// With what one preview's app may use, or its usual 512 MB.
pub(super) fn memory(container: Option<u64>) -> Look<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|error| format!("/proc/meminfo: {error}"))?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: u64 = line?.split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    };
    let read = bytes("MemTotal").zip(bytes("MemAvailable"));
    let (total, available) = read.ok_or("/proc/meminfo can't be understood")?;
    Ok(Memory { total, available, container: container.unwrap_or(512 << 20) })
}

pub(super) fn ledger(path: &Result<PathBuf, String>) -> Look<Ledger> {
    let path = path.as_ref().map_err(Clone::clone)?;
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(format!("{} is not there: no service has run here", path.display())),
        Err(error) => return Err(format!("{} can't be looked at: {error}", path.display())),
    }
    let read = peek(path).map(|state| state.deployments.len()).map_err(|error| with_causes(&error));
    // It is written by putting a new file in its place.
    let folder = path.parent().unwrap_or(path);
    let writable = [folder, path].iter().all(|path| access(*path, Access::WRITE_OK).is_ok());
    Ok(Ledger { path: path.display().to_string(), read, writable })
}
