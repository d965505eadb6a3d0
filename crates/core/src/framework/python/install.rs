//! How dependencies are installed: exactly as locked, each package manager in its own way, into one virtual environment.

use super::manifest::{Manager, Manifest};

/// What a package manager does.
pub(super) struct Installation {
    /// What shows which package manager it is.
    pub(super) reason: &'static str,
    /// The package manager as pip installs it, where it isn't pip itself.
    pub(super) tool: Option<&'static str>,
    /// Variables of the package manager, as `NAME=value`.
    pub(super) env: &'static [&'static str],
    /// Makes the virtual environment.
    pub(super) environment: &'static str,
    /// The cache mount of what follows.
    pub(super) cache: &'static str,
    /// Installs what is needed at run time.
    pub(super) install: String,
    /// Installs one thing more; what follows is its name.
    pub(super) add: &'static str,
}

const PIP_CACHE: &str = "id=pip,target=/root/.cache/pip";
const VENV: &str = "python3 -m venv /venv";

impl Installation {
    /// By the manifest's package manager, with Python 3.`minor`; with what is for development too, where it tells that apart.
    pub(super) fn of(manifest: &Manifest, minor: u64, development: bool) -> Self {
        match (manifest.manager, manifest.is_locked()) {
            (Manager::Pip, _) => pip("pip", format!("pip install --requirement {}", manifest.path)),
            (Manager::PipOfProject, _) => pip(
                "pip without a lock file, so versions may change between builds",
                listed(&project_dependencies(minor)),
            ),
            (Manager::PipOfSetup, _) => {
                pip("pip without a lock file, so versions may change between builds", listed(SETUP_DEPENDENCIES))
            }
            (Manager::Uv, locked) => uv(locked, development),
            (Manager::Poetry, locked) => poetry(locked, development),
            (Manager::Pipenv, locked) => pipenv(locked, development),
        }
    }
}

/// Prints a requirement on each line. The project itself is not installed: its files change with each push.
fn project_dependencies(minor: u64) -> String {
    // Before 3.11 nobody but pip has what reads TOML.
    let reader = if minor < 11 { "from pip._vendor import tomli as tomllib" } else { "import tomllib" };
    format!("{reader}; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\\n')")
}

const SETUP_DEPENDENCIES: &str = "import configparser; c = configparser.ConfigParser(interpolation=None); \
                                  c.read('setup.cfg'); print(c['options']['install_requires'])";

fn listed(script: &str) -> String {
    format!("python3 -c \"{script}\" >/tmp/requirements.txt && pip install --requirement /tmp/requirements.txt")
}

fn pip(reason: &'static str, install: String) -> Installation {
    Installation { reason, tool: None, env: &[], environment: VENV, cache: PIP_CACHE, install, add: "pip install" }
}

fn uv(locked: bool, development: bool) -> Installation {
    let only = if development { "" } else { " --no-dev" };
    let (reason, how) = match locked {
        true => ("uv by its lock file", " --locked"),
        false => ("uv without a lock file, so versions may change between builds", ""),
    };
    Installation {
        reason,
        tool: Some("uv==0.*"),
        // The image's own Python, which is the one that the project asks for if there is an image of it: another would be fetched.
        env: &[
            "UV_PROJECT_ENVIRONMENT=/venv",
            "UV_PYTHON=/usr/local/bin/python3",
            "UV_PYTHON_DOWNLOADS=never",
            "UV_COMPILE_BYTECODE=1",
            "UV_LINK_MODE=copy",
        ],
        environment: "uv venv /venv",
        cache: "id=uv,target=/root/.cache/uv",
        install: format!("uv sync{how}{only} --no-install-project"),
        add: "uv pip install --python /venv/bin/python",
    }
}

fn poetry(locked: bool, development: bool) -> Installation {
    let only = if development { "" } else { " --only main" };
    Installation {
        reason: match locked {
            true => "Poetry by its lock file",
            false => "Poetry without a lock file, so versions may change between builds",
        },
        tool: Some("poetry==2.*"),
        env: &["POETRY_NO_INTERACTION=1"],
        environment: VENV,
        // Poetry doesn't lock its cache against a second Poetry.
        cache: "id=poetry,target=/root/.cache,sharing=locked",
        install: format!("poetry install{only} --no-root --no-ansi"),
        add: "pip install",
    }
}

fn pipenv(locked: bool, development: bool) -> Installation {
    let more = if development { " --dev" } else { "" };
    let (reason, install) = match locked {
        true => ("Pipenv by its lock file", "pipenv verify && pipenv sync"),
        false => ("Pipenv without a lock file, so versions may change between builds", "pipenv install --skip-lock"),
    };
    Installation {
        reason,
        tool: Some("pipenv>=2024"),
        env: &["PIPENV_VERBOSITY=-1", "PIPENV_NOSPIN=1"],
        environment: VENV,
        cache: "id=pipenv,target=/root/.cache,sharing=locked",
        install: format!("{install}{more}"),
        add: "pip install",
    }
}

/// A library that is compiled against one of the system's, or loads it.
struct Native {
    library: &'static str,
    /// Where this is installed too, it is complete without.
    unless: Option<&'static str>,
    /// Packages of the system for compiling; none where it is only loaded.
    build: &'static [&'static str],
    /// Packages of the system for running.
    run: &'static str,
}

/// Those that most projects use and that package indexes don't have compiled.
const NATIVE: [Native; 4] = [
    Native { library: "psycopg2", unless: None, build: &["gcc", "libc6-dev", "libpq-dev"], run: "libpq5" },
    Native { library: "psycopg-c", unless: None, build: &["gcc", "libc6-dev", "libpq-dev"], run: "libpq5" },
    Native { library: "psycopg", unless: Some("psycopg-binary"), build: &[], run: "libpq5" },
    Native {
        library: "mysqlclient",
        unless: None,
        build: &["default-libmysqlclient-dev", "gcc", "libc6-dev", "pkg-config"],
        run: "libmariadb3",
    },
];

/// Packages of the system that the dependencies need: for installing them, and for running them.
pub(super) fn system_packages(manifest: &Manifest) -> (Vec<&'static str>, Vec<&'static str>) {
    // A library's optional part is a library of its own.
    let brings = |library: &str| match library.rsplit_once('-') {
        Some((whole, part)) => manifest.brings(library) || manifest.has_extra(whole, part),
        None => manifest.brings(library),
    };
    let native = NATIVE.iter().filter(|native| brings(native.library) && !native.unless.is_some_and(brings));
    let (mut build, mut run) = (Vec::new(), Vec::new());
    for native in native {
        build.extend(native.build);
        run.push(native.run);
    }
    if manifest.by_git {
        build.push("git");
    }
    // Whatever is loaded at run time may be loaded while building too.
    build.extend(&run);
    for packages in [&mut build, &mut run] {
        packages.sort_unstable();
        packages.dedup();
    }
    (build, run)
}
