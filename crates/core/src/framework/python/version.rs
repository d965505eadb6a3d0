//! Which Python runs the app: the one that the project asks for, as far as there is an image of it; 3.12 where it says nothing.
//!
//! A file that version managers read comes first, unless the package manager would refuse what it says by the manifest; then what the
//! manifest requires.

use super::super::{DetectError, Files, limits};

/// The second numbers of the versions with an image on Debian 12, in the order in which they are taken.
const MINORS: [u64; 6] = [USUAL, 13, 14, 11, 10, 9];
/// The one for a project that says nothing.
pub(super) const USUAL: u64 = 12;
/// Files that say which Python is meant, and what stands before its version.
const FILES: [(&str, &str); 3] = [(".python-version", ""), ("runtime.txt", "python-"), (".tool-versions", "python ")];

/// The second number of the version that a file of the project asks for, and that file; not where the manifest's own requirement
/// doesn't allow it. For a version older than any image the oldest is taken: what newer ones have lost is there.
pub(super) fn asked(files: &dyn Files, required: Option<&str>) -> Result<Option<(u64, &'static str)>, DetectError> {
    for (file, before) in FILES {
        let text = files.read(file)?.unwrap_or_default();
        let mut lines = text.trim_start_matches('\u{FEFF}').lines().map(str::trim);
        let minor = lines.find_map(|line| minor(line.strip_prefix(before)?));
        let fits = |minor: &u64| required.is_none_or(|limits| allows(limits, *minor));
        if let Some(minor) = minor.filter(fits) {
            return Ok(Some((minor, file)));
        }
    }
    Ok(None)
}

/// The second number of `3.11.4`, of `3.11` or of `cpython-3.11`; none of another Python, or one that there is no image of yet.
fn minor(text: &str) -> Option<u64> {
    let version = limits::numbers(text.trim().trim_start_matches("cpython-").trim_start_matches("cpython@"))?;
    let oldest = MINORS.into_iter().min()?;
    match version[..] {
        [3, minor, ..] => Some(minor.max(oldest)).filter(|minor| MINORS.contains(minor)),
        _ => None,
    }
}

/// The second number of the version that a project gets that requires this; `None`: the usual one.
pub(super) fn required(specifier: &str) -> Option<u64> {
    let found = MINORS.into_iter().find(|minor| allows(specifier, *minor));
    found.filter(|minor| *minor != USUAL)
}

fn allows(specifier: &str, minor: u64) -> bool {
    limits::either(specifier).any(|one| limits::allows(one, (3, minor)))
}

#[cfg(test)]
mod tests {
    use super::super::super::MemoryFiles;
    use super::{asked, required};

    #[test]
    fn another_python_is_taken_only_where_ours_would_be_refused() {
        for fits in [
            "",
            "*",
            ">=3.9",
            "^3.11",
            "^3",
            ">=3.10,<4",
            ">=3.10,<4.0",
            ">=3.12.1, <4",
            ">= 3.11, < 3.13",
            "<3.13.0a1",
            ">=3.12.0rc1",
            "~=3.11",
            "~=3.12",
            "~=3.12.4",
            "3.12.*",
            "==3.12.*",
            "== 3.12.*",
            "==3.*",
            "==3.12.4",
            "===3.12.4",
            "~3.12",
            "~3",
            ">3.8",
            ">3.12",
            ">=3.9,!=3.12",
            ">=3.9,!=3.12.3,!=3.9.7",
            ">=3.9,!=3.11.*",
            "^3.8 | ^3.13",
            "||",
            "new",
            "3",
        ] {
            assert_eq!(required(fits), None, "{fits}");
        }
        for (specifier, minor) in [
            (">=3.13", 13),
            (">=3.13,<4", 13),
            (">3.12,!=3.12.*", 13),
            ("^3.13", 13),
            ("^3.13.2", 13),
            (">=3.14,<4", 14),
            (">=3.14.0rc1", 14),
            (">=3.14.dev0", 14),
            (">=3.9,<3.12", 11),
            (">=3.9 <3.12", 11),
            ("<3.12.5", 11),
            ("<3.12.0a1", 11),
            ("<=3.11", 10),
            ("~3.11", 11),
            ("~=3.11.4", 11),
            ("==3.11.*", 11),
            ("==3.10.*", 10),
            ("3.9.18", 9),
            ("<3.10 || >=3.13", 13),
            ("~3.10 | ~3.11", 11),
            (">=3.9,!=3.12.*", 13),
            (">=3.9,<3.14,!=3.12.*,!=3.13.*", 11),
        ] {
            assert_eq!(required(specifier), Some(minor), "{specifier}");
        }
        // Nothing that there is: the build says so.
        for none in [">=4", "^2.7", "<3.9", "~=3.8.0", ">=3.13,<3.13"] {
            assert_eq!(required(none), None, "{none}");
        }
    }

    #[test]
    fn a_file_of_version_managers_says_which_python() {
        let by = |file: &str, text: &str, required: Option<&str>| {
            asked(&MemoryFiles::new([(file, text)]), required).unwrap()
        };
        for (file, text, minor) in [
            (".python-version", "3.9.18\n", 9),
            (".python-version", "# the server's\n3.11", 11),
            (".python-version", "cpython-3.13\n", 13),
            (".python-version", "shop\n3.10\n", 10),
            (".python-version", "3.7", 9),
            ("runtime.txt", "python-3.12.3\n", 12),
            (".tool-versions", "nodejs 22.1.0\npython 3.10.4\n", 10),
        ] {
            assert_eq!(by(file, text, None), Some((minor, file)), "{file}: {text}");
        }
        for (file, text) in [
            (".python-version", "2.7.18"),
            (".python-version", "3.99"),
            (".python-version", "pypy3.10"),
            ("runtime.txt", "3.9"),
        ] {
            assert_eq!(by(file, text, None), None, "{file}: {text}");
        }
        // What the package manager would refuse isn't taken.
        assert_eq!(by(".python-version", "3.9", Some(">=3.10")), None);
        assert_eq!(by(".python-version", "3.11", Some(">=3.10")), Some((11, ".python-version")));
    }
}
