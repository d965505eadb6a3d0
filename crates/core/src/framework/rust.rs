//! Rust: a `Cargo.toml` at the root, with one program to build.
//!
//! The program is the root package's: its `default-run`, else its `src/main.rs`, else its only other one; where the root is no
//! package or has no program, the only program of the workspace's members. `app_entrypoint` chooses among several, by a program's
//! name or by the folder of its package. A `Cargo.toml` without any program may be there for a library that others load. Where a package is
//! built with others that lie around it, `rust_place` says.

use std::collections::BTreeSet;

use minijinja::context;
use toml::{Table, Value};

use crate::repo_config::{ContainerPort, RelativePath};

use self::migration::{App, CommandLine};
use super::rust_place::Place;
use super::{
    Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, compiled_migration, neighbours, render,
    toml_file,
};

mod migration;

const TEMPLATE: &str = include_str!("../../../../templates/rust.Dockerfile");
/// What most platforms that give a `PORT` take for granted.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

/// Crates that link a library of the system: the package that has it at run time, which the image for building has already.
///
/// Source: <https://docs.rs/openssl#automatic>, <https://docs.rs/pq-sys>, <https://docs.rs/mysqlclient-sys>
const LIBRARIES: [(&str, &str); 4] = [
    ("openssl-sys", "libssl3"),
    ("pq-sys", "libpq5"),
    ("mysqlclient-sys", "libmariadb3"),
    ("libsqlite3-sys", "libsqlite3-0"),
];

/// What a step of the build keeps between builds, as the template has it for `cargo build`.
const CACHES: &str =
    "--mount=type=cache,id=cargo,target=/cargo --mount=type=cache,id=cargo-target,target=/target,sharing=private ";

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(manifest) = toml_file::read(project.files, "Cargo.toml")? else { return Ok(None) };
    let place = Place::of(project, &manifest)?;
    let packages = Package::around(project, &place, &manifest)?;
    let own: Vec<&Package> =
        packages.iter().filter(|package| place.folder.is_all() || place.is(&package.folder)).collect();
    let program = match &project.config.app_entrypoint {
        Some(entry) => chosen(&own, &place, entry)?,
        None => match only_program(&own)? {
            Some(program) => program,
            None if project.config.framework == Some(Framework::Rust) => return Err(DetectError::NoRustProgram),
            None => return Ok(None),
        },
    };
    let home = Beneath::new(project.checkout, &place.home);
    let lock = home.read("Cargo.lock")?;
    let linked = |library: &str| lock.as_deref().is_some_and(|lock| is_locked(lock, library));
    let app_port = project.config.app_port.unwrap_or(PORT);
    let folder = project.root.within(&place.context).filter(|folder| !folder.is_all());
    let made_of = made_of(&packages, &program);
    let parts = parts(&place.home, &made_of);
    let app = App { packages: &made_of, home: &place.home, parts: &parts, lock: lock.as_deref() };
    let (tool, migration, itself) = compiled_migration::apart(migration::find(project, &app)?, CommandLine::found);
    let links = |library: &str| linked(library) || tool.as_ref().and_then(CommandLine::links) == Some(library);
    let values = context! {
        toolchain => toolchain(project, &place)?,
        locked => lock.is_some(),
        prepared_queries => project.files.has("", ".sqlx")? || home.has("", ".sqlx")?,
        package => &program.package,
        program => &program.name,
        folder => folder.map(|folder| folder.to_string()),
        libraries => LIBRARIES.iter().filter(|(library, _)| links(library)).map(|(_, has)| *has).collect::<Vec<_>>(),
        tool => tool.as_ref().map(CommandLine::values),
        rocket => program.rocket,
        commands => commands::run_lines(&project.config.build_commands, CACHES),
        port => app_port.get(),
    };
    let locking = if lock.is_some() { "" } else { "; no `Cargo.lock`, so versions may change between builds" };
    let workspace = if place.folder.is_all() { "" } else { " of a workspace" };
    Ok(Some(Recipe {
        framework: Framework::Rust,
        reason: format!("`Cargo.toml`{workspace} with the program `{}`{locking}{itself}", program.name),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
        scope: Scope { context: place.context, parts },
        migration,
        own: None,
    }))
}

/// The file that says which tool chain is meant, from the folder that the build sees: the nearest one counts.
fn toolchain(project: Project<'_>, place: &Place) -> Result<Option<String>, DetectError> {
    for folder in [project.root, &place.home] {
        let names = Beneath::new(project.checkout, folder).list("")?;
        for name in ["rust-toolchain.toml", "rust-toolchain"] {
            if names.iter().any(|found| found == name) {
                let within = folder.within(&place.context).filter(|within| !within.is_all());
                return Ok(Some(within.map_or_else(|| name.to_owned(), |within| format!("{within}/{name}"))));
            }
        }
    }
    Ok(None)
}

/// The packages that a program is made of: its own, and those of the workspace that this depends on.
fn made_of<'a>(packages: &'a [Package], program: &'a Program) -> Vec<&'a Package> {
    let mut made_of = Vec::new();
    let mut waiting = vec![&program.package];
    let mut seen = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        let Some(package) = packages.iter().find(|package| package.name == *name) else { continue };
        if seen.insert(name) {
            made_of.push(package);
            waiting.extend(&package.dependencies);
        }
    }
    made_of
}

/// The folders with what it depends on: the root, which may say what its members share, and those of its packages.
fn parts(root: &RelativePath, made_of: &[&Package]) -> Vec<RelativePath> {
    let of_packages = made_of.iter().map(|package| package.at(root)).filter(|folder| folder != root);
    std::iter::once(root.clone()).chain(of_packages).collect()
}

/// Whether a `Cargo.lock` has a package.
fn is_locked(lock: &str, package: &str) -> bool {
    lock.lines().filter_map(|line| line.strip_prefix("name = ")).any(|name| name.trim_matches('"') == package)
}

/// A program that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    package: String,
    name: String,
    /// Whether it is its package's `src/main.rs`.
    main: bool,
    /// Whether it is told its port in Rocket's own way.
    rocket: bool,
}

/// A package of the tree, with its programs.
struct Package {
    name: String,
    /// What it depends on, by the names of packages.
    dependencies: Vec<String>,
    /// Where its `Cargo.toml` is; empty for the root.
    folder: String,
    default_run: Option<String>,
    programs: Vec<Program>,
}

impl Package {
    /// The packages that are built by one lock file: the application's, and those of its workspace.
    fn around(project: Project<'_>, place: &Place, manifest: &Table) -> Result<Vec<Self>, DetectError> {
        let home = Beneath::new(project.checkout, &place.home);
        let Some(workspace) = &place.workspace else { return Self::all(&home, manifest) };
        let mut packages = Self::all(&home, workspace)?;
        // What a member depends on by its path is one too, without being listed.
        if packages.iter().all(|package| !place.is(&package.folder)) {
            packages.extend(Self::read(&home, place.folder.as_str(), manifest)?);
        }
        Ok(packages)
    }

    /// The root's package, if it is one, and those of its workspace's members.
    fn all(files: &dyn Files, root: &Table) -> Result<Vec<Self>, DetectError> {
        let mut packages: Vec<Self> = Self::read(files, "", root)?.into_iter().collect();
        let (patterns, excluded) =
            (toml_file::texts(root, "workspace.members"), toml_file::texts(root, "workspace.exclude"));
        for folder in neighbours::members(files, patterns, excluded)? {
            if let Some(manifest) = toml_file::read(files, &format!("{folder}/Cargo.toml"))? {
                packages.extend(Self::read(files, &folder, &manifest)?);
            }
        }
        Ok(packages)
    }

    /// `None` where the manifest is a workspace's alone.
    fn read(files: &dyn Files, folder: &str, manifest: &Table) -> Result<Option<Self>, DetectError> {
        let Some(package) = toml_file::table_at(manifest, "package") else { return Ok(None) };
        let Some(name) = package.get("name").and_then(Value::as_str).filter(|name| is_name(name)) else {
            return Ok(None);
        };
        let below = |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        let mut names = BTreeSet::new();
        let mut main = None;
        if package.get("autobins").and_then(Value::as_bool) != Some(false) {
            if files.has(&below("src"), "main.rs")? {
                main = Some(name.to_owned());
            }
            for found in files.list(&below("src/bin"))? {
                match found.strip_suffix(".rs") {
                    Some(stem) => names.extend([stem.to_owned()]),
                    None if files.has(&below(&format!("src/bin/{found}")), "main.rs")? => names.extend([found]),
                    None => {}
                }
            }
        }
        for declared in toml_file::at(manifest, "bin").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| declared.get(key).and_then(Value::as_str);
            let own = text("name").unwrap_or(name).to_owned();
            match text("path") {
                Some("src/main.rs") => main = Some(own),
                Some(path) => {
                    // It has been found under the name of its file, and is built under another.
                    names.retain(|found| !path.ends_with(&format!("src/bin/{found}.rs")));
                    names.extend([own]);
                }
                None if main.as_ref() != Some(&own) => names.extend([own]),
                None => {}
            }
        }
        if let Some(main) = &main {
            names.insert(main.clone());
        }
        let rocket = toml_file::at(manifest, "dependencies.rocket").is_some();
        let program =
            |name: String| Program { package: package_name(package), main: main.as_ref() == Some(&name), rocket, name };
        let dependencies = toml_file::table_at(manifest, "dependencies").into_iter().flatten();
        let renamed =
            |(key, value): (&String, &Value)| value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
        Ok(Some(Self {
            name: name.to_owned(),
            dependencies: dependencies.map(renamed).collect(),
            folder: folder.to_owned(),
            default_run: package.get("default-run").and_then(Value::as_str).map(str::to_owned),
            programs: names.into_iter().filter(|name| is_name(name)).map(program).collect(),
        }))
    }

    /// Its folder in the checkout, of which the lock file is in this one.
    fn at(&self, home: &RelativePath) -> RelativePath {
        self.folder.parse().map_or_else(|_| home.clone(), |folder| home.join(&folder))
    }

    /// The program that running the package means.
    fn program(&self) -> Option<&Program> {
        let default = |program: &&Program| Some(&program.name) == self.default_run.as_ref();
        let only = || match self.programs.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let main = || self.programs.iter().find(|program| program.main);
        self.programs.iter().find(default).or_else(main).or_else(only)
    }
}

fn package_name(package: &Table) -> String {
    package.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What Cargo lets a package or a program be called, which needs quoting nowhere.
fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !name.is_empty() && name.len() <= 64 && !name.starts_with('-') && name.bytes().all(plain)
}

/// The program that `app_entrypoint` names.
fn chosen(packages: &[&Package], place: &Place, entry: &RelativePath) -> Result<Program, DetectError> {
    let named = || packages.iter().flat_map(|package| &package.programs).find(|program| program.name == entry.as_str());
    let folder = place.folder.join(entry);
    let folder = if folder.is_all() { "" } else { folder.as_str() };
    let of_folder = || packages.iter().find(|package| package.folder == folder).and_then(|package| package.program());
    let program = named().or_else(of_folder).cloned();
    program.ok_or_else(|| DetectError::NotARustProgram { entry: entry.clone(), programs: all_names(packages) })
}

fn only_program(packages: &[&Package]) -> Result<Option<Program>, DetectError> {
    let root = packages.iter().find(|package| package.folder.is_empty()).filter(|root| !root.programs.is_empty());
    let asked: Vec<&Package> = match root {
        Some(root) => vec![root],
        None => packages.iter().copied().filter(|package| !package.programs.is_empty()).collect(),
    };
    match asked.as_slice() {
        [] => Ok(None),
        [package] if package.program().is_some() => Ok(package.program().cloned()),
        _ => Err(DetectError::SeveralRustPrograms(all_names(packages))),
    }
}

fn all_names(packages: &[&Package]) -> Vec<String> {
    let names: BTreeSet<&String> =
        packages.iter().flat_map(|package| &package.programs).map(|program| &program.name).collect();
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
