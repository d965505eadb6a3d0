//! Package managers that could not install what they were asked for.

use super::{Kind, Phase, Rule, Sign};

use Phase::Build;
use Sign::{Names, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "npm-conflict",
        phases: &[Build],
        signs: &[Says(&["npm", "ERESOLVE"])],
        kind: Kind::Package,
        cause: "the dependencies in `package.json` contradict each other",
        advice: "Its last lines, below, name the two. Change one of their versions, run `npm install` and commit `package-lock.json`; or \
                 put `legacy-peer-deps=true` into a file `.npmrc`.",
    },
    Rule {
        name: "pip-conflict",
        phases: &[Build],
        signs: &[Says(&["ResolutionImpossible"]), Says(&["conflicting dependencies"])],
        kind: Kind::Package,
        cause: "the Python dependencies contradict each other",
        advice: "Its last lines, below, name them: change one of their versions.",
    },
    Rule {
        name: "lock-out-of-date",
        phases: &[Build],
        signs: &[
            Says(&["npm", "code EUSAGE"]),
            Says(&["`npm ci` can only install"]),
            Says(&["Your lockfile needs to be updated"]),
            Says(&["YN0028"]),
            Says(&["ERR_PNPM_OUTDATED_LOCKFILE"]),
            Says(&["ERR_PNPM_NO_LOCKFILE"]),
            Says(&["missing go.sum entry"]),
            Says(&["go: updates to go.mod needed"]),
            Says(&["no required module provides package"]),
            Says(&["inconsistent vendoring"]),
            Says(&["needs to be updated but --locked was passed"]),
            Says(&["cannot update the lock file", "--locked"]),
        ],
        kind: Kind::File,
        cause: "the lock file does not fit what the repository says it depends on",
        advice: "Update it (`npm install`, `pnpm install`, `yarn install`, `go mod tidy`, `go mod vendor`, `cargo update --workspace`), and \
                 commit it.",
    },
    Rule {
        name: "not-in-registry",
        phases: &[Build],
        signs: &[
            Names("404  '", "' is not in this registry"),
            Names("No matching version found for ", ""),
            Names("No matching distribution found for ", ""),
            Names("error: no matching package named `", "`"),
            Names("failed to select a version for the requirement `", " "),
            Says(&["npm", "code E404"]),
            Says(&["ERR_PNPM_FETCH_404"]),
        ],
        kind: Kind::Package,
        cause: "{} is not in its registry, or not in that version",
        advice: "Correct its name or version. A private registry has to be named in the repository's configuration, and needs a login that \
                 builds do not have.",
    },
    Rule {
        name: "python-version",
        phases: &[Build],
        signs: &[Says(&["requires a different Python"])],
        kind: Kind::Package,
        cause: "a package needs another version of Python",
        advice: "Change its version, or build with a `Dockerfile` that begins with the Python that it needs.",
    },
    Rule {
        name: "php-version",
        phases: &[Build],
        signs: &[Says(&["requires php ", "your php version", "does not satisfy that requirement"])],
        kind: Kind::Package,
        cause: "the packages of `composer.lock` need another version of PHP than the one that the project gets",
        advice: "Run `composer update` with one PHP from 8.2 to 8.5, named by `config.platform.php` in `composer.json`, and commit \
                 `composer.lock`; or build with a `Dockerfile` that begins with the PHP that it needs.",
    },
    Rule {
        name: "compiler",
        phases: &[Build],
        signs: &[
            Says(&["gyp ERR! find Python"]),
            Says(&["gyp ERR! stack Error: not found: make"]),
            Says(&["pg_config executable not found"]),
            Says(&["unable to execute 'gcc'"]),
            Says(&["error: command 'gcc' failed"]),
            Says(&["linker `cc` not found"]),
        ],
        kind: Kind::Package,
        cause: "a dependency has to be compiled, and the image lacks what that needs",
        advice: "Install the compiler and headers in a `Dockerfile` of the repository's own (`apt-get install -y python3 make g++`, \
                 `libpq-dev`), or depend on a package that is there compiled.",
    },
    Rule {
        name: "apt",
        phases: &[Build],
        signs: &[Names("E: Unable to locate package ", ""), Names("E: Package '", "' has no installation candidate")],
        kind: Kind::Package,
        cause: "{} is not among Debian's packages, or their lists were not fetched",
        advice: "Write `apt-get update && apt-get install -y NAME` in one `RUN`, with a package of the image's own release.",
    },
];
