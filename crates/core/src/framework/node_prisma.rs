//! Prisma: a client that is generated from a schema, and engines that want OpenSSL.
//!
//! Up to release 6 the client generates itself when it is installed, if it finds the schema by then; from 7 on only `prisma generate`
//! does. So it is run before the build, where the project's own scripts don't run it anyway.
//!
//! Source: <https://www.prisma.io/docs/orm/prisma-client/setup-and-configuration/generating-prisma-client>,
//! <https://www.prisma.io/docs/orm/prisma-schema/overview/location>

use std::collections::BTreeSet;

use crate::repo_config::{EnvName, RelativePath, ShellLine};

use super::node_package::Package;
use super::node_workspace::{App, Part};
use super::{Beneath, DetectError, Files};

/// Debian's packages that the engines want, of which a slim image has none.
pub(super) const SYSTEM: &str = "openssl ca-certificates";

/// What the file with Prisma's settings is called, before its ending.
const CONFIG: &str = "prisma.config.";
/// What variables hold that the settings insist on and that generating doesn't use.
const NOWHERE: &str = "postgresql://of-the-build";

/// Whether the app runs Prisma's engines.
pub(super) fn is_used(app: &App, parts: &[Part<'_>]) -> bool {
    let packages = parts.iter().map(|part| part.package).chain([app.base_package()]);
    packages.into_iter().any(|package| package.has("prisma") || package.has("@prisma/client"))
}

/// The commands that generate the clients of an app's parts.
pub(super) fn generate(
    base: &dyn Files,
    app: &App,
    parts: &[Part<'_>],
    commands: &[ShellLine],
) -> Result<Vec<String>, DetectError> {
    let root = app.base_package();
    if root.generates_prisma() || commands.iter().any(|command| command.as_str().contains("prisma generate")) {
        return Ok(Vec::new());
    }
    let mut folders = BTreeSet::new();
    let all = parts.iter().map(|part| (part.folder.clone(), part.package));
    let mut lines = Vec::new();
    for (folder, package) in all.chain([(RelativePath::default(), root)]) {
        let has_program = package.has("prisma") || root.has("prisma");
        if !has_program || package.generates_prisma() || !folders.insert(folder.clone()) {
            continue;
        }
        let files = Beneath::new(base, &folder);
        if !has_schema(&files, package)? {
            continue;
        }
        // Without npm's looking for another one where it isn't installed.
        let line = format!("{}npx --no prisma generate", variables(&files)?);
        lines.push(if folder.is_all() { line } else { format!("cd {folder} && {line}") });
    }
    Ok(lines)
}

fn has_schema(files: &dyn Files, package: &Package) -> Result<bool, DetectError> {
    let known = |name: &String| name == "schema.prisma" || name.starts_with(CONFIG);
    let in_folder = |name: &String| name.ends_with(".prisma") || name == "schema";
    Ok(package.prisma_schema().is_some() || files.list("")?.iter().any(known) || inside(files).iter().any(in_folder))
}

/// The names of the files with Prisma's settings, and their texts.
fn configs(files: &dyn Files) -> Result<Vec<(String, String)>, DetectError> {
    let names = files.list("")?.into_iter().filter(|name| name.starts_with(CONFIG));
    // A link says nothing here, and is a fault only where it has to be followed.
    Ok(names.map(|name| (name.clone(), files.read(&name).ok().flatten().unwrap_or_default())).collect())
}

/// What is in the folder that Prisma looks into; a link in its place is passed over.
fn inside(files: &dyn Files) -> Vec<String> {
    files.list("prisma").unwrap_or_default()
}

/// The variables without which the settings can't be read, each as `NAME=value `.
fn variables(files: &dyn Files) -> Result<String, DetectError> {
    let mut names = BTreeSet::new();
    for (_, text) in configs(files)? {
        // `env("NAME")`, `env<Variables>('NAME')`
        let called = text.split("env").skip(1).filter_map(|rest| {
            let rest = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(rest, |(_, rest)| rest);
            let quoted = rest.strip_prefix('(')?.trim_start().strip_prefix(['"', '\''])?;
            quoted.split(['"', '\'']).next()
        });
        names.extend(called.filter(|name| name.parse::<EnvName>().is_ok()).map(str::to_owned));
    }
    Ok(names.iter().map(|name| format!("{name}={NOWHERE} ")).collect())
}

/// What `prisma generate` reads, as copies (from, to); `None` where that can't be told.
pub(super) fn copies(files: &dyn Files, package: &Package) -> Result<Option<Vec<(String, String)>>, DetectError> {
    let configs = configs(files)?;
    let elsewhere = |text: &str| {
        let imports = |line: &str| line.starts_with("import") && (line.contains("\".") || line.contains("'."));
        let named = ["prisma/", "\"prisma\"", "'prisma'"].iter().any(|folder| text.contains(folder));
        text.lines().any(imports) || text.contains("schema") && !named
    };
    let told = package.prisma_schema().is_none_or(|path| path.as_str().starts_with("prisma/"));
    let inside = inside(files);
    if !told || configs.iter().any(|(_, text)| elsewhere(text)) {
        return Ok(None);
    }
    let path = |name: &String| name.parse::<RelativePath>().ok().map(|name| format!("prisma/{name}"));
    let mut schemas: Vec<String> = inside.iter().filter(|name| name.ends_with(".prisma")).filter_map(path).collect();
    schemas.sort();
    let folders = ["schema", "models"].into_iter().filter(|folder| inside.iter().any(|name| name == folder));
    let mut copies: Vec<(String, String)> = Vec::new();
    if !configs.is_empty() {
        copies.push((configs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "), "./".to_owned()));
    }
    let settings = copies.len();
    if !schemas.is_empty() {
        copies.push((schemas.join(" "), "./prisma/".to_owned()));
    }
    copies.extend(folders.map(|folder| (format!("prisma/{folder}"), format!("./prisma/{folder}"))));
    Ok((copies.len() > settings).then_some(copies))
}
