//! Laravel: `laravel/framework` among the requirements of `composer.json`.
//!
//! php-fpm behind nginx in one container. Assets are built by Vite where `package.json` has a `build` script for it.

use minijinja::context;
use serde_json::Value;

use crate::base_images::BaseImage;
use crate::repo_config::{ContainerPort, RelativePath};

use super::node::Package;
use super::node_install::Installation;
use super::php::{self, Php};
use super::{DetectError, Framework, Project, Recipe, Scope, commands, render};

const TEMPLATE: &str = include_str!("../../../../templates/laravel.Dockerfile");
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let Some(text) = project.files.read("composer.json")? else { return Ok(None) };
    let manifest: Value = serde_json::from_str(text.trim_start_matches('\u{FEFF}')).map_err(|error| {
        let path = project.root.join(&composer_json()).to_string();
        DetectError::BadManifest { path, line: error.line(), column: error.column() }
    })?;
    if manifest["require"].get("laravel/framework").is_none() {
        return Ok(None);
    }
    let locked = project.files.has("", "composer.lock")?;
    let package = Package::read(project.files)?.filter(|package| {
        package.script("build").is_some() && (package.has_tool("vite") || package.has_tool("laravel-vite-plugin"))
    });
    let assets = package.map(|package| Installation::find(project.files, &package, &[])).transpose()?;
    let php = Php::of(project.files, &manifest)?;
    let images = &project.rules.base_images;
    let app_port = project.config.app_port.unwrap_or(PORT);
    let values = context! {
        php => match php.minor {
            php::USUAL => images.get(BaseImage::Php),
            minor => images.named(&format!("php:8.{minor}-fpm-bookworm")),
        },
        opcache => php.builds_opcache(),
        mongodb => php.mongodb,
        composer => images.get(BaseImage::Composer),
        // Packages in folders of the tree, and patches, have to be there before anything is installed.
        sources_first => manifest.get("repositories").is_some() || manifest["extra"].get("patches").is_some(),
        manifests => if locked { "composer.json composer.lock" } else { "composer.json" },
        redis => manifest["require"].get("ext-redis").is_some(),
        assets => assets.as_ref().map(Installation::values),
        commands => commands::run_lines(&project.config.build_commands, ""),
        port => app_port.get(),
    };
    let lock = if locked { "" } else { ", without `composer.lock`, so versions may change between builds" };
    let vite = if assets.is_some() { "; assets by Vite" } else { "" };
    Ok(Some(Recipe {
        framework: Framework::Laravel,
        reason: format!("`composer.json` requires `laravel/framework`{lock}{vite}{}", php.reason),
        dockerfile: render(TEMPLATE, images, values),
        app_port,
        user: Some("www-data".to_owned()),
        scope: Scope::of(project),
        migration: None,
        own: None,
    }))
}

fn composer_json() -> RelativePath {
    "composer.json".parse().expect("a plain name is a path")
}
