//! Which Python runs the app: 3.12, unless uv or Poetry would refuse it by what `pyproject.toml` says that the project requires.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/version-specifiers/>,
//! <https://python-poetry.org/docs/dependency-specification/#version-constraints>

/// The second numbers of the versions with an image on Debian 12, in the order in which they are taken.
const MINORS: [u64; 6] = [12, 13, 14, 11, 10, 9];

/// The second number of the version that a project gets that requires this; `None`: the usual one.
pub(super) fn required(specifier: &str) -> Option<u64> {
    let found = MINORS.into_iter().find(|minor| specifier.split("||").any(|one| allows(one, *minor)));
    found.filter(|minor| *minor != MINORS[0])
}

/// The three numbers of a version, as many as there are.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let parts = text.trim().trim_end_matches(".*").split('.').take(3);
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
            "!=" => !same(2) || asked.len() > 2,
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
            ">=3.10,<4.0",
            ">= 3.11, < 3.13",
            "~=3.11",
            "3.12.*",
            "==3.12.4",
            "~3.12",
            ">3.8",
            "new",
            "3",
        ] {
            assert_eq!(required(fits), None, "{fits}");
        }
        for (specifier, minor) in [
            (">=3.13", 13),
            ("^3.13", 13),
            (">=3.14,<4", 14),
            (">=3.9,<3.12", 11),
            ("<=3.11", 10),
            ("~3.11", 11),
            ("~=3.11.4", 11),
            ("==3.10.*", 10),
            ("<3.10 || >=3.13", 13),
            (">=3.9,!=3.12.*", 13),
        ] {
            assert_eq!(required(specifier), Some(minor), "{specifier}");
        }
        // Nothing that there is: the build says so.
        assert_eq!(required(">=4"), None);
    }
}
