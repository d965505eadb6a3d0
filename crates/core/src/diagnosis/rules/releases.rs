//! What is there and does not fit: libraries, drivers, releases, the processor, the language.

use super::{Kind, Phase, Rule, Sign};

use Phase::{Build, Engine, Run};
use Sign::{Names, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "missing-library",
        phases: &[Build, Run],
        signs: &[
            Names("rror: ", ": cannot open shared object file"),
            Names("Details: ", ": cannot open shared object file"),
            Names("error while loading shared libraries: ", ": cannot open shared object file"),
            // Prisma's program for migrations, where it can't be started.
            Says(&["Could not parse schema engine response"]),
        ],
        kind: Kind::Library,
        cause: "{} is not in the image",
        advice: "Let the `Dockerfile` install Debian's package that has it (`apt-get install -y NAME`). Prisma wants `openssl`: without it, \
                 it takes the system for one with `libssl.so.1.1`.",
    },
    Rule {
        name: "driver-too-old",
        phases: &[Run],
        signs: &[
            Says(&["ER_NOT_SUPPORTED_AUTH_MODE"]),
            Says(&["Client does not support authentication protocol"]),
            Says(&["uthentication method, which is not supported"]),
            Says(&["Authentication plugin 'caching_sha2_password' cannot be loaded"]),
        ],
        kind: Kind::Host,
        cause: "the app's database driver does not know how this database has users log in",
        advice: "Use a newer one (`mysql2` in place of the npm package `mysql`), or say `database: mariadb` in `preview-config.yml`.",
    },
    Rule {
        name: "engine-version",
        phases: &[Build],
        signs: &[
            Says(&["ERR_PNPM_UNSUPPORTED_ENGINE"]),
            Says(&["The engine \"", "is incompatible with this module"]),
            Says(&["npm", "code EBADENGINE"]),
        ],
        kind: Kind::Package,
        cause: "`engines` in a `package.json` asks for another release of Node.js or of the package manager",
        advice: "Of Node.js the newest 18, 20, 22 or 24 is there, the one that `engines` or `.nvmrc` ask for: name a line, such as `20.x`, \
                 rather than one release of it. `packageManager` in `package.json` pins the package manager. Anything else takes a \
                 `Dockerfile`.",
    },
    Rule {
        name: "other-processor",
        phases: &[Build, Engine, Run],
        signs: &[
            Says(&["exec format error"]),
            Says(&["Exec format error"]),
            Says(&[": 1: ELF", "not found"]),
            Says(&["[FATAL tini", "] exec ", " failed"]),
        ],
        kind: Kind::Command,
        cause: "the image's program can't be started: it was built for another processor, is a script without `#!` in its first line, \
                or is not there",
        advice: "Let the image be built on the server, with no `--platform` in the `Dockerfile` and no binaries in the repository that \
                 were built elsewhere.",
    },
    Rule {
        name: "syntax-error",
        phases: &[Run],
        signs: &[Says(&["SyntaxError:"]), Says(&["Parse error: syntax error"])],
        kind: Kind::File,
        cause: "a source file can't be read: a syntax error",
        advice: "Its last lines, below, show where. Code for another version of the language looks like that too.",
    },
];
