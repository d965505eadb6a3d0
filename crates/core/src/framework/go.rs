//! Go: a `go.mod`, or a `go.work` with several, with one program to build.
//!
//! The program is the root where that is a `package main`, else `cmd` itself, else the one folder of `cmd/` that is; `app_entrypoint`
//! chooses among several, by folder or by a file in it; a name that is neither may be what the program at the root is built as. Vendored dependencies are used as they are.

use std::collections::VecDeque;

use minijinja::context;

use crate::repo_config::{ContainerPort, RelativePath};

use super::compiled_migration::{self, Migrates};
use super::go_migration::{self, CommandLine};
use super::go_work::{self, Module};
use super::{Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, render, subfolders};

const TEMPLATE: &str = include_str!("../../../../templates/go.Dockerfile");
/// The convention of Go's own examples and of most platforms that give a `PORT`.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// What a step of the build keeps between builds, as the template has it for `go build`.
const CACHES: &str = "--mount=type=cache,id=go-mod,target=/go/pkg/mod \
                      --mount=type=cache,id=go-build,from=std,source=/root/.cache/go-build,target=/root/.cache/go-build ";

/// Libraries with which many programs end where there is no `.env`, which nobody commits.
const WANT_ENV_FILE: [&str; 2] = ["github.com/joho/godotenv", "github.com/spf13/viper"];

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let modules = go_work::modules(project)?;
    if modules.is_empty() {
        return Ok(None);
    }
    let (module, package) = match &project.config.app_entrypoint {
        Some(entry) => chosen(project, &modules, entry)?,
        None => only_program(project, &modules)?,
    };
    let base = Beneath::new(project.checkout, &module.base);
    let at = module.at();
    let files = Beneath::new(project.checkout, &at);
    let vendored = if module.in_workspace { &base } else { &files }.has("vendor", "modules.txt")?;
    let mut manifests = vec!["go.mod"];
    manifests.extend(files.has("", "go.sum")?.then_some("go.sum"));
    let alone = module.folder.is_all() && !module.in_workspace && go_work::replaced(&module.go_mod).next().is_none();
    let app_port = project.config.app_port.unwrap_or(PORT);
    // A build that fetches nothing goes on fetching nothing: no tool is among what is vendored.
    let migrates = go_migration::find(project, module)?.filter(|who| !vendored || matches!(who, Migrates::Itself));
    let (tool, migration, itself) = compiled_migration::apart(migrates, CommandLine::found);
    let values = context! {
        // A module replaced by a folder needs that folder before anything can be fetched; the build then fetches.
        download => !vendored && alone && manifests.len() == 2,
        manifests,
        vendored,
        cgo => modules.iter().any(|module| needs_cgo(&module.go_mod)),
        commands => commands::run_lines(&project.config.build_commands, CACHES),
        folder => (!module.folder.is_all()).then(|| module.folder.to_string()),
        package => if package.is_all() { package.to_string() } else { format!("./{package}") },
        tool => tool.as_ref().map(|tool| context! { version => &tool.version, tag => tool.tag() }),
        env_file => WANT_ENV_FILE.iter().any(|library| module.go_mod.contains(library)),
        port => app_port.get(),
    };
    let vendoring = if vendored { ", with its dependencies vendored" } else { "" };
    let workspace = if module.in_workspace { " of a workspace" } else { "" };
    let manifest = if at.is_all() { "go.mod".to_owned() } else { format!("{at}/go.mod") };
    Ok(Some(Recipe {
        framework: Framework::Go,
        reason: format!("`{manifest}`{workspace} with the program in `{}`{vendoring}{itself}", at.join(&package)),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
        scope: Scope { context: module.base.clone(), parts: vec![at] },
        migration,
        own: None,
    }))
}

/// The folder that `app_entrypoint` names, with its module: the one furthest down that holds it.
fn chosen<'a>(
    project: Project<'_>,
    modules: &'a [Module],
    entry: &RelativePath,
) -> Result<(&'a Module, RelativePath), DetectError> {
    let none = || DetectError::NotAGoProgram(entry.clone());
    let folder = match entry.as_str().strip_suffix(".go") {
        Some(file) => file.rsplit_once('/').map_or(".", |(folder, _)| folder),
        None => entry.as_str(),
    };
    let folder = if is_program(project.files, folder)? {
        folder
    } else if names_the_binary(project, entry)? {
        "."
    } else {
        return Err(none());
    };
    let wanted: RelativePath = folder.parse().map_err(|_| none())?;
    let wanted = project.root.join(&wanted);
    let within = |module: &'a Module| Some((module, wanted.within(&module.at())?));
    modules.iter().filter_map(within).min_by_key(|(_, rest)| rest.as_str().len()).ok_or_else(none)
}

/// Whether `app_entrypoint` is what the program at the root is to be called once it is built, as files of the older system say.
fn names_the_binary(project: Project<'_>, entry: &RelativePath) -> Result<bool, DetectError> {
    let is_name = !entry.as_str().contains(['/', '.']) && !project.files.has("", entry.as_str())?;
    Ok(is_name && is_program(project.files, ".")?)
}

fn only_program<'a>(project: Project<'_>, modules: &'a [Module]) -> Result<(&'a Module, RelativePath), DetectError> {
    let mut programs = Vec::new();
    for module in modules {
        let at = module.at();
        let files = Beneath::new(project.checkout, &at);
        if is_program(&files, ".")? {
            programs.push((module, RelativePath::default()));
        } else {
            programs.extend(commands(&files)?.into_iter().map(|folder| (module, folder)));
        }
        // What lies at the root is the app, whatever else the workspace holds.
        if at == *project.root && !programs.is_empty() {
            break;
        }
    }
    match programs.len() {
        0 => Err(DetectError::NoGoProgram(elsewhere(project)?)),
        1 => Ok(programs.remove(0)),
        _ => {
            let entry = |(module, folder): &(&Module, RelativePath)| module.at().join(folder).within(project.root);
            let mut entries: Vec<String> = programs.iter().filter_map(entry).map(|path| format!("./{path}")).collect();
            entries.sort();
            Err(DetectError::SeveralGoPrograms(entries))
        }
    }
}

/// Modules that are nothing without a C compiler, though they compile.
const WITH_C: [&str; 3] =
    ["github.com/mattn/go-sqlite3", "gorm.io/driver/sqlite", "github.com/confluentinc/confluent-kafka-go"];

/// Whether a `go.mod` requires one of them, whatever its major version.
fn needs_cgo(go_mod: &str) -> bool {
    let names = |word: &str, module: &str| {
        word.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
    };
    let required = go_mod.lines().map(|line| line.split("//").next().unwrap_or_default());
    required.flat_map(str::split_whitespace).any(|word| WITH_C.iter().any(|module| names(word, module)))
}

/// Most folders that are looked into for programs that nobody has named.
const MOST_FOLDERS: usize = 60;

/// The programs at other places, for `app_entrypoint`: those of modules by themselves are others' affair, and of tests too.
fn elsewhere(project: Project<'_>) -> Result<Vec<String>, DetectError> {
    let files = project.files;
    let mut programs = Vec::new();
    let mut folders = VecDeque::from(subfolders(files, &RelativePath::default()));
    for _ in 0..MOST_FOLDERS {
        let Some(folder) = folders.pop_front() else { break };
        let name = folder.as_str().rsplit('/').next().unwrap_or_default();
        let passed_over = name.starts_with('_') || name == "testdata" || name.ends_with(".go");
        if passed_over || files.has(folder.as_str(), "go.mod").unwrap_or(true) {
            continue;
        }
        if is_program(files, folder.as_str())? {
            programs.push(format!("./{folder}"));
        }
        folders.extend(subfolders(files, &folder));
    }
    Ok(programs)
}

/// The program that `cmd` itself is, or those below it.
fn commands(files: &dyn Files) -> Result<Vec<RelativePath>, DetectError> {
    if is_program(files, "cmd")? {
        return Ok("cmd".parse().into_iter().collect());
    }
    let mut programs = Vec::new();
    for name in files.list("cmd")? {
        // A name that a path of ours can't hold can't be built by a Dockerfile of ours either.
        if let Ok(folder) = format!("cmd/{name}").parse::<RelativePath>()
            && is_program(files, folder.as_str())?
        {
            programs.push(folder);
        }
    }
    Ok(programs)
}

/// Whether a folder holds a Go file that belongs to `package main` and to an ordinary build.
fn is_program(files: &dyn Files, folder: &str) -> Result<bool, DetectError> {
    let folder = if folder == "." { "" } else { folder };
    for name in files.list(folder)? {
        if !name.ends_with(".go") || name.ends_with("_test.go") || name.starts_with(['_', '.']) {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if files.read(&path)?.is_some_and(|text| package_name(&text) == Some("main")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The package of a Go file; `None` for one that `//go:build ignore` keeps out of a build.
///
/// Source: <https://go.dev/ref/spec#Package_clause>: nothing but comments may stand before it.
fn package_name(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{FEFF}').trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("//") {
            let (line, after) = comment.split_once('\n').unwrap_or((comment, ""));
            if line.trim() == "go:build ignore" {
                return None;
            }
            rest = after.trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1.trim_start();
        } else {
            let mut words = rest.strip_prefix("package")?.split([' ', '\t', '\n', '\r', ';', '/']);
            return words.find(|word| !word.is_empty());
        }
    }
}
