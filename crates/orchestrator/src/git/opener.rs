//! Reading single files of a checkout: beneath its folder, through no link, regular files only, and not more than a limit.
//!
//! On Linux the kernel holds to that, not a check of ours beforehand.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use preview_core::framework::{Files, ReadFileError, Refusal, decoded};
use rustix::fs::{Dir, FileType, OFlags, fstat};
use rustix::io::Errno;

use crate::platform::{look_beneath, open_beneath, open_folder};

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
        Ok(Self { root: open_folder(root)?, largest: LARGEST })
    }

    /// Opens what is at `path` for reading, and says what it is.
    fn open_beneath(&self, path: &str) -> Result<Option<(OwnedFd, FileType)>, Refusal> {
        // Without NONBLOCK, opening a pipe would wait for whoever writes into it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(file) = found(open_beneath(&self.root, path, flags))? else { return Ok(None) };
        let kind = FileType::from_raw_mode(fstat(&file).map_err(unreadable)?.st_mode);
        Ok(Some((file, kind)))
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

/// What there is at a path; `None`: nothing.
fn found<T>(looked: Result<T, Errno>) -> Result<Option<T>, Refusal> {
    match looked {
        Ok(there) => Ok(Some(there)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(Errno::LOOP) => Err(Refusal::Link),
        Err(Errno::XDEV) => Err(Refusal::Outside),
        // A socket or a device without a driver.
        Err(Errno::NXIO) => Err(Refusal::NotAFile),
        Err(error) => Err(unreadable(error)),
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
        let looked = found(look_beneath(&self.root, &path));
        looked.map(|found| found.is_some()).map_err(|refusal| ReadFileError { path, refusal })
    }
}
