//! Limits on versions, as Python's and PHP's package managers write them, and whether a release line is within.
//!
//! Both write them much alike: `>=3.9,<3.13`, `^8.2`, `3.12.*`. Where Composer means something else by a sign, `php` translates it first.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/version-specifiers/>,
//! <https://python-poetry.org/docs/dependency-specification/#version-constraints>

const OPERATORS: [char; 6] = ['<', '>', '=', '~', '^', '!'];

/// Limits of which any will do: what stands between bars, of which Poetry takes one for two.
pub(super) fn either(specifier: &str) -> impl Iterator<Item = &str> {
    specifier.split('|').filter(|one| !one.trim().is_empty())
}

/// Whether all of these limits allow some release of `major.minor`, of which an image has the newest.
pub(super) fn allows(specifier: &str, (major, minor): (u64, u64)) -> bool {
    let newest = [major, minor, u64::MAX];
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

/// The three numbers of a version, as many as there are; of `3.14.0rc1` those before the word.
pub(super) fn numbers(text: &str) -> Option<Vec<u64>> {
    let plain = text.find(|c: char| c.is_ascii_alphabetic()).map_or(text, |end| &text[..end]);
    let parts = plain.trim().trim_end_matches(['*', '.']).split('.').take(3);
    parts.map(|part| part.parse().ok()).collect()
}
