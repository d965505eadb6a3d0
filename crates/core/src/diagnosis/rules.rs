//! What logs say, one entry a cause: the words of known tools, what they mean, what helps.
//!
//! The first rule that any line fits is the answer, so the more exact ones come first. Of several lines that fit a rule the last
//! counts: an app that is started again and again says it again and again.

use super::names::Kind;
use super::rule::{Rule, Sign};
use super::{Diagnosis, Phase};

use Phase::{Build, Engine, Run};
use Sign::{Above, Below, Names, NamesBeside, Says};

/// The rule of an image that a registry doesn't give.
pub(super) const NO_IMAGE: &str = "no-image";

/// All rules.
pub(super) const RULES: &[Rule] = &[
    // ------------------------------------------------------------------------------------------------ memory, disk, rights
    Rule {
        name: "heap",
        phases: &[Build, Run],
        signs: &[
            Says(&["JavaScript heap out of memory"]),
            Says(&["runtime: out of memory"]),
            Says(&["java.lang.OutOfMemoryError"]),
            Says(&["Allowed memory size of", "exhausted"]),
        ],
        kind: Kind::Command,
        cause: "a program ran out of memory",
        advice: "Let it use less memory, or raise `CONTAINER_MEMORY_MB` (of a build `BUILD_MEMORY_MB`) on the server.",
    },
    Rule {
        name: "disk-full",
        phases: &[Build, Run],
        signs: &[Says(&["ENOSPC"]), Says(&["No space left on device"]), Says(&["no space left on device"])],
        kind: Kind::File,
        cause: "there was no room left to write to",
        advice: "Let it write less: `/tmp` is small, and a container may fill `CONTAINER_DISK_MB`. If it is the server's own disk that \
                 is full, whoever runs the server has to make room.",
    },
    Rule {
        name: "read-only",
        phases: &[Run],
        signs: &[
            Names("EROFS: read-only file system, open '", "'"),
            Names("EROFS: read-only file system, mkdir '", "'"),
            Names("Read-only file system: '", "'"),
            Says(&["EROFS"]),
            Says(&["ead-only file system"]),
        ],
        kind: Kind::File,
        cause: "the app may not write {}: its image's files are read-only",
        advice: "Let it write below `/tmp`, or build it with a `Dockerfile` of the repository's own.",
    },
    Rule {
        name: "privileged-port",
        phases: &[Run],
        signs: &[
            Names("listen EACCES: permission denied 0.0.0.0:", ""),
            Names("listen EACCES: permission denied :::", ""),
            Says(&["listen tcp", "bind: permission denied"]),
            Says(&["socket.create_server", "Permission denied"]),
            Says(&["[Errno 13]", "while attempting to bind"]),
            Says(&["bind()", "Permission denied"]),
        ],
        kind: Kind::Port,
        cause: "the app may not listen on {}: ports below 1024 are for root, as whom it does not run",
        advice: "Let it listen on the port in its variable `PORT`, or on any above 1023 with `app_port` in `preview-config.yml`.",
    },
    Rule {
        name: "port-taken",
        phases: &[Run],
        signs: &[
            Names("EADDRINUSE: address already in use 0.0.0.0:", ""),
            Names("EADDRINUSE: address already in use :::", ""),
            Says(&["ddress already in use"]),
            Says(&["Only one usage of each socket address"]),
        ],
        kind: Kind::Port,
        cause: "something else in the app's container already listens on {}",
        advice: "Let one program listen there, once: look for a second start of the server, or a second server.",
    },
    Rule {
        name: "no-permission",
        phases: &[Build, Run],
        signs: &[
            Names("EACCES: permission denied, open '", "'"),
            Names("EACCES: permission denied, mkdir '", "'"),
            Names("EACCES: permission denied, scandir '", "'"),
            Names("EACCES: permission denied, unlink '", "'"),
            Names("PermissionError: [Errno 13] Permission denied: '", "'"),
            Names("open ", ": permission denied"),
            Names("mkdir ", ": permission denied"),
        ],
        kind: Kind::File,
        cause: "it may not use {}: it does not run as root",
        advice: "Let it write below `/tmp`, or let the `Dockerfile` give it the file: `COPY --chown=10001:10001` and `USER 10001:10001`.",
    },
    // ------------------------------------------------------------------------------------------------------ what is missing
    Rule {
        name: "missing-script",
        phases: &[Build, Run],
        signs: &[
            Names("Missing script: \"", "\""),
            Names("ERR_PNPM_NO_SCRIPT\u{2009}", ""),
            Names("ERR_PNPM_NO_SCRIPT  Missing script: ", ""),
            Names("error Command \"", "\" not found"),
            Says(&["ERR_PNPM_NO_SCRIPT"]),
        ],
        kind: Kind::Script,
        cause: "{} is not in `package.json`",
        advice: "Add it under `scripts` in `package.json`, or let `preview-config.yml` or the `Dockerfile` run what there is.",
    },
    Rule {
        name: "missing-env-file",
        phases: &[Run],
        signs: &[
            Says(&["Error loading .env file"]),
            Says(&["open .env: no such file or directory"]),
            Says(&["node: .env", ": not found"]),
            Says(&["ENOENT: no such file or directory, open '.env'"]),
            Says(&["ENOENT: no such file or directory, open '", "/.env'"]),
        ],
        kind: Kind::File,
        cause: "the app does not start without its file `.env`, which is not in the image",
        advice: "Let it start without one (Node.js: `--env-file-if-exists=.env`): what stands under `env` in `preview-config.yml` is in \
                 its environment already. Or let the build make an empty one: `build_commands: touch .env`.",
    },
    Rule {
        name: "missing-file",
        phases: &[Build, Run],
        signs: &[
            Names("Cannot find module '", "'"),
            Names("can't open file '", "'"),
            Names("ENOENT: no such file or directory, open '", "'"),
            Names("No such file or directory: '", "'"),
        ],
        kind: Kind::File,
        cause: "{} is not there",
        advice: "Let the build make it or the `Dockerfile` copy it (a `.dockerignore` may leave it out), or name the right one with \
                 `app_entrypoint` in `preview-config.yml`.",
    },
    Rule {
        name: "older-python",
        phases: &[Build, Run],
        signs: &[
            Says(&["No module named 'distutils"]),
            Says(&["No module named 'imp'"]),
            Says(&["No module named 'pkg_resources'"]),
            Says(&["No module named 'asyncore'"]),
            Says(&["No module named 'cgi'"]),
        ],
        kind: Kind::Module,
        cause: "a module is needed that newer versions of Python have no more (`distutils`, `imp`, `pkg_resources`)",
        advice: "Update the package that asks for it, or say an older Python in `.python-version`, such as `3.11`. `pkg_resources` is in \
                 the package `setuptools`, below version 81.",
    },
    Rule {
        name: "missing-module",
        phases: &[Build, Run],
        signs: &[
            Names("Cannot find module '", "'"),
            Names("Cannot find package '", "'"),
            Names("ModuleNotFoundError: No module named '", "'"),
            Names("cannot load such file -- ", ""),
            Names("ERR! Could not resolve \"", "\""),
        ],
        kind: Kind::Module,
        cause: "{} is needed, and is not among what was installed",
        advice: "Add it to the dependencies (those that are installed for production too, if the app needs it to run), and commit the \
                 lock file.",
    },
    Rule {
        name: "missing-command",
        phases: &[Build, Run],
        signs: &[
            Names("sh: 1: ", ": not found"),
            Names("exec: ", ": not found"),
            Names("bash: line 1: ", ": command not found"),
        ],
        kind: Kind::Command,
        cause: "{} is not in the image",
        advice: "Install it in the image: with npm a tool has to stand in `package.json`, and what runs the app among `dependencies`.",
    },
    Rule {
        name: "rails-key",
        phases: &[Build, Run],
        signs: &[
            Says(&["Missing encryption key to decrypt file with", "RAILS_MASTER_KEY"]),
            Says(&["Missing `secret_key_base` for"]),
            Says(&["ActiveSupport::MessageEncryptor::InvalidMessage"]),
        ],
        kind: Kind::Variable,
        cause: "Rails has no key that opens its credentials: `RAILS_MASTER_KEY` is not set, or is another repository's",
        advice: "Write `RAILS_MASTER_KEY: ${secret:RAILS_MASTER_KEY}` under `env` in `preview-config.yml`; whoever runs the server sets that \
                 secret to what `config/master.key` holds.",
    },
    Rule {
        name: "missing-variable",
        phases: &[Build, Run],
        signs: &[
            // Of two signs in one line the later one counts: it names the variable.
            Says(&[": NotPresent"]),
            Names("", " not set: NotPresent"),
            Names("", " is not set: NotPresent"),
            Names("", " must be set: NotPresent"),
            Names("key not found: \"", "\" (KeyError)"),
            Names("Could not resolve placeholder '", "'"),
            Names("UndefinedValueError: ", " not found"),
            Names("required key ", " missing value"),
            Names("Environment variable not found: ", "."),
            Names("issing required environment variable: ", ""),
            Names("issing environment variable: ", ""),
            Names("equired environment variable \"", "\""),
            Names("nvironment variable ", " is not set"),
            Names("nvironment variable ", " is required"),
            Names("Config validation error: ", ""),
            Names("Configuration key \"", "\" does not exist"),
            Names("env-var: \"", "\" is a required variable"),
            Names("Set the ", " environment variable"),
            NamesBeside("KeyError: '", "'", "os.environ["),
            Below("Missing environment variables:", ":"),
            Above("Field required [type=missing"),
        ],
        kind: Kind::Variable,
        cause: "{} is not set",
        advice: "Give it a value under `env` in `preview-config.yml`; what is secret stands there as `${secret:NAME}`, which whoever runs \
                 the server sets.",
    },
    // ------------------------------------------------------------------------------------------------------------ databases
    Rule {
        name: "database-elsewhere",
        phases: &[Run],
        signs: &[
            Says(&["ECONNREFUSED 127.0.0.1:5432"]),
            Says(&["ECONNREFUSED ::1:5432"]),
            Says(&["ECONNREFUSED 127.0.0.1:3306"]),
            Says(&["ECONNREFUSED 127.0.0.1:27017"]),
            Says(&["ECONNREFUSED 127.0.0.1:6379"]),
            Says(&["connection to server at \"localhost\"", "failed: Connection refused"]),
            Says(&["connection to server at \"127.0.0.1\"", "failed: Connection refused"]),
            Says(&["dial tcp 127.0.0.1:5432", "connection refused"]),
            Says(&["Can't connect to MySQL server on 'localhost"]),
        ],
        kind: Kind::Host,
        cause: "the app looks for its database within its own container, where none is",
        advice: "Let it connect to the address in `DATABASE_URL` (also `DB_HOST`, `DB_PORT` and others), or name the database in \
                 `preview-config.yml`.",
    },
    Rule {
        name: "database-login",
        phases: &[Run],
        signs: &[Says(&["password authentication failed for user"]), Says(&["Access denied for user"])],
        kind: Kind::Host,
        cause: "the database refused the app's user name or password",
        advice: "Let it use `DATABASE_URL`, or `DB_USER` and `DB_PASSWORD`: each preview has a password of its own.",
    },
    Rule {
        name: "unknown-host",
        phases: &[Run],
        signs: &[
            Names("getaddrinfo ENOTFOUND ", ""),
            Names("getaddrinfo EAI_AGAIN ", ""),
            Names("could not translate host name \"", "\""),
            NamesBeside("dial tcp: lookup ", " on ", "no such host"),
        ],
        kind: Kind::Host,
        cause: "{} has no address that the app could find",
        advice: "A preview has the database that its variables `DATABASE_URL` and `DB_HOST` name. For what else it needs set a variable \
                 under `env` in `preview-config.yml`, or bring a `docker-compose.preview.yml`.",
    },
    Rule {
        name: "migration-failed",
        phases: &[Run],
        signs: &[
            Names("migration file \"", "\" failed"),
            Names("Migration \"", "\" failed"),
            Says(&["migration failed with error"]),
            Says(&["Error during migration run"]),
            Says(&["alembic.util.exc.CommandError"]),
            Says(&["FAILED: Can't locate revision"]),
            Says(&["A migration failed to apply"]),
            Says(&["django.db.migrations.exceptions"]),
        ],
        kind: Kind::Migration,
        cause: "{} of the database failed",
        advice: "Its last lines, below, show the statement. Where an older version of the migration has already run, `/preview reset-db` \
                 begins with an empty database.",
    },
    Rule {
        name: "missing-table",
        phases: &[Run],
        signs: &[
            Names("relation \"", "\" does not exist"),
            Names("no such table: ", ""),
            Names("Table '", "' doesn't exist"),
        ],
        kind: Kind::Table,
        cause: "{} is not in the database, which is new and empty",
        advice: "Run the migrations before it starts: `migrate` in `preview-config.yml` names the command; for SQLite, a file in the app's own \
                 container, `startup_commands` (`python manage.py migrate`, `php artisan migrate --force`, `npx prisma migrate deploy`, \
                 `bin/rails db:prepare`).",
    },
    // ------------------------------------------------------------------------------------------- libraries, drivers, releases
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
    // -------------------------------------------------------------------------------------------------- processor, language
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
    // ------------------------------------------------------------------------------------------------------------- networks
    Rule {
        name: "not-trusted",
        phases: &[Build, Engine],
        signs: &[
            Says(&["SELF_SIGNED_CERT_IN_CHAIN"]),
            Says(&["DEPTH_ZERO_SELF_SIGNED_CERT"]),
            Says(&["UNABLE_TO_VERIFY_LEAF_SIGNATURE"]),
            Says(&["UNABLE_TO_GET_ISSUER_CERT"]),
            Says(&["self-signed certificate"]),
            Says(&["CERTIFICATE_VERIFY_FAILED"]),
            Says(&["certificate verify failed"]),
            Says(&["SSL certificate problem"]),
            Says(&["x509: "]),
        ],
        kind: Kind::Host,
        cause: "a registry shows a certificate that is not trusted",
        advice: "Behind a company's proxy, the base images need its certificate: point `IMAGE_REGISTRY_PREFIX` at images that have it, or \
                 copy it in the `Dockerfile`.",
    },
    Rule {
        name: "unreachable",
        phases: &[Build],
        signs: &[
            Says(&["npm", "code ENOTFOUND"]),
            Says(&["npm", "code EAI_AGAIN"]),
            Says(&["npm", "code ECONNREFUSED"]),
            Says(&["npm", "code ETIMEDOUT"]),
            Says(&["npm", "code ECONNRESET"]),
            Says(&["ERR_PNPM_META_FETCH_FAIL"]),
            Says(&["Failed to establish a new connection"]),
            Says(&["Could not resolve host"]),
            Says(&["Could not resolve '"]),
            Says(&["Temporary failure resolving"]),
            Says(&["dial tcp", "connection refused"]),
            Says(&["dial tcp", "no such host"]),
            Says(&["dial tcp", "i/o timeout"]),
        ],
        kind: Kind::Host,
        cause: "a registry could not be reached from the build",
        advice: "If that was for a moment, a comment `/preview redeploy` tries again. Otherwise check the registry's address in the \
                 repository, and that the server's firewall and proxy let builds reach it.",
    },
    // ------------------------------------------------------------------------------------------------- failed installations
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
    // ---------------------------------------------------------------------------------------------------------- the engine
    Rule {
        name: "no-command",
        phases: &[Engine],
        signs: &[
            Names("exec: \"", "\": executable file not found"),
            Names("exec: \"", "\": stat "),
            Names("exec: \"", "\": permission denied"),
        ],
        kind: Kind::Command,
        cause: "{} is not in the image, or may not be run",
        advice: "Check that the command of the image exists there, is executable, and begins with `#!` if it is a script.",
    },
    Rule {
        name: "rate-limit",
        phases: &[Engine],
        signs: &[Says(&["toomanyrequests"]), Says(&["429 Too Many Requests"])],
        kind: Kind::Host,
        cause: "the image registry has had too many requests from this server",
        advice: "It passes within hours. Whoever runs the server can set `IMAGE_REGISTRY_PREFIX` to a mirror.",
    },
    Rule {
        name: NO_IMAGE,
        phases: &[Engine],
        signs: &[
            Says(&["manifest unknown"]),
            Says(&["pull access denied"]),
            Says(&["repository does not exist"]),
            Says(&["no such image"]),
            Says(&["manifest for ", "not found"]),
            Says(&[": not found"]),
            Says(&["401 Unauthorized"]),
            Says(&["403 Forbidden"]),
            Says(&["insufficient_scope"]),
            Says(&["no match for platform in manifest"]),
        ],
        kind: Kind::Host,
        cause: "the image is not in its registry, not for this processor, or needs a login",
        advice: "Correct its name and tag (which Ruby is meant stands in `.ruby-version` or `Gemfile`). Whoever runs the server can load a private one there by hand.",
    },
    Rule {
        name: "no-registry",
        phases: &[Engine],
        signs: &[
            Says(&["no such host"]),
            Says(&["i/o timeout"]),
            Says(&["TLS handshake timeout"]),
            Says(&["connection refused"]),
            Says(&["network is unreachable"]),
            Says(&["server misbehaving"]),
        ],
        kind: Kind::Host,
        cause: "the image's registry does not answer",
        advice: "Check the registry in the image's name, that the server reaches it, or load the image there by hand.",
    },
];

/// The first rule that a log fits.
pub(super) fn first(phase: Phase, log: &[String]) -> Option<Diagnosis> {
    RULES.iter().filter(|rule| rule.phases.contains(&phase)).find_map(|rule| rule.of(log))
}
