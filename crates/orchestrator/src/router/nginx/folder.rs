//! The include folder: files of ours are read, replaced and deleted; nobody else's are touched.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::text::{Files, HOSTS, PASSWORDS, SERVERS, STANDING, deployment, is_ours};

/// Our own beginnings of files; nginx includes `*.conf` alone.
const UNFINISHED: &str = ".preview-deployer-";

/// The include folder of the server block, with `hosts/` in it for the wildcard server, and `servers/` for those that speak TLS.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder at this path. It need not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Every file of ours. No folder is no files.
    pub(super) fn read(&self) -> io::Result<Files> {
        let mut files = Files::new();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            entries => entries?,
        };
        let mut names = vec![HOSTS.to_owned(), SERVERS.to_owned()];
        for entry in entries {
            // A name that isn't text is nobody's whom we know.
            names.extend(entry?.file_name().into_string().ok());
        }
        for name in names {
            if ![HOSTS, SERVERS, STANDING, PASSWORDS].contains(&name.as_str()) && deployment(&name).is_none() {
                continue;
            }
            match fs::read_to_string(self.0.join(&name)) {
                Ok(text) if is_ours(&text) => drop(files.insert(name, text)),
                Err(error) if error.kind() != io::ErrorKind::NotFound && error.kind() != io::ErrorKind::InvalidData => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(files)
    }

    /// Makes these, in place of those, the files of ours. Each appears whole or not at all, and stays over a power cut.
    pub(super) fn replace(&self, old: &Files, new: &Files) -> io::Result<()> {
        let subs = self.subs(new);
        subs.iter().try_for_each(fs::create_dir_all)?;
        self.sweep()?;
        for (name, text) in new.iter().filter(|(name, text)| old.get(*name) != Some(text)) {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.0)?;
            file.write_all(text.as_bytes())?;
            self.hand_over(file.as_file(), name)?;
            file.as_file().sync_all()?;
            file.persist(self.0.join(name))?;
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            match fs::remove_file(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        for sub in subs {
            File::open(sub)?.sync_all()?;
        }
        File::open(&self.0)?.sync_all()
    }

    /// The folders in the folder. That of other servers is there once there are any.
    fn subs(&self, new: &Files) -> Vec<PathBuf> {
        let is_there = |name: &&str| {
            let folder = self.0.join(name).parent().is_some_and(Path::is_dir);
            *name == HOSTS || folder || new.contains_key(*name)
        };
        let subs = [HOSTS, SERVERS].into_iter().filter(is_there);
        subs.filter_map(|name| self.0.join(name).parent().map(Path::to_owned)).collect()
    }

    /// Lets nginx read a file. Passwords are for its workers alone: they get the folder's group, if we may give it.
    fn hand_over(&self, file: &File, name: &str) -> io::Result<()> {
        if name != PASSWORDS {
            return file.set_permissions(Permissions::from_mode(0o644));
        }
        // Where we may not, nginx can't read the file and lets nobody in; that is told after the reload.
        let _ = std::os::unix::fs::fchown(file, None, Some(fs::metadata(&self.0)?.gid()));
        file.set_permissions(Permissions::from_mode(0o640))
    }

    /// Deletes what a writer that was killed has left.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::login::Login;
    use crate::router::nginx::text::{House, Lock};
    use preview_core::ids::HostPort;
    use preview_core::route::{Route, RouteTable};

    fn table(number: u16) -> RouteTable {
        let id = format!("my-app-{number}").parse().unwrap();
        [Route { deployment: id, port: HostPort::new(8000).unwrap() }].into_iter().collect()
    }

    #[test]
    fn only_files_of_ours_are_read_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("previews"));
        assert!(folder.read().unwrap().is_empty());
        let login = Login::new("preview", "s3cret-password".into());
        let lock = Lock { login, salt: "0123".to_owned(), file: "/x".to_owned() };
        let first = House { domain: Some("p.example.org".parse().unwrap()), lock: Some(lock), secure: None }
            .render(&table(1), 1);
        folder.replace(&Files::new(), &first).unwrap();
        for (name, text) in [("other.conf", "# mine"), ("my-app-pr-9.conf", "# mine"), (".preview-deployer-x", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(folder.read().unwrap(), first);

        let mode = fs::metadata(folder.path().join(PASSWORDS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let second = House::default().render(&table(2), 2);
        folder.replace(&first, &second).unwrap();
        assert_eq!(folder.read().unwrap(), second);
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [STANDING, "hosts", "my-app-pr-2.conf", "my-app-pr-9.conf", "other.conf"]);
        assert_eq!(fs::read_dir(folder.path().join("hosts")).unwrap().count(), 0);
    }
}
