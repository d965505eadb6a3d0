//! GitHub's REST API, as far as previews need it: the implementation of [`Forge`].
//!
//! Repositories are named by GitHub's number in every call, so that a renamed one stays the same. What GitHub says is
//! believed only whole: a list that can't be read to its end, an answer of another shape, a 404 that the repository
//! itself doesn't back are faults, never "there is nothing". Nothing is retried here; a [`Fault`] says when to come back.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `api` | one request and its answer: headers, limits on size and time, redirects |
//! | `gate` | what GitHub told us about waiting and about our token; closed, it lets no request out |
//! | `turn` | one write at a time, and not too fast |
//! | `pages` | lists, read to their end, with ETags |
//! | `pulls`, `comments`, `statuses` | the three things that we read and write |
//!
//! Source: <https://docs.github.com/en/rest>

use std::time::Duration;

use async_trait::async_trait;
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, PullKey, RepoId, RepoName};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::needs::{CommitStatus, Fault, Forge, PullAnswer, Repository, Written};

mod api;
mod comments;
mod gate;
mod pages;
mod pulls;
mod statuses;
mod turn;
mod wire;

pub use api::BadSettings;
pub use gate::ForgeHealth;

/// Who we are to GitHub.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A personal access token, fine-grained or classic.
    Token(SecretString),
}

/// What the client must be told.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// Where the API is, with whatever path it begins with (`https://github.example.com/api/v3`).
    pub api_url: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Shortest time from the end of one write to the beginning of the next.
    pub write_interval: Duration,
}

impl GitHubSettings {
    /// github.com's API.
    pub const API_URL: &str = "https://api.github.com";
    /// Source: <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api>, "Pause between
    /// mutative requests".
    pub const WRITE_INTERVAL: Duration = Duration::from_secs(1);

    /// github.com with a token.
    pub fn with_token(token: SecretString) -> Self {
        Self {
            api_url: Self::API_URL.to_owned(),
            credentials: Credentials::Token(token),
            write_interval: Self::WRITE_INTERVAL,
        }
    }
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
    /// The number of our own user, once asked.
    me: OnceCell<u64>,
}

impl GitHub {
    /// A client; nothing is asked of GitHub yet.
    pub fn new(settings: GitHubSettings) -> Result<Self, BadSettings> {
        install_tls();
        Ok(Self {
            api: api::Api::new(&settings)?,
            turn: turn::Turns::new(settings.write_interval),
            listed: pulls::Listed::default(),
            written: comments::Written::default(),
            stated: statuses::Stated::default(),
            me: OnceCell::new(),
        })
    }

    /// How GitHub and we get on, from its last answers.
    pub fn health(&self) -> ForgeHealth {
        self.api.health()
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

    async fn comment(&self, key: PullKey, known: Option<CommentId>, body: &str) -> Result<Written, Fault> {
        self.write_comment(key, known, body).await
    }

    async fn status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault> {
        self.write_status(repo, status).await
    }
}
