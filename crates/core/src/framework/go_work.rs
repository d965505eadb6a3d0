//! Which Go module an app is, and what lies around it: a workspace (`go.work`), or modules that it replaces by folders.

use crate::repo_config::RelativePath;

use super::{Beneath, DetectError, Files, Project};

/// A module in the tree.
pub(super) struct Module {
    /// The folder that its build sees: its own, or one above in which other modules lie too.
    pub(super) base: RelativePath,
    /// Its folder, from there.
    pub(super) folder: RelativePath,
    /// Its `go.mod`.
    pub(super) go_mod: String,
    /// Whether a `go.work` at `base` holds it.
    pub(super) in_workspace: bool,
}

impl Module {
    /// Its folder in the checkout.
    pub(super) fn at(&self) -> RelativePath {
        self.base.join(&self.folder)
    }
}

/// The modules that the app may be, the likeliest first; none without `go.mod` and `go.work`.
pub(super) fn modules(project: Project<'_>) -> Result<Vec<Module>, DetectError> {
    let root = project.root;
    let mut modules = Vec::new();
    if let Some(go_mod) = project.files.read("go.mod")? {
        modules.push(placed(project, go_mod)?);
    }
    for folder in uses(project.files)?.unwrap_or_default() {
        let files = Beneath::new(project.files, &folder);
        if let Some(go_mod) = files.read("go.mod")?.filter(|_| !folder.is_all()) {
            modules.push(Module { base: root.clone(), folder, go_mod, in_workspace: true });
        }
    }
    Ok(modules)
}

/// The module at `root`, with what it needs from above.
fn placed(project: Project<'_>, go_mod: String) -> Result<Module, DetectError> {
    let root = project.root;
    let here = (root.clone(), RelativePath::default());
    for (base, folder) in std::iter::once(here.clone()).chain(root.parents()) {
        let members = uses(&Beneath::new(project.checkout, &base))?;
        if members.is_some_and(|members| members.contains(&folder)) {
            return Ok(Module { base, folder, go_mod, in_workspace: true });
        }
    }
    let (base, folder) = if replaced(&go_mod).any(|target| target.starts_with("../")) {
        (RelativePath::default(), root.clone())
    } else {
        here
    };
    Ok(Module { base, folder, go_mod, in_workspace: false })
}

/// The folders that `go.work` uses; `None` without one.
///
/// Source: <https://go.dev/ref/mod#workspaces>
fn uses(files: &dyn Files) -> Result<Option<Vec<RelativePath>>, DetectError> {
    let Some(text) = files.read("go.work")? else { return Ok(None) };
    let mut inside = false;
    let mut folders = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split("//").next().unwrap_or_default().split_whitespace().collect();
        let folder = match words.as_slice() {
            ["use", "("] | ["use("] => {
                inside = true;
                continue;
            }
            [")"] => {
                inside = false;
                continue;
            }
            ["use", folder] => folder,
            [folder] if inside => folder,
            _ => continue,
        };
        // A path that leads out of the tree names nothing that could be built here.
        folders.extend(folder.trim_matches('"').parse());
    }
    Ok(Some(folders))
}

/// The folders by which `go.mod` replaces modules.
pub(super) fn replaced(go_mod: &str) -> impl Iterator<Item = &str> {
    let targets = go_mod.lines().filter_map(|line| Some(line.split_once("=>")?.1.trim()));
    targets.filter(|target| target.starts_with("./") || target.starts_with("../"))
}
