//! What every Node project has: a `package.json`, a package manager that its lock file tells, and one Dockerfile for all.

use std::collections::BTreeSet;

use minijinja::context;
use serde_json::Value;

use crate::repo_config::{ContainerPort, RelativePath};

use super::node_install::Installation;
use super::node_workspace::{App, Part};
use super::{Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, database, migration, render};

const TEMPLATE: &str = include_str!("../../../../templates/node.Dockerfile");
/// Where the generators and the examples of most libraries let an app listen when `PORT` says nothing.
const PORT: ContainerPort = ContainerPort::new(3000).unwrap();

/// What runs the app.
pub(super) enum Start {
    /// A JavaScript file.
    File(String),
    /// A TypeScript file, translated by `tsx` as it is read.
    TypeScript(&'static str),
    /// A script of `package.json`.
    Script(&'static str),
}

impl Start {
    /// The container's command: without npm in between where a script is a plain `node …`, which is one process less, and
    /// signals reach the app.
    fn command(&self, package: &Package) -> Vec<String> {
        let name = match self {
            Self::File(file) => return vec!["node".to_owned(), file.clone()],
            Self::TypeScript(file) => return ["node", "--import", "tsx", *file].map(str::to_owned).to_vec(),
            Self::Script(name) => *name,
        };
        let script = package.script(name).unwrap_or_default();
        let words: Vec<String> = script.split_whitespace().map(str::to_owned).collect();
        let plain = |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/=:@".contains(&b));
        if words.len() > 1 && words[0] == "node" && words.iter().all(plain) {
            words
        } else {
            ["npm", "run", name].map(str::to_owned).to_vec()
        }
    }
}

/// The recipe of an app that is installed by its package manager, built where it has a `build` script, and started so. Of a
/// workspace everything is installed, and what the app depends on is built before it.
pub(super) fn recipe(
    project: Project<'_>,
    app: &App,
    framework: Framework,
    evidence: &str,
    start: &Start,
) -> Result<Recipe, DetectError> {
    let base = Beneath::new(project.checkout, &app.base);
    let installation = Installation::find(&base, app.base_package(), app.members())?;
    let app_port = project.config.app_port.unwrap_or(PORT);
    let parts = app.parts();
    let build = build_command(&base, app, &parts)?;
    let generates = parts.iter().any(|part| part.package.generates_dependencies());
    let modules = std::iter::once(RelativePath::default()).chain(parts.iter().map(|part| part.folder.clone()));
    let modules: BTreeSet<String> = modules.map(|folder| folder.join(&node_modules()).to_string()).collect();
    let commands = &project.config.build_commands;
    let keeps_dev = needs_dev(app, start) || migration_needs_dev(project, app)?;
    let values = context! {
        prune => (!keeps_dev).then_some(installation.prune),
        commands => commands::run_lines(commands, &format!("--mount=type=cache,{} ", installation.cache)),
        build => &build,
        // What an install script, a generator or a command leaves in the tree must be there for the build, and stay.
        build_in_place => !commands.is_empty()
            || build.is_some() && (generates || app.in_workspace() && installation.needs_sources),
        modules,
        workspace => app.in_workspace(),
        folder => (!app.folder.is_all()).then(|| app.folder.to_string()),
        port => app_port.get(),
        command => serde_json::json!(start.command(&app.package)).to_string(),
        ..installation.values()
    };
    let from = if app.folder.is_all() { "" } else { ", from the root of its workspace" };
    Ok(Recipe {
        framework,
        reason: format!("{evidence}; {}{from}", installation.reason),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("node".to_owned()),
        scope: Scope {
            context: app.base.clone(),
            parts: parts.iter().rev().map(|part| app.base.join(&part.folder)).collect(),
        },
        own: None,
    })
}

/// Whether what brings the database up to date is only there if development dependencies stay in the image.
fn migration_needs_dev(project: Project<'_>, app: &App) -> Result<bool, DetectError> {
    // Whoever says what migrates knows what it needs, and of a workspace nothing is found.
    if project.config.migrate.is_some() || app.in_workspace() {
        return Ok(false);
    }
    let here = Beneath::new(project.checkout, project.root);
    let (database, _) = database::find(&[here], project.config)?;
    let tool = migration::of_node(project.files, &app.package)?;
    Ok(database.database.is_some() && tool.is_some_and(|tool| tool.keeps_dev(&app.package)))
}

fn node_modules() -> RelativePath {
    "node_modules".parse().expect("a plain name is a path")
}

/// What builds the app, after the packages that it depends on; `None` where nothing has to be built.
fn build_command(base: &dyn Files, app: &App, parts: &[Part<'_>]) -> Result<Option<String>, DetectError> {
    let built: Vec<&Part<'_>> = parts.iter().filter(|part| part.package.script("build").is_some()).collect();
    if built.is_empty() {
        return Ok(None);
    }
    // Turborepo knows of further steps, such as code that is generated first.
    if app.in_workspace() && app.base_package().has_tool("turbo") && base.has("", "turbo.json")? {
        return Ok(Some(format!("TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter=./{}", app.folder)));
    }
    // npm runs the scripts of any package manager's project, and finds programs in the folders above as well.
    let commands = built.iter().map(|part| match part.folder.is_all() {
        true => "npm run build".to_owned(),
        false => format!("(cd {} && npm run build)", part.folder),
    });
    Ok(Some(commands.collect::<Vec<_>>().join(" && ")))
}

/// Whether what starts the app is, or needs, a tool among the development dependencies: `tsx src/server.ts`.
fn needs_dev(app: &App, start: &Start) -> bool {
    let packages = [&app.package, app.base_package()];
    match start {
        Start::File(_) => false,
        Start::TypeScript(_) => packages.iter().any(|package| package.has_dev("tsx")),
        Start::Script(name) => {
            let words = app.package.words_run_by(name);
            let is_dev = |word: &String| packages.iter().any(|package| package.has_dev_program(word));
            words.iter().any(is_dev)
        }
    }
}

/// The parts of `package.json` that matter here.
#[derive(Debug, Clone)]
pub(super) struct Package(Value);

/// Programs whose package has another name.
const PROGRAMS: [(&str, &str); 6] = [
    ("tsc", "typescript"),
    ("nest", "@nestjs/cli"),
    ("babel-node", "@babel/node"),
    ("dotenv", "dotenv-cli"),
    ("swc", "@swc/cli"),
    ("dotenvx", "@dotenvx/dotenvx"),
];

impl Package {
    /// Reads it; `None` where there is none.
    pub(super) fn read(files: &dyn Files) -> Result<Option<Self>, DetectError> {
        Self::read_in(files, &RelativePath::default())
    }

    /// Reads that of a folder.
    pub(super) fn read_in(files: &dyn Files, folder: &RelativePath) -> Result<Option<Self>, DetectError> {
        let path = manifest(folder);
        let Some(text) = files.read(&path)? else { return Ok(None) };
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        let bad =
            |error: serde_json::Error| DetectError::BadManifest { path, line: error.line(), column: error.column() };
        serde_json::from_str(text).map(|value| Some(Self(value))).map_err(bad)
    }

    /// The packages that it depends on at run time.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.0["dependencies"].as_object().into_iter().flat_map(|all| all.keys()).map(String::as_str)
    }

    /// The patterns of the folders with the packages of its workspace; none where it has none.
    ///
    /// Source: <https://docs.npmjs.com/cli/v11/configuring-npm/package-json#workspaces>; Yarn 1 also has an object with `packages`.
    pub(super) fn workspaces(&self) -> Vec<String> {
        let workspaces = &self.0["workspaces"];
        let list = workspaces.as_array().or_else(|| workspaces["packages"].as_array());
        list.into_iter().flatten().filter_map(|pattern| pattern.as_str().map(str::to_owned)).collect()
    }

    /// The name by which other packages depend on it.
    pub(super) fn name(&self) -> Option<&str> {
        self.0["name"].as_str()
    }

    /// Whether it names this package among what it needs, to be built or to run.
    pub(super) fn needs(&self, package: &str) -> bool {
        let sections = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
        sections.into_iter().any(|section| self.0[section].get(package).is_some())
    }

    /// Whether it names this package as a tool or a dependency.
    pub(super) fn has_tool(&self, package: &str) -> bool {
        self.depends_on(package) || self.has_dev(package)
    }

    fn has_dev(&self, package: &str) -> bool {
        self.0["devDependencies"].get(package).is_some()
    }

    /// Whether a word of a command line is a program or a module of a development dependency: `tsx`, `ts-node/register`.
    fn has_dev_program(&self, word: &str) -> bool {
        let mut parts = word.split('/');
        let first = parts.next().unwrap_or_default();
        let scoped = parts.next().filter(|_| first.starts_with('@')).map(|name| format!("{first}/{name}"));
        let named = PROGRAMS.iter().find(|(program, _)| *program == word).map(|(_, package)| *package);
        [Some(first), scoped.as_deref(), named].into_iter().flatten().any(|package| self.has_dev(package))
    }

    /// The words of a script, of the one that runs before it, and of those that these run by name.
    fn words_run_by(&self, script: &str) -> Vec<String> {
        let mut names = vec![format!("pre{script}"), script.to_owned()];
        let mut words: Vec<String> = Vec::new();
        let mut at = 0;
        while at < names.len() {
            let text = self.script(&names[at]).unwrap_or_default();
            let more =
                text.split(|c: char| c.is_whitespace() || "=;&|()'\"".contains(c)).filter(|word| !word.is_empty());
            let more: Vec<String> = more.map(str::to_owned).collect();
            // A word that is a script's name is taken for one: at worst, too much stays installed.
            for word in more.iter().filter(|word| self.script(word).is_some()) {
                if !names.contains(word) {
                    names.extend([format!("pre{word}"), word.clone()]);
                }
            }
            words.extend(more);
            at += 1;
        }
        words
    }

    /// Whether it brings programs, which an install links to where the file is there.
    pub(super) fn has_programs(&self) -> bool {
        self.0.get("bin").is_some()
    }

    /// Whether it is a dependency at run time.
    pub(super) fn depends_on(&self, package: &str) -> bool {
        self.0["dependencies"].get(package).is_some()
    }

    /// Whether it is a dependency at run time or in development.
    pub(super) fn has(&self, package: &str) -> bool {
        self.depends_on(package) || self.0["devDependencies"].get(package).is_some()
    }

    /// A script's command line.
    pub(super) fn script(&self, name: &str) -> Option<&str> {
        self.0["scripts"].get(name)?.as_str().filter(|script| !script.trim().is_empty())
    }

    /// The file that it calls its `main`, if that is a path within the tree.
    pub(super) fn main(&self) -> Option<RelativePath> {
        self.0["main"].as_str()?.trim_start_matches("./").parse().ok()
    }

    /// Version of the package manager that the `packageManager` field pins, where it pins this one.
    ///
    /// Source: <https://nodejs.org/api/packages.html#packagemanager>
    pub(super) fn pinned(&self, manager: &str) -> Option<&str> {
        let version = self.0["packageManager"].as_str()?.strip_prefix(manager)?.strip_prefix('@')?;
        let version = version.split('+').next()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        (version.starts_with(|c: char| c.is_ascii_digit()) && version.bytes().all(plain)).then_some(version)
    }

    /// Why an install may need more of the tree than the manifests: scripts of the project's own that run with it.
    pub(super) fn install_needs_sources(&self) -> bool {
        // Git hooks are what `prepare` most often installs; husky leaves a tree without `.git` alone.
        let of_hooks = |script: &&str| script.starts_with("husky");
        let scripts = ["preinstall", "install", "postinstall", "prepare"];
        scripts.iter().filter_map(|name| self.script(name)).any(|script| !of_hooks(&script))
    }

    /// Whether building writes code into `node_modules` that the app runs.
    fn generates_dependencies(&self) -> bool {
        self.depends_on("@prisma/client")
    }
}

/// Where the `package.json` of a folder is.
pub(super) fn manifest(folder: &RelativePath) -> String {
    let name: RelativePath = "package.json".parse().expect("a plain name is a path");
    folder.join(&name).to_string()
}
