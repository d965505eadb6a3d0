//! What webhooks are told: one body per event, built from typed structs.
//!
//! Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads>; `tests/schema.rs` holds the bodies against
//! real deliveries.

use bytes::Bytes;
use preview_core::ids::{CommitSha, RepoId};
use serde::Serialize;

use crate::encoding::percent_encode;
use crate::shapes;
use crate::state::{Comment, Event, Hook, PullAction, PullRequest, Push, Repository, State, User};

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

impl From {
    fn new(from: &str) -> Self {
        Self { from: from.to_owned() }
    }
}

#[derive(Serialize)]
struct CommentContent {
    issue: shapes::Issue,
    comment: shapes::Comment,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<BodyChange>,
}

#[derive(Serialize)]
struct BodyChange {
    body: From,
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
    hook: shapes::HookShape,
}

/// The body of an event; `None` if its repository or pull request is gone.
pub(crate) fn write(state: &State, repo: RepoId, sender: &User, event: &Event<'_>) -> Option<Told> {
    let repo = state.repository(repo)?;
    let (shown, by) = (state.show_repo(repo), state.show_user(sender));
    Some(match event {
        Event::Pull(pull, action) => {
            told("pull_request", Some(action.name()), pull_content(state, repo, pull, action), shown, by)
        }
        Event::CommentCreated(comment) => {
            told("issue_comment", Some("created"), comment_content(state, repo, comment, None)?, shown, by)
        }
        Event::CommentEdited { comment, from } => {
            told("issue_comment", Some("edited"), comment_content(state, repo, comment, Some(from))?, shown, by)
        }
        Event::CommentDeleted(comment) => {
            told("issue_comment", Some("deleted"), comment_content(state, repo, comment, None)?, shown, by)
        }
        Event::Push(push) => {
            told("push", None, push_content(state, repo, sender, push), state.show_pushed_repo(repo), by)
        }
        Event::Renamed { from } => {
            let changes = RepositoryChange { repository: NameFrom { name: From::new(from) } };
            told("repository", Some("renamed"), RenameContent { changes }, shown, by)
        }
    })
}

fn pull_content(state: &State, repo: &Repository, pull: &PullRequest, action: &PullAction) -> PullContent {
    let mut content = PullContent {
        number: pull.number.get(),
        pull_request: state.show_pull(repo, pull),
        before: None,
        after: None,
        changes: None,
        label: None,
    };
    match action {
        PullAction::Synchronize { before } => {
            (content.before, content.after) = (Some(before.to_string()), Some(pull.head.sha.to_string()));
        }
        PullAction::Retargeted { from, from_sha } => {
            let base = BaseFrom { name: From::new(from), sha: From::new(from_sha.as_str()) };
            content.changes = Some(BaseChange { base });
        }
        PullAction::Labeled(name) | PullAction::Unlabeled(name) => content.label = Some(state.show_label(repo, name)),
        _ => {}
    }
    content
}

fn comment_content(state: &State, repo: &Repository, comment: &Comment, from: Option<&str>) -> Option<CommentContent> {
    let pull = repo.pulls.get(&comment.pull)?;
    let changes = from.map(|from| BodyChange { body: From::new(from) });
    Some(CommentContent { issue: state.show_issue(repo, pull), comment: state.show_comment(repo, comment), changes })
}

fn push_content(state: &State, repo: &Repository, sender: &User, push: &Push<'_>) -> PushContent {
    let nothing = "0".repeat(40);
    let before = push.before.map_or(nothing.as_str(), CommitSha::as_str);
    let page = format!("{}/{}", state.urls.server, repo.name);
    PushContent {
        name: format!("refs/heads/{}", push.branch),
        compare: format!("{page}/compare/{}...{}", &before[..12], &push.after.as_str()[..12]),
        before: before.to_owned(),
        after: push.after.to_string(),
        created: push.before.is_none(),
        deleted: false,
        forced: push.forced,
        base_ref: None,
        pusher: Pusher {
            name: sender.login.clone(),
            email: format!("{}+{}@users.noreply.github.com", sender.id, sender.login),
        },
    }
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
        PingContent { zen: "Keep it logically awesome.", hook_id: hook.id, hook: state.show_hook(repo, hook) };
    let sender = state.show_user(&repository.owner);
    Some(to_json(&Envelope { action: None, content, repository: state.show_repo(repository), sender }))
}

/// The same JSON as a hook with content type `form` gets it.
pub(crate) fn as_form(json: &[u8]) -> Bytes {
    format!("payload={}", percent_encode(json)).into()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("shapes hold only text, numbers and each other")
}
