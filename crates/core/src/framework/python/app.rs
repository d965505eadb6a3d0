//! The object that answers requests: in which file it is, and by which name Python finds it.

use std::collections::BTreeSet;

use crate::repo_config::{PythonObject, RelativePath};

use super::super::{DetectError, Files, ReadFileError, Refusal};
use super::PythonError;
use super::source::{Source, is_identifier};

/// Files that hold an app by convention.
const NAMES: [&str; 9] =
    ["main.py", "app.py", "api.py", "wsgi.py", "asgi.py", "server.py", "application.py", "run.py", "__init__.py"];
/// Folders that hold those by convention. The root is the first.
const FOLDERS: [&str; 7] = ["", "app", "src", "src/app", "api", "backend", "server"];
/// Functions that make an app by convention.
const FACTORIES: [&str; 8] = [
    "create_app",
    "make_app",
    "get_app",
    "build_app",
    "init_app",
    "get_application",
    "create_application",
    "application_factory",
];
/// Folders and files that hold no app that is meant to run.
const ASIDE: [&str; 15] = [
    "tests",
    "test",
    "docs",
    "examples",
    "scripts",
    "migrations",
    "alembic",
    "node_modules",
    "static",
    "templates",
    "setup.py",
    "conftest.py",
    "manage.py",
    "noxfile.py",
    "tasks.py",
];
/// More files than these are not looked into.
const MOST_FILES: usize = 200;

/// Where an app is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    /// The file, for people.
    pub(super) file: String,
    /// The folder that has to be on Python's path; empty for the root.
    pub(super) folder: String,
    /// The module below that folder, such as `app.main`.
    pub(super) module: String,
    pub(super) object: PythonObject,
}

impl App {
    fn new(files: &dyn Files, path: &str, source: &Source, object: PythonObject) -> Result<Option<Self>, DetectError> {
        let module = module(files, path, source)?;
        Ok(module.map(|(folder, module)| Self { file: path.to_owned(), folder, module, object }))
    }

    /// `app.main:app`, as the documentation of servers has it.
    pub(super) fn target(&self) -> String {
        format!("{}:{}", self.module, self.object.name())
    }

    /// The same, with a function that makes the app called: `app.main:create_app()`.
    pub(super) fn called(&self) -> String {
        let call = if self.object.is_factory() { "()" } else { "" };
        format!("{}{call}", self.target())
    }
}

/// The app at one of the usual places: an object of this class.
pub(super) fn search(files: &dyn Files, class: &str) -> Result<Option<App>, DetectError> {
    for path in places(files)? {
        let Some(source) = glance(files.read(&path))?.flatten().map(|text| Source::new(&text)) else { continue };
        if let Some(object) = object(&source, class)
            && let Some(app) = App::new(files, &path, &source, object)?
        {
            return Ok(Some(app));
        }
    }
    Ok(None)
}

/// The app that `app_entrypoint` names: by a file, a module (`app.main`) or a package.
pub(super) fn named(
    files: &dyn Files,
    entry: &RelativePath,
    wanted: Option<&PythonObject>,
    class: &str,
) -> Result<App, DetectError> {
    let (path, source) = file(files, entry)?;
    let object = match wanted {
        Some(object) => object.clone(),
        None => object(&source, class).unwrap_or_else(PythonObject::app),
    };
    let app = App::new(files, &path, &source, object)?;
    app.ok_or_else(|| PythonError::NotAModule(entry.clone()).into())
}

/// The Python file that `app_entrypoint` names.
pub(super) fn file(files: &dyn Files, entry: &RelativePath) -> Result<(String, Source), DetectError> {
    let entry_path = entry.as_str();
    let dotted = if entry_path.contains('/') { entry_path.to_owned() } else { entry_path.replace('.', "/") };
    let mut paths = vec![format!("{dotted}.py"), format!("{dotted}/__init__.py")];
    if entry_path.ends_with(".py") {
        paths.insert(0, entry_path.to_owned());
    }
    for path in paths {
        if let Some(text) = files.read(&path)? {
            return Ok((path, Source::new(&text)));
        }
    }
    Err(PythonError::NotAModule(entry.clone()).into())
}

/// The app that a file holds, or the function that makes it.
fn object(source: &Source, class: &str) -> Option<PythonObject> {
    let made = || FACTORIES.iter().find_map(|factory| source.assigned(factory));
    if let Some(name) = source.assigned(class).or_else(made) {
        return name.parse().ok();
    }
    let factory = source.factory(&FACTORIES).filter(|_| source.has(&format!("{class}(")))?;
    format!("{factory}()").parse().ok()
}

/// What a look at one of many places gave: a place that can't be looked at holds no app.
pub(super) fn glance<T>(found: Result<T, ReadFileError>) -> Result<Option<T>, DetectError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ReadFileError { refusal: Refusal::Unreadable(_), .. }) => Ok(found.map(Some)?),
        Err(_) => Ok(None),
    }
}

/// Files that may hold an app, the likeliest first.
fn places(files: &dyn Files) -> Result<Vec<String>, DetectError> {
    let root = listed(files, "")?;
    let others = root.iter().filter(|name| !ASIDE.contains(&name.as_str()) && !name.starts_with("test"));
    let (scripts, folders): (Vec<&String>, Vec<&String>) = others.partition(|name| name.ends_with(".py"));
    let mut all = Vec::new();
    let mut take = |paths: Vec<String>| {
        for path in paths {
            if !all.contains(&path) && all.len() < MOST_FILES {
                all.push(path);
            }
        }
    };
    for folder in FOLDERS {
        take(usual(files, folder)?);
    }
    take(scripts.into_iter().cloned().collect());
    for folder in folders.iter().take(MOST_FILES) {
        take(usual(files, folder)?);
    }
    for name in listed(files, "src")?.iter().take(MOST_FILES) {
        take(usual(files, &format!("src/{name}"))?);
    }
    Ok(all)
}

/// Files of a folder that have a usual name.
fn usual(files: &dyn Files, folder: &str) -> Result<Vec<String>, DetectError> {
    let present = listed(files, folder)?;
    let below = |name: &&str| if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
    Ok(NAMES.iter().filter(|name| present.contains(**name)).map(below).collect())
}

fn listed(files: &dyn Files, folder: &str) -> Result<BTreeSet<String>, DetectError> {
    let names = glance(files.list(folder))?.unwrap_or_default();
    Ok(names.into_iter().filter(|name| !name.starts_with('.')).collect())
}

/// The folder that has to be on Python's path, and the module below it.
///
/// A folder is part of the module's name where it is a package, or where the file itself imports by its name; without either
/// the file finds its neighbours by their bare names, and does so only where its own folder is on the path.
fn module(files: &dyn Files, path: &str, source: &Source) -> Result<Option<(String, String)>, DetectError> {
    let mut folders: Vec<&str> = path.split('/').collect();
    let file = folders.pop().unwrap_or_default();
    let mut parts = match file.strip_suffix(".py") {
        Some("__init__") | None => Vec::new(),
        Some(stem) => vec![stem],
    };
    while let Some(last) = folders.last() {
        let innermost = parts.len() < 2;
        let is_package = files.has(&folders.join("/"), "__init__.py")?
            || (innermost && source.imports_relatively())
            || source.imports(last);
        if !is_package || !is_identifier(last) {
            break;
        }
        parts.insert(0, last);
        folders.pop();
    }
    let folder = folders.join("/");
    // It becomes part of a variable in the Dockerfile.
    let safe = !parts.is_empty()
        && parts.iter().all(|part| is_identifier(part))
        && (folder.is_empty() || folder.parse::<RelativePath>().is_ok());
    Ok(safe.then(|| (folder, parts.join("."))))
}
