//! Opening what is beneath a folder, and through no link, where there is no openat2(2): folder by folder, each from the one above it.
//! A path that climbs (`..`) is refused even where it would stay inside. The tests run this on Linux, too.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder beneath which others are looked for.
pub(crate) fn open_folder(folder: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(folder, FOLDER, Mode::empty())
}

/// Opens what is at `path` beneath `root`.
pub(crate) fn open_beneath(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let (folder, name) = walk(root, path)?;
    match openat(&folder, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        // A socket, as Linux says it.
        Err(Errno::OPNOTSUPP) => Err(Errno::NXIO),
        opened => opened.map_err(|error| as_link(&folder, name, error)),
    }
}

/// Whether something is at `path`, whatever it is.
pub(crate) fn look_beneath(root: &OwnedFd, path: &str) -> Result<(), Errno> {
    let (folder, name) = walk(root, path)?;
    statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).map(drop)
}

/// The folder that `path` leads to, and the last name of it.
fn walk<'a>(root: &OwnedFd, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(Errno::XDEV);
    }
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let last = parts.next_back().unwrap_or(".");
    let mut folder = openat(root, ".", FOLDER, Mode::empty())?;
    for part in parts {
        folder = openat(&folder, part, FOLDER, Mode::empty()).map_err(|error| as_link(&folder, part, error))?;
    }
    Ok((folder, last))
}

/// A link that was not followed is told in different ways: here it is always `LOOP`.
fn as_link(folder: &OwnedFd, name: &str, error: Errno) -> Errno {
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let is_link = found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink);
    if is_link { Errno::LOOP } else { error }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What each way of opening says of a path: the walk, and what this system has.
    fn both(root: &Path, path: &str) -> [(Option<Errno>, Option<Errno>); 2] {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let (walked, ours) = (open_folder(root).unwrap(), crate::platform::open_folder(root).unwrap());
        [
            (open_beneath(&walked, path, flags).err(), look_beneath(&walked, path).err()),
            (crate::platform::open_beneath(&ours, path, flags).err(), crate::platform::look_beneath(&ours, path).err()),
        ]
    }

    #[test]
    fn the_walk_says_what_the_kernel_says() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("src");
        fs::create_dir_all(root.join("folder/deep")).unwrap();
        fs::write(dir.path().join("outside"), "secret").unwrap();
        fs::write(root.join("folder/deep/file"), "text").unwrap();
        symlink("folder/deep/file", root.join("link")).unwrap();
        symlink("folder", root.join("linked")).unwrap();
        symlink("/etc", root.join("folder/etc")).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let long = "n".repeat(5000);
        for (path, opened, looked) in [
            ("", None, None),
            ("folder", None, None),
            ("folder/deep/file", None, None),
            ("./folder//deep/file", None, None),
            ("missing", Some(Errno::NOENT), Some(Errno::NOENT)),
            ("missing/file", Some(Errno::NOENT), Some(Errno::NOENT)),
            ("folder/deep/file/deeper", Some(Errno::NOTDIR), Some(Errno::NOTDIR)),
            ("socket", Some(Errno::NXIO), None),
            ("link", Some(Errno::LOOP), None),
            ("linked", Some(Errno::LOOP), None),
            ("linked/deep/file", Some(Errno::LOOP), Some(Errno::LOOP)),
            ("folder/etc/passwd", Some(Errno::LOOP), Some(Errno::LOOP)),
            ("../outside", Some(Errno::XDEV), Some(Errno::XDEV)),
            ("folder/../../outside", Some(Errno::XDEV), Some(Errno::XDEV)),
            ("/etc/passwd", Some(Errno::XDEV), Some(Errno::XDEV)),
            (long.as_str(), Some(Errno::NAMETOOLONG), Some(Errno::NAMETOOLONG)),
        ] {
            assert_eq!(both(&root, path), [(opened, looked); 2], "{path}");
        }
        // Its own kind of strictness.
        assert_eq!(both(&root, "folder/../link")[0].0, Some(Errno::XDEV));
    }
}
