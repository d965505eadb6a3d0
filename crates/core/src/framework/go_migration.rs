//! What migrates the database of a Go program that doesn't do so itself: golang-migrate's command line, which is compiled for the image,
//! with files that are named as that tool wants them.

use crate::repo_config::{AppCommand, RelativePath};

use super::compiled_migration::{Migrates, Sql, is_numbered};
use super::go_work::Module;
use super::migration::FoundMigration;
use super::{Beneath, DetectError, Files, Project, backing, sources, subfolders};

const MODULE: &str = "github.com/golang-migrate/migrate/v4";
/// The library in a source; its command line, which some keep among their tools, has a longer path.
const IMPORT: &str = "\"github.com/golang-migrate/migrate/v4\"";
/// The version for those who have only the files: one that the Go of our image compiles.
const VERSION: &str = "v4.18.3";

/// Where the files are, usually; or below `internal`.
const FOLDERS: [&str; 4] = ["migrations", "db/migrations", "database/migrations", "internal/migrations"];

/// The tool with what it carries out.
pub(super) struct CommandLine {
    /// Which of its versions.
    pub(super) version: String,
    database: Sql,
    /// Where the files are, from where the program runs.
    folder: RelativePath,
}

/// Who carries out the migrations of a module's program; `None`: there are none, or `preview-config.yml` says what is run.
pub(super) fn find(project: Project<'_>, module: &Module) -> Result<Option<Migrates<CommandLine>>, DetectError> {
    if project.config.migrate.is_some() {
        return Ok(None);
    }
    let at = module.at();
    let files = Beneath::new(project.checkout, &at);
    let Some(folder) = folder(&files) else { return Ok(None) };
    let Some(database) = Sql::of(backing(project, std::slice::from_ref(&at))?.0.database) else { return Ok(None) };
    let itself = carries_out(&files, &folder);
    let version = required(&module.go_mod).unwrap_or(VERSION).to_owned();
    Ok(Migrates::who(itself, CommandLine { version, database, folder }))
}

/// The folder with the files, where it is the only one. A link, or what can't be read, is none.
fn folder(files: &dyn Files) -> Option<RelativePath> {
    let usual = FOLDERS.iter().filter_map(|folder| folder.parse().ok());
    let internal = "internal".parse().map(|internal| subfolders(files, &internal)).unwrap_or_default();
    let below = internal.iter().filter_map(|folder| Some(folder.join(&"migrations".parse().ok()?)));
    let has_scripts =
        |folder: &RelativePath| files.list(folder.as_str()).is_ok_and(|names| names.iter().any(|name| is_script(name)));
    let mut found = usual.chain(below).filter(has_scripts);
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// Source: <https://github.com/golang-migrate/migrate/blob/master/MIGRATIONS.md#migration-filename-format>
fn is_script(name: &str) -> bool {
    name.ends_with(".up.sql") && is_numbered(name)
}

/// Whether the program does it itself, if that can be known: by this library, or by another that has the files in the program.
fn carries_out(files: &dyn Files, folder: &RelativePath) -> Option<bool> {
    let is_source = |name: &str| name.ends_with(".go") && !name.ends_with("_test.go");
    let says = |path: &RelativePath, text: &str| {
        let embeds = |line: &str| {
            let patterns = line.strip_prefix("//go:embed ");
            patterns.is_some_and(|patterns| patterns.contains("migrations") || path.within(folder).is_some())
        };
        text.contains(IMPORT) || text.contains("migrate.New") || text.lines().any(embeds)
    };
    sources::say(files, &[RelativePath::default()], is_source, says)
}

/// The version that `go.mod` requires.
fn required(go_mod: &str) -> Option<&str> {
    let is_version =
        |word: &&str| word.starts_with("v4.") && word.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b));
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace().filter(|word| *word != "require");
        words.next().filter(|module| *module == MODULE).and_then(|_| words.next()).filter(is_version)
    })
}

impl CommandLine {
    /// The build tag without which it couldn't speak to the database.
    pub(super) fn tag(&self) -> &'static str {
        self.database.as_str()
    }

    /// What is run. The tool takes the URL as an argument and from nowhere else. A shell of the container writes it there, so that neither
    /// the image nor the engine is told the password; who could see it among the processes there has it in the variables.
    pub(super) fn found(&self) -> FoundMigration {
        let url = match self.database {
            Sql::Postgres => "$DATABASE_URL",
            // In the form of Go's driver for MySQL.
            Sql::Mysql => "mysql://$DB_USER:$DB_PASSWORD@tcp($DB_HOST:$DB_PORT)/$DB_NAME",
        };
        let folder = self.folder.as_str();
        let line = format!("exec migrate -path \"$0\" -database \"{url}\" up");
        let reason = format!(
            "`{folder}` has files as golang-migrate names them, and the app's own code doesn't carry them out; the image gets \
             `migrate` for it"
        );
        FoundMigration { command: AppCommand::words(["sh", "-c", &line, folder]), reason }
    }
}
