//! Counting a commit's files before one of them is written: a tree of a few kilobytes can name billions.

use super::CheckoutLimits;
use super::trouble::{Trouble, shown};

/// What `git ls-tree -r -t -l` has said so far.
pub(super) struct Listing<'a> {
    limits: &'a CheckoutLimits,
    files: u64,
    folders: u64,
    bytes: u64,
    trouble: Option<Trouble>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(limits: &'a CheckoutLimits) -> Self {
        Self { limits, files: 0, folders: 0, bytes: 0, trouble: None }
    }

    /// Takes a line. `false`: there is no need to hear more.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if self.trouble.is_none() {
            self.trouble = self.entry(line).err();
        }
        self.trouble.is_none()
    }

    pub(super) fn verdict(self) -> Result<(), Trouble> {
        self.trouble.map_or(Ok(()), Err)
    }

    /// One entry: `<mode> SP <type> SP <object> SP+ <size> TAB <path>`.
    ///
    /// Source: <https://git-scm.com/docs/git-ls-tree#_output_format>
    fn entry(&mut self, line: &str) -> Result<(), Trouble> {
        let refused = |what: String| Err(Trouble::Refused(what));
        let Some((entry, path)) = line.split_once('\t') else {
            // Lines are cut beyond 8 KiB, and no file system has such paths.
            return refused("it has a path that is too long".to_owned());
        };
        if path.matches('/').count() >= self.limits.depth {
            return refused(format!("it has more than {} folders within each other", self.limits.depth));
        }
        let mut words = entry.split_ascii_whitespace().skip(1);
        // Folders of folders alone cost time too: each is looked into.
        let (count, what) = match words.next() {
            Some("tree") => (&mut self.folders, "folders"),
            _ => (&mut self.files, "files"),
        };
        *count += 1;
        if *count > self.limits.files {
            return refused(format!("it has more than {} {what}", self.limits.files));
        }
        let size = match words.nth(1) {
            Some("-") => 0, // a folder, or a submodule, which stays an empty one
            Some(size) => size.parse().map_err(|_| Trouble::Broken(format!("no size: {}", shown(line))))?,
            None => return Err(Trouble::Broken(format!("not an entry: {}", shown(line)))),
        };
        self.bytes = self.bytes.saturating_add(size);
        if size > self.limits.file_bytes {
            return refused(format!("its file {} is larger than {} bytes", shown(path), self.limits.file_bytes));
        }
        if self.bytes > self.limits.bytes {
            return refused(format!("its files are larger than {} bytes together", self.limits.bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: fn() -> CheckoutLimits =
        || CheckoutLimits { files: 3, depth: 3, bytes: 100, file_bytes: 60, ..CheckoutLimits::default() };

    fn verdict(lines: &[&str]) -> Result<(), Trouble> {
        let limits = LIMITS();
        let mut listing = Listing::new(&limits);
        let _ = lines.iter().all(|line| listing.line(line));
        listing.verdict()
    }

    fn refusal(lines: &[&str]) -> String {
        match verdict(lines) {
            Err(Trouble::Refused(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn within_the_limits() {
        verdict(&[
            "100644 blob fe6d6668cc22ed051f5a2cf90a067898f9ced036      50\ta b",
            "120000 blob fe6d6668cc22ed051f5a2cf90a067898f9ced036      50\t\"x\\ty\"",
            "160000 commit fe6d6668cc22ed051f5a2cf90a067898f9ced036       -\tsub",
            "040000 tree fe6d6668cc22ed051f5a2cf90a067898f9ced036       -\ta/b",
            "040000 tree fe6d6668cc22ed051f5a2cf90a067898f9ced036       -\ta/b/c",
        ])
        .unwrap();
    }

    #[test]
    fn beyond_them() {
        assert_eq!(refusal(&["100644 blob x 1\ta"; 4]), "it has more than 3 files");
        assert_eq!(refusal(&["040000 tree x -\ta"; 4]), "it has more than 3 folders");
        assert_eq!(refusal(&["100644 blob x 1\ta/b/c/d"]), "it has more than 3 folders within each other");
        assert_eq!(refusal(&["100644 blob x 50\ta"; 3]), "its files are larger than 100 bytes together");
        assert_eq!(refusal(&["100644 blob x 61\ta\u{7}"]), "its file a? is larger than 60 bytes");
        assert_eq!(refusal(&["the rest of a long path"]), "it has a path that is too long");
        assert!(matches!(verdict(&["100644 blob x BAD\ta"]), Err(Trouble::Broken(_))));
    }
}
