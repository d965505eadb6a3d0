//! What has been done to the data of a deployment since its volumes were made.
//!
//! Written down before it is done, so that whoever is killed in between knows what may have happened: a database that was begun for
//! a commit, a migration that may have changed it, a seed that may be in it by half.

use serde::{Deserialize, Serialize};

use crate::ids::CommitSha;

/// How a database came to what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Data {
    /// The commit for which it was begun empty; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_for: Option<CommitSha>,
    /// What is in it.
    #[serde(default)]
    pub content: Content,
    /// Whether a seed is in it, all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seeded: bool,
    /// The newest migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
    /// The commit that is to begin with an empty one. It is forgotten together with the volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_for: Option<CommitSha>,
}

/// What is in a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// Nothing but what migrations have put there: no version with visitors has had it.
    Empty,
    /// A seed, or a part of one.
    Seeding,
    /// It is somebody's.
    #[default]
    Used,
}

/// A migration that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Of which commit.
    pub commit: CommitSha,
    /// Whether it is known to have come to its end.
    pub done: bool,
}

impl Data {
    /// Of a database that is about to be made.
    pub fn new_for(commit: &CommitSha) -> Self {
        Self { begun_for: Some(commit.clone()), content: Content::Empty, ..Self::default() }
    }

    /// Whether there is nothing to write down.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a commit that wants to begin with an empty database finds anything of others in it.
    pub fn needs_reset(&self, commit: &CommitSha) -> bool {
        let untouched = self.content == Content::Empty && self.migration.is_none();
        !untouched && self.begun_for.as_ref() != Some(commit)
    }

    /// Whether this commit's migration has been carried out.
    pub fn is_migrated(&self, commit: &CommitSha) -> bool {
        self.migration.as_ref().is_some_and(|migration| migration.done && migration.commit == *commit)
    }

    /// Whether this commit's migration may be under way.
    pub fn is_migrating(&self, commit: &CommitSha) -> bool {
        self.migration.as_ref().is_some_and(|migration| !migration.done && migration.commit == *commit)
    }

    /// The other commit whose migration may have changed what this one expects.
    pub fn changed_since(&self, commit: &CommitSha) -> Option<&CommitSha> {
        self.migration.as_ref().map(|migration| &migration.commit).filter(|other| *other != commit)
    }
}
