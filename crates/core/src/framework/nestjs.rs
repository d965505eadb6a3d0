//! NestJS: `@nestjs/core` among the dependencies.
//!
//! Built by the `build` script and run as `start:prod` says. `app_entrypoint` names another built file (`dist/apps/api/main`).

use super::node::Start;
use super::node_workspace::App;
use super::{DetectError, Framework, Project, Recipe, node};

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(app) = App::find(project)?.filter(|app| app.package.depends_on("@nestjs/core")) else {
        return Ok(None);
    };
    if app.package.script("build").is_none() {
        let by_nx = app.package.has_tool("nx") || app.base_package().has_tool("nx");
        return Err(DetectError::NoBuildScript { by_nx });
    }
    let start = match (&project.config.app_entrypoint, app.package.script("start:prod")) {
        (Some(entry), _) => Start::File(entry.to_string()),
        (None, Some(_)) => Start::Script("start:prod"),
        (None, None) => Start::File("dist/main.js".to_owned()),
    };
    let evidence = format!("`{}` depends on `@nestjs/core`", app.manifest());
    node::recipe(project, &app, Framework::NestJs, &evidence, &start).map(Some)
}
