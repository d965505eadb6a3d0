//! Which Python runs the app: 3.12, unless uv or Poetry would refuse it by what `pyproject.toml` says that the project requires.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/version-specifiers/>,
//! <https://python-poetry.org/docs/dependency-specification/#version-constraints>

/// The second numbers of the versions with an image on Debian 12, in the order in which they are taken.
const MINORS: [u64; 6] = [12, 13, 14, 11, 10, 9];

/// The second number of the version that a project gets that requires this; `None`: the usual one.
pub(super) fn required(specifier: &str) -> Option<u64> {
    // Poetry takes one bar for two.
    let either: Vec<&str> = specifier.split('|').filter(|one| !one.trim().is_empty()).collect();
    let found = MINORS.into_iter().find(|minor| either.iter().any(|one| allows(one, *minor)));
    found.filter(|minor| *minor != MINORS[0])
}

/// The three numbers of a version, as many as there are; of `3.14.0rc1` those before the word.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let plain = text.find(|c: char| c.is_ascii_alphabetic()).map_or(text, |end| &text[..end]);
    let parts = plain.trim().trim_end_matches(['*', '.']).split('.').take(3);
    parts.map(|part| part.parse().ok()).collect()
}

/// Whether all of these limits allow some release of 3.`minor`, of which an image has the newest.
fn allows(specifier: &str, minor: u64) -> bool {
    let newest = [3, minor, u64::MAX];
    let limits = specifier.split([',', ' ']).map(str::trim).filter(|limit| !limit.is_empty() && *limit != "*");
    // An operator may stand apart from its version.
    let joined = limits.fold(Vec::<String>::new(), |mut all, part| {
        match all.last_mut().filter(|last| numbers(last.trim_start_matches(OPERATORS)).is_none()) {
            Some(open) => open.push_str(part),
            None => all.push(part.to_owned()),
        }
        all
    });
    joined.iter().all(|limit| {
        let text = limit.trim_start_matches(OPERATORS);
        let Some(asked) = numbers(text) else { return true };
        let mut full = asked.clone();
        full.resize(3, 0);
        let same = |count: usize| asked.iter().zip(newest).take(count).all(|(asked, ours)| *asked == ours);
        match &limit[..limit.len() - text.len()] {
            ">=" => newest[..] >= full[..],
            ">" => newest[..] > full[..],
            "<" => newest[..] < full[..],
            "<=" => newest[..] <= full[..],
            "^" => newest[..] >= full[..] && same(1),
            "~" => newest[..] >= full[..] && same(2),
            "~=" => newest[..] >= full[..] && same(asked.len().saturating_sub(1)),
            // `!=3.12` is 3.12.0 alone.
            "!=" => !(text.ends_with('*') && asked.len() < 3 && same(2)),
            _ => same(2),
        }
    })
}

const OPERATORS: [char; 6] = ['<', '>', '=', '~', '^', '!'];

#[cfg(test)]
mod tests {
    use super::required;

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
}
