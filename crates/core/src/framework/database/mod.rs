//! Which backing services does the app need? The drivers among its dependencies tell.

use std::collections::BTreeSet;

use crate::backing::{Backing, Database};
use crate::repo_config::{DatabaseChoice, RepoConfig};

use super::DetectError;
use super::files::Beneath;

mod drivers;
mod manifests;
mod scheme;

/// The database that an app gets, with what shows that it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDatabase {
    /// `None`: it gets none.
    pub database: Option<Database>,
    /// What its `DATABASE_URL` begins with, where its driver expects something else than what is usual.
    pub scheme: Option<&'static str>,
    /// Why.
    pub reason: String,
}

/// The services beside its main database that an app gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundExtras {
    /// Which; never the main database again.
    pub services: BTreeSet<Backing>,
    /// Why.
    pub reason: String,
}

/// What a manifest shows to be needed.
struct Evidence {
    backing: Backing,
    reason: String,
}

/// What an app needs that is made of these folders: `preview-config.yml` decides, else the dependencies do.
pub(super) fn find(parts: &[Beneath<'_>], config: &RepoConfig) -> Result<(FoundDatabase, FoundExtras), DetectError> {
    let dependencies = manifests::read(parts)?;
    let evidence = drivers::among(&dependencies);
    let (database, reason) = match config.database {
        Some(DatabaseChoice::Use(database)) => {
            (Some(database), format!("`preview-config.yml` says `database: {database}`"))
        }
        Some(DatabaseChoice::Without) => (None, "`preview-config.yml` says `database: none`".to_owned()),
        None => main_database(&evidence),
    };
    let scheme = database.and_then(|database| scheme::expected(database, &dependencies, parts));
    let mut extras = extras(&evidence, config);
    extras.services.retain(|extra| database.map(Backing::from) != Some(*extra));
    Ok((FoundDatabase { database, scheme, reason }, extras))
}

/// The first database, in the order of [`Database::ALL`], that there is evidence of.
fn main_database(evidence: &[Evidence]) -> (Option<Database>, String) {
    let of = |database: Database| evidence.iter().find(|found| found.backing == Backing::Database(database));
    let mut found = Database::ALL.into_iter().filter_map(|database| Some((database, of(database)?)));
    let Some((database, Evidence { reason, .. })) = found.next() else {
        return (None, "no database driver among the dependencies".to_owned());
    };
    let others: Vec<&str> = found.map(|(other, _)| other.as_str()).collect();
    if others.is_empty() {
        return (Some(database), reason.clone());
    }
    let others = others.join(" and ");
    let reason = format!(
        "{reason}; there are drivers for {others} too: of several, the first of {} is taken, unless `database` in \
         `preview-config.yml` names another and `extra_services` more",
        Database::ALL.map(Database::as_str).join(", ")
    );
    (Some(database), reason)
}

/// What `extra_services` names; where it isn't there, what is no database and has a client among the dependencies.
fn extras(evidence: &[Evidence], config: &RepoConfig) -> FoundExtras {
    if let Some(services) = &config.extra_services {
        let names: Vec<&str> = services.iter().map(|extra| extra.as_str()).collect();
        let reason = format!("`preview-config.yml` says `extra_services: [{}]`", names.join(", "));
        return FoundExtras { services: services.clone(), reason };
    }
    let found: Vec<&Evidence> =
        evidence.iter().filter(|found| !matches!(found.backing, Backing::Database(_))).collect();
    let reasons: Vec<&str> = found.iter().map(|found| found.reason.as_str()).collect();
    let reason = if found.is_empty() {
        "no client of another service among the dependencies".to_owned()
    } else {
        reasons.join("; ")
    };
    FoundExtras { services: found.iter().map(|found| found.backing).collect(), reason }
}

#[cfg(test)]
mod tests;
