//! What every Node project has: a `package.json`, a package manager that its lock file tells, and one Dockerfile for all.

use std::collections::BTreeSet;

use minijinja::context;

use crate::base_images::BaseImage;
use crate::repo_config::{ContainerPort, RelativePath};

use super::migration::NodeTool;
use super::node_install::Installation;
pub(super) use super::node_package::Package;
use super::node_running::Running;
use super::node_version::OtherNode;
use super::node_workspace::{App, Part};
use super::{
    Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, database, migration, node_prisma,
    node_version, render,
};

const TEMPLATE: &str = include_str!("../../../../templates/node.Dockerfile");
/// Where the generators and the examples of most libraries let an app listen when `PORT` says nothing.
const PORT: ContainerPort = ContainerPort::new(3000).unwrap();
/// What AdonisJS wants to be told, and a preview can tell.
const ADONIS: &str = " HOST=0.0.0.0 LOG_LEVEL=info";

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
        // Which npm runs before and after it.
        let others = ["pre", "post"].iter().any(|when| package.script(&format!("{when}{name}")).is_some());
        if words.len() > 1 && words[0] == "node" && words.iter().all(plain) && !others {
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
    let other_node = node_version::find(&[&Beneath::new(project.checkout, &app.at), &base, project.checkout], app);
    let members = app.members().iter().map(|member| &member.package);
    let wants_git = members.chain([&app.package, app.base_package()]).any(Package::wants_git);
    let images = &project.rules.base_images;
    let values = context! {
        image => match &other_node {
            Some(OtherNode { major, .. }) => images.named(&format!("node:{major}-bookworm-slim")),
            None => images.get(BaseImage::Node),
        },
        system => node_prisma::is_used(app, &parts).then_some(node_prisma::SYSTEM),
        git => wants_git,
        workspace => app.in_workspace(),
        folder => (!app.folder.is_all()).then(|| app.folder.to_string()),
        settings => if app.package.depends_on("@adonisjs/core") { ADONIS } else { "" },
        port => app_port.get(),
        command => serde_json::json!(start.command(&app.package)).to_string(),
        ..stages(project, app, start, &installation, &parts)?
    };
    let from = if app.folder.is_all() { "" } else { ", from the root of its workspace" };
    let node =
        other_node.map(|OtherNode { major, asked_by }| format!("; Node.js {major}, since `{asked_by}` asks for it"));
    Ok(Recipe {
        framework,
        reason: format!("{evidence}; {}{from}{}", installation.reason, node.unwrap_or_default()),
        dockerfile: render(TEMPLATE, images, values),
        app_port,
        user: Some("node".to_owned()),
        scope: Scope {
            context: app.base.clone(),
            parts: parts.iter().rev().map(|part| app.base.join(&part.folder)).collect(),
        },
        migration: None,
        own: None,
    })
}

/// What is installed, what the stages of the build do, and what is left for the image.
fn stages(
    project: Project<'_>,
    app: &App,
    start: &Start,
    installation: &Installation,
    parts: &[Part<'_>],
) -> Result<minijinja::Value, DetectError> {
    let base = Beneath::new(project.checkout, &app.base);
    let commands = &project.config.build_commands;
    let build = build_command(&base, app, parts)?;
    let generate = node_prisma::generate(&base, app, parts, commands)?;
    let migrates = migration_tool(project, app)?;
    let running = Running::of(project.config, app, start, migrates.as_ref());
    let keeps_dev = running.needs_dev(app) || migrates.is_some_and(|tool| tool.keeps_dev(&app.package));
    let manager_runs = running.needs_manager(installation);
    let generates = parts.iter().any(|part| part.package.generates_dependencies());
    let generates_alone = generates && parts.iter().any(|part| part.package.generates_prisma());
    let modules = std::iter::once(RelativePath::default()).chain(parts.iter().map(|part| part.folder.clone()));
    let modules: BTreeSet<String> = modules.map(|folder| folder.join(&node_modules()).to_string()).collect();
    Ok(context! {
        prune => installation.prune.filter(|_| !keeps_dev),
        commands => commands::run_lines(commands, &format!("--mount=type=cache,{} ", installation.cache)),
        build => &build,
        // What an install script, a generator or a command leaves in the tree must be there for the build, and stay; so must what Yarn
        // keeps of its installation, without which it runs no script.
        build_in_place => !commands.is_empty()
            || !generate.is_empty()
            || generates_alone
            || manager_runs && installation.keeps_state
            || build.is_some() && (generates || app.in_workspace() && installation.needs_sources),
        generate,
        manager_runs,
        run_env => manager_runs && installation.keeps_state,
        modules,
        ..installation.values()
    })
}

/// What brings the database up to date, where a tool does that was found by its migrations.
fn migration_tool(project: Project<'_>, app: &App) -> Result<Option<NodeTool>, DetectError> {
    // Whoever says what migrates is read elsewhere, and of a workspace nothing is found.
    if project.config.migrate.is_some() || app.in_workspace() {
        return Ok(None);
    }
    let here = Beneath::new(project.checkout, project.root);
    let (database, _) = database::find(&[here], project.config)?;
    let tool = migration::of_node(project.files, &app.package)?;
    Ok(tool.filter(|_| database.database.is_some()))
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
