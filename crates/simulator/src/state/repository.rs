//! A repository and what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use preview_core::ids::{CommentId, CommitSha, PrNumber, RepoId, RepoName};

use super::User;

/// A repository as GitHub knows it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The number that survives a rename.
    pub id: RepoId,
    /// What it is called now.
    pub name: RepoName,
    /// The person or organisation.
    pub owner: User,
    /// Whether cloning needs the token.
    pub private: bool,
    /// Whether the token sees it at all; GitHub answers 404 otherwise.
    pub visible: bool,
    /// Whether it can only be read any more.
    pub archived: bool,
    /// The repository that it was forked from.
    pub fork_of: Option<RepoId>,
    /// The branch that pull requests go to.
    pub default_branch: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last pushed.
    pub pushed_at: Timestamp,
    /// Every branch's newest commit.
    pub branches: BTreeMap<String, CommitSha>,
    /// Commits that were a branch's newest once: what a status can be set on.
    pub commits: BTreeSet<CommitSha>,
    /// Pull requests, open and closed.
    pub pulls: BTreeMap<PrNumber, PullRequest>,
    /// Comments of all pull requests.
    pub comments: BTreeMap<CommentId, Comment>,
    /// Reactions to comments.
    pub reactions: Vec<Reaction>,
    /// Commit statuses, the oldest first.
    pub statuses: Vec<Status>,
    /// What people may do, by lower-case login.
    pub permissions: BTreeMap<String, Permission>,
    /// Webhooks.
    pub hooks: BTreeMap<u64, Hook>,
}

impl Repository {
    /// The newest status of a commit in a context.
    pub fn status(&self, commit: &CommitSha, context: &str) -> Option<&Status> {
        self.statuses.iter().rev().find(|status| status.sha == *commit && status.context.eq_ignore_ascii_case(context))
    }

    /// What this user may do: what was said of them, everything for the owner, and reading for everybody where it is public.
    pub(crate) fn permission(&self, user: &User) -> Permission {
        let otherwise = if self.private { Permission::None } else { Permission::Read };
        match self.permissions.get(&user.login.to_ascii_lowercase()) {
            Some(permission) => *permission,
            None if self.owner == *user => Permission::Admin,
            None => otherwise,
        }
    }
}

/// What a user may do in a repository.
///
/// Source: <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Manage issues; GitHub's `permission` says `read`.
    Triage,
    /// Push.
    Write,
    /// Manage without what is dangerous; GitHub's `permission` says `write`.
    Maintain,
    /// Everything.
    Admin,
}

/// Where a pull request's commits are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The repository: the base itself, or a fork.
    pub repo: RepoId,
    /// The branch there.
    pub branch: String,
    /// Its newest commit that belongs to the pull request.
    pub sha: CommitSha,
}

/// Open, closed, or closed by merging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullState {
    /// Still discussed.
    Open,
    /// Closed without a merge.
    Closed {
        /// When.
        at: Timestamp,
    },
    /// Closed by merging.
    Merged {
        /// When.
        at: Timestamp,
        /// The merge commit.
        commit: CommitSha,
    },
}

/// A pull request.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// GitHub's number across all repositories.
    pub id: u64,
    /// The number in its repository.
    pub number: PrNumber,
    /// The title.
    pub title: String,
    /// The description.
    pub body: Option<String>,
    /// Who opened it.
    pub author: User,
    /// Open or how it was closed.
    pub state: PullState,
    /// Whether it is a draft.
    pub draft: bool,
    /// Label names.
    pub labels: BTreeSet<String>,
    /// What is to be merged.
    pub head: Head,
    /// The branch it is to be merged into.
    pub base_branch: String,
    /// That branch's commit when the pull request was opened or retargeted.
    pub base_sha: CommitSha,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
}

impl PullRequest {
    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.state == PullState::Open
    }
}

/// A comment on a pull request.
#[derive(Debug, Clone)]
pub struct Comment {
    /// GitHub's number.
    pub id: CommentId,
    /// The pull request.
    pub pull: PrNumber,
    /// Who wrote it.
    pub author: User,
    /// What it says now.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
    /// How many times it was edited, to the same text too.
    pub edits: usize,
}

/// A reaction to a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// GitHub's number.
    pub id: u64,
    /// The comment.
    pub comment: CommentId,
    /// Who reacted.
    pub user: User,
    /// How: `+1`, `eyes` …
    pub content: String,
    /// When.
    pub created_at: Timestamp,
}

/// What a commit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Something is broken outside the commit.
    Error,
    /// The commit is bad.
    Failure,
    /// Not known yet.
    Pending,
    /// The commit is good.
    Success,
}

/// A commit status.
#[derive(Debug, Clone)]
pub struct Status {
    /// GitHub's number.
    pub id: u64,
    /// The commit.
    pub sha: CommitSha,
    /// What it says.
    pub state: StatusState,
    /// Where its link leads.
    pub target_url: Option<String>,
    /// Its one line.
    pub description: Option<String>,
    /// Which system speaks.
    pub context: String,
    /// Who set it.
    pub creator: User,
    /// When.
    pub created_at: Timestamp,
}

/// A webhook of a repository.
#[derive(Debug, Clone)]
pub struct Hook {
    /// GitHub's number.
    pub id: u64,
    /// Where deliveries go.
    pub url: String,
    /// What they are signed with.
    pub secret: Option<Bytes>,
    /// Whether the body is JSON, or a form with the JSON in it.
    pub json: bool,
    /// Whether certificates are not checked.
    pub insecure_ssl: bool,
    /// Which events it gets; `*` for all.
    pub events: BTreeSet<String>,
    /// Whether it gets any.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Hook {
    pub(crate) fn wants(&self, event: &str) -> bool {
        event == "ping" || self.active && (self.events.contains("*") || self.events.contains(event))
    }
}
