//! NestJS: `@nestjs/core` among the dependencies.
//!
//! Built by the `build` script and run as `start:prod` says. `app_entrypoint` names another built file (`dist/apps/api/main`).

use super::node::{Package, Start};
use super::{DetectError, Framework, Project, Recipe, node};

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(package) = Package::read(project.files)?.filter(|package| package.depends_on("@nestjs/core")) else {
        return Ok(None);
    };
    if package.script("build").is_none() {
        return Err(DetectError::NoBuildScript);
    }
    let start = match (&project.config.app_entrypoint, package.script("start:prod")) {
        (Some(entry), _) => Start::File(entry.to_string()),
        (None, Some(_)) => Start::Script("start:prod"),
        (None, None) => Start::File("dist/main.js".to_owned()),
    };
    let evidence = "`package.json` depends on `@nestjs/core`";
    node::recipe(project, &package, Framework::NestJs, evidence, &start).map(Some)
}
