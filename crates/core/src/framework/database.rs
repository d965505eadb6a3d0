//! Which database does the app need? The driver among its dependencies tells.

use std::fmt;

use crate::repo_config::{DatabaseChoice, RepoConfig};

use super::node::Package;
use super::{DetectError, Files};

/// A database that a deployment can have for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Database {
    /// PostgreSQL.
    Postgres,
}

impl Database {
    /// Its name in `preview-config.yml` and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The database that an app gets, with what shows that it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDatabase {
    /// `None`: it gets none.
    pub database: Option<Database>,
    /// Why.
    pub reason: String,
}

/// npm packages that speak to a database.
const NODE_DRIVERS: [(&str, Database); 5] = [
    ("pg", Database::Postgres),
    ("postgres", Database::Postgres),
    ("pg-promise", Database::Postgres),
    ("@mikro-orm/postgresql", Database::Postgres),
    ("slonik", Database::Postgres),
];

/// Go modules that speak to a database; each also matches its major versions (`…/v5`).
const GO_DRIVERS: [(&str, Database); 5] = [
    ("github.com/lib/pq", Database::Postgres),
    ("github.com/jackc/pgx", Database::Postgres),
    ("gorm.io/driver/postgres", Database::Postgres),
    ("github.com/uptrace/bun/driver/pgdriver", Database::Postgres),
    ("github.com/go-pg/pg", Database::Postgres),
];

/// Providers of a Prisma schema.
const PRISMA_PROVIDERS: [(&str, Database); 2] = [("postgresql", Database::Postgres), ("postgres", Database::Postgres)];

/// Where Prisma keeps its schema unless told otherwise.
const PRISMA_SCHEMA: &str = "prisma/schema.prisma";

/// The database of a checkout: `preview-config.yml` decides, else the dependencies do.
pub(super) fn find(files: &dyn Files, config: &RepoConfig) -> Result<FoundDatabase, DetectError> {
    let (database, reason) = match config.database {
        Some(DatabaseChoice::Use(database)) => {
            (Some(database), format!("`preview-config.yml` says `database: {database}`"))
        }
        Some(DatabaseChoice::Without) => (None, "`preview-config.yml` says `database: none`".to_owned()),
        None => match by_dependencies(files)? {
            Some((database, reason)) => (Some(database), reason),
            None => (None, "no database driver among the dependencies".to_owned()),
        },
    };
    Ok(FoundDatabase { database, reason })
}

fn by_dependencies(files: &dyn Files) -> Result<Option<(Database, String)>, DetectError> {
    if let Some(package) = Package::read(files)? {
        if let Some((driver, database)) = NODE_DRIVERS.iter().find(|(driver, _)| package.depends_on(driver)) {
            return Ok(Some((*database, format!("`package.json` depends on `{driver}`"))));
        }
        if package.depends_on("@prisma/client")
            && let Some(database) = files.read(PRISMA_SCHEMA)?.as_deref().and_then(prisma_provider)
        {
            return Ok(Some((database, format!("`{PRISMA_SCHEMA}` has a {database} datasource"))));
        }
    }
    let go_mod = files.read("go.mod")?.unwrap_or_default();
    let required = |driver: &str| go_mod.lines().any(|line| requires(line, driver));
    let found = GO_DRIVERS.iter().find(|(driver, _)| required(driver));
    Ok(found.map(|(driver, database)| (*database, format!("`go.mod` requires `{driver}`"))))
}

/// Whether a line of `go.mod` requires a module or a major version of it.
fn requires(line: &str, module: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word == "require");
    let rest = words.next().and_then(|path| path.strip_prefix(module));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
}

/// The `provider` of a Prisma schema's `datasource` block (a `generator` block has one too).
fn prisma_provider(schema: &str) -> Option<Database> {
    let source = schema.lines().map(str::trim).skip_while(|line| !line.starts_with("datasource ")).skip(1);
    let mut settings = source.take_while(|line| !line.starts_with('}')).filter_map(|line| line.split_once('='));
    let (_, value) = settings.find(|(name, _)| name.trim() == "provider")?;
    let value = value.trim().trim_matches('"');
    PRISMA_PROVIDERS.iter().find(|(name, _)| *name == value).map(|(_, database)| *database)
}
