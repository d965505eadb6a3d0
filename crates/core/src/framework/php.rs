//! Which PHP runs a Laravel app, and which extensions it wants beside the usual ones.
//!
//! Composer installs nothing unless this PHP meets what every package of the lock file asks for.

use serde_json::Value;

use super::{DetectError, Files, limits};

/// The second numbers of the versions of PHP 8, in the order in which they are taken. Laravel's releases of today run on all of them.
const MINORS: [u64; 4] = [USUAL, 4, 5, 2];
/// The one of the table of base images.
pub(super) const USUAL: u64 = 3;
/// The first with opcache built in, which then can't be built as an extension any more.
///
/// Source: <https://wiki.php.net/rfc/make_opcache_required>
const OPCACHE_BUILT_IN: u64 = 5;

/// The PHP of a project.
pub(super) struct Php {
    /// Its second number.
    pub(super) minor: u64,
    /// What says that it is another one than usual.
    pub(super) reason: String,
    /// What `pecl` is told to install for MongoDB, where a package wants that.
    pub(super) mongodb: Option<String>,
}

impl Php {
    /// By `composer.json` and the `composer.lock` beside it.
    pub(super) fn of(files: &dyn Files, manifest: &Value) -> Result<Self, DetectError> {
        let lock = files.read("composer.lock")?;
        // What Composer itself can't read, it will say.
        let lock = lock.and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
        let packages = ["packages", "packages-dev"].into_iter().filter_map(|key| lock[key].as_array()).flatten();
        let requirements: Vec<&Value> =
            packages.map(|package| &package["require"]).chain([&manifest["require"]]).collect();
        let (minor, said_by) = match manifest["config"]["platform"]["php"].as_str().and_then(pinned) {
            Some(minor) => (minor, "`config.platform` in `composer.json`"),
            None => (fitting(&requirements), "the packages of `composer.lock`"),
        };
        let reason = if minor == USUAL { String::new() } else { format!("; PHP 8.{minor} for {said_by}") };
        Ok(Self { minor, reason, mongodb: mongodb(&requirements) })
    }

    /// Whether opcache has to be built.
    pub(super) fn builds_opcache(&self) -> bool {
        self.minor < OPCACHE_BUILT_IN
    }
}

/// The second number of the version for which packages are chosen, whatever is installed.
fn pinned(version: &str) -> Option<u64> {
    match limits::numbers(version)?[..] {
        [8, minor, ..] => Some(minor).filter(|minor| MINORS.contains(minor)),
        _ => None,
    }
}

/// The first PHP that all of these allow; the usual one where none does, of which Composer then says why.
fn fitting(requirements: &[&Value]) -> u64 {
    let limits: Vec<&str> = requirements.iter().filter_map(|require| require["php"].as_str()).collect();
    MINORS.into_iter().find(|minor| limits.iter().all(|limit| allows(limit, *minor))).unwrap_or(USUAL)
}

/// Whether a limit of Composer's allows PHP 8.`minor`.
///
/// Source: <https://getcomposer.org/doc/articles/versions.md>
fn allows(limit: &str, minor: u64) -> bool {
    limits::either(limit).any(|one| {
        // `^8.2@dev`, `<8.5-dev`.
        let plain = one.split('@').next().unwrap_or_default().replace("-dev", "");
        let ranged = match plain.split_once(" - ") {
            // A range ends with all of a release line.
            Some((from, to)) => format!(">={} <={}.{}", from.trim(), to.trim(), u64::MAX),
            // Composer's `~8.2` is what others write as `~=8.2`.
            None => plain.replace('~', "~="),
        };
        limits::allows(&ranged, (8, minor))
    })
}

/// What `pecl` installs for MongoDB, where a package wants that: its newest release, but for packages that know none later than 1.x.
fn mongodb(requirements: &[&Value]) -> Option<String> {
    const NEWEST_OF_FIRST: [u64; 3] = [1, 21, 0];
    const PACKAGES: [&str; 2] = ["mongodb/mongodb", "mongodb/laravel-mongodb"];
    let asked = requirements.iter().find_map(|require| require["ext-mongodb"].as_str());
    let wanted = |require: &&Value| PACKAGES.iter().any(|package| require.get(*package).is_some());
    if asked.is_none() && !requirements.iter().any(wanted) {
        return None;
    }
    let newest = asked.into_iter().flat_map(limits::either).last().unwrap_or_default();
    let number = newest.trim().trim_start_matches(['^', '~', '>', '=', ' ', 'v']);
    let number = number.split([' ', ',']).next().and_then(limits::numbers).unwrap_or_default();
    Some(match number[..] {
        [1, ..] => {
            let release = number.max(NEWEST_OF_FIRST.to_vec());
            format!("mongodb-{}", release.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
        }
        _ => "mongodb".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::MemoryFiles;
    use super::Php;

    fn of(manifest: &serde_json::Value, lock: &serde_json::Value) -> Php {
        Php::of(&MemoryFiles::new([("composer.lock", lock.to_string())]), manifest).unwrap()
    }

    #[test]
    fn the_php_is_one_that_every_locked_package_allows() {
        let minor = |limits: &[&str]| {
            let packages: Vec<_> = limits.iter().map(|limit| json!({"name": "x", "require": {"php": limit}})).collect();
            let (last, first) = packages.split_last().unwrap();
            of(&json!({"require": {"php": "^8.2"}}), &json!({"packages": first, "packages-dev": [last]})).minor
        };
        for (limits, expected) in [
            (&["^8.2", ">=7.2.5", "^7.4 || ^8.0"][..], 3),
            (&["^8.2", ">=8.4"], 4),
            (&[">=8.4.1", "~8.2.0 || ~8.3.0 || ~8.4.0"], 4),
            (&["~8.1", "8.1 - 8.4", ">=8.1,<8.5"], 3),
            (&["^8.5", ">=8.4"], 5),
            (&["~8.2.0|~8.1.0"], 2),
            (&["8.1 - 8.2"], 2),
            (&["<8.3-dev", "^8.0@dev"], 2),
            (&["8.4.*"], 4),
            (&["*", "x"], 3),
            // Nothing that there is: Composer says so.
            (&["^7.4"], 3),
            (&["~8.2.0", "~8.4.0"], 3),
        ] {
            assert_eq!(minor(limits), expected, "{limits:?}");
        }
    }

    #[test]
    fn a_php_that_packages_are_chosen_for_is_the_one_that_runs_them() {
        let pinned = |version: &str| {
            let manifest = json!({"require": {"php": "^8.2"}, "config": {"platform": {"php": version}}});
            of(&manifest, &json!({"packages": [{"require": {"php": ">=8.4"}}]})).minor
        };
        assert_eq!(["8.2", "8.3.0", "8.5.1"].map(pinned), [2, 3, 5]);
        // Of which there is no image: as the packages say.
        assert_eq!(["8.1.0", "7.4", "9.0", "new"].map(pinned), [4, 4, 4, 4]);
    }

    #[test]
    fn the_extension_for_mongodb_is_of_the_line_that_the_packages_were_written_for() {
        let wanted = |require: serde_json::Value| {
            of(&json!({"require": {"mongodb/laravel-mongodb": "^5.0"}}), &json!({"packages": [{"require": require}]}))
                .mongodb
        };
        for (limit, expected) in [
            ("^1.8.1", "mongodb-1.21.0"),
            ("^1.21.2", "mongodb-1.21.2"),
            ("^2.1", "mongodb"),
            ("^1.21 || ^2.0.1", "mongodb"),
            (">=1.20,<2", "mongodb-1.21.0"),
            ("*", "mongodb"),
            ("^1.21 && id", "mongodb-1.21.0"),
        ] {
            assert_eq!(wanted(json!({"ext-mongodb": limit})).as_deref(), Some(expected), "{limit}");
        }
        assert_eq!(wanted(json!({})).as_deref(), Some("mongodb"));
        assert_eq!(of(&json!({"require": {}}), &json!({})).mongodb, None);
    }
}
