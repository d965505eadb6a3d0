//! Django: a `manage.py`, and the `wsgi.py` of the project that it manages.

use crate::repo_config::{PythonObject, RelativePath};

use super::super::{DetectError, Files, Framework, Project, Recipe};
use super::app::{self, App};
use super::manifest::Manifest;
use super::server::{Interface, Static};
use super::source::{Source, is_identifier};
use super::{PythonError, recipe};

/// Looked through for settings, and for projects, no further than this.
const MOST_FILES: usize = 50;
/// What needs an ASGI server to be what it is.
const ASGI_LIBRARIES: [&str; 2] = ["channels", "daphne"];

pub(in super::super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(manifest) = Manifest::of(project, &["django"])? else { return Ok(None) };
    let entry = project.config.app_entrypoint.as_ref();
    let Some(home) = home(project.files, entry)? else { return Ok(None) };
    let manage = below(&home, "manage.py");
    let settings = settings(project.files, &manage)?;
    let path = match entry {
        Some(entry) => app::file(project.files, entry)?.0,
        None => interface_file(project.files, &home, settings.as_deref(), &manifest)?,
    };
    let source = Source::new(&project.files.read(&path)?.unwrap_or_default());
    let interface = if source.has("get_asgi_application") { Interface::Asgi } else { Interface::Wsgi };
    let made = ["get_wsgi_application", "get_asgi_application", "ProtocolTypeRouter"];
    let object: Option<PythonObject> = made.iter().find_map(|made| source.assigned(made)?.parse().ok());
    let object = project.config.app_object.clone().or(object).unwrap_or_else(PythonObject::application);
    let module = path.strip_prefix(&home).unwrap_or(&path).trim_start_matches('/').trim_end_matches(".py");
    let module = module.trim_end_matches("/__init__").replace('/', ".");
    if !is_module(&module) {
        let entry = path.parse::<RelativePath>();
        return Err(entry.map_or_else(|_| no_wsgi(&home), |entry| PythonError::NotAModule(entry).into()));
    }
    let settings =
        source.given("DJANGO_SETTINGS_MODULE").filter(|name| is_module(name)).map(str::to_owned).or(settings);
    let statics = match settings {
        Some(settings) if collects(project.files, &home, &settings)? => Some(Static { home: home.clone(), settings }),
        _ => None,
    };
    let evidence =
        format!("`{manage}` is there, `{}` names `django`, and `{path}` holds its `{}`", manifest.path, object.name());
    let app = App { file: path, folder: home, module, object };
    recipe(project, Framework::Django, &manifest, &evidence, interface, &app, statics).map(Some)
}

/// Its `manage.py`.
pub(super) fn manage(project: Project<'_>) -> Result<Option<String>, DetectError> {
    let home = home(project.files, project.config.app_entrypoint.as_ref())?;
    Ok(home.map(|home| below(&home, "manage.py")))
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn no_wsgi(home: &str) -> DetectError {
    PythonError::NoWsgi { manage: below(home, "manage.py") }.into()
}

/// The folder of `manage.py`: the root, else the only one of its folders that has one, else the one that the entry point is in.
fn home(files: &dyn Files, entry: Option<&RelativePath>) -> Result<Option<String>, DetectError> {
    if files.has("", "manage.py")? {
        return Ok(Some(String::new()));
    }
    let mut homes = Vec::new();
    for folder in files.list("")? {
        if folder.parse::<RelativePath>().is_ok() && holds(files, &folder, "manage.py")? {
            homes.push(folder);
        }
    }
    homes.sort();
    if let Some(entry) = entry
        && let Some(home) = homes.iter().find(|home| entry.as_str().starts_with(&format!("{home}/")))
    {
        return Ok(Some(home.clone()));
    }
    match homes.len() {
        0 | 1 => Ok(homes.pop()),
        _ => {
            Err(PythonError::SeveralDjangoProjects(homes.iter().map(|home| below(home, "manage.py")).collect()).into())
        }
    }
}

/// Whether a folder holds a file; one that is a link or no folder doesn't.
fn holds(files: &dyn Files, folder: &str, name: &str) -> Result<bool, DetectError> {
    Ok(app::glance(files.has(folder, name))?.unwrap_or(false))
}

/// The settings' module that `manage.py` names.
fn settings(files: &dyn Files, manage: &str) -> Result<Option<String>, DetectError> {
    let source = Source::new(&files.read(manage)?.unwrap_or_default());
    Ok(source.given("DJANGO_SETTINGS_MODULE").filter(|name| is_module(name)).map(str::to_owned))
}

fn is_module(name: &str) -> bool {
    name.len() <= 200 && name.split('.').all(is_identifier)
}

/// The project's `wsgi.py`, or `asgi.py` where it needs that: beside its settings, or in the only folder that has one.
fn interface_file(
    files: &dyn Files,
    home: &str,
    settings: Option<&str>,
    manifest: &Manifest,
) -> Result<String, DetectError> {
    let asks_asgi = ASGI_LIBRARIES.iter().any(|library| manifest.names(library));
    let names = if asks_asgi { ["asgi.py", "wsgi.py"] } else { ["wsgi.py", "asgi.py"] };
    let mut folders = Vec::new();
    let mut package = settings.unwrap_or_default();
    while let Some((outer, _)) = package.rsplit_once('.') {
        folders.push(below(home, &outer.replace('.', "/")));
        package = outer;
    }
    for name in names {
        for folder in &folders {
            if holds(files, folder, name)? {
                return Ok(below(folder, name));
            }
        }
    }
    let mut inner: Vec<String> = files.list(home)?.into_iter().filter(|name| is_identifier(name)).collect();
    inner.sort();
    for name in names {
        let mut found = Vec::new();
        for folder in inner.iter().map(|folder| below(home, folder)).take(MOST_FILES) {
            if holds(files, &folder, name)? {
                found.push(below(&folder, name));
            }
        }
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0)),
            _ => return Err(PythonError::SeveralDjangoProjects(found).into()),
        }
    }
    Err(no_wsgi(home))
}

/// Whether the settings say where static files are collected.
fn collects(files: &dyn Files, home: &str, settings: &str) -> Result<bool, DetectError> {
    let path = below(home, &settings.replace('.', "/"));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    // Settings that are split by environment share a folder.
    let neighbours = if folder.ends_with("settings") { files.list(&folder)? } else { Vec::new() };
    let inner = files.list(&path)?.into_iter().map(|name| below(&path, &name));
    let all = neighbours.iter().map(|name| below(&folder, name)).chain(inner).filter(|name| name.ends_with(".py"));
    for path in std::iter::once(format!("{path}.py")).chain(all).take(MOST_FILES) {
        if app::glance(files.read(&path))?.flatten().is_some_and(|text| text.contains("STATIC_ROOT")) {
            return Ok(true);
        }
    }
    Ok(false)
}
