//! Reading single files of a checkout: beneath its folder, through no link, regular files only, and not more than a limit.
//!
//! The kernel holds to that, not a check of ours beforehand.
//!
//! Source: <https://man7.org/linux/man-pages/man2/openat2.2.html>

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use preview_core::framework::{Files, ReadFileError, Refusal, decoded};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// Largest file that is read. Lock files of large applications come near.
const LARGEST: u64 = 4 << 20;

/// A checkout's files.
#[derive(Debug)]
pub struct CheckoutFiles {
    root: OwnedFd,
    largest: u64,
}

impl CheckoutFiles {
    /// The files under `root`.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::PATH;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self { root, largest: LARGEST })
    }

    /// Resolves `path`; `None`: nothing is there.
    fn beneath(&self, path: &str, flags: OFlags) -> Result<Option<OwnedFd>, Refusal> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "." } else { path };
        match openat2(&self.root, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
            Err(Errno::LOOP) => Err(Refusal::Link),
            Err(Errno::XDEV) => Err(Refusal::Outside),
            // A socket or a device without a driver.
            Err(Errno::NXIO) => Err(Refusal::NotAFile),
            Err(error) => Err(unreadable(error)),
        }
    }

    /// Opens what is at `path` for reading, and says what it is.
    fn open_beneath(&self, path: &str) -> Result<Option<(OwnedFd, FileType)>, Refusal> {
        // Without NONBLOCK, opening a pipe would wait for whoever writes into it.
        let Some(file) = self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)? else {
            return Ok(None);
        };
        let found = fstat(&file).map_err(unreadable)?;
        Ok(Some((file, FileType::from_raw_mode(found.st_mode))))
    }

    fn text(&self, path: &str) -> Result<Option<String>, Refusal> {
        let file = match self.open_beneath(path)? {
            Some((file, FileType::RegularFile)) => file,
            Some(_) => return Err(Refusal::NotAFile),
            None => return Ok(None),
        };
        let mut bytes = Vec::new();
        let read = File::from(file).take(self.largest + 1).read_to_end(&mut bytes);
        read.map_err(|error| Refusal::Unreadable(error.kind()))?;
        if bytes.len() as u64 > self.largest {
            return Err(Refusal::TooLarge { limit: self.largest });
        }
        decoded(bytes).map(Some).ok_or(Refusal::NotText)
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, Refusal> {
        let Some((folder, FileType::Directory)) = self.open_beneath(folder)? else { return Ok(Vec::new()) };
        let entries = Dir::new(folder).map_err(unreadable)?;
        let name = |entry: rustix::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names: Result<Vec<_>, Errno> = entries.map(|entry| entry.map(name)).collect();
        let mut names = names.map_err(unreadable)?;
        names.retain(|name| name != "." && name != "..");
        Ok(names)
    }
}

fn unreadable(error: Errno) -> Refusal {
    Refusal::Unreadable(io::Error::from(error).kind())
}

impl Files for CheckoutFiles {
    fn read(&self, path: &str) -> Result<Option<String>, ReadFileError> {
        self.text(path).map_err(|refusal| ReadFileError { path: path.to_owned(), refusal })
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadFileError> {
        self.names(folder).map_err(|refusal| ReadFileError { path: folder.to_owned(), refusal })
    }

    fn has(&self, folder: &str, name: &str) -> Result<bool, ReadFileError> {
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let found = self.beneath(&path, OFlags::PATH);
        found.map(|found| found.is_some()).map_err(|refusal| ReadFileError { path, refusal })
    }
}
