//! What GitHub knows: plain data and the rules that keep it consistent. No HTTP, no Git, no waiting.
//!
//! Tests look at it through [`crate::GitHub::look`] and [`crate::GitHub::wait_for`].

mod delivery;
mod event;
mod log;
mod repository;
mod signature;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use preview_core::ids::{CommentId, PrNumber, RepoId, RepoName};

use crate::app::InstallationToken;
use crate::faults::Matching;
use crate::server::Options;
use crate::shapes::{HookShape, Urls};

pub use delivery::{Deliveries, Delivery, Outcome};
pub(crate) use delivery::{Next, Post};
pub(crate) use event::{Event, PullAction, Push};
pub(crate) use log::{Log, Quota};
pub use log::{Request, Surface};
pub use repository::{
    Comment, Head, Hook, Permission, PullRequest, PullState, Reaction, Repository, Status, StatusState,
};
pub use signature::{sha1_signature, sha256_signature};

/// A person or a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// GitHub's number.
    pub id: u64,
    /// The name; a bot's ends with `[bot]`.
    pub login: String,
}

impl User {
    /// Whether GitHub shows it with type `Bot`.
    pub fn is_bot(&self) -> bool {
        self.login.ends_with("[bot]")
    }
}

/// Everything that GitHub knows.
#[derive(Debug)]
pub struct State {
    pub(crate) urls: Urls,
    /// The account whose token the product holds.
    pub(crate) bot: User,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) repositories: BTreeMap<RepoId, Repository>,
    /// Names that repositories had before they were renamed; they redirect until somebody else takes them.
    pub(crate) former_names: BTreeMap<RepoName, RepoId>,
    pub(crate) post: Post,
    pub(crate) log: Log,
    pub(crate) quota: Quota,
    /// What the App's installation was given.
    pub(crate) installation_tokens: Vec<InstallationToken>,
    last_id: u64,
}

/// Above what fits 32 bits, as GitHub's comment ids have been since 2024: a product that cuts them is found out.
pub(crate) const FIRST_ID: u64 = 5_000_000_000;

impl State {
    pub(crate) fn new(urls: Urls, options: &Options) -> Self {
        let bot = User { id: options.first_id, login: options.bot_login.clone() };
        Self {
            urls,
            users: BTreeMap::from([(bot.login.to_ascii_lowercase(), bot.clone())]),
            bot,
            repositories: BTreeMap::new(),
            former_names: BTreeMap::new(),
            post: Post::default(),
            log: Log::default(),
            quota: Quota::new(options.hourly_limit),
            installation_tokens: Vec::new(),
            last_id: options.first_id,
        }
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The user of this name, who joins GitHub by being named.
    pub(crate) fn meet(&mut self, login: &str) -> User {
        let key = login.to_ascii_lowercase();
        if let Some(user) = self.users.get(&key) {
            return user.clone();
        }
        let user = User { id: self.fresh_id(), login: login.to_owned() };
        self.users.insert(key, user.clone());
        user
    }

    /// All repositories, the oldest first.
    pub fn repositories(&self) -> impl Iterator<Item = &Repository> {
        self.repositories.values()
    }

    /// One repository.
    pub fn repository(&self, id: RepoId) -> Option<&Repository> {
        self.repositories.get(&id)
    }

    /// One pull request.
    pub fn pull(&self, repo: RepoId, number: PrNumber) -> Option<&PullRequest> {
        self.repository(repo)?.pulls.get(&number)
    }

    /// The comments of a pull request that are there now, the oldest first.
    pub fn comments(&self, repo: RepoId, number: PrNumber) -> Vec<&Comment> {
        let of = |comment: &&Comment| comment.pull == number;
        self.repository(repo).map(|repo| repo.comments.values().filter(of).collect()).unwrap_or_default()
    }

    /// The comments that the product's account wrote on a pull request.
    pub fn bot_comments(&self, repo: RepoId, number: PrNumber) -> Vec<&Comment> {
        self.comments(repo, number).into_iter().filter(|comment| comment.author == self.bot).collect()
    }

    /// Every request so far, the oldest first.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.log.requests.values()
    }

    /// How many requests so far match.
    pub fn count(&self, matching: &Matching) -> usize {
        self.requests().filter(|request| matching.matches(request)).count()
    }

    /// Every delivery so far, each attempt on its own, the oldest first.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.post.all.values()
    }

    /// What happened last, for the message of a wait that was in vain.
    pub(crate) fn summary(&self) -> String {
        let mut lines = vec!["requests:".to_owned()];
        let newest = self.log.requests.values().rev().take(12).collect::<Vec<_>>();
        lines.extend(newest.into_iter().rev().map(|r| format!("  {} {} -> {:?}", r.method, r.path, r.status)));
        lines.push("deliveries:".to_owned());
        let newest = self.post.all.values().rev().take(8).collect::<Vec<_>>();
        lines.extend(newest.into_iter().rev().map(|d| format!("  {} {:?} -> {:?}", d.event, d.action, d.outcome)));
        lines.push("comments:".to_owned());
        let comments = self.repositories.values().flat_map(|repo| repo.comments.values());
        lines.extend(comments.map(|c| format!("  {} on {}: {}", c.author.login, c.pull, c.body)));
        lines.join("\n")
    }

    pub(crate) fn repo_by_name(&self, name: &RepoName) -> Option<RepoId> {
        self.repositories.values().find(|repo| repo.name == *name).map(|repo| repo.id)
    }

    pub(crate) fn add_repository(&mut self, name: RepoName, fork_of: Option<RepoId>, now: Timestamp) -> RepoId {
        let id = RepoId(self.fresh_id());
        let owner = self.meet(name.owner());
        self.former_names.remove(&name);
        let repository = Repository {
            id,
            name,
            owner,
            private: true,
            visible: true,
            archived: false,
            fork_of,
            default_branch: "main".to_owned(),
            created_at: now,
            pushed_at: now,
            branches: BTreeMap::new(),
            commits: BTreeSet::new(),
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            reactions: Vec::new(),
            statuses: Vec::new(),
            permissions: BTreeMap::new(),
            hooks: BTreeMap::new(),
        };
        self.repositories.insert(id, repository);
        id
    }

    pub(crate) fn add_comment(
        &mut self,
        repo: RepoId,
        pull: PrNumber,
        author: User,
        body: String,
        now: Timestamp,
    ) -> Option<CommentId> {
        let id = CommentId(self.fresh_id());
        let repository = self.repositories.get_mut(&repo)?;
        repository.pulls.get_mut(&pull)?.updated_at = now;
        let comment = Comment { id, pull, author, body, created_at: now, updated_at: now, edits: 0 };
        repository.comments.insert(id, comment);
        let told = repository.comments.get(&id).cloned()?;
        self.announce(repo, &told.author, Event::CommentCreated(&told));
        Some(id)
    }

    pub(crate) fn edit_comment(&mut self, repo: RepoId, id: CommentId, body: String, sender: &User) -> Option<()> {
        let comment = self.repositories.get_mut(&repo)?.comments.get_mut(&id)?;
        let from = std::mem::replace(&mut comment.body, body);
        comment.updated_at = Timestamp::now();
        comment.edits += 1;
        let comment = comment.clone();
        self.announce(repo, sender, Event::CommentEdited { comment: &comment, from: &from });
        Some(())
    }

    pub(crate) fn remove_comment(&mut self, repo: RepoId, id: CommentId, sender: &User) -> Option<()> {
        let comment = self.repositories.get_mut(&repo)?.comments.remove(&id)?;
        self.announce(repo, sender, Event::CommentDeleted(&comment));
        Some(())
    }

    pub(crate) fn add_hook(&mut self, repo: RepoId, hook: Hook) -> Option<HookShape> {
        self.repositories.get_mut(&repo)?.hooks.insert(hook.id, hook.clone());
        self.ping(repo, &hook);
        Some(self.show_hook(repo, &hook))
    }
}
