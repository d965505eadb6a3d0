//! Where a Python project says what it needs, and which package manager reads that.
//!
//! A manifest counts only where it names what is looked for: many repositories have a second one for tools or documentation.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::super::neighbours::leads_out;
use super::super::{DetectError, Files, Project, toml_file};
use super::requirement::{Requirement, RequirementFiles, Version, normal, version};
use super::workspace::Workspace;

/// Where pip's files are, the one for production before those that it may be made of.
const REQUIREMENTS: [&str; 6] = [
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/base.txt",
    "requirements/requirements.txt",
    "requirements-prod.txt",
];

/// What installs the dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// pip, by a requirements file.
    Pip,
    /// pip, by `[project]` of `pyproject.toml`.
    PipOfProject,
    /// pip, by `setup.cfg`.
    PipOfSetup,
    Uv,
    Poetry,
    Pipenv,
}

/// A manifest, with its lock file where there is one.
pub(super) struct Manifest {
    pub(super) manager: Manager,
    /// The file that is shown as evidence.
    pub(super) path: String,
    /// What has to be copied before installing.
    pub(super) files: Vec<String>,
    /// Whether installing needs more of the tree than these files.
    pub(super) needs_sources: bool,
    /// Whether it needs something beyond the project's own folder, and beyond its workspace.
    pub(super) reaches_out: bool,
    /// The workspace by whose lock file it is installed.
    pub(super) workspace: Option<Workspace>,
    requirements: Vec<Requirement>,
    /// Names of what is only for development, where the package manager tells that apart.
    development: Vec<String>,
    /// The versions of Python that it is for: most package managers refuse to install with another.
    python: Option<String>,
    /// Versions by name.
    lock: Option<BTreeMap<String, String>>,
    /// Whether something is fetched by git.
    pub(super) by_git: bool,
}

impl Manifest {
    /// The first in a folder that names one of these libraries, whatever lies around it.
    pub(super) fn naming(files: &dyn Files, libraries: &[&str]) -> Result<Option<Self>, DetectError> {
        let root = Root { names: files.list("")?, files };
        let all: [Reader; 6] = [uv, poetry, pipenv, requirements, project, setup];
        first_naming(&root, &all, libraries)
    }

    /// The first of the application's that names one of these libraries, with the workspace that it belongs to.
    pub(super) fn of(project: Project<'_>, libraries: &[&str]) -> Result<Option<Self>, DetectError> {
        let root = Root { names: project.files.list("")?, files: project.files };
        if root.has("pyproject.toml")
            && let Some(workspace) = Workspace::above(project)?
            && let Some(found) = of_workspace(&root, workspace)?.filter(|found| found.names_any(libraries))
        {
            return Ok(Some(found));
        }
        Self::naming(project.files, libraries)
    }

    fn names_any(&self, libraries: &[&str]) -> bool {
        libraries.iter().any(|library| self.names(library))
    }

    fn new(manager: Manager, path: &str, requirements: Vec<Requirement>) -> Self {
        Self {
            manager,
            path: path.to_owned(),
            files: vec![path.to_owned()],
            needs_sources: requirements.iter().any(|requirement| requirement.in_tree),
            reaches_out: requirements.iter().any(|requirement| requirement.outside),
            by_git: requirements.iter().any(|requirement| requirement.by_git),
            workspace: None,
            requirements,
            development: Vec::new(),
            python: None,
            lock: None,
        }
    }

    fn locked_by(mut self, path: &str, lock: BTreeMap<String, String>) -> Self {
        self.files.push(path.to_owned());
        self.lock = Some(lock);
        self
    }

    /// The versions of Python that it is for.
    pub(super) fn python(&self) -> Option<&str> {
        self.python.as_deref()
    }

    /// Whether a lock file says every version.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether the project itself says that it needs this.
    pub(super) fn names(&self, library: &str) -> bool {
        self.required().any(|requirement| requirement.name == library)
    }

    /// Whether the project itself says that it needs this, but only for development.
    pub(super) fn names_for_development(&self, library: &str) -> bool {
        !self.names(library) && self.development.iter().any(|name| name == library)
    }

    fn required(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.limit_alone)
    }

    /// What the first of pip's files requires with those that it includes: each by its name, and by its name with each of its extras,
    /// `celery[redis]`.
    pub(super) fn required_by_pip(files: &dyn Files) -> Result<Vec<String>, DetectError> {
        let manifest = requirements(&Root { names: files.list("")?, files })?;
        let names = |Requirement { name, extras, .. }: &Requirement| {
            let with_extra: Vec<String> = extras.iter().map(|extra| format!("{name}[{extra}]")).collect();
            with_extra.into_iter().chain([name.clone()])
        };
        Ok(manifest.iter().flat_map(Manifest::required).flat_map(names).collect())
    }

    /// Whether this is installed, as far as can be told: what others bring along only a lock file says.
    pub(super) fn brings(&self, library: &str) -> bool {
        self.names(library) || self.lock.as_ref().is_some_and(|lock| lock.contains_key(library))
    }

    /// Whether the project asks for an optional part.
    pub(super) fn has_extra(&self, library: &str, extra: &str) -> bool {
        let mut asked = self.required().filter(|requirement| requirement.name == library);
        asked.any(|requirement| requirement.extras.iter().any(|known| known == extra))
    }

    /// The newest release line of a library that can be installed, where there is a limit.
    pub(super) fn newest(&self, library: &str) -> Option<Version> {
        let locked = self.lock.as_ref().and_then(|lock| version(lock.get(library)?));
        let limits = || self.requirements.iter().filter(|asked| asked.name == library).filter_map(|asked| asked.newest);
        locked.or_else(|| limits().min())
    }
}

/// What looks for a manifest of one kind.
type Reader = fn(&Root<'_>) -> Result<Option<Manifest>, DetectError>;

fn first_naming(root: &Root<'_>, all: &[Reader], libraries: &[&str]) -> Result<Option<Manifest>, DetectError> {
    for read in all {
        if let Some(found) = read(root)?.filter(|found| found.names_any(libraries)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The root of the tree.
struct Root<'a> {
    files: &'a dyn Files,
    names: Vec<String>,
}

impl Root<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|found| found == name)
    }

    fn toml(&self, path: &str) -> Result<Option<Table>, DetectError> {
        toml_file::read(self.files, path)
    }
}

/// What `[project]` requires.
fn of_project(pyproject: &Table) -> Vec<Requirement> {
    toml_file::texts(pyproject, "project.dependencies").map(Requirement::parse).collect()
}

/// What a table of Poetry's or Pipenv's requires.
fn of_table(manifest: &Table, path: &str) -> Vec<Requirement> {
    let entries = toml_file::table_at(manifest, path).into_iter().flatten();
    entries.filter(|(name, _)| *name != "python").map(|(name, entry)| Requirement::of_entry(name, entry)).collect()
}

fn uv(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    let Some(pyproject) = root.toml("pyproject.toml")? else { return Ok(None) };
    if !root.has("uv.lock") && toml_file::table_at(&pyproject, "tool.uv").is_none() {
        return Ok(None);
    }
    let manifest = of_uv(root, &pyproject, "");
    let lock = root.files.read("uv.lock")?;
    Ok(Some(match lock {
        Some(lock) => manifest.locked_by("uv.lock", locked_packages(&lock)),
        None => manifest,
    }))
}

/// A member of a workspace, which may say nothing of uv itself: the root does.
fn of_workspace(root: &Root<'_>, workspace: Workspace) -> Result<Option<Manifest>, DetectError> {
    let Some(pyproject) = root.toml("pyproject.toml")? else { return Ok(None) };
    let mut manifest = of_uv(root, &pyproject, workspace.folder.as_str());
    let shared = toml_file::table_at(&workspace.manifest, "tool.uv.sources").into_iter().flat_map(Table::values);
    for source in shared {
        manifest.by_git |= mentions(source, "git");
        manifest.reaches_out |= said(source, "path").iter().any(|path| leads_out("", path));
    }
    manifest.needs_sources = true;
    manifest.lock = workspace.lock.as_deref().map(locked_packages);
    manifest.workspace = Some(workspace);
    Ok(Some(manifest))
}

/// What uv reads in a project's own folder; its paths are followed within the tree that the folder lies in.
fn of_uv(root: &Root<'_>, pyproject: &Table, folder: &str) -> Manifest {
    let mut manifest = Manifest::new(Manager::Uv, "pyproject.toml", of_project(pyproject));
    // A source may say that a dependency is a folder of the tree, or comes by git.
    for source in toml_file::table_at(pyproject, "tool.uv.sources").into_iter().flat_map(Table::values) {
        manifest.needs_sources |= ["path", "workspace"].iter().any(|key| mentions(source, key));
        manifest.reaches_out |= said(source, "path").iter().any(|path| leads_out(folder, path));
        manifest.by_git |= mentions(source, "git");
    }
    manifest.needs_sources |= toml_file::at(pyproject, "tool.uv.workspace").is_some();
    let groups = ["dependency-groups.dev", "tool.uv.dev-dependencies"];
    let development = groups.iter().flat_map(|group| toml_file::texts(pyproject, group)).map(Requirement::parse);
    manifest.python = text(pyproject, "project.requires-python");
    manifest.development = development.map(|requirement| requirement.name).collect();
    if root.has("uv.toml") {
        manifest.files.push("uv.toml".to_owned());
    }
    manifest
}

fn text(pyproject: &Table, path: &str) -> Option<String> {
    toml_file::at(pyproject, path).and_then(Value::as_str).map(str::to_owned)
}

/// The variants of a source of uv's: one that depends on the platform is a list of several.
fn variants(source: &Value) -> &[Value] {
    match source {
        Value::Array(sources) => sources,
        one => std::slice::from_ref(one),
    }
}

/// Whether a source of uv's has a key.
fn mentions(source: &Value, key: &str) -> bool {
    variants(source).iter().any(|source| source.get(key).is_some())
}

/// The texts that a source of uv's has for a key.
fn said<'a>(source: &'a Value, key: &str) -> Vec<&'a str> {
    variants(source).iter().filter_map(|source| source.get(key)?.as_str()).collect()
}

fn poetry(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    let Some(pyproject) = root.toml("pyproject.toml")? else { return Ok(None) };
    let backend = toml_file::at(&pyproject, "build-system.build-backend").and_then(Value::as_str);
    let is_poetry = root.has("poetry.lock")
        || toml_file::at(&pyproject, "tool.poetry.dependencies").is_some()
        || backend.is_some_and(|backend| backend.starts_with("poetry."));
    if !is_poetry {
        return Ok(None);
    }
    let requirements = [of_project(&pyproject), of_table(&pyproject, "tool.poetry.dependencies")].concat();
    let mut manifest = Manifest::new(Manager::Poetry, "pyproject.toml", requirements);
    let python = text(&pyproject, "tool.poetry.dependencies.python");
    manifest.python = python.or_else(|| text(&pyproject, "project.requires-python"));
    manifest.development = development_of_poetry(&pyproject);
    Ok(Some(match root.files.read("poetry.lock")? {
        Some(lock) => manifest.locked_by("poetry.lock", locked_packages(&lock)),
        None => manifest,
    }))
}

/// What Poetry's groups require, those left out that are installed on demand.
fn development_of_poetry(pyproject: &Table) -> Vec<String> {
    let tables = |path: &str| toml_file::table_at(pyproject, path).into_iter().flatten();
    let groups = tables("tool.poetry.group").filter_map(|(_, group)| group.as_table());
    let groups = groups.filter(|group| group.get("optional").and_then(Value::as_bool) != Some(true));
    let lists = tables("dependency-groups").filter_map(|(_, list)| list.as_array());
    let texts = lists.flatten().filter_map(Value::as_str).map(Requirement::parse);
    let older = of_table(pyproject, "tool.poetry.dev-dependencies");
    let all = groups.flat_map(|group| of_table(group, "dependencies")).chain(texts).chain(older);
    all.map(|requirement| requirement.name).collect()
}

fn pipenv(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    const LOCK: &str = "Pipfile.lock";
    let Some(pipfile) = root.toml("Pipfile")? else { return Ok(None) };
    let mut manifest = Manifest::new(Manager::Pipenv, "Pipfile", of_table(&pipfile, "packages"));
    manifest.development = of_table(&pipfile, "dev-packages").into_iter().map(|asked| asked.name).collect();
    let full = text(&pipfile, "requires.python_full_version");
    manifest.python = full.or_else(|| text(&pipfile, "requires.python_version"));
    let Some(text) = root.files.read(LOCK)? else { return Ok(Some(manifest)) };
    let lock: serde_json::Value = serde_json::from_str(&text).map_err(|error| DetectError::BadManifest {
        path: LOCK.to_owned(),
        line: error.line(),
        column: error.column(),
    })?;
    let packages = lock["default"].as_object().into_iter().flatten();
    let versions =
        packages.map(|(name, entry)| (normal(name), entry["version"].as_str().unwrap_or_default().to_owned()));
    Ok(Some(manifest.locked_by(LOCK, versions.collect())))
}

fn requirements(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    for path in REQUIREMENTS {
        if root.has(path.split('/').next().unwrap_or_default()) && root.files.read(path)?.is_some() {
            let read = RequirementFiles::read(root.files, path)?;
            let mut manifest = Manifest::new(Manager::Pip, path, read.requirements);
            manifest.reaches_out |= read.reaches_out;
            return Ok(Some(Manifest { files: read.paths, needs_sources: read.needs_sources, ..manifest }));
        }
    }
    Ok(None)
}

fn project(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    let Some(pyproject) = root.toml("pyproject.toml")? else { return Ok(None) };
    let mut manifest = Manifest::new(Manager::PipOfProject, "pyproject.toml", of_project(&pyproject));
    manifest.python = text(&pyproject, "project.requires-python");
    Ok(Some(manifest))
}

fn setup(root: &Root<'_>) -> Result<Option<Manifest>, DetectError> {
    let Some(text) = root.files.read("setup.cfg")? else { return Ok(None) };
    let options = text.lines().skip_while(|line| line.trim() != "[options]").skip(1);
    let options = options.take_while(|line| !line.starts_with('['));
    let mut lines = options.skip_while(|line| !line.starts_with("install_requires"));
    let first = lines.next().and_then(|line| line.split_once('=')).map(|(_, value)| value);
    let more = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#']));
    let wanted = first.into_iter().chain(more).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(Some(Manifest::new(Manager::PipOfSetup, "setup.cfg", wanted.map(Requirement::parse).collect())))
}

/// Names and versions of a lock file of uv or Poetry: written by machines, each value on a line of its own.
fn locked_packages(lock: &str) -> BTreeMap<String, String> {
    let value = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = \"")?.split('"').next()?;
        Some(value.to_owned())
    };
    let mut packages = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if line == "[[package]]" {
            name = None;
        } else if let Some(found) = value(line, "name") {
            name = Some(found);
        } else if let Some(found) = value(line, "version")
            && let Some(name) = name.take()
        {
            packages.insert(normal(&name), found);
        }
    }
    packages
}
