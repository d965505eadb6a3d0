//! What `DATABASE_URL` begins with: some drivers and frameworks take no other word than their own.

use crate::backing::Database;

use super::manifests::{Dependencies, Manifest};

/// Python's package whose URLs name the driver.
const ALCHEMY: [&str; 3] = ["sqlalchemy", "sqlmodel", "flask-sqlalchemy"];

/// What SQLAlchemy takes, by the driver that is there. Of several drivers the one that needs no word comes first.
///
/// Source: <https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls>
const ALCHEMY_DRIVERS: [(Database, &str, &str); 11] = [
    (Database::Postgres, "psycopg2", "postgresql"),
    (Database::Postgres, "psycopg2-binary", "postgresql"),
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
pub(super) fn expected(database: Database, dependencies: &Dependencies) -> Option<&'static str> {
    if ALCHEMY.iter().any(|package| dependencies.has_python(package)) {
        let speaks = |of: Database| of == database || (of, database) == (Database::Mysql, Database::MariaDb);
        let mut drivers = ALCHEMY_DRIVERS.iter().filter(|(of, _, _)| speaks(*of));
        return drivers.find(|(_, driver, _)| dependencies.has_python(driver)).map(|(_, _, scheme)| *scheme);
    }
    let mut drivers = DRIVERS.iter().filter(|(of, _, _, _)| *of == database);
    drivers.find(|(_, manifest, driver, _)| dependencies.has(*manifest, driver)).map(|(_, _, _, scheme)| *scheme)
}
