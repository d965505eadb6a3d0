//! Workspaces of npm, pnpm and Yarn: packages that are installed together, from the lock file at their root.
//!
//! The app is the package at `root`, else the only server of the workspace. What it is built of goes beyond its folder: the
//! packages that it depends on, the manifests of all, the lock file. So the build sees the whole workspace.

use std::collections::{BTreeMap, BTreeSet};

use crate::repo_config::RelativePath;
use crate::yaml::{self, Budget, Value};

use super::node_package::{Package, manifest};
use super::node_server::is_server;
use super::{Beneath, DetectError, Files, Framework, Project, Refusal};

/// Most folders that are looked into for packages. Patterns with `**` could lead anywhere.
const MOST_FOLDERS: usize = 2_000;
const BUDGET: Budget = Budget { nodes: 4_000, depth: 8, aliases: 20 };

/// A package of a workspace.
pub(super) struct Member {
    /// Its folder, from the workspace's root.
    pub(super) folder: RelativePath,
    pub(super) package: Package,
}

/// A package that an app is built of, itself among them.
pub(super) struct Part<'a> {
    /// Its folder, from where all is installed.
    pub(super) folder: RelativePath,
    pub(super) package: &'a Package,
}

struct Workspace {
    package: Package,
    members: Vec<Member>,
}

/// The package that is the application.
pub(super) struct App {
    pub(super) package: Package,
    /// Its folder in the checkout.
    pub(super) at: RelativePath,
    /// The folder from which it is installed: its own, or its workspace's root.
    pub(super) base: RelativePath,
    /// Its folder, from there.
    pub(super) folder: RelativePath,
    workspace: Option<Workspace>,
}

impl App {
    /// The app's package; `None` without a `package.json`.
    pub(super) fn find(project: Project<'_>) -> Result<Option<Self>, DetectError> {
        let Some(package) = Package::read_in(project.checkout, project.root)? else { return Ok(None) };
        let root = project.root.clone();
        if let Some(mut workspace) = Workspace::read(project.checkout, &root)? {
            let chosen = workspace.only_server(project)?;
            let member = chosen.map(|index| &mut workspace.members[index]);
            let (package, folder) = match member {
                Some(member) => (member.package.clone(), member.folder.clone()),
                None => (package, RelativePath::default()),
            };
            return Ok(Some(Self { package, at: root.join(&folder), base: root, folder, workspace: Some(workspace) }));
        }
        for (base, folder) in root.parents() {
            if let Some(workspace) = Workspace::read(project.checkout, &base)?
                && workspace.members.iter().any(|member| member.folder == folder)
            {
                return Ok(Some(Self { package, at: root.clone(), base, folder, workspace: Some(workspace) }));
            }
        }
        Ok(Some(Self { package, at: root.clone(), base: root, folder: RelativePath::default(), workspace: None }))
    }

    /// Whether other packages are installed with it.
    pub(super) fn in_workspace(&self) -> bool {
        self.workspace.is_some()
    }

    /// The packages that are installed with it, and perhaps itself.
    pub(super) fn members(&self) -> &[Member] {
        self.workspace.as_ref().map_or(&[], |workspace| &workspace.members)
    }

    /// What is said where it is installed from: which package manager, say.
    pub(super) fn base_package(&self) -> &Package {
        self.workspace.as_ref().map_or(&self.package, |workspace| &workspace.package)
    }

    /// Its `package.json`, for people.
    pub(super) fn manifest(&self) -> String {
        manifest(&self.at)
    }

    /// The packages of the workspace that it is built of, each after those that it depends on, and itself last.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let named = self.members().iter().filter_map(|member| Some((member.package.name()?, member)));
        let by_name: BTreeMap<&str, &Member> = named.collect();
        let mut parts = Vec::new();
        let mut seen = BTreeSet::from([self.folder.clone()]);
        collect(&self.package, &by_name, &mut seen, &mut parts);
        parts.push(Part { folder: self.folder.clone(), package: &self.package });
        parts
    }
}

/// What a package depends on, in the order of building. Packages that depend on each other are taken once.
fn collect<'a>(
    package: &Package,
    by_name: &BTreeMap<&'a str, &'a Member>,
    seen: &mut BTreeSet<RelativePath>,
    parts: &mut Vec<Part<'a>>,
) {
    for (_, member) in by_name.iter().filter(|(name, _)| package.needs(name)) {
        if seen.insert(member.folder.clone()) {
            collect(&member.package, by_name, seen, parts);
            parts.push(Part { folder: member.folder.clone(), package: &member.package });
        }
    }
}

impl Workspace {
    /// The workspace whose root a folder is, if it is one.
    fn read(files: &dyn Files, folder: &RelativePath) -> Result<Option<Self>, DetectError> {
        let Some(package) = Package::read_in(files, folder)? else { return Ok(None) };
        let files = Beneath::new(files, folder);
        let patterns = match pnpm_packages(&files)? {
            Some(patterns) => patterns,
            None => package.workspaces(),
        };
        if patterns.is_empty() {
            return Ok(None);
        }
        let mut members = Vec::new();
        for folder in matching(&files, &patterns) {
            match Package::read_in(&files, &folder) {
                Ok(Some(package)) => members.push(Member { folder, package }),
                // A link among the packages leads to one that is found anyway, or out of the workspace.
                Ok(None) => {}
                Err(DetectError::File(error)) if error.refusal == Refusal::Link => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Self { package, members }))
    }

    /// The member that is the app, by index; `None` where the package at the workspace's root is.
    fn only_server(&self, project: Project<'_>) -> Result<Option<usize>, DetectError> {
        let config = project.config;
        if config.app_entrypoint.is_some() || self.package.is_server_itself() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let wanted = config.framework != Some(Framework::NestJs) || member.package.depends_on("@nestjs/core");
            if wanted && is_server(&Beneath::new(project.files, &member.folder), &member.package)? {
                found.push(index);
            }
        }
        match found.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(*only)),
            several => {
                let folder = |index: &usize| project.root.join(&self.members[*index].folder).to_string();
                Err(DetectError::SeveralServers(several.iter().map(folder).collect()))
            }
        }
    }
}

/// The patterns of `pnpm-workspace.yaml`; `None` where there is no such file, or one with settings alone.
///
/// Source: <https://pnpm.io/pnpm-workspace_yaml>
fn pnpm_packages(files: &dyn Files) -> Result<Option<Vec<String>>, DetectError> {
    const PATH: &str = "pnpm-workspace.yaml";
    let Some(text) = files.read(PATH)? else { return Ok(None) };
    let document = yaml::parse(&text, BUDGET).map_err(|_| DetectError::BadWorkspace(PATH.to_owned()))?;
    let Value::Map(entries) = document.value else { return Ok(None) };
    let packages = entries.into_iter().find(|(key, _)| key.text == "packages").map(|(_, node)| node.value);
    let Some(Value::List(patterns)) = packages else { return Ok(None) };
    let text = |node: yaml::Node| match node.value {
        Value::Text(text) => Some(text),
        _ => None,
    };
    Ok(Some(patterns.into_iter().filter_map(text).collect()))
}

/// The folders that these patterns mean; a `!` in front takes away.
fn matching(files: &dyn Files, patterns: &[String]) -> Vec<RelativePath> {
    let mut walk = Walk { files, left: MOST_FOLDERS, found: BTreeSet::new() };
    for pattern in patterns.iter().filter(|pattern| !pattern.starts_with('!')) {
        walk.follow(&RelativePath::default(), &segments(pattern));
    }
    let taken_away = |folder: &RelativePath| {
        let path: Vec<&str> = folder.as_str().split('/').collect();
        patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(|not| matches(&segments(not), &path))
    };
    walk.found.into_iter().filter(|folder| !folder.is_all() && !taken_away(folder)).collect()
}

fn segments(pattern: &str) -> Vec<&str> {
    pattern.split('/').filter(|segment| !segment.is_empty() && *segment != ".").collect()
}

/// Whether a path fits a pattern.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            matches(rest, path) || path.split_first().is_some_and(|(_, path)| matches(pattern, path))
        }
        ([segment, rest @ ..], [name, path @ ..]) => fits(segment, name) && matches(rest, path),
        _ => false,
    }
}

/// Whether a name fits one part of a pattern, in which `*` stands for any text.
fn fits(segment: &str, name: &str) -> bool {
    let Some((before, after)) = segment.split_once('*') else { return segment == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))
}

/// A walk through the folders that patterns lead to.
struct Walk<'a> {
    files: &'a dyn Files,
    /// How many folders may still be listed.
    left: usize,
    found: BTreeSet<RelativePath>,
}

impl Walk<'_> {
    fn follow(&mut self, folder: &RelativePath, pattern: &[&str]) {
        match pattern {
            [] => {
                self.found.insert(folder.clone());
            }
            ["**", rest @ ..] => {
                self.follow(folder, rest);
                for below in self.below(folder) {
                    self.follow(&below, pattern);
                }
            }
            [segment, rest @ ..] if segment.contains('*') => {
                for below in self.below(folder) {
                    let name = below.as_str().rsplit('/').next().unwrap_or_default();
                    if fits(segment, name) {
                        self.follow(&below, rest);
                    }
                }
            }
            [segment, rest @ ..] => {
                if let Ok(name) = segment.parse() {
                    self.follow(&folder.join(&name), rest);
                }
            }
        }
    }

    fn below(&mut self, folder: &RelativePath) -> Vec<RelativePath> {
        let Some(left) = self.left.checked_sub(1) else { return Vec::new() };
        self.left = left;
        super::subfolders(self.files, folder)
    }
}
