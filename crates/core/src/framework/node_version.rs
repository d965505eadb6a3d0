//! Which Node.js runs an app: 22, unless the project says that it works with another one alone. Yarn 1 installs nothing otherwise, nor do
//! npm and pnpm where `engine-strict` is set.
//!
//! Source: <https://docs.npmjs.com/cli/v11/configuring-npm/package-json#engines>, <https://github.com/npm/node-semver#ranges>,
//! <https://github.com/nvm-sh/nvm#nvmrc>

use super::Files;
use super::node_workspace::App;

/// The releases with long-term support that have an image on Debian 12, in the order in which they are taken.
const MAJORS: [u64; 4] = [22, 24, 20, 18];
/// Files that name the version that developers use.
const FILES: [&str; 2] = [".nvmrc", ".node-version"];
/// How `.nvmrc` calls some.
const NAMES: [(&str, u64); 4] = [("lts/hydrogen", 18), ("lts/iron", 20), ("lts/jod", 22), ("lts/krypton", 24)];

/// A Node.js that isn't the usual one, and what asks for it.
pub(super) struct OtherNode {
    /// Its first number.
    pub(super) major: u64,
    /// A file's name.
    pub(super) asked_by: &'static str,
}

/// The version that the app gets; `None`: the usual one. Of these places the first with a file counts; what contradicts the app's own
/// `engines` isn't heard.
pub(super) fn find(places: &[&dyn Files], app: &App) -> Option<OtherNode> {
    let mut majors = MAJORS.to_vec();
    let mut asked_by = "";
    let mut hear = |by: &'static str, fits: &dyn Fn(u64) -> bool| {
        let left: Vec<u64> = majors.iter().copied().filter(|major| fits(*major)).collect();
        if let Some(first) = left.first() {
            if *first != majors[0] {
                asked_by = by;
            }
            majors = left;
        }
    };
    for package in [&app.package, app.base_package()] {
        hear("package.json", &|major| package.engine("node").is_none_or(|range| allows(range, major)));
    }
    for name in FILES {
        // One that can't be read, such as a link, is nobody's trouble.
        let text = places.iter().find_map(|files| files.read(name).ok().flatten());
        let wanted = text.as_deref().and_then(named);
        hear(name, &|major| wanted.is_none_or(|wanted| wanted == major));
    }
    for member in app.members() {
        hear("package.json", &|major| member.package.engine("node").is_none_or(|range| allows(range, major)));
    }
    (majors[0] != MAJORS[0]).then_some(OtherNode { major: majors[0], asked_by })
}

/// The first number of the version in a file for a version manager.
fn named(text: &str) -> Option<u64> {
    let line =
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).find(|line| !line.is_empty())?;
    let known = NAMES.iter().find(|(name, _)| line.eq_ignore_ascii_case(name)).map(|(_, major)| *major);
    known.or_else(|| line.trim_start_matches('v').split('.').next()?.parse().ok())
}

/// Whether a range of npm's kind allows the newest release of a line. One that names another release of that line does too: there is
/// one image for all of it.
pub(super) fn allows(range: &str, major: u64) -> bool {
    range.split("||").any(|one| match one.split_once(" - ") {
        Some((from, to)) => fits(">=", from.trim(), major) && fits("<=", to.trim(), major),
        None => all_fit(one, major),
    })
}

fn all_fit(range: &str, major: u64) -> bool {
    // An operator may stand apart from its version.
    let mut operator = "";
    range.split([' ', ',']).filter(|part| !part.is_empty()).all(|part| {
        let version = part.trim_start_matches(['<', '>', '=', '~', '^']);
        let own = &part[..part.len() - version.len()];
        if version.is_empty() {
            operator = own;
            return true;
        }
        let before = std::mem::take(&mut operator);
        fits(if own.is_empty() { before } else { own }, version, major)
    })
}

/// Whether the newest release of a line fits one limit; what isn't a version is none.
fn fits(operator: &str, version: &str, major: u64) -> bool {
    let plain = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u64> = plain.split('.').map_while(|part| part.parse().ok()).take(3).collect();
    let Some(asked) = numbers.first() else { return true };
    let filled = |with: u64| [*asked, numbers.get(1).copied().unwrap_or(with), numbers.get(2).copied().unwrap_or(with)];
    let newest = [major, u64::MAX, u64::MAX];
    match operator {
        ">=" => newest >= filled(0),
        ">" => newest > filled(u64::MAX),
        "<" => newest < filled(0),
        "<=" => newest <= filled(u64::MAX),
        _ => major == *asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(range: &str) -> Option<u64> {
        MAJORS.into_iter().find(|major| allows(range, *major))
    }

    #[test]
    fn another_release_is_taken_only_where_the_usual_one_is_not_allowed() {
        for range in [
            "",
            "*",
            "x",
            "22",
            "22.x",
            ">=18",
            ">= 18",
            ">=18.0.0 <25",
            "^20 || ^22",
            "^22.11.0",
            "~22.3",
            "v22.1.0",
            "22.11.0",
            ">20",
            "18 - 22",
            "<=22",
            "latest",
            ">=20.0.0-0",
            "^18.17.0 || >=20.5.0",
            ">=14, <23",
            "18.x || 20.x || 22.x",
        ] {
            assert_eq!(taken(range), Some(22), "{range}");
        }
        for (range, major) in [
            ("20.x", 20),
            ("18", 18),
            (">=24", 24),
            (">= 24.1", 24),
            ("^20.11.0", 20),
            ("20.11.1", 20),
            ("=20.11.1", 20),
            (">22", 24),
            ("<22", 20),
            (">=18 <22", 20),
            (">=18.0.0 <20", 18),
            ("<22.5", 20),
            ("<=20", 20),
            ("18 - 20", 20),
            ("18.x || 20.x", 20),
            ("24.x", 24),
            ("^24 || ^20", 24),
            ("~18.20", 18),
            ("<= 20.x", 20),
            ("16 || 18", 18),
        ] {
            assert_eq!(taken(range), Some(major), "{range}");
        }
        for nothing in ["^16", "14.x", ">=26", "<18"] {
            assert_eq!(taken(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_version_managers_file_names_one() {
        for (text, major) in [
            ("20\n", Some(20)),
            ("v20.11.1", Some(20)),
            ("# ours\n\nlts/iron\n", Some(20)),
            ("lts/Krypton", Some(24)),
            ("lts/*\n", None),
            ("node", None),
            ("", None),
        ] {
            assert_eq!(named(text), major, "{text:?}");
        }
    }
}
