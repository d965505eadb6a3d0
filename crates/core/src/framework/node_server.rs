//! Any server on Node.js: Express, Fastify, Hono, Koa, or none of them.
//!
//! Recognised by what starts it: a `start:prod` or `start` script, the `main` of `package.json`, or a file of a usual name. A
//! `build` script is run where there is one. A `package.json` with none of these may be there for tools alone.

use super::node::{Package, Start};
use super::{DetectError, Files, Framework, Project, Recipe, node};

/// Libraries that are named in the reason: they say more than a script's name.
const LIBRARIES: [&str; 6] = ["express", "fastify", "hono", "koa", "@hapi/hapi", "restify"];
/// Files that start a server by convention.
const ENTRIES: [&str; 6] = ["server.js", "app.js", "index.js", "src/server.js", "src/app.js", "src/index.js"];

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(package) = Package::read(project.files)? else { return Ok(None) };
    let Some((start, shown_by)) = start(project, &package)? else { return Ok(None) };
    let library = LIBRARIES.into_iter().find(|library| package.depends_on(library));
    let library = library.map(|library| format!(" and depends on `{library}`")).unwrap_or_default();
    let evidence = format!("`package.json` is there{library}, and {shown_by} starts it");
    node::recipe(project, &package, Framework::Node, &evidence, &start).map(Some)
}

/// What starts it, and what shows that.
fn start(project: Project<'_>, package: &Package) -> Result<Option<(Start, String)>, DetectError> {
    if let Some(entry) = &project.config.app_entrypoint {
        return Ok(Some((Start::File(entry.to_string()), "`app_entrypoint`".to_owned())));
    }
    if let Some(script) = ["start:prod", "start"].into_iter().find(|script| package.script(script).is_some()) {
        return Ok(Some((Start::Script(script), format!("its `{script}` script"))));
    }
    let built = package.script("build").is_some();
    if let Some(main) = package.main()
        && (built || exists(project.files, main.as_str())?)
    {
        return Ok(Some((Start::File(main.to_string()), format!("its `main`, `{main}`,"))));
    }
    for entry in ENTRIES {
        if exists(project.files, entry)? {
            return Ok(Some((Start::File(entry.to_owned()), format!("`{entry}`"))));
        }
    }
    Ok(None)
}

fn exists(files: &dyn Files, path: &str) -> Result<bool, DetectError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    Ok(files.has(folder, name)?)
}
