//! The services that an app can have for itself without bringing them: databases, and what else runs beside one.
//!
//! What each of them is, [`crate::compose`] knows: a file for each, and a line in its table.

use std::fmt;
use std::str::FromStr;

/// A database: an app has one as its main one, found by `DATABASE_URL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Database {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
    /// MariaDB, which is no longer the same as MySQL: an image and drivers of its own.
    MariaDb,
    /// MongoDB.
    MongoDb,
}

/// A backing service: one beside the app that keeps something for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backing {
    /// A database.
    Database(Database),
    /// Redis, which keeps nothing over a restart.
    Redis,
}

/// A text that names no [`Backing`] service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such backing service")]
pub struct UnknownBacking;

impl Database {
    /// All of them. Where an app could use several, the first of these that it could use is its main one.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Mysql, Self::MariaDb, Self::MongoDb];

    /// Its name in `preview-config.yml` and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::MariaDb => "mariadb",
            Self::MongoDb => "mongodb",
        }
    }
}

impl Backing {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Database(Database::Postgres),
        Self::Database(Database::Mysql),
        Self::Database(Database::MariaDb),
        Self::Database(Database::MongoDb),
        Self::Redis,
    ];

    /// Its name in `preview-config.yml`, in the ledger and in the preview's network.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database(database) => database.as_str(),
            Self::Redis => "redis",
        }
    }
}

impl From<Database> for Backing {
    fn from(database: Database) -> Self {
        Self::Database(database)
    }
}

impl FromStr for Backing {
    type Err = UnknownBacking;
    fn from_str(text: &str) -> Result<Self, UnknownBacking> {
        Self::ALL.into_iter().find(|backing| backing.as_str() == text).ok_or(UnknownBacking)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Backing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Backing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
