//! What a program's own sources say, for what no manifest tells. Looked at are so many files and folders and no more.

use std::collections::VecDeque;

use crate::repo_config::RelativePath;

use super::{Files, subfolders};

/// Most files and folders that are looked at.
const MOST: usize = 2_000;

/// Whether a source below these folders says it: `says` is given its path and its text. `None`: there are too many to know.
pub(super) fn say(
    files: &dyn Files,
    folders: &[RelativePath],
    is_source: impl Fn(&str) -> bool,
    says: impl Fn(&RelativePath, &str) -> bool,
) -> Option<bool> {
    let mut waiting: VecDeque<RelativePath> = folders.iter().cloned().collect();
    let mut left = MOST;
    while let Some(folder) = waiting.pop_front() {
        for path in subfolders(files, &folder) {
            left = left.checked_sub(1)?;
            let name = path.as_str().rsplit('/').next().unwrap_or_default();
            if is_source(name) {
                // A file that can't be read is the compiler's affair.
                if files.read(path.as_str()).is_ok_and(|text| text.is_some_and(|text| says(&path, &text))) {
                    return Some(true);
                }
            } else if !name.contains('.') {
                // Perhaps a folder. A file has nothing in it.
                waiting.push_back(path);
            }
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::super::MemoryFiles;
    use super::*;

    #[test]
    fn every_source_is_looked_at_unless_there_are_too_many() {
        let said = |files: &MemoryFiles| {
            say(files, &["src".parse().unwrap()], |name| name.ends_with(".rs"), |_, text| text.contains("migrate!"))
        };
        let deep = [("src/a/b/c.rs", "migrate!()"), ("src/main.rs", "")];
        assert_eq!(said(&MemoryFiles::new(deep)), Some(true));
        let elsewhere = [("tests/a.rs", "migrate!()"), ("src/a.txt", "migrate!()"), ("src/.x/b.rs", "migrate!()")];
        assert_eq!(said(&MemoryFiles::new(elsewhere)), Some(false));
        let unread = MemoryFiles::new([("src/main.rs", "")]).with_link("src/out").with_link("src/out.rs");
        assert_eq!(said(&unread), Some(false));
        let many = (0..=MOST).map(|n| (format!("src/{n}.rs"), ""));
        assert_eq!(said(&MemoryFiles::new(many)), None);
    }
}
