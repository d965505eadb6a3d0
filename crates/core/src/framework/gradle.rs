//! Gradle projects: which modules there are, and which of them becomes a program by Spring Boot's plugin.
//!
//! A build script is a program, and is only looked at: for the plugin's own name, or the one that the version catalog gives it.

use toml::Value;

use crate::repo_config::RelativePath;

use super::{Beneath, DetectError, Files, Project, toml_file};

const SCRIPTS: [&str; 2] = ["build.gradle.kts", "build.gradle"];
const SETTINGS: [&str; 2] = ["settings.gradle.kts", "settings.gradle"];
const PLUGIN: &str = "org.springframework.boot";
/// No build has more modules; a hostile one may have.
const MOST_MODULES: usize = 200;

/// A project with Spring Boot's plugin.
pub(super) struct Found {
    /// The folder that is built, with the wrapper.
    pub(super) base: RelativePath,
    /// The program's folder, from there.
    pub(super) module: RelativePath,
    /// The name of its script.
    pub(super) script: &'static str,
    /// Its script, and behind it that of the build's root, which may say what all modules share.
    pub(super) texts: Vec<String>,
    /// The modules that it is built with, itself first, in the checkout.
    pub(super) parts: Vec<RelativePath>,
}

/// A build script of one folder.
struct Script {
    name: &'static str,
    text: String,
}

impl Script {
    fn read(files: &dyn Files) -> Result<Option<Self>, DetectError> {
        for name in SCRIPTS {
            if let Some(text) = files.read(name)? {
                return Ok(Some(Self { name, text }));
            }
        }
        Ok(None)
    }

    /// Whether it makes a program by the plugin, which the catalog may call by one of these names; `apply false` only says its version.
    fn applies(&self, aliases: &[String]) -> bool {
        let quoted = |line: &str| ['"', '\''].iter().any(|quote| line.contains(&format!("{PLUGIN}{quote}")));
        let alias =
            |line: &str| aliases.iter().any(|alias| line.split("libs.plugins.").skip(1).any(|rest| names(rest, alias)));
        let lines = self.text.lines().map(|line| line.split("//").next().unwrap_or_default());
        lines
            .filter(|line| !line.contains("apply false") && !line.contains("apply(false)"))
            .any(|line| quoted(line) || alias(line))
    }

    /// Whether it is built with the module in this folder.
    fn needs(&self, module: &RelativePath) -> bool {
        let path = format!(":{}", module.as_str().replace('/', ":"));
        ['"', '\''].iter().any(|quote| self.text.contains(&format!("{quote}{path}{quote}")))
    }
}

/// Whether a text begins with this name of the catalog, and not with a longer one.
fn names(text: &str, alias: &str) -> bool {
    let rest = text.strip_prefix(alias);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_'))
}

/// The names by which the version catalog has the plugin, as scripts write them.
///
/// Source: <https://docs.gradle.org/current/userguide/version_catalogs.html>
fn aliases(files: &dyn Files) -> Result<Vec<String>, DetectError> {
    let catalog = toml_file::read(files, "gradle/libs.versions.toml")?.unwrap_or_default();
    let is_ours = |plugin: &Value| {
        let id = plugin.get("id").and_then(Value::as_str).or_else(|| plugin.as_str()?.split(':').next());
        id == Some(PLUGIN)
    };
    let plugins = toml_file::table_at(&catalog, "plugins").into_iter().flatten();
    Ok(plugins.filter(|(_, plugin)| is_ours(plugin)).map(|(name, _)| name.replace(['-', '_'], ".")).collect())
}

/// The folders of a build's modules; none without settings.
///
/// Source: <https://docs.gradle.org/current/userguide/multi_project_builds.html>
fn modules(files: &dyn Files) -> Result<Vec<RelativePath>, DetectError> {
    let mut found = Vec::new();
    for name in SETTINGS {
        let text = files.read(name)?.unwrap_or_default();
        let mut open = false;
        for line in text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
            let begins = line.strip_prefix("include").is_some_and(|rest| rest.starts_with([' ', '(', '"', '\'']));
            if !open && !begins {
                continue;
            }
            let paths = line.split(['"', '\'']).skip(1).step_by(2);
            found.extend(paths.filter_map(|path| path.trim_start_matches(':').replace(':', "/").parse().ok()));
            // A list goes on over lines.
            open = line.ends_with([',', '(']);
        }
    }
    found.truncate(MOST_MODULES);
    Ok(found)
}

/// The program that the application's folder is, or holds.
pub(super) fn find(project: Project<'_>) -> Result<Option<Found>, DetectError> {
    for (base, module) in project.root.parents() {
        if modules(&Beneath::new(project.checkout, &base))?.contains(&module) {
            return found(project, base, module);
        }
    }
    let root = project.root.clone();
    let files = Beneath::new(project.checkout, &root);
    let (aliases, modules) = (aliases(&files)?, modules(&files)?);
    let applied = Script::read(&files)?.is_some_and(|script| script.applies(&aliases));
    let mut programs = Vec::new();
    for module in &modules {
        let files = Beneath::new(&files, module);
        if Script::read(&files)?.is_some_and(|script| script.applies(&aliases)) {
            programs.push(module.clone());
        }
    }
    // What the root applies for its modules makes a program of those that are started.
    let shares = applied && !modules.is_empty() && !files.has("", "src")?;
    if programs.is_empty() && shares {
        for module in &modules {
            if is_started(&Beneath::new(&files, module))? {
                programs.push(module.clone());
            }
        }
    }
    match programs.len() {
        _ if applied && !shares => found(project, root, RelativePath::default()),
        0 if applied => found(project, root, RelativePath::default()),
        0 => Ok(None),
        1 => found(project, root, programs.remove(0)),
        _ => Err(DetectError::SeveralServers(programs.iter().map(|module| root.join(module).to_string()).collect())),
    }
}

/// Whether a module has the settings of an app.
fn is_started(files: &dyn Files) -> Result<bool, DetectError> {
    Ok(files.list("src/main/resources")?.iter().any(|name| name.starts_with("application.")))
}

fn found(project: Project<'_>, base: RelativePath, module: RelativePath) -> Result<Option<Found>, DetectError> {
    let files = Beneath::new(project.checkout, &base);
    let Some(script) = Script::read(&Beneath::new(&files, &module))? else { return Ok(None) };
    let root = if module.is_all() { None } else { Script::read(&files)? };
    let aliases = aliases(&files)?;
    if !script.applies(&aliases) && !root.as_ref().is_some_and(|root| root.applies(&aliases)) {
        return Ok(None);
    }
    if !files.has("", "gradlew")? {
        let path = base.join(&module).join(&script.name.parse().expect("a plain name is a path"));
        return Err(DetectError::NoGradleWrapper(path.to_string()));
    }
    let others = modules(&files)?;
    let mut parts = vec![base.join(&module)];
    parts.extend(others.iter().filter(|other| script.needs(other)).map(|other| base.join(other)));
    let name = script.name;
    let texts = [Some(script.text), root.map(|root| root.text)].into_iter().flatten().collect();
    Ok(Some(Found { base, module, script: name, texts, parts }))
}
