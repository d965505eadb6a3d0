//! What webhooks are told: one body per event, built from typed structs.
//!
//! Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>; `tests/schema.rs` holds the bodies against
//! real deliveries.

use bytes::Bytes;
use preview_core::ids::{CommitSha, RepoId};
use serde::Serialize;

use crate::rest::percent_encode;
use crate::shapes::{self, stamp};
use crate::state::{Event, Hook, State, User};

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
    fn name(&self) -> &'static str {
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

/// A body and what the headers say of it.
pub(crate) struct Told {
    pub(crate) event: &'static str,
    pub(crate) action: Option<String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Serialize)]
struct Envelope<T: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(flatten)]
    content: T,
    repository: shapes::Repository,
    sender: shapes::User,
}

#[derive(Serialize)]
struct PullContent {
    number: u64,
    pull_request: shapes::Pull,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<BaseChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<shapes::Label>,
}

#[derive(Serialize)]
struct BaseChange {
    base: BaseFrom,
}

#[derive(Serialize)]
struct BaseFrom {
    #[serde(rename = "ref")]
    name: From,
    sha: From,
}

#[derive(Serialize)]
struct From {
    from: String,
}

#[derive(Serialize)]
struct CommentContent {
    issue: shapes::Issue,
    comment: shapes::Comment,
}

#[derive(Serialize)]
struct PushContent {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    created: bool,
    deleted: bool,
    forced: bool,
    base_ref: Option<String>,
    compare: String,
    pusher: Pusher,
}

#[derive(Serialize)]
struct Pusher {
    name: String,
    email: String,
}

#[derive(Serialize)]
struct RenameContent {
    changes: RepositoryChange,
}

#[derive(Serialize)]
struct RepositoryChange {
    repository: NameFrom,
}

#[derive(Serialize)]
struct NameFrom {
    name: From,
}

#[derive(Serialize)]
struct PingContent {
    zen: &'static str,
    hook_id: u64,
    hook: HookShape,
}

/// A webhook as the API and pings show it; the secret is never among it.
#[derive(Serialize)]
pub(crate) struct HookShape {
    #[serde(rename = "type")]
    kind: &'static str,
    id: u64,
    name: &'static str,
    active: bool,
    events: Vec<String>,
    config: HookConfig,
    updated_at: String,
    created_at: String,
    url: String,
    test_url: String,
    ping_url: String,
    deliveries_url: String,
    last_response: LastResponse,
}

#[derive(Serialize)]
struct HookConfig {
    content_type: &'static str,
    insecure_ssl: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'static str>,
    url: String,
}

#[derive(Serialize)]
struct LastResponse {
    code: Option<u16>,
    status: &'static str,
    message: Option<String>,
}

/// The body of an event; `None` if its repository or pull request is gone.
pub(crate) fn write(state: &State, repo: RepoId, sender: &User, event: &Event<'_>) -> Option<Told> {
    let repository = state.repository(repo)?;
    let shown = || state.show_repo(repository);
    let comment = |comment| {
        let pull = repository.pulls.get(&comment_pull(comment))?;
        let comment = state.show_comment(repository, comment);
        Some(CommentContent { issue: state.show_issue(repository, pull), comment })
    };
    let sender = || state.show_user(sender);
    Some(match event {
        Event::Pull(pull, action) => {
            let number = pull.number.get();
            let (changes, before, label) = match action {
                PullAction::Retargeted { from, from_sha } => (Some(base_change(from, from_sha)), None, None),
                PullAction::Synchronize { before } => (None, Some(before.to_string()), None),
                PullAction::Labeled(name) | PullAction::Unlabeled(name) => {
                    (None, None, Some(state.show_label(repository, name)))
                }
                _ => (None, None, None),
            };
            let after = before.is_some().then(|| pull.head.sha.to_string());
            let pull_request = state.show_pull(repository, pull);
            let content = PullContent { number, pull_request, before, after, changes, label };
            told("pull_request", Some(action.name()), content, shown(), sender())
        }
        Event::CommentCreated(created) => told("issue_comment", Some("created"), comment(created)?, shown(), sender()),
        Event::CommentDeleted(deleted) => told("issue_comment", Some("deleted"), comment(deleted)?, shown(), sender()),
        Event::Push { branch, before, after, forced } => {
            let page = format!("{}/{}", state.urls.server, repository.name);
            let nothing = "0".repeat(40);
            let before_text = before.map_or(nothing.as_str(), CommitSha::as_str);
            let sender = sender();
            let content = PushContent {
                name: format!("refs/heads/{branch}"),
                compare: format!("{page}/compare/{}...{}", &before_text[..12], &after.as_str()[..12]),
                before: before_text.to_owned(),
                after: after.to_string(),
                created: before.is_none(),
                deleted: false,
                forced: *forced,
                base_ref: None,
                pusher: Pusher {
                    name: sender.login.clone(),
                    email: format!("{}+{}@users.noreply.github.com", sender.id, sender.login),
                },
            };
            told("push", None, content, state.show_pushed_repo(repository), sender)
        }
        Event::Renamed { from } => {
            let changes = RepositoryChange { repository: NameFrom { name: From { from: (*from).to_owned() } } };
            told("repository", Some("renamed"), RenameContent { changes }, shown(), sender())
        }
    })
}

fn comment_pull(comment: &crate::state::Comment) -> preview_core::ids::PrNumber {
    comment.pull
}

fn base_change(from: &str, sha: &CommitSha) -> BaseChange {
    BaseChange { base: BaseFrom { name: From { from: from.to_owned() }, sha: From { from: sha.to_string() } } }
}

fn told(
    event: &'static str,
    action: Option<&'static str>,
    content: impl Serialize,
    repository: shapes::Repository,
    sender: shapes::User,
) -> Told {
    let envelope = Envelope { action, content, repository, sender };
    Told { event, action: action.map(str::to_owned), body: to_json(&envelope) }
}

/// What GitHub sends to a hook when it is made, and when somebody asks.
pub(crate) fn ping(state: &State, repo: RepoId, hook: &Hook) -> Option<Vec<u8>> {
    let repository = state.repository(repo)?;
    let content =
        PingContent { zen: "Keep it logically awesome.", hook_id: hook.id, hook: show_hook(state, repo, hook) };
    let sender = state.show_user(&repository.owner);
    Some(to_json(&Envelope { action: None, content, repository: state.show_repo(repository), sender }))
}

/// A webhook as the API and pings show it.
pub(crate) fn show_hook(state: &State, repo: RepoId, hook: &Hook) -> HookShape {
    let name = state.repository(repo).map(|repo| repo.name.to_string()).unwrap_or_default();
    let url = format!("{}/repos/{name}/hooks/{}", state.urls.api, hook.id);
    let last = state.deliveries().filter(|delivery| delivery.hook == hook.id).filter_map(|d| d.status()).last();
    HookShape {
        kind: "Repository",
        id: hook.id,
        name: "web",
        active: hook.active,
        events: hook.events.iter().cloned().collect(),
        config: HookConfig {
            content_type: if hook.json { "json" } else { "form" },
            insecure_ssl: if hook.insecure_ssl { "1" } else { "0" },
            secret: hook.secret.is_some().then_some("********"),
            url: hook.url.clone(),
        },
        updated_at: stamp(hook.updated_at),
        created_at: stamp(hook.created_at),
        test_url: format!("{url}/test"),
        ping_url: format!("{url}/pings"),
        deliveries_url: format!("{url}/deliveries"),
        last_response: LastResponse {
            code: last,
            status: last.map_or("unused", |code| if code < 400 { "active" } else { "failed" }),
            message: None,
        },
        url,
    }
}

/// The same JSON as a hook with content type `form` gets it.
pub(crate) fn as_form(json: &[u8]) -> Bytes {
    format!("payload={}", percent_encode(json)).into()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("shapes hold only text, numbers and each other")
}
