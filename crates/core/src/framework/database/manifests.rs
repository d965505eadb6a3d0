//! What the manifests at the root of a checkout depend on, by name.
//!
//! Each is read as far as names go, line by line and without its own parser where it has none here: what is not understood is no
//! evidence, and no reason to fail.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::backing::Backing;

use super::super::files::Beneath;
use super::super::node::Package;
use super::super::{DetectError, Files, python};

/// A file that names dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manifest {
    PackageJson,
    PrismaSchema,
    GoMod,
    CargoToml,
    Requirements,
    PyProject,
    Pipfile,
    ComposerJson,
    EnvExample,
    Gemfile,
    PomXml,
    Gradle,
    GradleKts,
    /// What other modules require that `go.mod` requires.
    GoIndirect,
}

impl Manifest {
    pub(super) const ALL: [Self; 14] = [
        Self::PackageJson,
        Self::PrismaSchema,
        Self::GoMod,
        Self::CargoToml,
        Self::Requirements,
        Self::PyProject,
        Self::Pipfile,
        Self::ComposerJson,
        Self::EnvExample,
        Self::Gemfile,
        Self::PomXml,
        Self::Gradle,
        Self::GradleKts,
        Self::GoIndirect,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::PackageJson => "package.json",
            // Where Prisma keeps its schema unless told otherwise.
            Self::PrismaSchema => "prisma/schema.prisma",
            Self::GoMod | Self::GoIndirect => "go.mod",
            Self::CargoToml => "Cargo.toml",
            Self::Requirements => "requirements.txt",
            Self::PyProject => "pyproject.toml",
            Self::Pipfile => "Pipfile",
            Self::ComposerJson => "composer.json",
            Self::EnvExample => ".env.example",
            Self::Gemfile => "Gemfile",
            Self::PomXml => "pom.xml",
            Self::Gradle => "build.gradle",
            Self::GradleKts => "build.gradle.kts",
        }
    }

    /// Why this dependency counts.
    pub(super) fn reason(self, driver: &str, backing: Backing) -> String {
        let path = self.path();
        match self {
            Self::PrismaSchema => format!("`{path}` has a {backing} datasource"),
            Self::EnvExample => format!("`{path}` says `{driver}`"),
            Self::GoMod | Self::GoIndirect | Self::ComposerJson => format!("`{path}` requires `{driver}`"),
            // One of several files, which include each other.
            Self::Requirements => format!("pip's requirements name `{driver}`"),
            _ => format!("`{path}` depends on `{driver}`"),
        }
    }

    fn names(self, text: &str) -> Vec<String> {
        match self {
            // They are read by those who build with them.
            Self::PackageJson | Self::Requirements => Vec::new(),
            Self::PrismaSchema => prisma_provider(text).into_iter().collect(),
            Self::GoMod => text.lines().filter(|line| !is_indirect(line)).filter_map(go_module).collect(),
            Self::GoIndirect => text.lines().filter(|line| is_indirect(line)).filter_map(go_module).collect(),
            Self::CargoToml => crates(text),
            Self::PyProject => python_project(text),
            Self::Pipfile => python_table(text, "packages"),
            Self::ComposerJson => composer_packages(text),
            Self::EnvExample => text.lines().map(|line| line.trim().replace(['"', '\''], "")).collect(),
            Self::Gemfile => text.lines().filter_map(gem).collect(),
            Self::PomXml => maven_artifacts(text),
            Self::Gradle | Self::GradleKts => text.lines().flat_map(gradle_artifacts).collect(),
        }
    }
}

/// What a checkout's manifests name.
pub(super) struct Dependencies(BTreeSet<(Manifest, String)>);

impl Dependencies {
    pub(super) fn has(&self, manifest: Manifest, name: &str) -> bool {
        self.0.contains(&(manifest, name.to_owned()))
    }

    /// Whether any of Python's manifests names a package.
    pub(super) fn has_python(&self, package: &str) -> bool {
        [Manifest::Requirements, Manifest::PyProject, Manifest::Pipfile].iter().any(|of| self.has(*of, package))
    }
}

/// Reads all of them in all of these folders.
pub(super) fn read(parts: &[Beneath<'_>]) -> Result<Dependencies, DetectError> {
    let mut all = Dependencies(BTreeSet::new());
    for part in parts {
        all.0.append(&mut read_in(part)?.0);
    }
    Ok(all)
}

fn read_in(files: &dyn Files) -> Result<Dependencies, DetectError> {
    let mut found = Dependencies(BTreeSet::new());
    if let Some(package) = Package::read(files)? {
        found.0.extend(package.dependencies().map(|name| (Manifest::PackageJson, name.to_owned())));
    }
    let of_pip = python::required_by_pip(files)?;
    found.0.extend(of_pip.into_iter().map(|name| (Manifest::Requirements, name)));
    for manifest in Manifest::ALL {
        let counts = match manifest {
            Manifest::PackageJson | Manifest::Requirements => false,
            Manifest::PrismaSchema => found.has(Manifest::PackageJson, "@prisma/client"),
            Manifest::EnvExample => found.has(Manifest::ComposerJson, "laravel/framework"),
            _ => true,
        };
        if counts && let Some(text) = files.read(manifest.path())? {
            found.0.extend(manifest.names(&text).into_iter().map(|name| (manifest, name)));
        }
    }
    Ok(found)
}

// ------------------------------------------------------------------------------------------------------------ Node.js, Go

/// The `provider` of a Prisma schema's `datasource` block (a `generator` block has one too).
fn prisma_provider(schema: &str) -> Option<String> {
    let source = schema.lines().map(str::trim).skip_while(|line| !line.starts_with("datasource ")).skip(1);
    let mut settings = source.take_while(|line| !line.starts_with('}')).filter_map(|line| line.split_once('='));
    let (_, value) = settings.find(|(name, _)| name.trim() == "provider")?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// Whether a line of `go.mod` says that the app itself doesn't use the module.
fn is_indirect(line: &str) -> bool {
    line.contains("// indirect")
}

/// The module that a line of `go.mod` requires, without its major version.
fn go_module(line: &str) -> Option<String> {
    let path = line.split_whitespace().find(|word| *word != "require")?;
    let (module, major) = path.rsplit_once('/').unwrap_or((path, ""));
    let is_major = major.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Some(if is_major { module } else { path }.to_owned())
}

// ------------------------------------------------------------------------------------------------------- Rust and Python

/// A `key = value` of a TOML file, with the table that it stands in.
struct TomlEntry<'a> {
    table: &'a str,
    key: &'a str,
    value: String,
}

/// The entries of a TOML file. A value that goes on over lines is one as long as its brackets are open.
fn toml_entries(text: &str) -> Vec<TomlEntry<'_>> {
    let mut entries: Vec<TomlEntry<'_>> = Vec::new();
    let (mut table, mut open) = ("", 0);
    for line in text.lines() {
        let line = without_comment(line).trim();
        let depth = depth(line);
        if open > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value.push_str(line);
            }
            open += depth;
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.trim_matches(['[', ']', ' ']);
        } else if let Some((key, value)) = line.split_once('=') {
            entries.push(TomlEntry { table, key: key.trim().trim_matches('"'), value: value.trim().to_owned() });
            open = depth;
        }
    }
    entries
}

fn without_comment(line: &str) -> &str {
    let mut quoted = None;
    let is_comment = |(_, c): &(usize, char)| {
        match (quoted, *c) {
            (None, '#') => return true,
            (None, '"' | '\'') => quoted = Some(*c),
            (Some(quote), c) if quote == c => quoted = None,
            _ => {}
        }
        false
    };
    line.char_indices().find(is_comment).map_or(line, |(at, _)| &line[..at])
}

/// How many brackets a line leaves open, those in texts aside.
fn depth(line: &str) -> i64 {
    let outside = line.split(['"', '\'']).step_by(2);
    let count =
        |text: &str| text.chars().map(|c| i64::from("[{".contains(c)) - i64::from("]}".contains(c))).sum::<i64>();
    outside.map(count).sum()
}

/// The texts in quotes of a value.
fn texts(value: &str) -> impl Iterator<Item = &str> {
    value.split(['"', '\'']).skip(1).step_by(2)
}

/// The texts of the list that a setting within a value has: of `{ version = "1", features = ["a"] }` those of `features`.
fn texts_of<'a>(value: &'a str, setting: &str) -> impl Iterator<Item = &'a str> {
    let list = value.split_once(setting).and_then(|(_, rest)| rest.trim_start().strip_prefix('='));
    texts(list.and_then(|rest| rest.split(']').next()).unwrap_or_default())
}

/// The crates that a `Cargo.toml` depends on, each also with each of its features, `sqlx/postgres`.
fn crates(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for TomlEntry { table, key, value } in toml_entries(text) {
        let (parent, last) = table.rsplit_once('.').unwrap_or(("", table));
        let is_list = |name: &str| name == "dependencies";
        let (name, features): (&str, Vec<&str>) = if is_list(last) {
            let name = key.split('.').next().unwrap_or(key);
            (name, texts_of(&value, "features").collect())
        } else if is_list(parent.rsplit('.').next().unwrap_or_default()) {
            (last, if key == "features" { texts(&value).collect() } else { Vec::new() })
        } else {
            continue;
        };
        names.extend(features.iter().map(|feature| format!("{name}/{feature}")));
        names.push(name.to_owned());
    }
    names
}

/// The name of a Python requirement, and the name with each of its extras: `celery[redis]`.
fn requirement(text: &str) -> Vec<String> {
    let text = text.split('#').next().unwrap_or_default().trim();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(text.len());
    let name = python_name(&text[..end]);
    if name.is_empty() || text.starts_with('-') {
        return Vec::new();
    }
    let extras = text[end..].trim_start().strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or_default();
    let with_extra = extras.split(',').map(str::trim).filter(|extra| !extra.is_empty());
    with_extra.map(|extra| format!("{name}[{extra}]")).chain([name.clone()]).collect()
}

/// As packages are compared: in small letters, with `-` for each sign.
fn python_name(text: &str) -> String {
    text.to_ascii_lowercase().replace(['_', '.'], "-")
}

fn python_project(text: &str) -> Vec<String> {
    let entries = toml_entries(text);
    let listed = entries.iter().filter(|entry| entry.table == "project" && entry.key == "dependencies");
    let listed = listed.flat_map(|entry| texts(&entry.value)).flat_map(requirement);
    listed.chain(python_table(text, "tool.poetry.dependencies")).collect()
}

/// The packages that are keys of a table, each also with its extras.
fn python_table(text: &str, table: &str) -> Vec<String> {
    let entries = toml_entries(text).into_iter().filter(|entry| entry.table == table);
    entries
        .flat_map(|entry| {
            let name = python_name(entry.key);
            let extras: Vec<String> =
                texts_of(&entry.value, "extras").map(|extra| format!("{name}[{extra}]")).collect();
            extras.into_iter().chain([name])
        })
        .collect()
}

// --------------------------------------------------------------------------------------------------- PHP, Ruby and Java

fn composer_packages(text: &str) -> Vec<String> {
    let Ok(manifest) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    manifest["require"].as_object().map(|required| required.keys().cloned().collect()).unwrap_or_default()
}

/// The gem that a line of a `Gemfile` names.
fn gem(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("gem")?.trim_start_matches([' ', '(']);
    let quote = rest.chars().next().filter(|c| "\"'".contains(*c))?;
    rest[1..].split(quote).next().map(str::to_owned)
}

/// The artifacts that a `pom.xml` depends on outside of its tests, as `group:artifact`.
fn maven_artifacts(text: &str) -> Vec<String> {
    let told = text.split("<!--").enumerate();
    let told: String =
        told.map(|(n, part)| if n == 0 { part } else { part.split_once("-->").map_or("", |(_, rest)| rest) }).collect();
    let blocks = told.split("<dependency>").skip(1).filter_map(|rest| rest.split("</dependency>").next());
    let value = |block: &str, tag: &str| {
        let rest = block.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split('<').next()?.trim().to_owned())
    };
    let artifact = |block: &str| {
        let in_use = value(block, "scope").as_deref() != Some("test");
        in_use.then_some(format!("{}:{}", value(block, "groupId")?, value(block, "artifactId")?))
    };
    blocks.filter_map(artifact).collect()
}

/// The artifacts that a line of a Gradle build names outside of its tests, without their versions.
fn gradle_artifacts(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with("//") || line.starts_with("test") {
        return Vec::new();
    }
    let artifact = |text: &str| {
        let mut parts = text.split(':');
        Some(format!("{}:{}", parts.next()?, parts.next()?))
    };
    texts(line).filter_map(artifact).collect()
}
