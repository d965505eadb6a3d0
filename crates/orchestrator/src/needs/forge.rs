//! What is asked of where pull requests live, and what is told there: GitHub.

use async_trait::async_trait;
use jiff::Timestamp;
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, CommitSha, Login, PrNumber, PullKey, RepoId, RepoName};

use super::Fault;
use crate::ledger::Mark;

/// A repository as GitHub knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its number, for good.
    pub id: RepoId,
    /// Its name, for now.
    pub name: RepoName,
}

/// The answer to "what of this pull request?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullAnswer {
    /// GitHub knows it.
    Known(Pull),
    /// 404 for the pull request, while the repository itself answers.
    NotFound,
}

/// What became of a comment that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It stands there, under this number.
    Comment(CommentId),
    /// GitHub refused it for good (403, 404 or 410): nothing more to do.
    Refused(String),
    /// Our token may not write there, which somebody can mend; the log has been told.
    NotPermitted(String),
}

/// The state of a commit's `preview` status.
///
/// Source: <https://docs.github.com/en/rest/commits/statuses>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// Being built, or waiting.
    Pending,
    /// It answers.
    Success,
    /// The pull request's own failure.
    Failure,
    /// A failure of ours or of the network.
    Error,
}

/// A commit status to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// On which commit.
    pub commit: CommitSha,
    /// The state.
    pub state: StatusState,
    /// At most 140 characters.
    pub description: String,
    /// Where it leads.
    pub url: Option<String>,
}

/// A comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Its number.
    pub id: CommentId,
    /// On which pull request.
    pub pull: PrNumber,
    /// Who wrote it; `None` where that is us, an app, or an account that is gone.
    pub author: Option<Person>,
    /// Its first line, cut after some hundred bytes: hostile text.
    pub line: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// When it was last edited; else as above.
    pub edited_at: Timestamp,
}

/// What was said in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// On pull requests.
    pub on_pulls: Vec<Remark>,
    /// When the newest of all comments read, those on issues too, was last touched.
    pub newest: Option<Timestamp>,
}

impl Remark {
    /// Whether it says what it said when it was written. Who may write to a repository can edit what others said.
    pub fn is_as_written(&self) -> bool {
        self.written_at == self.edited_at
    }
}

/// Somebody on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number, for good.
    pub id: u64,
    /// The name, for now.
    pub login: Login,
}

/// Where pull requests live: GitHub.
#[async_trait]
pub trait Forge: Send + Sync + 'static {
    /// The repository of that name; `None` when there is none that our token can see.
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault>;
    /// The pull request as GitHub tells it now.
    async fn pull(&self, key: PullKey) -> Result<PullAnswer, Fault>;
    /// All open pull requests of a repository, every page read. A list that could not be read to its end is an error, never
    /// a shorter list. That it is as it was the last time saves reading, not looking: whoever asks gets all of it.
    async fn open_pulls(&self, repo: RepoId) -> Result<Vec<Pull>, Fault>;
    /// Returns once something may be written. Whoever chooses his words only then tells no old news.
    async fn may_write(&self) {}
    /// Makes `body` the text of our one comment: the known one, else the one of our own user that carries our marker, else
    /// a new one.
    async fn comment(&self, key: PullKey, known: Option<CommentId>, body: &str) -> Result<Written, Fault>;
    /// Writes the commit status `preview`.
    async fn status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault>;
    /// Comments on the repository's pull requests that were written or edited since, those touched longest ago first, and
    /// not more than a thousand of them; without a time, the one touched last.
    async fn remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault>;
    /// Whether this person may push to the repository. A fault is no answer.
    async fn may_push(&self, repo: RepoId, person: &Person) -> Result<bool, Fault>;
    /// Marks a comment. One that is gone or refuses it is success.
    async fn mark(&self, repo: RepoId, comment: CommentId, mark: Mark) -> Result<(), Fault>;
}
