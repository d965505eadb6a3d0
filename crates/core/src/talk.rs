//! What people told us of a pull request in its comments, and what came of it: written down in the ledger, so that it
//! outlives us, and shown in our comment and by `preview why`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::desired::WaitReason;
use crate::ids::{CommentId, CommitSha, Login};

/// Somebody with write permission let one commit of a fork run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The commit, and no other.
    pub commit: CommitSha,
    /// Who it was.
    pub by: Login,
    /// In which comment.
    pub comment: CommentId,
    /// When the comment was written.
    pub at: Timestamp,
}

/// What is known of a pull request's conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Talk {
    /// The newest approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The newest command that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Answered>,
    /// The newest comment that decided whether there is a preview: what was said before it and is heard after it decides
    /// nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<CommentId>,
}

/// A command of somebody who may give one, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The command; `None` where it was not understood.
    pub command: Option<Command>,
    /// Who gave it.
    pub by: Login,
    /// What came of it.
    pub outcome: Outcome,
    /// Lines to be folded away beneath it; hostile text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The newest commit is brought up.
    Deploying,
    /// This commit of a fork is approved.
    Approved(CommitSha),
    /// The preview goes.
    Stopping,
    /// The database goes, and the newest commit is brought up with an empty one.
    Resetting,
    /// It stays until then.
    Kept(Timestamp),
    /// The answer stands beneath.
    Shown,
    /// It is no command.
    NotUnderstood,
    /// A fork's commit has to be named with all forty digits.
    NeedsWholeName,
    /// The commit named is not the newest one.
    OtherHead(CommitSha),
    /// Settings have it wait.
    Waiting(WaitReason),
    /// There is no preview for which this could be done.
    NoPreview,
    /// The pull request is closed.
    Closed,
    /// Something that was said later has been done already.
    Overtaken,
}

impl Outcome {
    /// Whether what was asked for is done or begun.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Deploying | Self::Approved(_) | Self::Stopping | Self::Resetting | Self::Kept(_) | Self::Shown => {
                true
            }
            Self::NotUnderstood
            | Self::NeedsWholeName
            | Self::OtherHead(_)
            | Self::Waiting(_)
            | Self::NoPreview
            | Self::Closed
            | Self::Overtaken => false,
        }
    }
}
