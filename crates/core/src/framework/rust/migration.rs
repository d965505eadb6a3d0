//! What migrates the database of a Rust program that doesn't do so itself: the command line of sqlx or of Diesel, which is compiled for
//! the image, as that of the library that the program is built with.

use minijinja::{Value, context};

use crate::repo_config::{AppCommand, RelativePath};

use super::super::compiled_migration::{Migrates, Sql, is_numbered};
use super::super::migration::FoundMigration;
use super::super::{Beneath, DetectError, Files, Project, backing, limits, sources, toml_file};
use super::Package;

/// What a source says that has migrations in the program, or runs them.
const ITSELF: [&str; 4] = ["migrate!", "Migrator::new", "embed_migrations!", "run_pending_migrations"];

/// The program that the migrations are looked for of.
pub(super) struct App<'a> {
    /// The packages that it is made of.
    pub(super) packages: &'a [&'a Package],
    /// The folder with the lock file, which those lie in.
    pub(super) home: &'a RelativePath,
    /// Where its dependencies are named.
    pub(super) parts: &'a [RelativePath],
    pub(super) lock: Option<&'a str>,
}

/// A command line, which is called as the library is.
#[derive(Debug, Clone, Copy)]
enum Tool {
    Sqlx,
    Diesel,
}

/// A tool with what it carries out.
pub(super) struct CommandLine {
    tool: Tool,
    database: Sql,
    /// Which of its versions will do, as Cargo writes it. `None`: the newest.
    version: Option<String>,
    /// Where the migrations are, from where the program runs.
    folder: RelativePath,
}

/// Who carries out the migrations; `None`: there are none that a tool is known for, or `preview-config.yml` says what is run.
pub(super) fn find(project: Project<'_>, app: &App<'_>) -> Result<Option<Migrates<CommandLine>>, DetectError> {
    if project.config.migrate.is_some() {
        return Ok(None);
    }
    for tool in [Tool::Sqlx, Tool::Diesel] {
        if let Some(folder) = tool.folder(project, app)
            && let Some(database) = Sql::of(backing(project, app.parts)?.0.database)
        {
            let version = app.lock.and_then(|lock| release(lock, tool.name()));
            let by = CommandLine { tool, database, version, folder };
            return Ok(Migrates::who(carries_out(project, app), by));
        }
    }
    Ok(None)
}

/// Whether the program does it itself, if that can be known.
fn carries_out(project: Project<'_>, app: &App<'_>) -> Option<bool> {
    let folders: Vec<RelativePath> =
        app.packages.iter().filter_map(|package| Some(package.at(app.home).join(&"src".parse().ok()?))).collect();
    let says = |_: &RelativePath, text: &str| ITSELF.iter().any(|word| text.contains(word));
    sources::say(project.checkout, &folders, |name| name.ends_with(".rs"), says)
}

/// The release line of a locked package, as Cargo asks for it.
fn release(lock: &str, package: &str) -> Option<String> {
    let named = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|line| line.trim() != named).nth(1)?.strip_prefix("version = ")?;
    match limits::numbers(version.trim_matches('"'))?.as_slice() {
        [major, minor, ..] => Some(format!("~{major}.{minor}")),
        _ => None,
    }
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlx => "sqlx",
            Self::Diesel => "diesel",
        }
    }

    /// The package that has its command line.
    fn package(self) -> &'static str {
        match self {
            Self::Sqlx => "sqlx-cli",
            Self::Diesel => "diesel_cli",
        }
    }

    /// The folder with its migrations, from the app's: the program's working directory is that one. A package may have them too. A link,
    /// or what can't be read, is none.
    fn folder(self, project: Project<'_>, app: &App<'_>) -> Option<RelativePath> {
        let depends = |package: &&Package| package.dependencies.iter().any(|name| name == self.name());
        if !app.packages.iter().any(depends) {
            return None;
        }
        let of_packages = app.packages.iter().filter_map(|package| package.at(app.home).within(project.root));
        let mut places = std::iter::once(RelativePath::default()).chain(of_packages);
        places.find_map(|place| {
            let files = Beneath::new(project.files, &place);
            let folder = match self {
                Self::Sqlx => of_sqlx(&files),
                Self::Diesel => of_diesel(&files),
            };
            folder.map(|folder| place.join(&folder))
        })
    }
}

/// Source: <https://docs.rs/sqlx/latest/sqlx/macro.migrate.html>: each file is numbered, and sqlx refuses a folder with another.
fn of_sqlx(files: &dyn Files) -> Option<RelativePath> {
    let names = files.list("migrations").ok()?;
    let mut scripts = names.iter().filter(|name| name.ends_with(".sql") && name.contains('_')).peekable();
    let there = scripts.peek().is_some() && scripts.all(|name| is_numbered(name));
    "migrations".parse().ok().filter(|_| there)
}

/// Source: <https://diesel.rs/guides/configuring-diesel-cli>
fn of_diesel(files: &dyn Files) -> Option<RelativePath> {
    let config = toml_file::read(files, "diesel.toml").ok()?.unwrap_or_default();
    let named = toml_file::at(&config, "migrations_directory.dir").and_then(|dir| dir.as_str()?.parse().ok());
    // One that was set up elsewhere names the folder by its place there.
    let folder: RelativePath = named.or_else(|| "migrations".parse().ok())?;
    let beneath = Beneath::new(files, &folder);
    let names = beneath.list("").ok()?;
    let mut dated = names.iter().filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    let there = dated.any(|name| beneath.has(name, "up.sql").unwrap_or_default());
    there.then_some(folder)
}

impl CommandLine {
    /// What the Dockerfile's template is told of it.
    pub(super) fn values(&self) -> Value {
        // sqlx brings its own TLS, without which it logs in to no MySQL.
        let tls = if matches!(self.tool, Tool::Sqlx) { "rustls," } else { "" };
        context! {
            program => self.tool.name(),
            package => self.tool.package(),
            version => &self.version,
            features => format!("{tls}{}", self.database.as_str()),
        }
    }

    /// The crate by which it loads a library of the system, if it does.
    pub(super) fn links(&self) -> Option<&'static str> {
        match (self.tool, self.database) {
            (Tool::Sqlx, _) => None,
            (Tool::Diesel, Sql::Postgres) => Some("pq-sys"),
            (Tool::Diesel, Sql::Mysql) => Some("mysqlclient-sys"),
        }
    }

    /// What is run. Both find the database by `DATABASE_URL`.
    pub(super) fn found(&self) -> FoundMigration {
        let folder = self.folder.as_str();
        let words = match self.tool {
            Tool::Sqlx => vec!["sqlx", "migrate", "run", "--source", folder],
            // Its own configuration would have it write a source, which the app may not.
            Tool::Diesel => {
                vec!["diesel", "migration", "run", "--config-file", "/dev/null", "--migration-dir", folder]
            }
        };
        let (name, package) = (self.tool.name(), self.tool.package());
        let reason = format!(
            "the migrations of `{name}` are in `{folder}`, and the app's own code doesn't carry them out; the image gets \
             `{package}` for it"
        );
        FoundMigration { command: AppCommand::words(words), reason }
    }
}
