//! How far the code of a pull request is trusted, which decides what it may use.
//!
//! Trust belongs to where commits come from, not to whoever asks: approving a fork's commit lets it run, and makes it no
//! more trusted.

use serde::{Deserialize, Serialize};

/// Whose code a deployment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trust {
    /// A branch of the repository itself: its author may push there.
    Member,
    /// A fork's, also once somebody approved it: no operator's secret, tighter limits, a build cache of its own.
    Stranger,
}

/// What is different for code that is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByTrust<T> {
    /// For members' code.
    pub member: T,
    /// For strangers'.
    pub stranger: T,
}

impl<T> ByTrust<T> {
    /// The one for this trust.
    pub fn of(&self, trust: Trust) -> &T {
        match trust {
            Trust::Member => &self.member,
            Trust::Stranger => &self.stranger,
        }
    }
}
