//! What is in a checkout, and how is it built?
//!
//! One file per framework: what proves that it is there, and the Dockerfile that builds it (see `templates/`). What
//! `preview-config.yml` says is the strongest evidence, the repository's own Dockerfile the next, then each framework of
//! `DETECTORS` in turn. Every answer comes with a reason that people can be shown.
//!
//! **Nothing volatile** (commit, date, address) is in a Dockerfile of ours, so that an unchanged tree runs no build step.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};

use crate::base_images::{BaseImage, BaseImages};
use crate::compose::adopt::AdoptError;
use crate::compose::own::{EnvFileError, OwnName};
use crate::repo_config::{ContainerPort, RelativePath, RepoConfig};
use crate::trust::Trust;

mod compose;
mod database;
mod files;
mod go;
mod nestjs;
mod node;
mod node_server;
mod own;
pub mod own_dockerfile;
mod python;
mod rust;
mod toml_file;

pub use compose::FoundCompose;
pub use database::{Database, FoundDatabase};
pub use files::{Files, MemoryFiles, ReadFileError, Refusal};
use own_dockerfile::DockerfileError;
pub use python::PythonError;

/// How an app is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framework {
    /// NestJS on Node.js.
    NestJs,
    /// Any other server on Node.js.
    Node,
    /// A Go program.
    Go,
    /// A Rust program.
    Rust,
    /// Django on Python.
    Django,
    /// FastAPI on Python.
    FastApi,
    /// Flask on Python.
    Flask,
    /// Any other server on Python.
    Python,
    /// The repository's own Dockerfile.
    Docker,
    /// The repository's own Compose file.
    Compose,
}

impl Framework {
    /// Its name in `preview-config.yml` and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NestJs => "nestjs",
            Self::Node => "node",
            Self::Go => "go",
            Self::Rust => "rust",
            Self::Django => "django",
            Self::FastApi => "fastapi",
            Self::Flask => "flask",
            Self::Python => "python",
            Self::Docker => "docker",
            Self::Compose => "compose",
        }
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the server lays down for every build.
#[derive(Debug, Clone)]
pub struct BuildRules {
    /// Where base images come from.
    pub base_images: BaseImages,
    /// How far the commit is trusted. A stranger's Dockerfile may not fetch from addresses: the engine would do so from the
    /// host's own network.
    pub trust: Trust,
}

/// How this checkout is built and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The framework.
    pub framework: Framework,
    /// What shows it.
    pub reason: String,
    /// The Dockerfile to build, ours or the repository's; the checkout is the build context.
    pub dockerfile: String,
    /// Where the app listens in its container.
    pub app_port: ContainerPort,
    /// The user that the Dockerfile's last stage sets. `None`: it sets none, and the base image decides.
    pub user: Option<String>,
    /// The database that it needs.
    pub database: FoundDatabase,
    /// The repository's own Compose file.
    pub compose: Option<FoundCompose>,
}

/// One framework's answer; [`detect`] completes it.
struct Recipe {
    framework: Framework,
    reason: String,
    dockerfile: String,
    app_port: ContainerPort,
    user: Option<String>,
}

/// What each framework is asked with.
#[derive(Clone, Copy)]
struct Project<'a> {
    files: &'a dyn Files,
    config: &'a RepoConfig,
    rules: &'a BuildRules,
}

/// A framework that can be recognised.
struct Detector {
    framework: Framework,
    /// What it is recognised by, for an error.
    evidence: &'static str,
    /// Its recipe, or `None` without evidence.
    find: fn(Project<'_>) -> Result<Option<Recipe>, DetectError>,
}

/// In the order of asking: what a repository of one kind also has for another comes later.
const DETECTORS: [Detector; 9] = [
    Detector { framework: Framework::Docker, evidence: "`Dockerfile`", find: own::find },
    Detector { framework: Framework::NestJs, evidence: "`@nestjs/core` in `package.json`", find: nestjs::find },
    Detector { framework: Framework::Go, evidence: "`go.mod`", find: go::find },
    Detector {
        framework: Framework::Django,
        evidence: "`manage.py` with `django` among the dependencies",
        find: python::django,
    },
    Detector { framework: Framework::FastApi, evidence: "`fastapi` among the dependencies", find: python::fastapi },
    Detector { framework: Framework::Flask, evidence: "`flask` among the dependencies", find: python::flask },
    Detector {
        framework: Framework::Python,
        evidence: "library of a Python server among the dependencies",
        find: python::any,
    },
    Detector { framework: Framework::Rust, evidence: "`Cargo.toml` with a program", find: rust::find },
    Detector {
        framework: Framework::Node,
        evidence: "`package.json` with a `start` script, a `main` or a `server.js`",
        find: node_server::find,
    },
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
    /// The framework that `preview-config.yml` names isn't there.
    #[error("`preview-config.yml` says `framework: {framework}`, but there is no {evidence}")]
    NoEvidence {
        /// The one named.
        framework: Framework,
        /// What would have been evidence.
        evidence: &'static str,
    },
    /// A manifest doesn't parse.
    #[error("`{path}` is not valid JSON (line {line}, column {column})")]
    BadManifest {
        /// Which one.
        path: &'static str,
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
    #[error("`package.json` has no `build` script; add one, such as `\"build\": \"nest build\"`, or a `Dockerfile`")]
    NoBuildScript,
    /// A Go module without a program at the places looked at.
    #[error(
        "`go.mod` is there, but neither the root nor a folder below `cmd/` has a `package main`; \
         name the program's folder in `preview-config.yml`, such as `app_entrypoint: ./server`"
    )]
    NoGoProgram,
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
    /// Two places say which database there is.
    #[error(
        "`database` in `preview-config.yml` has no meaning beside `docker-compose.preview.yml`; name the database there"
    )]
    DatabaseBesideCompose,
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

impl DetectError {
    /// What to write, where the message itself doesn't say it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NothingFound { .. } => Some(
                "Add a `Dockerfile` at the root, or say in `preview-config.yml` where it is, such as \
                 `dockerfile: deploy/Dockerfile`, and which port its app listens on, such as `app_port: 8080`.",
            ),
            _ => None,
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

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Finds out how a checkout is built and run.
pub fn detect(files: &dyn Files, config: &RepoConfig, rules: &BuildRules) -> Result<Detected, DetectError> {
    let project = Project { files, config, rules };
    if let Some(found) = compose::find(project)? {
        return Ok(found);
    }
    let recipe = recipe(project)?;
    Ok(Detected {
        framework: recipe.framework,
        reason: recipe.reason,
        dockerfile: recipe.dockerfile,
        app_port: config.app_port.unwrap_or(recipe.app_port),
        user: recipe.user,
        database: database::find(files, config)?,
        compose: None,
    })
}

fn recipe(project: Project<'_>) -> Result<Recipe, DetectError> {
    // Whoever names a Dockerfile has said how the app is built, whatever it is made with.
    let named = project.config.framework.filter(|_| project.config.dockerfile.is_none());
    let asked = DETECTORS.iter().filter(|detector| named.is_none_or(|framework| framework == detector.framework));
    for detector in asked {
        if let Some(recipe) = (detector.find)(project)? {
            return Ok(recipe);
        }
    }
    let evidence = |framework| DETECTORS.iter().find(|detector| detector.framework == framework);
    match named.and_then(evidence) {
        Some(detector) => Err(DetectError::NoEvidence { framework: detector.framework, evidence: detector.evidence }),
        None => Err(DetectError::NothingFound {
            looked_for: [compose::EVIDENCE]
                .into_iter()
                .chain(DETECTORS.map(|detector| detector.evidence))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Fills a Dockerfile of `templates/`, with the base images at hand as `node`, `go`, `rust`, `python` and `debian`.
///
/// What is filled in comes from tables of ours or from types that need no quoting in a Dockerfile.
fn render(template: &str, images: &BaseImages, values: minijinja::Value) -> String {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    let mut environment = Environment::new();
    environment.set_syntax(syntax.build().expect("the default delimiters are valid"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_global("node", images.get(BaseImage::Node));
    environment.add_global("go", images.get(BaseImage::Go));
    environment.add_global("rust", images.get(BaseImage::Rust));
    environment.add_global("python", images.get(BaseImage::Python));
    environment.add_global("debian", images.get(BaseImage::Debian));
    environment.render_str(template, values).expect("a template of ours renders: each is rendered by a test")
}

#[cfg(test)]
mod tests;
