//! NestJS: `@nestjs/core` among the dependencies.
//!
//! Built by the `build` script and run as `start:prod` says, without npm in between where that is a plain `node …`: one process
//! less, and signals reach the app. `app_entrypoint` names another built file (`dist/apps/api/main`).

use minijinja::context;

use crate::repo_config::ContainerPort;

use super::node::{Installation, Package};
use super::{DetectError, Framework, Project, Recipe, render};

const TEMPLATE: &str = include_str!("../../../../templates/nestjs.Dockerfile");
/// Where `nest new` lets an app listen when `PORT` says nothing.
const PORT: ContainerPort = ContainerPort::new(3000).unwrap();

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(package) = Package::read(project.files)?.filter(|package| package.depends_on("@nestjs/core")) else {
        return Ok(None);
    };
    if package.script("build").is_none() {
        return Err(DetectError::NoBuildScript);
    }
    let installation = Installation::find(project.files, &package)?;
    let app_port = project.config.app_port.unwrap_or(PORT);
    let command = match &project.config.app_entrypoint {
        Some(entry) => vec!["node".to_owned(), entry.to_string()],
        None => start_command(package.script("start:prod")),
    };
    let values = context! {
        tool => installation.tool,
        env => installation.env.join(" "),
        cache => installation.cache,
        install => installation.install,
        prune => installation.prune,
        manifests => installation.manifests.iter().map(|(from, to)| format!("{from} {to}")).collect::<Vec<_>>(),
        generates_dependencies => package.generates_dependencies(),
        port => app_port.get(),
        command => serde_json::json!(command).to_string(),
    };
    Ok(Some(Recipe {
        framework: Framework::NestJs,
        reason: format!("`package.json` depends on `@nestjs/core`; {}", installation.reason),
        dockerfile: render(TEMPLATE, &project.rules.base_images, values),
        app_port,
        user: Some("node".to_owned()),
    }))
}

/// What `start:prod` runs, split into words where no shell is needed for it, else the script itself.
fn start_command(script: Option<&str>) -> Vec<String> {
    let Some(script) = script else { return vec!["node".to_owned(), "dist/main.js".to_owned()] };
    let words: Vec<String> = script.split_whitespace().map(str::to_owned).collect();
    let plain = |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/=:@".contains(&b));
    if words.len() > 1 && words[0] == "node" && words.iter().all(plain) {
        words
    } else {
        ["npm", "run", "start:prod"].map(str::to_owned).to_vec()
    }
}
