//! The JSON shapes that REST answers and webhook payloads share: users, repositories, pull requests, comments.
//!
//! Names and types are GitHub's (<https://github.com/github/rest-api-description>); what nobody here models is left out rather
//! than made up. `tests/schema.rs` holds every field against the published descriptions.

mod hook;

use jiff::Timestamp;
use serde::Serialize;

pub(crate) use hook::HookShape;

use crate::state::{self, Permission, PullState, State};

/// A moment as GitHub writes it: UTC, whole seconds.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What addresses in answers begin with.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    pub(crate) api: String,
    pub(crate) server: String,
}

#[derive(Serialize)]
pub(crate) struct User {
    pub(crate) login: String,
    pub(crate) id: u64,
    url: String,
    html_url: String,
    #[serde(rename = "type")]
    kind: &'static str,
    site_admin: bool,
}

#[derive(Serialize)]
pub(crate) struct Repository {
    id: u64,
    name: String,
    full_name: String,
    private: bool,
    owner: User,
    html_url: String,
    description: Option<String>,
    fork: bool,
    url: String,
    hooks_url: String,
    pulls_url: String,
    statuses_url: String,
    created_at: Stamp,
    updated_at: String,
    pushed_at: Stamp,
    clone_url: String,
    archived: bool,
    disabled: bool,
    visibility: &'static str,
    open_issues_count: usize,
    default_branch: String,
}

/// Push events write two of a repository's moments as numbers, everything else as text.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Stamp {
    Text(String),
    Seconds(i64),
}

#[derive(Serialize)]
pub(crate) struct Label {
    name: String,
    url: String,
    color: &'static str,
    default: bool,
}

#[derive(Serialize)]
pub(crate) struct Pull {
    url: String,
    id: u64,
    html_url: String,
    diff_url: String,
    patch_url: String,
    issue_url: String,
    number: u64,
    state: &'static str,
    locked: bool,
    title: String,
    user: User,
    body: Option<String>,
    created_at: String,
    updated_at: String,
    closed_at: Option<String>,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
    labels: Vec<Label>,
    draft: bool,
    comments_url: String,
    statuses_url: String,
    head: Branch,
    base: Branch,
    #[serde(rename = "_links")]
    links: Links,
    author_association: &'static str,
    /// Fields of a single pull request; lists leave them out.
    #[serde(flatten)]
    details: Option<PullDetails>,
}

#[derive(Serialize)]
struct PullDetails {
    merged: bool,
    comments: usize,
}

#[derive(Serialize)]
struct Branch {
    label: String,
    #[serde(rename = "ref")]
    name: String,
    sha: String,
    user: Option<User>,
    repo: Option<Repository>,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: Link,
    html: Link,
    issue: Link,
    comments: Link,
    statuses: Link,
}

#[derive(Serialize)]
struct Link {
    href: String,
}

/// A pull request as an issue, which is how comments see it.
#[derive(Serialize)]
pub(crate) struct Issue {
    url: String,
    html_url: String,
    comments_url: String,
    id: u64,
    number: u64,
    title: String,
    user: User,
    labels: Vec<Label>,
    state: &'static str,
    locked: bool,
    comments: usize,
    created_at: String,
    updated_at: String,
    closed_at: Option<String>,
    author_association: &'static str,
    body: Option<String>,
    draft: bool,
    pull_request: IssuePull,
}

#[derive(Serialize)]
struct IssuePull {
    url: String,
    html_url: String,
    diff_url: String,
    patch_url: String,
    merged_at: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Comment {
    url: String,
    html_url: String,
    issue_url: String,
    pub(crate) id: u64,
    user: User,
    created_at: String,
    updated_at: String,
    author_association: &'static str,
    body: String,
}

impl State {
    pub(crate) fn show_user(&self, user: &state::User) -> User {
        User {
            login: user.login.clone(),
            id: user.id,
            url: format!("{}/users/{}", self.urls.api, user.login),
            html_url: format!("{}/{}", self.urls.server, user.login),
            kind: if user.is_bot() { "Bot" } else { "User" },
            site_admin: false,
        }
    }

    fn repo_url(&self, repo: &state::Repository) -> String {
        format!("{}/repos/{}", self.urls.api, repo.name)
    }

    pub(crate) fn show_repo(&self, repo: &state::Repository) -> Repository {
        let url = self.repo_url(repo);
        let html_url = format!("{}/{}", self.urls.server, repo.name);
        Repository {
            id: repo.id.0,
            name: repo.name.name().to_owned(),
            full_name: repo.name.to_string(),
            private: repo.private,
            owner: self.show_user(&repo.owner),
            description: None,
            fork: repo.fork_of.is_some(),
            hooks_url: format!("{url}/hooks"),
            pulls_url: format!("{url}/pulls{{/number}}"),
            statuses_url: format!("{url}/statuses/{{sha}}"),
            created_at: Stamp::Text(stamp(repo.created_at)),
            updated_at: stamp(repo.pushed_at),
            pushed_at: Stamp::Text(stamp(repo.pushed_at)),
            clone_url: format!("{html_url}.git"),
            archived: repo.archived,
            disabled: false,
            visibility: if repo.private { "private" } else { "public" },
            open_issues_count: repo.pulls.values().filter(|pull| pull.is_open()).count(),
            default_branch: repo.default_branch.clone(),
            url,
            html_url,
        }
    }

    /// The repository as push events show it.
    pub(crate) fn show_pushed_repo(&self, repo: &state::Repository) -> Repository {
        Repository {
            url: format!("{}/{}", self.urls.server, repo.name),
            created_at: Stamp::Seconds(repo.created_at.as_second()),
            pushed_at: Stamp::Seconds(repo.pushed_at.as_second()),
            ..self.show_repo(repo)
        }
    }

    fn labels(&self, repo: &state::Repository, pull: &state::PullRequest) -> Vec<Label> {
        pull.labels.iter().map(|name| self.show_label(repo, name)).collect()
    }

    pub(crate) fn show_label(&self, repo: &state::Repository, name: &str) -> Label {
        let url = format!("{}/labels/{name}", self.repo_url(repo));
        Label { name: name.to_owned(), url, color: "ededed", default: false }
    }

    fn association(&self, repo: &state::Repository, user: &state::User) -> &'static str {
        match repo.permissions.get(&user.login.to_ascii_lowercase()) {
            _ if repo.owner == *user => "OWNER",
            Some(permission) if *permission > Permission::None => "COLLABORATOR",
            // GitHub says so of anybody who ever contributed, which is why it proves nothing.
            _ if repo.pulls.values().any(|pull| pull.author == *user) => "CONTRIBUTOR",
            _ => "NONE",
        }
    }

    /// A pull request as lists show it.
    pub(crate) fn show_listed_pull(&self, repo: &state::Repository, pull: &state::PullRequest) -> Pull {
        let url = format!("{}/pulls/{}", self.repo_url(repo), pull.number);
        let issue_url = format!("{}/issues/{}", self.repo_url(repo), pull.number);
        let html_url = format!("{}/{}/pull/{}", self.urls.server, repo.name, pull.number);
        let statuses_url = format!("{}/statuses/{}", self.repo_url(repo), pull.head.sha);
        let (closed_at, merged_at, merge_commit_sha) = self.ending(pull);
        Pull {
            id: pull.id,
            diff_url: format!("{html_url}.diff"),
            patch_url: format!("{html_url}.patch"),
            number: pull.number.get(),
            state: if pull.is_open() { "open" } else { "closed" },
            locked: false,
            title: pull.title.clone(),
            user: self.show_user(&pull.author),
            body: pull.body.clone(),
            created_at: stamp(pull.created_at),
            updated_at: stamp(pull.updated_at),
            closed_at,
            merged_at,
            merge_commit_sha,
            labels: self.labels(repo, pull),
            draft: pull.draft,
            comments_url: format!("{issue_url}/comments"),
            head: self.branch(self.repository(pull.head.repo), &pull.head.branch, pull.head.sha.as_str()),
            base: self.branch(Some(repo), &pull.base_branch, pull.base_sha.as_str()),
            links: Links {
                this: Link { href: url.clone() },
                html: Link { href: html_url.clone() },
                issue: Link { href: issue_url.clone() },
                comments: Link { href: format!("{issue_url}/comments") },
                statuses: Link { href: statuses_url.clone() },
            },
            author_association: self.association(repo, &pull.author),
            details: None,
            url,
            html_url,
            issue_url,
            statuses_url,
        }
    }

    /// A pull request as it is shown alone.
    pub(crate) fn show_pull(&self, repo: &state::Repository, pull: &state::PullRequest) -> Pull {
        let merged = matches!(pull.state, PullState::Merged { .. });
        let details = PullDetails { merged, comments: self.comments(repo.id, pull.number).len() };
        Pull { details: Some(details), ..self.show_listed_pull(repo, pull) }
    }

    fn ending(&self, pull: &state::PullRequest) -> (Option<String>, Option<String>, Option<String>) {
        match &pull.state {
            PullState::Open => (None, None, None),
            PullState::Closed { at } => (Some(stamp(*at)), None, None),
            PullState::Merged { at, commit } => (Some(stamp(*at)), Some(stamp(*at)), Some(commit.to_string())),
        }
    }

    /// One side of a pull request; a fork that was deleted is null.
    fn branch(&self, repo: Option<&state::Repository>, name: &str, sha: &str) -> Branch {
        let owner = repo.map_or("unknown", |repo| repo.name.owner());
        Branch {
            label: format!("{owner}:{name}"),
            name: name.to_owned(),
            sha: sha.to_owned(),
            user: repo.map(|repo| self.show_user(&repo.owner)),
            repo: repo.map(|repo| self.show_repo(repo)),
        }
    }

    pub(crate) fn show_issue(&self, repo: &state::Repository, pull: &state::PullRequest) -> Issue {
        let shown = self.show_pull(repo, pull);
        Issue {
            url: shown.issue_url,
            html_url: shown.html_url.clone(),
            comments_url: shown.comments_url,
            id: shown.id,
            number: shown.number,
            title: shown.title,
            user: shown.user,
            labels: shown.labels,
            state: shown.state,
            locked: shown.locked,
            comments: self.comments(repo.id, pull.number).len(),
            created_at: shown.created_at,
            updated_at: shown.updated_at,
            closed_at: shown.closed_at,
            author_association: shown.author_association,
            body: shown.body,
            draft: shown.draft,
            pull_request: IssuePull {
                url: shown.url,
                html_url: shown.html_url,
                diff_url: shown.diff_url,
                patch_url: shown.patch_url,
                merged_at: shown.merged_at,
            },
        }
    }

    pub(crate) fn show_comment(&self, repo: &state::Repository, comment: &state::Comment) -> Comment {
        let page = format!("{}/{}/pull/{}", self.urls.server, repo.name, comment.pull);
        Comment {
            url: format!("{}/issues/comments/{}", self.repo_url(repo), comment.id),
            html_url: format!("{page}#issuecomment-{}", comment.id),
            issue_url: format!("{}/issues/{}", self.repo_url(repo), comment.pull),
            id: comment.id.0,
            user: self.show_user(&comment.author),
            created_at: stamp(comment.created_at),
            updated_at: stamp(comment.updated_at),
            author_association: self.association(repo, &comment.author),
            body: comment.body.clone(),
        }
    }
}
