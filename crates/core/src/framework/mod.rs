//! What is in a checkout, and how is it built?
//!
//! One file per framework: what proves that it is there, and the Dockerfile that builds it (see `templates/`). What
//! `preview-config.yml` says is the strongest evidence, the repository's own Dockerfile the next, then each framework of
//! `DETECTORS` in turn. Every answer comes with a reason that people can be shown.
//!
//! **Nothing volatile** (commit, date, address) is in a Dockerfile of ours, so that an unchanged tree runs no build step.

use std::collections::VecDeque;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};

use crate::base_images::{BaseImage, BaseImages};
use crate::repo_config::{ContainerPort, RelativePath, RepoConfig};
use crate::trust::Trust;

mod commands;
mod compiled_migration;
mod compose;
mod database;
mod error;
mod files;
mod foreign;
mod go;
mod go_migration;
mod go_work;
mod gradle;
mod image;
mod laravel;
mod limits;
mod migration;
mod neighbours;
mod nestjs;
mod node;
mod node_install;
mod node_package;
mod node_prisma;
mod node_running;
mod node_server;
mod node_version;
mod node_workspace;
mod own;
pub mod own_dockerfile;
mod php;
mod python;
mod rails;
mod rust;
mod rust_place;
mod sources;
mod spring;
mod toml_file;

pub use crate::backing::Database;
pub use compose::FoundCompose;
pub use database::{FoundDatabase, FoundExtras};
pub use error::DetectError;
use error::listed;
use files::Beneath;
pub use files::{Files, MemoryFiles, ReadFileError, Refusal, decoded};
pub use migration::FoundMigration;
pub use own::{OwnBuild, ToLookAt};
use own_dockerfile::DockerfileError;
pub use python::PythonError;
pub use rails::RailsNeeds;

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
    /// Laravel on PHP.
    Laravel,
    /// Ruby on Rails.
    Rails,
    /// Spring Boot on Java.
    Spring,
    /// The repository's own Dockerfile.
    Docker,
    /// The repository's own Compose file.
    Compose,
    /// An image that the repository's own CI makes.
    Image,
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
            Self::Laravel => "laravel",
            Self::Rails => "rails",
            Self::Spring => "spring",
            Self::Docker => "docker",
            Self::Compose => "compose",
            Self::Image => "image",
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
    /// The Dockerfile to build, ours or the repository's.
    pub dockerfile: String,
    /// The folder of the checkout that is the build context: files were opened beneath it, and no link leads to it.
    pub context: RelativePath,
    /// Where the app listens in its container.
    pub app_port: ContainerPort,
    /// The user that the Dockerfile's last stage sets. `None`: it sets none, and the base image decides.
    pub user: Option<String>,
    /// The database that it needs.
    pub database: FoundDatabase,
    /// The services beside that which it needs.
    pub extras: FoundExtras,
    /// The repository's own Compose file.
    pub compose: Option<FoundCompose>,
    /// What brings its database to the form that the commit expects.
    pub migration: Option<FoundMigration>,
    /// What Rails is to be told in an image that isn't ours.
    pub rails: Option<RailsNeeds>,
    /// The Dockerfiles that aren't ours. Before they are built, their images are to be looked at, and where the hosts lead that they add
    /// from: the engine fetches on the host's network.
    pub own: Vec<OwnBuild>,
}

/// A host that a Dockerfile adds from, or takes images from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedHost {
    /// Its name.
    pub name: String,
    dockerfile: String,
    line: usize,
    /// Whether images come from there, and no files.
    registry: bool,
}

impl AddedHost {
    /// Why nothing is built where it leads to the server or into a private network.
    pub fn refused(&self) -> DetectError {
        let (line, host) = (self.line, self.name.clone());
        let problem = match self.registry {
            true => DockerfileError::NearRegistry { line, host },
            false => DockerfileError::NearName { line, host },
        };
        DetectError::Dockerfile { path: self.dockerfile.clone(), problem }
    }
}

/// One framework's answer; [`detect`] completes it.
struct Recipe {
    framework: Framework,
    reason: String,
    dockerfile: String,
    app_port: ContainerPort,
    user: Option<String>,
    scope: Scope,
    /// What migrates its database by a tool that this Dockerfile brings into the image for that alone.
    migration: Option<FoundMigration>,
    own: Option<OwnBuild>,
}

/// Which folders of the checkout an app is made of.
struct Scope {
    /// What its build sees.
    context: RelativePath,
    /// Where its dependencies are named: its own folder first, then those of the workspace that it builds upon.
    parts: Vec<RelativePath>,
}

impl Scope {
    /// The application's folder alone.
    fn of(project: Project<'_>) -> Self {
        Self { context: project.root.clone(), parts: vec![project.root.clone()] }
    }
}

/// What each framework is asked with.
#[derive(Clone, Copy)]
struct Project<'a> {
    /// The application's folder, in which everything is looked for.
    files: &'a dyn Files,
    /// All of the repository, for what a workspace has outside of that folder.
    checkout: &'a dyn Files,
    root: &'a RelativePath,
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
const DETECTORS: [Detector; 12] = [
    Detector { framework: Framework::Docker, evidence: "`Dockerfile`", find: own::find },
    // These have a `package.json` for what browsers get.
    Detector { framework: Framework::Laravel, evidence: "`laravel/framework` in `composer.json`", find: laravel::find },
    Detector { framework: Framework::Rails, evidence: "`rails` in `Gemfile`", find: rails::find },
    Detector {
        framework: Framework::Spring,
        evidence: "Spring Boot in `pom.xml` or `build.gradle`",
        find: spring::find,
    },
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

/// Finds out how a checkout is built and run.
pub fn detect(files: &dyn Files, config: &RepoConfig, rules: &BuildRules) -> Result<Detected, DetectError> {
    let root = config.root.clone().unwrap_or_default();
    let beneath = Beneath::new(files, &root);
    if beneath.list("")?.is_empty() && !root.is_all() {
        return Err(DetectError::NoRoot(root));
    }
    let project = Project { files: &beneath, checkout: files, root: &root, config, rules };
    // An image is the whole of it, whatever else is there.
    let compose = if config.image.is_some() { None } else { compose::find(project)? };
    let found = match compose {
        Some(found) => found,
        None => by_recipe(project)?,
    };
    commands::check(config, &found)?;
    commands::files_are_there(project.files, config)?;
    let migration = migration::find(project, &found)?;
    let rails = rails::needs(project, found.framework)?;
    Ok(Detected { migration, rails, ..found })
}

fn by_recipe(project: Project<'_>) -> Result<Detected, DetectError> {
    let config = project.config;
    let recipe = recipe(project)?;
    let (database, extras) = backing(project, &recipe.scope.parts)?;
    Ok(Detected {
        framework: recipe.framework,
        reason: recipe.reason,
        dockerfile: recipe.dockerfile,
        app_port: config.app_port.unwrap_or(recipe.app_port),
        user: recipe.user,
        database,
        extras,
        context: recipe.scope.context,
        compose: None,
        migration: recipe.migration,
        rails: None,
        own: recipe.own.into_iter().collect(),
    })
}

/// What an app needs beside it; a package that it is made of may hold the driver.
fn backing(project: Project<'_>, parts: &[RelativePath]) -> Result<(FoundDatabase, FoundExtras), DetectError> {
    let root = std::slice::from_ref(project.root);
    let parts = if parts.is_empty() { root } else { parts };
    let parts: Vec<Beneath<'_>> = parts.iter().map(|part| Beneath::new(project.checkout, part)).collect();
    database::find(&parts, project.config)
}

fn recipe(project: Project<'_>) -> Result<Recipe, DetectError> {
    if let Some(recipe) = image::find(project)? {
        return Ok(recipe);
    }
    // Whoever names a Dockerfile has said how the app is built, whatever it is made with.
    let named = project.config.framework.filter(|_| project.config.dockerfile.is_none());
    if let Some(recipe) = recognised(project, named)? {
        return Ok(recipe);
    }
    if project.root.is_all() {
        let found = elsewhere(project, named);
        if !found.is_empty() {
            return Err(DetectError::FoundElsewhere(found));
        }
    }
    let evidence = |framework| DETECTORS.iter().find(|detector| detector.framework == framework);
    match named.and_then(evidence) {
        Some(detector) => Err(DetectError::NoEvidence { framework: detector.framework, evidence: detector.evidence }),
        None => foreign::refused(project.files).and_then(|()| Err(nothing_found())),
    }
}

fn nothing_found() -> DetectError {
    let looked_for = [compose::EVIDENCE].into_iter().chain(DETECTORS.map(|detector| detector.evidence));
    DetectError::NothingFound { looked_for: looked_for.collect::<Vec<_>>().join(", ") }
}

/// The first framework that is there, or the one that was named.
fn recognised(project: Project<'_>, named: Option<Framework>) -> Result<Option<Recipe>, DetectError> {
    for detector in DETECTORS.iter().filter(|detector| named.is_none_or(|framework| framework == detector.framework)) {
        if let Some(recipe) = (detector.find)(project)? {
            return Ok(Some(recipe));
        }
    }
    Ok(None)
}

/// Most folders that are looked into for an app that isn't at the root.
const MOST_FOLDERS: usize = 60;

/// The folders, one or two below the root, in which something is recognised: what an author may have meant by `root`.
fn elsewhere(project: Project<'_>, named: Option<Framework>) -> Vec<(RelativePath, Framework)> {
    let config = RepoConfig::default();
    let mut found = Vec::new();
    let mut folders: VecDeque<RelativePath> = subfolders(project.checkout, &RelativePath::default()).into();
    for _ in 0..MOST_FOLDERS {
        let Some(folder) = folders.pop_front() else { break };
        let files = Beneath::new(project.checkout, &folder);
        let there = Project { files: &files, root: &folder, config: &config, ..project };
        // What is wrong with a folder that nobody has named is nobody's question.
        match recognised(there, named) {
            // A library in a folder of its own is no answer.
            Ok(Some(recipe))
                if recipe.framework != Framework::Node || node_server::is_there(&files).unwrap_or(false) =>
            {
                found.push((folder, recipe.framework));
            }
            Ok(None) if !folder.as_str().contains('/') => folders.extend(subfolders(project.checkout, &folder)),
            _ => {}
        }
    }
    found
}

/// What is in a folder, in order: names that a path of ours can't hold, and those of hidden and of installed things left out.
fn subfolders(files: &dyn Files, folder: &RelativePath) -> Vec<RelativePath> {
    // A file or a link has nothing in it.
    let mut names = Beneath::new(files, folder).list("").unwrap_or_default();
    names.retain(|name| !name.starts_with('.') && name != "node_modules" && name != "vendor");
    names.sort();
    names.iter().filter_map(|name| Some(folder.join(&name.parse().ok()?))).collect()
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
mod go_tests;
#[cfg(test)]
mod nest_tests;
#[cfg(test)]
mod node_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trees;
