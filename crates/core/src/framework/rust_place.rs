//! Where a Rust package is built: alone, with the workspace above it that it belongs to, or with packages that it takes from folders beside it.

use toml::{Table, Value};

use crate::repo_config::RelativePath;

use super::neighbours::leads_out;
use super::{Beneath, DetectError, Project, toml_file};

/// Where the application's package lies.
pub(super) struct Place {
    /// The folder that the build sees.
    pub(super) context: RelativePath,
    /// The folder with the lock file, in the checkout: the workspace's, else the package's own.
    pub(super) home: RelativePath,
    /// The package's folder, from there.
    pub(super) folder: RelativePath,
    /// The `Cargo.toml` of a workspace above.
    pub(super) workspace: Option<Table>,
}

impl Place {
    /// The place of the package whose `Cargo.toml` this is.
    pub(super) fn of(project: Project<'_>, manifest: &Table) -> Result<Self, DetectError> {
        let (home, folder, workspace) = match above(project, manifest)? {
            Some((home, folder, workspace)) => (home, folder, Some(workspace)),
            None => (project.root.clone(), RelativePath::default(), None),
        };
        // What it takes from further away has to be seen too.
        let reaches_out = from_folders(manifest).iter().any(|path| leads_out(folder.as_str(), path))
            || workspace.iter().flat_map(from_folders).any(|path| leads_out("", path));
        let context = if reaches_out { RelativePath::default() } else { home.clone() };
        Ok(Self { context, home, folder, workspace })
    }

    /// Whether a package in this folder, from the lock file's, is the application's.
    pub(super) fn is(&self, folder: &str) -> bool {
        folder == if self.folder.is_all() { "" } else { self.folder.as_str() }
    }
}

/// The workspace that a package belongs to: the nearest above, as Cargo has it, unless that excludes it.
///
/// Source: <https://doc.rust-lang.org/cargo/reference/workspaces.html#the-workspace-section>
fn above(project: Project<'_>, manifest: &Table) -> Result<Option<(RelativePath, RelativePath, Table)>, DetectError> {
    if manifest.contains_key("workspace") {
        return Ok(None);
    }
    for (home, folder) in project.root.parents() {
        let files = Beneath::new(project.checkout, &home);
        let found = toml_file::read(&files, "Cargo.toml")?.filter(|manifest| manifest.contains_key("workspace"));
        let Some(workspace) = found else { continue };
        let excluded = toml_file::texts(&workspace, "workspace.exclude")
            .filter_map(|path| path.trim_end_matches('/').parse::<RelativePath>().ok())
            .any(|path| folder.within(&path).is_some());
        return Ok((!excluded).then_some((home, folder, workspace)));
    }
    Ok(None)
}

/// The folders from which a manifest takes packages, as it writes them: for any target, and for tests, since Cargo reads all of them.
fn from_folders(manifest: &Table) -> Vec<&str> {
    fn collect<'a>(table: &'a Table, in_list: bool, found: &mut Vec<&'a str>) {
        for (key, value) in table {
            let Some(value) = value.as_table() else { continue };
            if in_list {
                found.extend(value.get("path").and_then(Value::as_str));
            }
            // `patch` holds a list for each registry.
            let lists = key.ends_with("dependencies") || !in_list && is_registry(key);
            collect(value, lists, found);
        }
    }
    fn is_registry(key: &str) -> bool {
        key == "crates-io" || key.contains("://")
    }
    let mut found = Vec::new();
    collect(manifest, false, &mut found);
    found
}
