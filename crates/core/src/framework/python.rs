//! Python: FastAPI, Flask, Django, and other servers whose app is an object that uvicorn or gunicorn can run.
//!
//! Recognised by a library among the dependencies that the project itself names, in whichever file its package manager keeps
//! them. What is run is found in the tree: nothing of a project says which object its app is. `app_entrypoint` names the file
//! or the module, and, behind a colon, the object (`app/main.py`, `app.main:app`).

use minijinja::context;

use crate::base_images::{BaseImage, BaseImages};
use crate::repo_config::{ContainerPort, RelativePath};

use super::{Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, listed, render};

use app::App;
use install::Installation;
use manifest::Manifest;
use server::{Interface, Static};

mod app;
mod django;
mod install;
mod manifest;
mod migration;
mod requirement;
mod server;
mod source;
mod version;
mod workspace;

pub(super) use django::find as django;
pub(super) use migration::find as migration;

const TEMPLATE: &str = include_str!("../../../../templates/python.Dockerfile");
/// Where both servers and Django's own let an app listen unless told otherwise.
const PORT: ContainerPort = ContainerPort::new(8000).unwrap();
/// The first release line of FastAPI that is told of a path before it in the way of today's uvicorn; with an older one every
/// address would be unknown.
///
/// Source: <https://fastapi.tiangolo.com/release-notes/>, 0.109.0 (Starlette 0.35)
const UNDER_PREFIX: (u64, u64) = (0, 109);

/// Why a Python server can't be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PythonError {
    /// A library is there, and no app made with it.
    #[error(
        "`{manifest}` names `{library}`, but none of the usual files holds an app, such as `app = {class}()`; name its file \
         in `preview-config.yml`, such as `app_entrypoint: app/main.py`"
    )]
    NoApp {
        /// Where the library is named.
        manifest: String,
        /// Which library.
        library: &'static str,
        /// What its apps are.
        class: &'static str,
    },
    /// `app_entrypoint` names nothing that Python could import.
    #[error("`app_entrypoint: {0}` is no Python module of this repository")]
    NotAModule(RelativePath),
    /// A Django project without an interface to servers.
    #[error(
        "`{manage}` is there, but no `wsgi.py` beside its settings; name it in `preview-config.yml`, such as \
         `app_entrypoint: mysite/wsgi.py`"
    )]
    NoWsgi {
        /// Its `manage.py`.
        manage: String,
    },
    /// Several Django projects in one repository.
    #[error("several Django projects: {}; choose one in `preview-config.yml`, such as `app_entrypoint: mysite/wsgi.py`", listed(.0))]
    SeveralDjangoProjects(Vec<String>),
}

/// What pip's files require: names, and names with each of their extras.
pub(super) fn required_by_pip(files: &dyn Files) -> Result<Vec<String>, DetectError> {
    Manifest::required_by_pip(files)
}

/// The newest release line of a library that can be installed, where the manifest that names one of these says so.
pub(super) fn newest(
    files: &dyn Files,
    named: &[&str],
    library: &str,
) -> Result<Option<requirement::Version>, DetectError> {
    Ok(Manifest::naming(files, named)?.and_then(|manifest| manifest.newest(library)))
}

/// A library with which servers are made.
struct Library {
    framework: Framework,
    /// Its name among the dependencies.
    name: &'static str,
    /// What an app is an object of.
    class: &'static str,
    interface: Interface,
}

/// In the order of asking: what is made with another comes before it.
const LIBRARIES: [Library; 6] = [
    Library { framework: Framework::FastApi, name: "fastapi", class: "FastAPI", interface: Interface::Asgi },
    Library { framework: Framework::Flask, name: "flask", class: "Flask", interface: Interface::Wsgi },
    Library { framework: Framework::Flask, name: "apiflask", class: "APIFlask", interface: Interface::Wsgi },
    Library { framework: Framework::Python, name: "litestar", class: "Litestar", interface: Interface::Asgi },
    Library { framework: Framework::Python, name: "quart", class: "Quart", interface: Interface::Asgi },
    Library { framework: Framework::Python, name: "starlette", class: "Starlette", interface: Interface::Asgi },
];

pub(super) fn fastapi(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    of_libraries(project, |library| library.framework == Framework::FastApi)
}

pub(super) fn flask(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    of_libraries(project, |library| library.framework == Framework::Flask)
}

/// Whichever of them it is.
pub(super) fn any(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    match django(project)? {
        Some(recipe) => Ok(Some(recipe)),
        None => of_libraries(project, |_| true),
    }
}

fn of_libraries(project: Project<'_>, asked: fn(&Library) -> bool) -> Result<Option<Recipe>, DetectError> {
    let Some((library, manifest)) = library_of(project, asked)? else { return Ok(None) };
    of_library(project, library, &manifest).map(Some)
}

/// The first of these libraries that a manifest names.
fn library_of(
    project: Project<'_>,
    asked: impl Fn(&Library) -> bool,
) -> Result<Option<(&'static Library, Manifest)>, DetectError> {
    for library in LIBRARIES.iter().filter(|library| asked(library)) {
        if let Some(manifest) = Manifest::of(project, &[library.name])? {
            return Ok(Some((library, manifest)));
        }
    }
    Ok(None)
}

/// The app made with a library that a manifest names.
fn found_app(project: Project<'_>, library: &Library, manifest: &Manifest) -> Result<App, DetectError> {
    let (files, config) = (project.files, project.config);
    let app = match &config.app_entrypoint {
        Some(entry) => Some(app::named(files, entry, config.app_object.as_ref(), library.class)?),
        None => app::search(files, library.class)?,
    };
    let missing =
        || PythonError::NoApp { manifest: manifest.path.clone(), library: library.name, class: library.class };
    app.ok_or_else(|| missing().into())
}

fn of_library(project: Project<'_>, library: &Library, manifest: &Manifest) -> Result<Recipe, DetectError> {
    let app = found_app(project, library, manifest)?;
    let holds = if app.object.is_factory() { "makes it by" } else { "holds its" };
    let evidence =
        format!("`{}` names `{}`, and `{}` {holds} `{}`", manifest.path, library.name, app.file, app.object.name());
    recipe(project, library.framework, manifest, &evidence, library.interface, &app, None)
}

/// The Python that runs an app.
struct Python {
    /// Its second number.
    minor: u64,
    /// What is said of it, where it isn't the usual one.
    reason: String,
}

impl Python {
    fn of(project: Project<'_>, manifest: &Manifest) -> Result<Self, DetectError> {
        let workspace = manifest.workspace.as_ref().map(|workspace| &workspace.base);
        for folder in [project.root].into_iter().chain(workspace) {
            if let Some((minor, file)) = version::asked(&Beneath::new(project.checkout, folder), manifest.python())? {
                return Ok(Self { minor, reason: format!("; Python 3.{minor} by `{file}`") });
            }
        }
        let required = manifest.python().and_then(version::required);
        let reason = required.map(|minor| format!("; Python 3.{minor}, since `{}` asks for it", manifest.path));
        Ok(Self { minor: required.unwrap_or(version::USUAL), reason: reason.unwrap_or_default() })
    }

    fn image(&self, images: &BaseImages) -> String {
        match self.minor {
            version::USUAL => images.get(BaseImage::Python),
            minor => images.named(&format!("python:3.{minor}-slim-bookworm")),
        }
    }
}

/// Which folders an app is made of, and its own from the folder that the build sees: a workspace's root, or the whole repository where
/// something is installed from a folder beside it.
fn scope(project: Project<'_>, manifest: &Manifest) -> Result<(Scope, RelativePath), DetectError> {
    let mut parts = vec![project.root.clone()];
    let mut context = project.root.clone();
    if let Some(workspace) = &manifest.workspace {
        parts.extend(workspace.neighbours(project.checkout, manifest)?);
        context = workspace.base.clone();
    }
    if manifest.reaches_out {
        context = RelativePath::default();
    }
    let folder = project.root.within(&context).unwrap_or_default();
    Ok((Scope { context, parts }, folder))
}

/// The recipe of an app whose dependencies are installed into a virtual environment and that its server runs.
fn recipe(
    project: Project<'_>,
    framework: Framework,
    manifest: &Manifest,
    evidence: &str,
    interface: Interface,
    app: &App,
    statics: Option<Static>,
) -> Result<Recipe, DetectError> {
    let keeps_development = framework != Framework::Django && migration::keeps_development(project, manifest)?;
    let python = Python::of(project, manifest)?;
    let (scope, folder) = scope(project, manifest)?;
    let installation = Installation::of(manifest, python.minor, keeps_development);
    let (build_packages, run_packages) = install::system_packages(manifest);
    let app_port = project.config.app_port.unwrap_or(PORT);
    let under_prefix =
        framework == Framework::FastApi && manifest.newest("fastapi").is_none_or(|newest| newest >= UNDER_PREFIX);
    let whole = manifest.needs_sources || !folder.is_all();
    let images = &project.rules.base_images;
    let values = context! {
        python => python.image(images),
        build_packages,
        run_packages,
        tool => installation.tool,
        env => installation.env.to_vec(),
        environment => installation.environment,
        cache => installation.cache,
        copied => if whole { vec![". .".to_owned()] } else { copies(&manifest.files) },
        folder => (!folder.is_all()).then(|| folder.to_string()),
        install => installation.install,
        add => (!manifest.names(interface.server())).then(|| format!("{} '{}'", installation.add, interface.installed())),
        server => interface.server(),
        path => on_path(&folder, &app.folder),
        django => framework == Framework::Django,
        statics => statics.map(|statics| context! { home => statics.home, settings => statics.settings }),
        commands => commands::run_lines(&project.config.build_commands, &format!("--mount=type=cache,{} ", installation.cache)),
        port => app_port.get(),
        command => serde_json::json!(interface.command(app, app_port, under_prefix)).to_string(),
    };
    let workspace = if manifest.workspace.is_some() { ", from its workspace" } else { "" };
    Ok(Recipe {
        framework,
        reason: format!("{evidence}; {}{workspace}{}", installation.reason, python.reason),
        dockerfile: render(TEMPLATE, images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
        scope,
        migration: None,
        own: None,
    })
}

/// The folder, below that of all files, in which Python looks for an app that isn't in the folder where it starts.
fn on_path(folder: &RelativePath, app: &str) -> String {
    match (folder.is_all(), app.is_empty()) {
        (true, _) | (_, true) => app.to_owned(),
        _ => format!("{folder}/{app}"),
    }
}

/// What is copied before installing: files of one folder together, since a copy of several has one target.
fn copies(files: &[String]) -> Vec<String> {
    let folder = |file: &str| file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let mut folders: Vec<String> = files.iter().map(|file| folder(file)).collect();
    folders.sort();
    folders.dedup();
    let of_folder = |target: &String| {
        let names: Vec<&str> = files.iter().filter(|file| folder(file) == *target).map(String::as_str).collect();
        format!("{} ./{target}", names.join(" "))
    };
    folders.iter().map(of_folder).collect()
}

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
