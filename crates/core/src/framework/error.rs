//! Why a checkout can't be built, in words for its author: what was found, and what to write.

use crate::compose::adopt::AdoptError;
use crate::compose::own::{EnvFileError, OwnName};
use crate::repo_config::RelativePath;

use super::own_dockerfile::DockerfileError;
use super::{Database, Framework, PythonError, ReadFileError};

/// What whoever has neither a framework that is known nor a Dockerfile may begin with.
const EXAMPLES: [(&str, &str); 2] = [
    ("Dockerfile", "FROM node:22-bookworm-slim\nWORKDIR /app\nCOPY . .\nRUN npm ci\nCMD [\"node\", \"server.js\"]\n"),
    (crate::repo_config::FILE_NAME, "dockerfile: Dockerfile\napp_port: 8080\nhealth_check_path: /\n"),
];

/// Why a checkout can't be built. Every message is the author's to read: what was found, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// A file that had to be read was refused.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// Nothing was recognised.
    #[error("no framework was recognised: looked for {looked_for}")]
    NothingFound {
        /// All that would have been evidence.
        looked_for: String,
    },
    /// A project of a language or a tool for which no Dockerfile is made here.
    #[error(
        "`{}` shows {project}, for which no Dockerfile is made here; add a `Dockerfile`, and say in `preview-config.yml` which port its \
         app listens on, such as `app_port: 8080`",
        file.escape_debug()
    )]
    Foreign {
        /// The language or the tool.
        project: &'static str,
        /// What shows it.
        file: String,
    },
    /// The framework that `preview-config.yml` names isn't there.
    #[error("`preview-config.yml` says `framework: {framework}`, but there is no {evidence}")]
    NoEvidence {
        /// The one named.
        framework: Framework,
        /// What would have been evidence.
        evidence: &'static str,
    },
    /// Nothing was recognised at the root, but further down.
    #[error(
        "nothing at the root of the repository shows how it is built, but there is {}; choose one in \
         `preview-config.yml`, such as `root: {}`",
        found_in(.0), .0.first().map_or("backend", |(folder, _)| folder.as_str())
    )]
    FoundElsewhere(Vec<(RelativePath, Framework)>),
    /// There is no such folder.
    #[error("there is no folder `{0}`, which `preview-config.yml` names as `root`")]
    NoRoot(RelativePath),
    /// A manifest doesn't parse.
    #[error("`{path}` is not valid JSON (line {line}, column {column})")]
    BadManifest {
        /// Which one.
        path: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A manifest in TOML doesn't parse.
    #[error("`{}` is not valid TOML (line {line}, column {column})", path.escape_debug())]
    BadToml {
        /// Which one.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// A Node app that can't be built.
    #[error("`package.json` has no `build` script; add one, such as {}, or a `Dockerfile`", build_script(*.by_nx))]
    NoBuildScript {
        /// Whether Nx builds it.
        by_nx: bool,
    },
    /// A workspace's own file that doesn't say which packages it has.
    #[error("`{0}` can't be read as the list of a workspace's packages")]
    BadWorkspace(String),
    /// A workspace with several servers.
    #[error(
        "several servers in the workspace: {}; choose one in `preview-config.yml`, such as `root: {}`",
        listed(.0), .0.first().map_or("apps/api", String::as_str)
    )]
    SeveralServers(Vec<String>),
    /// A Node server that nothing starts.
    #[error(
        "`{manifest}` depends on `{library}`, but nothing says how it is started; add a `start` script, such as \
         `\"start\": \"node dist/index.js\"`"
    )]
    NoStart {
        /// Its `package.json`.
        manifest: String,
        /// What shows that it is a server.
        library: &'static str,
    },
    /// A project for Bun.
    #[error("{0}, and there is no Bun here; add a lock file of npm, pnpm or Yarn, or a `Dockerfile`")]
    NeedsBun(&'static str),
    /// A Gradle project that doesn't bring Gradle.
    #[error("`{0}` is there, but no `gradlew`, which says which Gradle builds it; add it by `gradle wrapper`")]
    NoGradleWrapper(String),
    /// A Go module without a program at the places looked at.
    #[error(
        "`go.mod` is there, but neither the root nor `cmd` nor a folder below it has a `package main`{}; \
         name the program's folder in `preview-config.yml`, such as `app_entrypoint: {}`",
        though(.0), .0.first().map_or("./server", String::as_str)
    )]
    NoGoProgram(Vec<String>),
    /// A Go module with several.
    #[error(
        "several Go programs: {}; choose one in `preview-config.yml`, such as `app_entrypoint: {}`",
        listed(.0), .0.first().map_or("./cmd/api", String::as_str)
    )]
    SeveralGoPrograms(Vec<String>),
    /// `app_entrypoint` names no Go program.
    #[error("`app_entrypoint: {0}` has no Go file with `package main`")]
    NotAGoProgram(RelativePath),
    /// A Rust package without a program.
    #[error("`Cargo.toml` is there, but neither its package nor a member of its workspace has a program")]
    NoRustProgram,
    /// A Rust workspace with several.
    #[error(
        "several Rust programs: {}; choose one in `preview-config.yml`, such as `app_entrypoint: {}`",
        listed(.0), .0.first().map_or("api", String::as_str)
    )]
    SeveralRustPrograms(Vec<String>),
    /// `app_entrypoint` names no Rust program.
    #[error(
        "`app_entrypoint: {entry}` is neither a Rust program nor the folder of a package with one; there are: {}",
        listed(programs)
    )]
    NotARustProgram {
        /// What it names.
        entry: RelativePath,
        /// The programs that there are.
        programs: Vec<String>,
    },
    /// A Python server whose app isn't where one is usually found.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The repository's own Compose file was not taken.
    #[error(transparent)]
    Compose(#[from] AdoptError),
    /// An `env_file` of it was not taken.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// A service of it is built of a Dockerfile that isn't there.
    #[error("there is no `{path}`, of which `docker-compose.preview.yml` builds `{service}`")]
    NoDockerfileOfService {
        /// Which service.
        service: OwnName,
        /// Where its Dockerfile should be.
        path: String,
    },
    /// Two ways to come to an image.
    #[error(
        "`preview-config.yml` names an `image`, and `{0}` too, which says how one is built; only one of them can be meant"
    )]
    BuildBesideImage(&'static str),
    /// Commands of the build, where the repository says itself how it is built.
    #[error(
        "`build_commands` are run in Dockerfiles that are made here, and this preview is built by {built_by}; {instead}, and take them \
         out of `preview-config.yml`"
    )]
    BuildCommandsBesideOwn {
        /// What says how it is built.
        built_by: &'static str,
        /// Where what they do can be done.
        instead: &'static str,
    },
    /// Commands before the start, where the repository's own file says what starts.
    #[error(
        "`startup_commands` have no meaning beside `docker-compose.preview.yml`; write them into the service's `command`"
    )]
    StartupBesideCompose,
    /// Something is to be done to a database that isn't there.
    #[error(
        "`{0}` in `preview-config.yml` needs a database of the preview's own, and this one has none; say `database: postgres`"
    )]
    NoDatabaseFor(&'static str),
    /// A file of SQL for a database that takes none.
    #[error(
        "`seed` names a file of SQL, which {0} does not read; give a `.json` file, or a command that fills the database"
    )]
    NoStatementsFor(Database),
    /// A file that `preview-config.yml` names isn't there.
    #[error("there is no `{path}`, which `preview-config.yml` names as `{key}`")]
    NoFile {
        /// The key that names it.
        key: &'static str,
        /// Where it should be.
        path: RelativePath,
    },
    /// Two places say which services there are.
    #[error(
        "`{0}` in `preview-config.yml` has no meaning beside `docker-compose.preview.yml`; name its services there"
    )]
    BackingBesideCompose(&'static str),
    /// The Dockerfile that `preview-config.yml` names isn't there.
    #[error("there is no `{0}`, which `preview-config.yml` names as `dockerfile`")]
    NoDockerfile(RelativePath),
    /// The repository's Dockerfile may not be built.
    #[error("`{path}` cannot be used: {problem}")]
    Dockerfile {
        /// Which one.
        path: String,
        /// Why not.
        problem: DockerfileError,
    },
}

fn build_script(by_nx: bool) -> &'static str {
    match by_nx {
        true => {
            "`\"build\": \"nx build api\"` with the app's name (and say in `preview-config.yml` what it makes, such as \
             `app_entrypoint: dist/apps/api/main.js`)"
        }
        false => "`\"build\": \"nest build\"`",
    }
}

impl DetectError {
    /// What to write, where the message itself doesn't say it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NothingFound { .. } => Some(
                "Add a `Dockerfile` at the root: `FROM node:22-bookworm-slim`, `WORKDIR /app`, `COPY . .`, `RUN npm ci`, \
                 `CMD [\"node\", \"server.js\"]`. Or say in `preview-config.yml` where it is, such as `dockerfile: deploy/Dockerfile`, \
                 and which port its app listens on, such as `app_port: 8080`.",
            ),
            Self::Dockerfile { problem: DockerfileError::PutAside(_), .. } => Some(
                "Build upon another image: what this one has put aside (`ONBUILD`) is done as if it stood in the file, behind the line that \
                 names it.",
            ),
            _ => None,
        }
    }

    /// Files that would help, where lines of their own can be shown: what to call it, and its text.
    pub fn examples(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::NothingFound { .. } => &EXAMPLES,
            Self::Foreign { .. } => &EXAMPLES[1..],
            _ => &[],
        }
    }

    /// All that is wrong, a line each, where there is more than the message says.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Compose(AdoptError::Refused(refused)) => refused.refusals.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }
}

pub(super) fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn though(folders: &[String]) -> String {
    if folders.is_empty() { String::new() } else { format!("; there is one in {}", listed(folders)) }
}

fn found_in(folders: &[(RelativePath, Framework)]) -> String {
    folders.iter().map(|(folder, framework)| format!("{framework} in `{folder}`")).collect::<Vec<_>>().join(", ")
}
