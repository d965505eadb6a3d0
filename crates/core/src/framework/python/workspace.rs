//! Workspaces of uv: projects that are installed by one lock file, which lies at their root.

use toml::Table;

use crate::repo_config::RelativePath;

use super::super::{Beneath, DetectError, Files, Project, neighbours, toml_file};
use super::manifest::Manifest;
use super::requirement::normal;

/// The workspace that a project belongs to.
pub(super) struct Workspace {
    /// Its root, in the checkout.
    pub(super) base: RelativePath,
    /// The project's folder, from there.
    pub(super) folder: RelativePath,
    /// The root's `pyproject.toml`, which may say for all where dependencies come from.
    pub(super) manifest: Table,
    /// The root's `uv.lock`.
    pub(super) lock: Option<String>,
    members: Vec<String>,
}

impl Workspace {
    /// The nearest above the application's folder that has it among its members.
    pub(super) fn above(project: Project<'_>) -> Result<Option<Self>, DetectError> {
        for (base, folder) in project.root.parents() {
            let files = Beneath::new(project.checkout, &base);
            let Some(manifest) = toml_file::read(&files, "pyproject.toml")? else { continue };
            let patterns = toml_file::texts(&manifest, "tool.uv.workspace.members");
            let excluded = toml_file::texts(&manifest, "tool.uv.workspace.exclude");
            let members = neighbours::members(&files, patterns, excluded)?;
            if members.iter().any(|member| member == folder.as_str()) {
                let lock = files.read("uv.lock")?;
                return Ok(Some(Self { base, folder, manifest, lock, members }));
            }
        }
        Ok(None)
    }

    /// The folders of the members that a manifest names, in the checkout: what the app is made of beside its own.
    pub(super) fn neighbours(
        &self,
        checkout: &dyn Files,
        manifest: &Manifest,
    ) -> Result<Vec<RelativePath>, DetectError> {
        let files = Beneath::new(checkout, &self.base);
        let mut found = Vec::new();
        for member in &self.members {
            let Some(project) = toml_file::read(&files, &format!("{member}/pyproject.toml"))? else { continue };
            let name = toml_file::at(&project, "project.name").and_then(toml::Value::as_str).map(normal);
            if name.is_some_and(|name| manifest.names(&name)) {
                found.extend(member.parse().ok().map(|member| self.base.join(&member)));
            }
        }
        Ok(found)
    }
}
