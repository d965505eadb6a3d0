//! Go: a `go.mod` at the root, with one program to build.
//!
//! The program is the root where that is a `package main`, else the one folder of `cmd/` that is; `app_entrypoint` chooses among
//! several, by folder or by a file in it.

use minijinja::context;

use crate::repo_config::{ContainerPort, RelativePath};

use super::{DetectError, Files, Framework, Project, Recipe, commands, render};

const TEMPLATE: &str = include_str!("../../../../templates/go.Dockerfile");
/// The convention of Go's own examples and of most platforms that give a `PORT`.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// What a step of the build keeps between builds, as the template has it for `go build`.
const CACHES: &str = "--mount=type=cache,id=go-mod,target=/go/pkg/mod \
                      --mount=type=cache,id=go-build,from=std,source=/root/.cache/go-build,target=/root/.cache/go-build ";

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(go_mod) = project.files.read("go.mod")? else { return Ok(None) };
    let package = match &project.config.app_entrypoint {
        Some(entry) => chosen(project.files, entry)?,
        None => only_program(project.files)?,
    };
    let root = project.files.list("")?;
    let has = |name: &str| root.iter().any(|found| found == name);
    let vendored = has("vendor") && project.files.has("vendor", "modules.txt")?;
    let manifests: Vec<&str> = ["go.mod", "go.sum"].into_iter().filter(|name| has(name)).collect();
    let app_port = project.config.app_port.unwrap_or(PORT);
    let values = context! {
        // A module replaced by a folder needs that folder before anything can be fetched; the build then fetches.
        download => !vendored && has("go.sum") && !replaces_by_folder(&go_mod),
        manifests,
        commands => commands::run_lines(&project.config.build_commands, CACHES),
        package => if package == "." { package.clone() } else { format!("./{package}") },
        port => app_port.get(),
    };
    let vendoring = if vendored { ", with its dependencies vendored" } else { "" };
    Ok(Some(Recipe {
        framework: Framework::Go,
        reason: format!("`go.mod` with the program in `{package}`{vendoring}"),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
    }))
}

/// The folder that `app_entrypoint` names.
fn chosen(files: &dyn Files, entry: &RelativePath) -> Result<String, DetectError> {
    let folder = match entry.as_str().strip_suffix(".go") {
        Some(file) => file.rsplit_once('/').map_or(".", |(folder, _)| folder),
        None => entry.as_str(),
    };
    if is_program(files, folder)? { Ok(folder.to_owned()) } else { Err(DetectError::NotAGoProgram(entry.clone())) }
}

fn only_program(files: &dyn Files) -> Result<String, DetectError> {
    if is_program(files, ".")? {
        return Ok(".".to_owned());
    }
    let mut programs = Vec::new();
    for name in files.list("cmd")? {
        // A name that a path of ours can't hold can't be built by a Dockerfile of ours either.
        if let Ok(folder) = format!("cmd/{name}").parse::<RelativePath>()
            && is_program(files, folder.as_str())?
        {
            programs.push(folder.to_string());
        }
    }
    match programs.len() {
        0 => Err(DetectError::NoGoProgram),
        1 => Ok(programs.remove(0)),
        _ => {
            programs.sort();
            Err(DetectError::SeveralGoPrograms(programs.into_iter().map(|folder| format!("./{folder}")).collect()))
        }
    }
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

/// Whether `go.mod` has a `replace` that points into the tree.
fn replaces_by_folder(go_mod: &str) -> bool {
    let target = |line: &str| line.split_once("=>").map(|(_, target)| target.trim().to_owned());
    go_mod.lines().filter_map(target).any(|target| target.starts_with("./") || target.starts_with("../"))
}
