//! Which comments have been dealt with, so that each command is acted on once, whatever is killed or delivered when.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use preview_core::ids::CommentId;
use serde::{Deserialize, Serialize};

/// How far back the next question reaches behind the newest comment that was seen: a list of GitHub's may show a comment
/// before an older one.
const OVERLAP: SignedDuration = SignedDuration::from_secs(120);

/// How a comment is answered in a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    /// 👍 It is done or begun.
    Done,
    /// 👀 The answer stands in our comment.
    Look,
    /// 👎 Who wrote it may not.
    Refused,
    /// 😕 It is none of our commands, or can't be done; our comment says why.
    Puzzled,
}

/// The comments of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// Nothing that was last touched before this, by GitHub's clock, is looked at again.
    pub from: Timestamp,
    /// The commands since then that have been dealt with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<CommentId, Done>,
}

/// A command that has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// When the comment was written.
    pub at: Timestamp,
    /// The mark that it is still to get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owes: Option<Mark>,
}

impl Heard {
    /// Before anything was heard: what was written up to `newest` is history.
    pub fn after(newest: Option<Timestamp>) -> Self {
        let next = newest.and_then(|newest| newest.checked_add(SignedDuration::from_secs(1)).ok());
        Self { from: next.unwrap_or(Timestamp::UNIX_EPOCH), done: BTreeMap::new() }
    }

    /// All up to `newest` has been looked at, but for what is not older than `open`.
    pub fn advance(&mut self, newest: Timestamp, open: Option<Timestamp>) {
        let next = newest.checked_sub(OVERLAP).unwrap_or(newest);
        self.from = self.from.max(open.map_or(next, |open| next.min(open)));
        self.done.retain(|_, done| done.at >= self.from || done.owes.is_some());
    }
}
