//! Any server on Node.js: Express, Fastify, Hono, Koa, or none of them.
//!
//! Recognised by what starts it: a `start:prod` or `start` script, the `main` of `package.json`, or a file of a usual name. A
//! `build` script is run where there is one. A `package.json` with none of these may be there for tools alone.

use crate::repo_config::RelativePath;

use super::node::{self, Package, Start};
use super::node_workspace::App;
use super::{Beneath, DetectError, Files, Framework, Project, Recipe};

/// Libraries that are named in the reason: they say more than a script's name.
const LIBRARIES: [&str; 14] = [
    "express",
    "fastify",
    "hono",
    "koa",
    "@hapi/hapi",
    "restify",
    "@feathersjs/express",
    "@feathersjs/koa",
    "@adonisjs/core",
    "@apollo/server",
    "graphql-yoga",
    "polka",
    "h3",
    "socket.io",
];
/// Files that start a server by convention.
const ENTRIES: [&str; 8] = [
    "server.js",
    "app.js",
    "index.js",
    "src/server.js",
    "src/app.js",
    "src/index.js",
    "src/main.js",
    "server/index.js",
];
/// The same in TypeScript, for `tsx`.
const TYPESCRIPT_ENTRIES: [&str; 8] = [
    "src/server.ts",
    "src/app.ts",
    "src/index.ts",
    "src/main.ts",
    "server.ts",
    "app.ts",
    "index.ts",
    "server/index.ts",
];
/// Scripts that start an app, the likelier meant for production first.
const SCRIPTS: [&str; 2] = ["start:prod", "start"];
/// Programs that run a server's code; a front end's `start` script has others, of its build tool.
const RUNTIMES: [&str; 7] = ["node", "tsx", "ts-node", "nest", "nodemon", "pm2-runtime", "bun"];

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(app) = App::find(project)? else { return Ok(None) };
    let library = library(&app.package);
    let Some((start, shown_by)) = start(project, &app)? else {
        return match library {
            Some(library) if app.package.script("dev").is_some() => {
                Err(DetectError::NoStart { manifest: app.manifest(), library })
            }
            _ => Ok(None),
        };
    };
    if let Start::Script(name) = start
        && app.package.script(name).is_some_and(|script| script.split_whitespace().any(|word| word == "bun"))
    {
        return Err(DetectError::NeedsBun("the script that starts the app runs Bun"));
    }
    let library = library.map(|library| format!(" and depends on `{library}`")).unwrap_or_default();
    let evidence = format!("`{}` is there{library}, and {shown_by} starts it", app.manifest());
    node::recipe(project, &app, Framework::Node, &evidence, &start).map(Some)
}

fn library(package: &Package) -> Option<&'static str> {
    LIBRARIES.into_iter().find(|library| package.depends_on(library))
}

/// What starts it, and what shows that.
fn start(project: Project<'_>, app: &App) -> Result<Option<(Start, String)>, DetectError> {
    let (files, package) = (&Beneath::new(project.checkout, &app.at), &app.package);
    if let Some(entry) = &project.config.app_entrypoint {
        return Ok(Some((Start::File(entry.to_string()), "`app_entrypoint`".to_owned())));
    }
    if let Some(script) = SCRIPTS.into_iter().find(|script| package.script(script).is_some()) {
        return Ok(Some(match built_by_adonis(files, package, script)? {
            Some(file) => (Start::File(file), format!("its `{script}` script, in what is built,")),
            None => (Start::Script(script), format!("its `{script}` script")),
        }));
    }
    let built = package.script("build").is_some();
    if let Some(main) = package.main()
        && (built || exists(files, main.as_str())?)
    {
        return Ok(Some((Start::File(main.to_string()), format!("its `main`, `{main}`,"))));
    }
    for entry in ENTRIES {
        if exists(files, entry)? {
            return Ok(Some((Start::File(entry.to_owned()), format!("`{entry}`"))));
        }
    }
    if package.has_tool("tsx") {
        for entry in TYPESCRIPT_ENTRIES {
            if exists(files, entry)? {
                return Ok(Some((Start::TypeScript(entry), format!("`{entry}`, by `tsx`,"))));
            }
        }
    }
    Ok(None)
}

/// The file that a script of AdonisJS starts: it is meant for the folder that its build makes.
///
/// Source: <https://docs.adonisjs.com/guides/getting-started/deployment>
fn built_by_adonis(files: &dyn Files, package: &Package, script: &str) -> Result<Option<String>, DetectError> {
    if !package.depends_on("@adonisjs/core") || package.script("build").is_none() {
        return Ok(None);
    }
    let words: Vec<&str> = package.script(script).unwrap_or_default().split_whitespace().collect();
    let ["node", file] = words[..] else { return Ok(None) };
    let Ok(file) = file.trim_start_matches("./").parse::<RelativePath>() else { return Ok(None) };
    Ok((!file.as_str().starts_with("build/") && !exists(files, file.as_str())?).then(|| format!("build/{file}")))
}

/// Whether a package of a workspace is a server, rather than a library, a front end, or tools.
pub(super) fn is_server(files: &dyn Files, package: &Package) -> Result<bool, DetectError> {
    if package.runs_by(&RUNTIMES) {
        return Ok(true);
    }
    if library(package).is_none() && !package.depends_on("@nestjs/core") {
        return Ok(false);
    }
    if SCRIPTS.iter().any(|script| package.script(script).is_some()) {
        return Ok(true);
    }
    for entry in ENTRIES.iter().filter(|entry| !entry.contains("index")) {
        if exists(files, entry)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a folder holds such a package.
pub(super) fn is_there(files: &dyn Files) -> Result<bool, DetectError> {
    Package::read(files)?.map_or(Ok(false), |package| is_server(files, &package))
}

impl Package {
    /// Whether the package at the root of a workspace is the app: it starts itself, or is a server by its own dependencies.
    pub(super) fn is_server_itself(&self) -> bool {
        let starts = SCRIPTS.iter().any(|script| self.script(script).is_some());
        let first =
            |script: &&str| self.script(script).is_some_and(|text| text.split_whitespace().next() == Some("node"));
        SCRIPTS.iter().any(first) || starts && (library(self).is_some() || self.depends_on("@nestjs/core"))
    }

    /// Whether a script that starts it names one of these programs.
    fn runs_by(&self, programs: &[&str]) -> bool {
        let scripts = SCRIPTS.iter().filter_map(|script| self.script(script));
        scripts.flat_map(str::split_whitespace).any(|word| programs.contains(&word))
    }
}

fn exists(files: &dyn Files, path: &str) -> Result<bool, DetectError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    Ok(files.has(folder, name)?)
}
