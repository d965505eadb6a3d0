//! Holes that are known of the programs which we stand on, and the releases that close them.
//!
//! One table; [`holes`] compares a version with it. Distributions close holes without a new number of the program's own, so the
//! table also has packages that are known to, and any other package of a distribution is reported as *perhaps*.
//!
//! Sources, read in November 2026: the advisories of <https://github.com/opencontainers/runc/security>, <https://github.com/moby/moby/security>,
//! <https://github.com/moby/buildkit/security>, <https://github.com/docker/compose/security>, <https://github.com/git/git/security>;
//! for Debian's packages their own `changelog.Debian` (that of `runc` 1.1.5+ds1-1+deb12u1 names CVE-2024-21626 alone, 1.1.15+ds1-2+deb13u1
//! two of the three of 2025; `docker-compose` 2.26.1-4 and `docker.io` 20.10.24+dfsg1-1+deb12u1 none of theirs but CVE-2024-41110,
//! whose fix the engine's own number does not show); for Ubuntu's <https://ubuntu.com/security/notices>.

use std::fmt;

/// A program that we stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// It reads what strangers push.
    Git,
    /// It starts containers.
    Compose,
    /// It builds images, where it isn't the engine's own.
    BuildKit,
    /// It keeps containers, and builds with a BuildKit inside.
    Engine,
    /// It is what shuts them in.
    Runc,
}

impl Component {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Compose => "Docker Compose",
            Self::BuildKit => "BuildKit",
            Self::Engine => "Docker Engine",
            Self::Runc => "runc",
        }
    }
}

/// A release: major, minor, patch.
type Release = [u32; 3];

/// One known hole.
#[derive(Debug, PartialEq, Eq)]
pub struct Hole {
    /// By what name it is known.
    pub id: &'static str,
    /// Whose it is.
    pub component: Component,
    /// What an attacker gains.
    pub what: &'static str,
    /// The first release of each branch without it, oldest first. Branches in between that aren't named never got a fix.
    fixed: &'static [Release],
    /// Packages of distributions with the fix in an older release: all before a last number, and that number.
    packages: &'static [(&'static str, u32)],
}

const GIT_2024: &[Release] = &[[2, 39, 4], [2, 40, 2], [2, 41, 1], [2, 42, 2], [2, 43, 4], [2, 44, 1], [2, 45, 1]];
const GIT_2025: &[Release] =
    &[[2, 43, 7], [2, 44, 4], [2, 45, 4], [2, 46, 4], [2, 47, 3], [2, 48, 2], [2, 49, 1], [2, 50, 1]];
/// The engine's releases with BuildKit 0.12.5 inside; those of 24.0 never got it.
const ENGINE_2024: &[Release] = &[[25, 0, 2]];
/// The engine's releases with BuildKit 0.28.1 inside.
const ENGINE_2026: &[Release] = &[[29, 3, 1]];
const RUNC_2025: &[Release] = &[[1, 2, 8], [1, 3, 3]];

const fn hole(id: &'static str, component: Component, what: &'static str, fixed: &'static [Release]) -> Hole {
    Hole { id, component, what, fixed, packages: &[] }
}

/// A hole of runc from 2025 that Debian 13's package has closed.
const fn closed_in_debian_13(hole: Hole) -> Hole {
    Hole { packages: &[("1.1.15+ds1-2+deb13u", 1)], ..hole }
}

/// Every hole that is looked for.
pub const TABLE: &[Hole] = &[
    hole("CVE-2024-32002", Component::Git, "a repository with submodules runs code when it is cloned", GIT_2024),
    hole("CVE-2025-48384", Component::Git, "a submodule's path that ends in a carriage return runs code", GIT_2025),
    hole("CVE-2025-48385", Component::Git, "a server's bundle writes files anywhere", GIT_2025),
    hole("CVE-2025-62725", Component::Compose, "a file that includes a remote one overwrites any file", &[[2, 40, 2]]),
    hole("CVE-2024-23651", Component::BuildKit, "builds side by side read files of the host", &[[0, 12, 5]]),
    hole("CVE-2024-23652", Component::BuildKit, "a build removes files of the host", &[[0, 12, 5]]),
    hole("CVE-2024-23653", Component::BuildKit, "a build runs with more rights than it was given", &[[0, 12, 5]]),
    hole("CVE-2026-33748", Component::BuildKit, "a build from a git address reads files beside it", &[[0, 28, 1]]),
    hole("CVE-2024-23651", Component::Engine, "builds side by side read files of the host", ENGINE_2024),
    hole("CVE-2024-23652", Component::Engine, "a build removes files of the host", ENGINE_2024),
    hole("CVE-2024-23653", Component::Engine, "a build runs with more rights than it was given", ENGINE_2024),
    hole(
        "CVE-2024-29018",
        Component::Engine,
        "containers of an internal network reach name servers outside",
        &[[23, 0, 11], [25, 0, 5], [26, 0, 0]],
    ),
    hole(
        "CVE-2024-41110",
        Component::Engine,
        "a request gets past an authorization plugin, where there is one",
        &[[23, 0, 15], [25, 0, 6], [26, 1, 5], [27, 1, 1]],
    ),
    hole("CVE-2026-33748", Component::Engine, "a build from a git address reads files beside it", ENGINE_2026),
    hole(
        "CVE-2026-34040",
        Component::Engine,
        "a large request gets past an authorization plugin, where there is one",
        ENGINE_2026,
    ),
    Hole {
        id: "CVE-2024-21626",
        component: Component::Runc,
        what: "an image's working directory opens the host's files to its container",
        fixed: &[[1, 1, 12]],
        packages: &[
            ("1.0.0~rc93+ds1-5+deb11u", 3),
            ("1.1.5+ds1-1+deb12u", 1),
            ("1.1.7-0ubuntu1~20.04.", 2),
            ("1.1.7-0ubuntu1~22.04.", 2),
        ],
    },
    closed_in_debian_13(hole(
        "CVE-2025-31133",
        Component::Runc,
        "a container gets out through masked paths",
        RUNC_2025,
    )),
    closed_in_debian_13(hole("CVE-2025-52565", Component::Runc, "a container gets out through its console", RUNC_2025)),
    hole("CVE-2025-52881", Component::Runc, "a container gets out through writes to /proc", RUNC_2025),
];

/// A hole that a version has.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub hole: &'static Hole,
    /// The version, as its program tells it.
    pub version: String,
    /// Whether a distribution's package may have closed it under this number.
    pub perhaps: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hole { id, component, what, fixed, .. } = self.hole;
        let releases: Vec<String> =
            fixed.iter().map(|[major, minor, patch]| format!("{major}.{minor}.{patch}")).collect();
        let has = if self.perhaps { "may have" } else { "has" };
        write!(f, "{} {} {has} {id} ({what}): ", component.name(), self.version)?;
        write!(f, "update to {} or later", releases.join(", "))?;
        if self.perhaps {
            f.write_str(", or see whether the distribution's security tracker says that its package is fixed")?;
        }
        Ok(())
    }
}

/// The known holes of this version; none of a text that is no version. It may carry a distribution's marks
/// (`1.1.5+ds1-1+deb12u1`) and words behind it.
pub fn holes(component: Component, version: &str) -> Vec<Finding> {
    let version = version.split_whitespace().next().unwrap_or_default().trim_start_matches('v');
    let Some((release, before, rest)) = parsed(version) else { return Vec::new() };
    let found = TABLE.iter().filter(|hole| {
        hole.component == component && !hole.is_fixed_in(release, before) && !hole.is_fixed_in_package(version)
    });
    // git's own word is its bare number, whatever package it came in.
    let perhaps = component == Component::Git || is_distributions(rest);
    found.map(|hole| Finding { hole, version: harmless(version), perhaps }).collect()
}

/// The release, whether it is only on the way to it, and what stands behind its numbers.
fn parsed(version: &str) -> Option<(Release, bool, &str)> {
    let end = version.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let mut release = [0; 3];
    let mut parts = numbers.trim_end_matches('.').split('.');
    for (index, place) in release.iter_mut().enumerate() {
        match parts.next() {
            Some(part) => *place = part.parse().ok()?,
            None if index == 0 => return None,
            None => break,
        }
    }
    let mark = rest.trim_start_matches(['-', '~', '.']);
    Some((release, ["rc", "alpha", "beta", "dev"].iter().any(|word| mark.starts_with(word)), rest))
}

/// Whether what stands behind the numbers is a distribution's mark: a revision of the package, a name, a repackaging.
fn is_distributions(rest: &str) -> bool {
    let revision = rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    revision || ["+ds", "+dfsg", "deb", "ubuntu", ".el", ".fc", ".amzn"].iter().any(|mark| rest.contains(mark))
}

/// A version as it may be logged: it comes from a program, which may say anything.
fn harmless(version: &str) -> String {
    version.chars().filter(char::is_ascii_graphic).take(60).collect()
}

impl Hole {
    fn is_fixed_in(&self, release: Release, before: bool) -> bool {
        let branch = |[major, minor, _]: Release| (major, minor);
        let reached = |fixed: &Release| release > *fixed || (release == *fixed && !before);
        let same = self.fixed.iter().find(|fixed| branch(**fixed) == branch(release));
        match same {
            Some(fixed) => reached(fixed),
            None => self.fixed.last().is_some_and(|newest| release > *newest),
        }
    }

    fn is_fixed_in_package(&self, version: &str) -> bool {
        self.packages.iter().any(|(before, number)| {
            let revision = version.strip_prefix(before).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
            revision.is_some_and(|revision| revision >= *number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(component: Component, version: &str) -> Vec<&'static str> {
        holes(component, version).iter().map(|found| found.hole.id).collect()
    }

    #[test]
    fn each_branch_has_its_own_first_good_release() {
        use Component::*;
        let runc = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"];
        let builds = ["CVE-2024-23651", "CVE-2024-23652", "CVE-2024-23653"];
        let engine = ["CVE-2026-33748", "CVE-2026-34040"];
        let cases: &[(Component, &str, &[&str])] = &[
            (Runc, "1.1.11", &["CVE-2024-21626", runc[0], runc[1], runc[2]]),
            (Runc, "1.1.12", &runc),
            (Runc, "1.2.7", &runc),
            (Runc, "1.2.8", &[]),
            (Runc, "1.3.2", &runc),
            (Runc, "1.3.3-rc.1", &runc),
            (Runc, "1.3.3", &[]),
            (Runc, "1.4.0", &[]),
            (Git, "2.47.2", &["CVE-2025-48384", "CVE-2025-48385"]),
            (Git, "2.47.3", &[]),
            (Git, "2.50.0", &["CVE-2025-48384", "CVE-2025-48385"]),
            (Git, "2.51.0.windows.1", &[]),
            (Git, "2.34.1", &["CVE-2024-32002", "CVE-2025-48384", "CVE-2025-48385"]),
            (Git, "3.0", &[]),
            (Compose, "v2.40.1", &["CVE-2025-62725"]),
            (Compose, "2.40.2", &[]),
            (Compose, "5.0.0-desktop.1", &[]),
            (BuildKit, "v0.12.4", &[&builds[..], &engine[..1]].concat()),
            (BuildKit, "0.13.1", &engine[..1]),
            (BuildKit, "0.28.1", &[]),
            (Engine, "24.0.9", &[&builds[..], &["CVE-2024-29018", "CVE-2024-41110"], &engine].concat()),
            (Engine, "25.0.6", &engine),
            (Engine, "28.5.2", &engine),
            (Engine, "29.3.1", &[]),
            (Engine, "not a version", &[]),
            (Engine, "", &[]),
        ];
        for (component, version, expected) in cases {
            assert_eq!(ids(*component, version), *expected, "{component:?} {version}");
        }
    }

    #[test]
    fn packages_of_distributions_are_known_or_perhaps() {
        assert!(ids(Component::Runc, "1.1.5+ds1-1+deb12u1").iter().all(|id| id.starts_with("CVE-2025")));
        assert_eq!(ids(Component::Runc, "1.1.15+ds1-2+deb13u1"), ["CVE-2025-52881"]);
        assert_eq!(ids(Component::Runc, "1.1.15+ds1-2+b4").len(), 3);
        assert!(ids(Component::Runc, "1.1.5+ds1-1+b4").contains(&"CVE-2024-21626"));
        assert!(ids(Component::Runc, "1.1.7-0ubuntu1~22.04.1").contains(&"CVE-2024-21626"));
        assert!(!ids(Component::Runc, "1.1.7-0ubuntu1~22.04.3").contains(&"CVE-2024-21626"));
        let told = |version| holes(Component::Compose, version)[0].to_string();
        let plain = "Docker Compose 2.26.1 has CVE-2025-62725 (a file that includes a remote one overwrites any file): update to \
                     2.40.2 or later";
        assert_eq!(told("v2.26.1"), plain);
        assert!(told("2.26.1-4").contains(" may have CVE-2025-62725") && told("2.26.1-4").contains("tracker"));
        let git = holes(Component::Git, "2.39.5")[0].to_string();
        assert!(git.contains("git 2.39.5 may have CVE-2025-48384"), "Debian 12 has closed it under this number: {git}");
        assert!(!told("2.26.1\u{1b}[31m").contains('\u{1b}'));
    }

    #[test]
    fn the_table_s_releases_ascend() {
        for hole in TABLE {
            assert!(!hole.fixed.is_empty() && hole.fixed.is_sorted(), "{}", hole.id);
        }
    }
}
