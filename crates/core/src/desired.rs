//! What a pull request's preview should be, and for which reason.

use jiff::Timestamp;

use crate::ids::{BranchName, CommitSha, PrNumber, RepoId};

/// A pull request as GitHub tells it, reduced to what decisions hang on.
///
/// Source: <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number in the base repository.
    pub number: PrNumber,
    /// The base repository, which receives the changes and whose secrets and caches it would use.
    pub base_repo: RepoId,
    /// The repository of the head branch; `None` when that was deleted.
    pub head_repo: Option<RepoId>,
    /// The newest commit.
    pub head: CommitSha,
    /// The head branch's name: hostile text.
    pub branch: BranchName,
    /// `false` once closed or merged.
    pub open: bool,
    /// Marked as not ready for review.
    pub draft: bool,
    /// Whether GitHub says that a bot opened it (`user.type` is `Bot`).
    pub by_bot: bool,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl Pull {
    /// Whether the commit comes from another repository than the one it would be deployed for.
    pub fn from_fork(&self) -> bool {
        self.head_repo != Some(self.base_repo)
    }
}
