//! GitHub's JSON, reduced to the fields that we read.

use jiff::Timestamp;
use preview_core::desired;
use preview_core::ids::{BranchName, CommentId, CommitSha, PrNumber, RepoId, RepoName};
use serde::{Deserialize, Serialize};

use crate::needs::{self, Fault, Person, StatusState};

#[derive(Deserialize)]
pub(super) struct Repository {
    pub(super) id: RepoId,
    full_name: String,
}

impl Repository {
    /// `owner/name` as it is now.
    pub(super) fn name(&self) -> Result<RepoName, Fault> {
        self.full_name.parse().map_err(|_| Fault::passing("GitHub's answer could not be understood"))
    }
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
}

#[derive(Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) body: Option<String>,
    /// `null` where the account is gone.
    pub(super) user: Option<User>,
}

/// A comment among all of a repository's, those on issues too.
///
/// Source: <https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository>
#[derive(Deserialize)]
pub(super) struct Remark {
    id: u64,
    html_url: String,
    #[serde(default)]
    user: Option<Writer>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, deserialize_with = "first_line")]
    body: String,
}

#[derive(Deserialize)]
struct Writer {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// Source: <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
#[derive(Deserialize)]
pub(super) struct Permission {
    permission: String,
    user: Option<User>,
}

#[derive(Serialize)]
pub(super) struct NewReaction {
    pub(super) content: &'static str,
}

/// Bytes kept of a comment's first line.
const LINE: usize = 300;

/// Comments are long and many; a command stands in the first line.
fn first_line<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let body = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let line = body.lines().next().unwrap_or_default();
    Ok(line[..line.floor_char_boundary(LINE)].to_owned())
}

impl Remark {
    pub(super) fn touched_at(&self) -> Timestamp {
        self.updated_at
    }

    /// As decisions need it; `None` for one on an issue. What is about a pull request has `/pull/N` in its page's address.
    pub(super) fn of(&self, me: u64) -> Option<needs::Remark> {
        let (_, after) = self.html_url.rsplit_once("/pull/")?;
        let number = after.split(['#', '/', '?']).next()?.parse().ok()?;
        let person = |user: &Writer| {
            let somebody = user.kind == "User" && user.id != me;
            Some(Person { id: user.id, login: user.login.parse().ok().filter(|_| somebody)? })
        };
        Some(needs::Remark {
            id: CommentId(self.id),
            pull: number,
            author: self.user.as_ref().and_then(person),
            line: self.body.clone(),
            written_at: self.created_at,
            edited_at: self.updated_at,
        })
    }
}

impl Permission {
    /// Whether it is this person's and lets push: the answer knows `admin`, `write`, `read` and `none`, and says of roles
    /// between which of these they come to. A name that has gone to somebody else says nothing.
    pub(super) fn lets_push(&self, person: &Person) -> bool {
        let same = self.user.as_ref().is_some_and(|user| user.id == person.id);
        same && matches!(self.permission.as_str(), "admin" | "write")
    }
}

#[derive(Serialize)]
pub(super) struct NewComment<'a> {
    pub(super) body: &'a str,
}

#[derive(Serialize)]
pub(super) struct NewStatus<'a> {
    pub(super) context: &'static str,
    pub(super) state: &'static str,
    pub(super) description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_url: Option<&'a str>,
}

pub(super) fn status_word(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
    }
}

/// Source: <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
#[derive(Deserialize)]
pub(super) struct Pull {
    number: u64,
    state: PullState,
    #[serde(default)]
    draft: bool,
    user: Option<Author>,
    labels: Vec<Label>,
    created_at: Timestamp,
    head: Head,
    base: Base,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum PullState {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct Author {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
struct Head {
    sha: CommitSha,
    #[serde(rename = "ref")]
    branch: String,
    /// `null` where the fork was deleted.
    repo: Option<Numbered>,
}

#[derive(Deserialize)]
struct Base {
    repo: Repository,
}

#[derive(Deserialize)]
struct Numbered {
    id: RepoId,
}

impl Pull {
    /// As decisions need it; a pull request of another repository than asked for is a fault.
    pub(super) fn of(&self, repo: RepoId) -> Result<desired::Pull, Fault> {
        let number = PrNumber::new(self.number).filter(|_| self.base.repo.id == repo);
        Ok(desired::Pull {
            number: number
                .ok_or_else(|| Fault::passing("GitHub answered with a pull request that was not asked for"))?,
            base_repo: repo,
            base_name: self.base.repo.name()?,
            head_repo: self.head.repo.as_ref().map(|repo| repo.id),
            head: self.head.sha.clone(),
            branch: BranchName::new(&self.head.branch),
            open: self.state == PullState::Open,
            draft: self.draft,
            by_bot: self.user.as_ref().is_some_and(|user| user.kind == "Bot"),
            labels: self.labels.iter().map(|label| label.name.clone()).collect(),
            created_at: self.created_at,
        })
    }
}
