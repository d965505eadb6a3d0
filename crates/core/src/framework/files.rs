//! How a checkout's files are looked at.
//!
//! This crate opens nothing. Whoever implements [`Files`] opens beneath the checkout without following links and reads no more
//! than a limit; a file that is refused is an error of its own and says nothing but the path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::repo_config::RelativePath;

/// The files of a checkout. Paths are relative to its root, with `/` between their parts and no leading `./`.
pub trait Files {
    /// The text of a file, or `None` where there is none.
    fn read(&self, path: &str) -> Result<Option<String>, ReadFileError>;

    /// The names in a folder, in any order; none where there is no such folder. The root is the empty path.
    fn list(&self, folder: &str) -> Result<Vec<String>, ReadFileError>;

    /// Whether something of that name stands in the folder, which says nothing of what it is.
    fn has(&self, folder: &str, name: &str) -> Result<bool, ReadFileError> {
        Ok(self.list(folder)?.iter().any(|found| found == name))
    }
}

/// The files beneath a folder of a checkout, as if it were one by itself. Errors still tell the path from the checkout's root.
pub(super) struct Beneath<'a> {
    files: &'a dyn Files,
    folder: &'a RelativePath,
}

impl<'a> Beneath<'a> {
    pub(super) fn new(files: &'a dyn Files, folder: &'a RelativePath) -> Self {
        Self { files, folder }
    }

    fn path(&self, path: &str) -> String {
        match (self.folder.is_all(), path) {
            (true, path) => path.to_owned(),
            (_, "" | ".") => self.folder.to_string(),
            (_, path) => format!("{}/{path}", self.folder),
        }
    }
}

impl Files for Beneath<'_> {
    fn read(&self, path: &str) -> Result<Option<String>, ReadFileError> {
        self.files.read(&self.path(path))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadFileError> {
        self.files.list(&self.path(folder))
    }

    fn has(&self, folder: &str, name: &str) -> Result<bool, ReadFileError> {
        self.files.has(&self.path(folder), name)
    }
}

/// A file of the checkout that was not read. Shows the path and never a word of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {refusal}", path.escape_debug())]
pub struct ReadFileError {
    /// Relative to the checkout's root.
    pub path: String,
    /// What stood in the way.
    pub refusal: Refusal,
}

/// Why a file of the checkout was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is a symbolic link, or lies behind one.
    Link,
    /// Its path leads out of the checkout.
    Outside,
    /// It is a folder, a pipe, a device.
    NotAFile,
    /// It is longer than `limit` bytes.
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// It isn't UTF-8.
    NotText,
    /// The system gave an error: our trouble rather than the repository's.
    Unreadable(std::io::ErrorKind),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("is a symbolic link or lies behind one; links are not followed"),
            Self::Outside => f.write_str("lies outside the repository"),
            Self::NotAFile => f.write_str("is not a regular file"),
            Self::TooLarge { limit } => write!(f, "is larger than {limit} bytes"),
            Self::NotText => f.write_str("is not UTF-8 text"),
            Self::Unreadable(kind) => write!(f, "could not be read: {kind}"),
        }
    }
}

/// The text of a file: UTF-8, or UTF-16 where a mark at its beginning says so, as PowerShell writes what is sent into a file. `None`: it
/// is neither.
pub fn decoded(bytes: Vec<u8>) -> Option<String> {
    let read: fn([u8; 2]) -> u16 = match bytes.get(..2) {
        Some([0xFF, 0xFE]) => u16::from_le_bytes,
        Some([0xFE, 0xFF]) => u16::from_be_bytes,
        _ => return String::from_utf8(bytes).ok(),
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().copied().map(read).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

/// A checkout that is a table of paths and texts: for tests, and for showing what would be detected.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, String>,
    links: BTreeSet<String>,
}

impl MemoryFiles {
    /// A checkout of these paths and texts.
    pub fn new<P: Into<String>, T: Into<String>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        Self { files, links: BTreeSet::new() }
    }

    /// The same with a symbolic link in it, which reading refuses.
    pub fn with_link(mut self, path: &str) -> Self {
        self.links.insert(path.to_owned());
        self
    }

    fn follows_no_link(&self, path: &str) -> Result<(), ReadFileError> {
        let behind_link =
            |link: &String| path.strip_prefix(link).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match self.links.iter().any(behind_link) {
            true => Err(ReadFileError { path: path.to_owned(), refusal: Refusal::Link }),
            false => Ok(()),
        }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Option<String>, ReadFileError> {
        self.follows_no_link(path)?;
        Ok(self.files.get(path).cloned())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ReadFileError> {
        self.follows_no_link(folder)?;
        let below = |path: &String| {
            let rest = if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
            rest.split('/').next().map(str::to_owned)
        };
        let names: BTreeSet<String> = self.files.keys().chain(&self.links).filter_map(below).collect();
        Ok(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn utf_16_is_read_where_a_mark_says_so() {
        let units = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain("fläsk==3\r\n".encode_utf16().flat_map(bytes)).collect::<Vec<u8>>()
        };
        for bytes in
            [units([0xFF, 0xFE], u16::to_le_bytes), units([0xFE, 0xFF], u16::to_be_bytes), "fläsk==3\r\n".into()]
        {
            assert_eq!(decoded(bytes).as_deref(), Some("fläsk==3\r\n"));
        }
        assert_eq!(decoded("\u{FEFF}x".into()).as_deref(), Some("\u{FEFF}x"));
        // Half a character, half of a pair, and no text at all.
        for bytes in [vec![0xFF, 0xFE, b'x'], vec![0xFF, 0xFE, 0x00, 0xD8], vec![b'x', 0x80]] {
            assert_eq!(decoded(bytes), None);
        }
    }
}
