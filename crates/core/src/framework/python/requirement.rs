//! What a Python project says that it needs: one requirement, and the files of pip that list them.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>,
//! <https://pip.pypa.io/en/stable/reference/requirements-file-format/>

use std::collections::BTreeSet;

use toml::Value;

use crate::repo_config::RelativePath;

use super::super::neighbours::leads_out;
use super::super::{DetectError, Files};

/// Files of pip that include each other; more of them is a mistake or a trick.
const MOST_FILES: usize = 20;

/// A version's first two numbers.
pub(super) type Version = (u64, u64);

/// One distribution that is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Requirement {
    /// As package indexes compare names; empty where nobody says it.
    pub(super) name: String,
    /// Its optional parts.
    pub(super) extras: Vec<String>,
    /// The newest release line that is allowed, where there is a limit.
    pub(super) newest: Option<Version>,
    /// Whether it is in the repository itself.
    pub(super) in_tree: bool,
    /// Whether that is beyond the project's own folder.
    pub(super) outside: bool,
    /// Whether it is fetched by git.
    pub(super) by_git: bool,
    /// Whether it only says which version, where something else needs it: a line of a constraints file.
    pub(super) limit_alone: bool,
}

impl Requirement {
    /// `fastapi[standard]>=0.115; python_version > "3.9"`, `x @ git+https://…`, a path or an address.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.split(" #").next().unwrap_or_default();
        let text = text.split(" --").next().unwrap_or_default().trim();
        let by_git = text.contains("git+");
        let in_tree = text.contains("file:") || text.starts_with(['.', '/']);
        if in_tree || text.split(['@', ' ', ';', '[']).next().is_some_and(|start| start.contains(':')) {
            let name = text.split_once("#egg=").map(|(_, name)| normal(name)).unwrap_or_default();
            let path = text.rsplit_once("file:").map_or(text, |(_, path)| path.trim_start_matches("//"));
            let outside = in_tree && leads_out("", path);
            return Self { name, in_tree, outside, by_git, ..Self::default() };
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let (name, rest) = text.split_at(text.find(|c| !plain(c)).unwrap_or(text.len()));
        let (extras, rest) = match rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((extras, rest)) => (extras.split(',').map(normal).collect(), rest),
            None => (Vec::new(), rest),
        };
        let versions = rest.split(';').next().unwrap_or_default().trim().trim_matches(['(', ')']);
        Self { name: normal(name), extras, newest: newest(versions), by_git, ..Self::default() }
    }

    /// An entry of a table in Poetry's or Pipenv's manner: a version, or a table of more.
    pub(super) fn of_entry(name: &str, entry: &Value) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let versions = entry.as_str().or_else(|| text("version")).unwrap_or_default();
        let extras = entry.get("extras").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Self {
            name: normal(name),
            extras: extras.map(normal).collect(),
            newest: newest(versions),
            in_tree: text("path").is_some() || text("file").is_some(),
            outside: text("path").is_some_and(|path| leads_out("", path)),
            by_git: text("git").is_some(),
            limit_alone: false,
        }
    }
}

/// Source: <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub(super) fn normal(name: &str) -> String {
    let parts = name.trim().split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The newest release line that version specifiers allow: `==0.95.1`, `~=0.95`, `^0.95`, `<0.96`.
fn newest(specifiers: &str) -> Option<Version> {
    let limit = |specifier: &str| {
        let specifier = specifier.trim();
        let number = specifier.trim_start_matches(['=', '<', '>', '~', '!', '^', ' ']);
        let (major, minor) = version(number)?;
        match specifier[..specifier.len() - number.len()].trim() {
            // `~=2.0` allows 2.9, `~=2.0.0` doesn't.
            "~=" if number.split('.').count() == 2 => Some((major, u64::MAX)),
            "" | "==" | "===" | "~=" | "~" | "<=" => Some((major, minor)),
            "^" if major > 0 => Some((major, u64::MAX)),
            "^" => Some((major, minor)),
            "<" if minor > 0 => Some((major, minor - 1)),
            "<" => Some((major.checked_sub(1)?, u64::MAX)),
            _ => None,
        }
    };
    specifiers.split(',').filter_map(limit).min()
}

/// The first two numbers of a version; without a second, any. `None` for anything else, such as a star.
pub(super) fn version(text: &str) -> Option<Version> {
    let mut numbers = text.trim().trim_start_matches('=').split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor =
        numbers.next().map_or(Some(0), |minor| if minor == "*" { Some(u64::MAX) } else { minor.parse().ok() })?;
    Some((major, minor))
}

/// Files of pip, with what they require.
#[derive(Debug, Default)]
pub(super) struct RequirementFiles {
    pub(super) requirements: Vec<Requirement>,
    /// All of them, those that are included too.
    pub(super) paths: Vec<String>,
    /// Whether installing needs more of the tree than these files.
    pub(super) needs_sources: bool,
    /// Whether it needs something beyond the project's own folder.
    pub(super) reaches_out: bool,
}

impl RequirementFiles {
    /// Reads one, and those that it includes.
    pub(super) fn read(files: &dyn Files, start: &str) -> Result<Self, DetectError> {
        let mut all = Self::default();
        let mut waiting = vec![(start.to_owned(), false)];
        let mut seen = BTreeSet::new();
        while let Some((path, limits)) = waiting.pop() {
            if seen.len() == MOST_FILES || !seen.insert(path.clone()) {
                continue;
            }
            let Some(text) = files.read(&path)? else { continue };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for line in logical_lines(text.trim_start_matches('\u{FEFF}')) {
                let Some((file, of_limits)) = all.take(&line, limits) else { continue };
                match beside(folder, file) {
                    Some(file) => waiting.push((file, limits || of_limits)),
                    // Somewhere that only a whole tree has.
                    None => {
                        all.needs_sources = true;
                        all.reaches_out |= leads_out(folder, file);
                    }
                }
            }
            all.paths.push(path);
        }
        Ok(all)
    }

    /// Takes a line up, perhaps one of a file of limits; gives the file that it includes, and whether that is one of limits.
    fn take<'a>(&mut self, line: &'a str, limits: bool) -> Option<(&'a str, bool)> {
        let value = |names: &[&str]| {
            let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
            Some(rest.trim_start_matches(['=', ' ', '\t']).trim())
        };
        if let Some(file) = value(&["--requirement", "-r"]) {
            return Some((file, false));
        }
        if let Some(file) = value(&["--constraint", "-c"]) {
            return Some((file, true));
        }
        if value(&["--find-links", "-f"]).is_some_and(|place| !place.contains("://")) {
            self.needs_sources = true;
        }
        let requirement = match value(&["--editable", "-e"]) {
            Some(editable) => Requirement::parse(editable),
            None if line.starts_with('-') => return None,
            None => Requirement::parse(line),
        };
        self.needs_sources |= requirement.in_tree;
        self.requirements.push(Requirement { limit_alone: limits, ..requirement });
        None
    }
}

/// A path relative to a file's folder, as far as it stays within the tree.
fn beside(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let path: RelativePath = parts.join("/").parse().ok()?;
    Some(path.to_string())
}

/// Lines without comments and empty ones; one that ends with a backslash goes on.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let line = line.trim();
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        open.push_str(line);
        if !goes_on {
            lines.push(std::mem::take(&mut open));
        }
    }
    lines.push(open);
    lines.retain(|line| !line.is_empty() && !line.starts_with('#'));
    lines
}
