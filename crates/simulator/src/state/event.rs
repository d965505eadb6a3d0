//! What happens in a repository that hooks are told of.

use preview_core::ids::CommitSha;

use super::{Comment, PullRequest};

/// Something that hooks are told.
pub(crate) enum Event<'a> {
    /// A pull request changed.
    Pull(&'a PullRequest, PullAction),
    CommentCreated(&'a Comment),
    /// A comment said something else before.
    CommentEdited {
        comment: &'a Comment,
        from: &'a str,
    },
    CommentDeleted(&'a Comment),
    Push(Push<'a>),
    /// The repository had this name before.
    Renamed {
        from: &'a str,
    },
}

/// How a branch moved.
pub(crate) struct Push<'a> {
    pub(crate) branch: &'a str,
    /// `None` for a new branch.
    pub(crate) before: Option<&'a CommitSha>,
    pub(crate) after: &'a CommitSha,
    pub(crate) forced: bool,
}

/// What happened to a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PullAction {
    Opened,
    Synchronize { before: CommitSha },
    Closed,
    Reopened,
    Retargeted { from: String, from_sha: CommitSha },
    Labeled(String),
    Unlabeled(String),
    ReadyForReview,
    ConvertedToDraft,
}

impl PullAction {
    /// What GitHub calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Synchronize { .. } => "synchronize",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Retargeted { .. } => "edited",
            Self::Labeled(_) => "labeled",
            Self::Unlabeled(_) => "unlabeled",
            Self::ReadyForReview => "ready_for_review",
            Self::ConvertedToDraft => "converted_to_draft",
        }
    }
}
