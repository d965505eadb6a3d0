//! GitHub's REST API, as far as previews need it: the implementation of [`Forge`].
//!
//! Repositories are named by GitHub's number in every call, so that a renamed one stays the same. What GitHub says is
//! believed only whole: a list that can't be read to its end, an answer of another shape, a 404 that the repository
//! itself doesn't back are faults, never "there is nothing". Nothing is retried here; a [`Fault`] says when to come back.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `api` | one request and its answer: headers, limits on size and time, redirects |
//! | `app` | a GitHub App's tokens |
//! | `pace` | how fast we go before anybody has to tell us |
//! | `gate` | what GitHub told us about waiting, and a token that doesn't count; closed, it lets no request out |
//! | `rights` | what the token may not do |
//! | `turn` | one write at a time, and not too fast |
//! | `pages` | lists, read to their end, with ETags |
//! | `pulls`, `comments`, `statuses` | the three things that we read and write |
//! | `people` | what people say in comments, and whether they may |
//!
//! Source: <https://docs.github.com/en/rest>

use async_trait::async_trait;
use jiff::Timestamp;
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, PullKey, RepoId, RepoName};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::ledger::Mark;
use crate::needs::{CommitStatus, Fault, Forge, Person, PullAnswer, Remarks, Repository, Tokens, Written};

mod api;
mod app;
mod comments;
mod gate;
mod pace;
mod pages;
mod people;
mod pulls;
mod rights;
mod statuses;
mod turn;
mod wire;

use gate::Closed;

pub use api::BadSettings;
pub use app::{AppCredentials, AppKey, NotAKey};
pub use pace::{Budget, Pace};
pub use rights::parse_end as token_end;

/// Who we are to GitHub.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A personal access token, fine-grained or classic.
    Token(SecretString),
    /// A GitHub App.
    App(AppCredentials),
}

/// What the client must be told.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// Where the API is, with whatever path it begins with (`https://github.example.com/api/v3`).
    pub api_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// How fast requests may follow each other.
    pub pace: Pace,
}

impl GitHubSettings {
    /// github.com's API.
    pub const API_URL: &str = "https://api.github.com";

    /// An API, at the pace that is right for it.
    pub fn new(api_url: impl Into<String>, credentials: Credentials) -> Self {
        let api_url = api_url.into();
        let pace = if is_github_com(&api_url) { Pace::GITHUB_COM } else { Pace::ENTERPRISE };
        Self { api_url, credentials, pace }
    }
}

/// Whether GitHub itself answers there, whose limits are published; the second are its customers' with data residency.
fn is_github_com(api_url: &str) -> bool {
    let url = reqwest::Url::parse(api_url.trim()).ok();
    url.and_then(|url| url.host_str().map(|host| host == "api.github.com" || host.ends_with(".ghe.com"))) == Some(true)
}

/// How GitHub and we get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgeHealth {
    /// It answers, as far as we know.
    Ok,
    /// It asked us to wait.
    LimitedUntil(Timestamp),
    /// It doesn't accept our token.
    Unauthorised {
        /// What to do about it.
        advice: &'static str,
    },
    /// It accepts our token, about which somebody should do something all the same: each in one sentence.
    Token(Vec<String>),
}

/// Makes `ring` the process's TLS cryptography unless another has been chosen. [`GitHub::new`] does it too; a program that
/// makes TLS connections earlier calls it first.
pub fn install_tls() {
    // An error means that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client.
pub struct GitHub {
    api: api::Api,
    turn: turn::Turns,
    listed: pulls::Listed,
    written: comments::Written,
    stated: statuses::Stated,
    said: people::Said,
    /// The number of our own user, once asked.
    me: OnceCell<u64>,
}

impl GitHub {
    /// A client; nothing is asked of GitHub yet.
    pub fn new(settings: GitHubSettings) -> Result<Self, BadSettings> {
        install_tls();
        Ok(Self {
            api: api::Api::new(&settings)?,
            turn: turn::Turns::new(&settings.pace),
            listed: pulls::Listed::default(),
            written: comments::Written::default(),
            stated: statuses::Stated::default(),
            said: people::Said::default(),
            me: OnceCell::new(),
        })
    }

    /// How GitHub and we get on, from its last answers.
    pub fn health(&self) -> ForgeHealth {
        match self.api.gate.closed() {
            Some(Closed::Unauthorised(advice)) => ForgeHealth::Unauthorised { advice },
            Some(Closed::LimitedUntil(when)) => ForgeHealth::LimitedUntil(when),
            None => match self.api.rights.troubles() {
                troubles if troubles.is_empty() => ForgeHealth::Ok,
                troubles => ForgeHealth::Token(troubles),
            },
        }
    }
}

#[async_trait]
impl Tokens for GitHub {
    async fn token(&self) -> Result<SecretString, Fault> {
        self.api.token().await
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault> {
        self.find_repository(name).await
    }

    async fn pull(&self, key: PullKey) -> Result<PullAnswer, Fault> {
        self.read_pull(key).await
    }

    async fn open_pulls(&self, repo: RepoId) -> Result<Vec<Pull>, Fault> {
        self.list_pulls(repo).await
    }

    async fn may_write(&self) {
        self.turn.free().await;
    }

    async fn comment(&self, key: PullKey, known: Option<CommentId>, body: &str) -> Result<Written, Fault> {
        self.write_comment(key, known, body).await
    }

    async fn status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault> {
        self.write_status(repo, status).await
    }

    async fn remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault> {
        self.list_remarks(repo, since).await
    }

    async fn may_push(&self, repo: RepoId, person: &Person) -> Result<bool, Fault> {
        self.ask_permission(repo, person).await
    }

    async fn mark(&self, repo: RepoId, comment: CommentId, mark: Mark) -> Result<(), Fault> {
        self.react(repo, comment, mark).await
    }
}
