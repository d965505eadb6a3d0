//! What `DATABASE_URL` begins with: some drivers and frameworks take no other word than their own.

use crate::backing::Database;

use super::super::files::Beneath;
use super::super::python;
use super::manifests::{Dependencies, Manifest};

/// Python's package whose URLs name the driver.
const ALCHEMY: [&str; 3] = ["sqlalchemy", "sqlmodel", "flask-sqlalchemy"];

/// What SQLAlchemy takes, by the driver that is there. Of several drivers the one that needs no word, or once needed none, comes first.
///
/// Source: <https://docs.sqlalchemy.org/en/21/core/engines.html#database-urls>
const ALCHEMY_DRIVERS: [(Database, &str, &str); 11] = [
    (Database::Postgres, "psycopg2", PSYCOPG2),
    (Database::Postgres, "psycopg2-binary", PSYCOPG2),
    (Database::Postgres, "psycopg", "postgresql+psycopg"),
    (Database::Postgres, "asyncpg", "postgresql+asyncpg"),
    (Database::Postgres, "pg8000", "postgresql+pg8000"),
    (Database::Mysql, "mysqlclient", "mysql"),
    (Database::Mysql, "pymysql", "mysql+pymysql"),
    (Database::Mysql, "asyncmy", "mysql+asyncmy"),
    (Database::Mysql, "aiomysql", "mysql+aiomysql"),
    (Database::Mysql, "mysql-connector-python", "mysql+mysqlconnector"),
    (Database::MariaDb, "mariadb", "mariadb+mariadbconnector"),
];

/// What every release of SQLAlchemy takes for psycopg2. Up to 2.0 `postgresql` alone meant the same, and is what others than SQLAlchemy
/// take too; from 2.1 on it means psycopg.
///
/// Source: <https://docs.sqlalchemy.org/en/21/changelog/migration_21.html>
const PSYCOPG2: &str = "postgresql+psycopg2";
const PSYCOPG_BY_DEFAULT: (u64, u64) = (2, 1);

/// What others take.
const DRIVERS: [(Database, Manifest, &str, &str); 4] = [
    // Active Record takes the word for the adapter.
    (Database::Mysql, Manifest::Gemfile, "mysql2", "mysql2"),
    (Database::Mysql, Manifest::Gemfile, "trilogy", "trilogy"),
    (Database::MariaDb, Manifest::PackageJson, "mariadb", "mariadb"),
    // MariaDB by MySQL's driver.
    (Database::MariaDb, Manifest::Gemfile, "mysql2", "mysql2"),
];

/// The word that the app's driver expects; `None` where it takes the usual one.
pub(super) fn expected(database: Database, dependencies: &Dependencies, parts: &[Beneath<'_>]) -> Option<&'static str> {
    if ALCHEMY.iter().any(|package| dependencies.has_python(package)) {
        let speaks = |of: Database| of == database || (of, database) == (Database::Mysql, Database::MariaDb);
        let mut drivers = ALCHEMY_DRIVERS.iter().filter(|(of, _, _)| speaks(*of));
        let (_, _, scheme) = drivers.find(|(_, driver, _)| dependencies.has_python(driver))?;
        return Some(if *scheme == PSYCOPG2 && is_before_psycopg(parts) { "postgresql" } else { scheme });
    }
    let mut drivers = DRIVERS.iter().filter(|(of, _, _, _)| *of == database);
    drivers.find(|(_, manifest, driver, _)| dependencies.has(*manifest, driver)).map(|(_, _, _, scheme)| *scheme)
}

/// Whether SQLAlchemy is known to be of a release that takes psycopg2 for granted.
fn is_before_psycopg(parts: &[Beneath<'_>]) -> bool {
    // What can't be read here is told where the app is looked for.
    let release = |part: &Beneath<'_>| python::newest(part, &ALCHEMY, "sqlalchemy").ok().flatten();
    parts.iter().find_map(release).is_some_and(|newest| newest < PSYCOPG_BY_DEFAULT)
}
