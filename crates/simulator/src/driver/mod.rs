//! Acting on the simulated GitHub as people do: making repositories, pushing, opening and closing pull requests, talking.
//!
//! Every act sends the deliveries that GitHub sends, unless [`crate::GitHub::deliver`] says otherwise.

mod pull;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use preview_core::ids::{CommitSha, PrNumber, RepoId, RepoName};

use crate::change::{Change, Source};
use crate::error::{Error, Result};
use crate::git::{Authorship, Bare};
use crate::server::{GitHub, Shared};
use crate::state::{Event, Hook, Permission, PullAction, PullRequest, Push, Repository, State, User};

pub use pull::{NewPull, Pull};

/// What a new hook is told of, as the product asks for it.
const EVENTS: [&str; 4] = ["issue_comment", "pull_request", "push", "repository"];

impl GitHub {
    /// Makes a private repository with one commit (or, from Git, with its whole history) on its branch `main`.
    pub async fn create_repo(&self, name: &str, source: impl Into<Source>) -> Result<Repo> {
        let name: RepoName = name.parse()?;
        let owner = name.owner().to_owned();
        let _held = self.shared.pushing.lock().await;
        if self.look(|state| state.repo_by_name(&name).is_some()) {
            return Err(Error::Exists(format!("repository {name}")));
        }
        let id = self.shared.write_quietly(|state| state.add_repository(name, None, Timestamp::now()));
        let repo = Repo { shared: self.shared.clone(), id };
        repo.bare().init("main").await?;
        let commit = repo.write_source(None, source.into(), &owner, "Initial commit").await?;
        repo.move_branch("main", &commit, false, &owner).await?;
        Ok(repo)
    }

    /// The repository of this name, as it is now.
    pub fn repo(&self, name: &str) -> Result<Repo> {
        let name: RepoName = name.parse()?;
        let id = self.look(|state| state.repo_by_name(&name));
        let id = id.ok_or_else(|| Error::Missing(format!("repository {name}")))?;
        Ok(Repo { shared: self.shared.clone(), id })
    }
}

/// One repository, to act on.
#[derive(Clone)]
pub struct Repo {
    shared: Arc<Shared>,
    id: RepoId,
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repo").field(&self.id).finish()
    }
}

impl Repo {
    /// GitHub's number.
    pub fn id(&self) -> RepoId {
        self.id
    }

    /// What it is called now.
    pub fn name(&self) -> RepoName {
        self.read(|repo| repo.name.clone())
    }

    /// What Git clones it by.
    pub fn clone_url(&self) -> String {
        self.shared.read(|state| format!("{}/{}.git", state.urls.server, self.known(state).name))
    }

    /// The newest commit of a branch.
    pub fn tip(&self, branch: &str) -> Result<CommitSha> {
        let tip = self.read(|repo| repo.branches.get(branch).cloned());
        tip.ok_or_else(|| Error::Missing(format!("branch {branch} of {}", self.name())))
    }

    /// One of its pull requests.
    pub fn pull(&self, number: PrNumber) -> Result<Pull> {
        let known = self.read(|repo| repo.pulls.contains_key(&number));
        if known {
            Ok(Pull { repo: self.clone(), number })
        } else {
            Err(Error::Missing(format!("pull request {number} of {}", self.name())))
        }
    }

    /// Makes a webhook that sends JSON signed with [`GitHub::webhook_secret`]; GitHub pings it at once. Gives its number.
    pub fn add_hook(&self, url: &str) -> u64 {
        let secret = Bytes::from(self.shared.options.webhook_secret.clone());
        let now = Timestamp::now();
        self.shared.write(|state| {
            let hook = Hook {
                id: state.fresh_id(),
                url: url.to_owned(),
                secret: Some(secret),
                json: true,
                insecure_ssl: false,
                events: EVENTS.map(str::to_owned).into(),
                active: true,
                created_at: now,
                updated_at: now,
            };
            let id = hook.id;
            state.add_hook(self.id, hook);
            id
        })
    }

    /// Sends exactly these bytes and headers (and a GUID) to every hook of the repository, signed by nobody but the caller.
    /// Gives the GUIDs.
    pub fn deliver_raw(&self, event: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Vec<String> {
        let body = body.into();
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.shared.write(|state| {
            let hooks: Vec<Hook> = self.known(state).hooks.values().cloned().collect();
            let one = |hook| state.post_delivery(self.id, hook, event, None, headers.clone(), body.clone());
            hooks.iter().map(one).collect()
        })
    }

    /// Calls it something else; the old name redirects.
    pub fn rename(&self, to: &str) -> Result<()> {
        let to: RepoName = to.parse()?;
        self.shared.write(|state| {
            if state.repo_by_name(&to).is_some_and(|id| id != self.id) {
                return Err(Error::Exists(format!("repository {to}")));
            }
            state.former_names.remove(&to);
            let owner = state.meet(to.owner());
            let Some(repo) = state.repositories.get_mut(&self.id) else { return Ok(()) };
            let old = std::mem::replace(&mut repo.name, to);
            repo.owner = owner.clone();
            state.former_names.insert(old.clone(), self.id);
            state.announce(self.id, &owner, Event::Renamed { from: old.name() });
            Ok(())
        })
    }

    /// Says what a person may do here.
    pub fn set_permission(&self, login: &str, permission: Permission) {
        self.shared.write(|state| {
            let user = state.meet(login);
            self.change(state, |repo| repo.permissions.insert(user.login.to_ascii_lowercase(), permission));
        });
    }

    /// Lets anybody clone it, or only who has the token.
    pub fn set_private(&self, private: bool) {
        self.shared.write(|state| self.change(state, |repo| repo.private = private));
    }

    /// Whether the token sees it at all; without that, GitHub answers 404.
    pub fn set_visible(&self, visible: bool) {
        self.shared.write(|state| self.change(state, |repo| repo.visible = visible));
    }

    /// Makes it one that can only be read, or ends that.
    pub fn set_archived(&self, archived: bool) {
        self.shared.write(|state| self.change(state, |repo| repo.archived = archived));
    }

    /// Pushes to a branch, which may be new, as `login`; open pull requests from it follow.
    pub async fn push(&self, branch: &str, source: impl Into<Source>, login: &str) -> Result<CommitSha> {
        let _held = self.shared.pushing.lock().await;
        let (tip, main) =
            self.read(|repo| (repo.branches.get(branch).cloned(), repo.branches.get(&repo.default_branch).cloned()));
        let commit = self.write_source(tip.or(main).as_ref(), source.into(), login, "Change something").await?;
        self.move_branch(branch, &commit, false, login).await?;
        Ok(commit)
    }

    fn known<'a>(&self, state: &'a State) -> &'a Repository {
        state.repository(self.id).expect("repositories are never deleted")
    }

    fn read<T>(&self, look: impl FnOnce(&Repository) -> T) -> T {
        self.shared.read(|state| look(self.known(state)))
    }

    fn change<T>(&self, state: &mut State, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(state.repositories.get_mut(&self.id).expect("repositories are never deleted"))
    }

    fn bare(&self) -> Bare {
        self.shared.bare(self.id)
    }

    /// Where objects are written: forks borrow those of what they were forked from.
    fn store(&self) -> Bare {
        self.shared.bare(self.read(|repo| repo.fork_of.unwrap_or(repo.id)))
    }

    async fn write_source(
        &self,
        parent: Option<&CommitSha>,
        source: Source,
        login: &str,
        message: &str,
    ) -> Result<CommitSha> {
        let changes = match source {
            Source::Changes(changes) => changes,
            Source::Folder(folder) => Change::folder(&folder)?,
            Source::Git { path, revision } => return self.store().fetch(&path, &revision).await,
        };
        let authorship = Authorship { login, at: Timestamp::now(), message };
        self.store().commit(parent, changes, authorship).await
    }

    /// Points a branch at a commit, and with it the heads of the open pull requests from it, and tells the hooks.
    ///
    /// The caller holds `pushing`.
    async fn move_branch(&self, branch: &str, to: &CommitSha, forced: bool, login: &str) -> Result<()> {
        if self.read(|repo| repo.branches.get(branch) == Some(to)) {
            return Ok(());
        }
        let following = self.shared.read(|state| pulls_from(state, self.id, branch));
        if self.bare().takes_branch(branch).await? {
            self.bare().set_refs(&[(format!("refs/heads/{branch}"), Some(to))]).await?;
        }
        for (base, number) in &following {
            self.shared.bare(*base).set_refs(&[(format!("refs/pull/{number}/head"), Some(to))]).await?;
        }
        self.shared.write(|state| {
            let sender = state.meet(login);
            let before = self.change(state, |repo| {
                repo.commits.insert(to.clone());
                repo.pushed_at = Timestamp::now();
                repo.branches.insert(branch.to_owned(), to.clone())
            });
            let push = Push { branch, before: before.as_ref(), after: to, forced };
            state.announce(self.id, &sender, Event::Push(push));
            for (base, number) in following {
                synchronize(state, base, number, to, &sender);
            }
        });
        Ok(())
    }
}

/// The open pull requests, of whichever repository, whose head is this branch.
fn pulls_from(state: &State, repo: RepoId, branch: &str) -> Vec<(RepoId, PrNumber)> {
    let from_here = |pull: &&PullRequest| pull.is_open() && pull.head.repo == repo && pull.head.branch == branch;
    let of = |base: &Repository| {
        base.pulls.values().filter(from_here).map(|pull| (base.id, pull.number)).collect::<Vec<_>>()
    };
    state.repositories().flat_map(of).collect()
}

fn synchronize(state: &mut State, base: RepoId, number: PrNumber, to: &CommitSha, sender: &User) {
    let Some(repo) = state.repositories.get_mut(&base) else { return };
    repo.commits.insert(to.clone());
    let Some(pull) = repo.pulls.get_mut(&number) else { return };
    let before = std::mem::replace(&mut pull.head.sha, to.clone());
    pull.updated_at = Timestamp::now();
    let pull = pull.clone();
    state.announce(base, sender, Event::Pull(&pull, PullAction::Synchronize { before }));
}
