//! Who carries out the migrations of a program that is compiled: its own code, as most bring them with them, or a tool that is compiled
//! beside it. What Go and Rust have in common here.

use crate::backing::Database;

use super::migration::FoundMigration;

/// What is said of a program that needs no tool.
const ITSELF: &str = "; its own code carries out the migrations";

/// Who does, where there are any.
pub(super) enum Migrates<T> {
    /// The program.
    Itself,
    /// This tool.
    By(T),
}

impl<T> Migrates<T> {
    /// Who does, where it is known whether the program does: what it would do itself is done by nobody else.
    pub(super) fn who(itself: Option<bool>, tool: T) -> Option<Self> {
        itself.map(|itself| if itself { Self::Itself } else { Self::By(tool) })
    }
}

/// The tool that the image needs, what it is run with, and what else is said.
pub(super) fn apart<T>(
    migrates: Option<Migrates<T>>,
    found: impl FnOnce(&T) -> FoundMigration,
) -> (Option<T>, Option<FoundMigration>, &'static str) {
    match migrates {
        Some(Migrates::Itself) => (None, None, ITSELF),
        Some(Migrates::By(tool)) => {
            let found = found(&tool);
            (Some(tool), Some(found), "")
        }
        None => (None, None, ""),
    }
}

/// A database that the tools speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sql {
    Postgres,
    /// MariaDB too.
    Mysql,
}

impl Sql {
    pub(super) fn of(database: Option<Database>) -> Option<Self> {
        match database? {
            Database::Postgres => Some(Self::Postgres),
            Database::Mysql | Database::MariaDb => Some(Self::Mysql),
            Database::MongoDb => None,
        }
    }

    /// What the tools call it: a feature, a build tag.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }
}

/// Whether a number stands before the first `_`.
pub(super) fn is_numbered(name: &str) -> bool {
    name.split_once('_').is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
