//! One pull request's life: opened, pushed to, talked about, closed, merged, reopened.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use preview_core::ids::{CommentId, CommitSha, PrNumber, RepoId};

use super::Repo;
use crate::change::Source;
use crate::error::{Error, Result};
use crate::git::Authorship;
use crate::state::{Comment, Event, Head, Permission, PullAction, PullRequest, PullState, State, Status};

/// A pull request that is about to be opened.
#[derive(Debug, Clone)]
pub struct NewPull {
    branch: String,
    source: Source,
    title: String,
    body: Option<String>,
    author: String,
    draft: bool,
    labels: BTreeSet<String>,
    from_fork: bool,
    base: Option<String>,
}

impl NewPull {
    /// From a branch with this content. A branch that exists already gets no commit if the content is no change at all. The
    /// name may be anything; what Git refuses as a name is only shown, and reachable as `refs/pull/N/head`.
    pub fn new(branch: impl Into<String>, source: impl Into<Source>) -> Self {
        let branch = branch.into();
        Self {
            title: format!("Merge {branch}"),
            branch,
            source: source.into(),
            body: None,
            author: "alice".to_owned(),
            draft: false,
            labels: BTreeSet::new(),
            from_fork: false,
            base: None,
        }
    }

    /// Another title.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A description.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Opened by somebody else than alice; a name that ends in `[bot]` is a bot's.
    pub fn author(mut self, login: impl Into<String>) -> Self {
        self.author = login.into();
        self
    }

    /// As a draft.
    pub fn draft(mut self) -> Self {
        self.draft = true;
        self
    }

    /// With a label.
    pub fn label(mut self, name: impl Into<String>) -> Self {
        self.labels.insert(name.into());
        self
    }

    /// From the author's fork, which is made if there is none.
    pub fn from_fork(mut self) -> Self {
        self.from_fork = true;
        self
    }

    /// Into another branch than the default one.
    pub fn into_branch(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }
}

impl Repo {
    /// Opens a pull request. Whoever pushes a branch to the repository itself may write to it from then on, unless
    /// [`Repo::set_permission`] said or says otherwise.
    pub async fn open_pull(&self, new: NewPull) -> Result<Pull> {
        let _held = self.shared.pushing.lock().await;
        let base_branch = new.base.clone().unwrap_or_else(|| self.read(|repo| repo.default_branch.clone()));
        let base_sha = self.tip(&base_branch)?;
        let from = if new.from_fork { self.fork(&new.author).await? } else { self.clone() };
        let there = from.read(|repo| repo.branches.get(&new.branch).cloned());
        let sha = match (&there, &new.source) {
            (Some(tip), Source::Changes(changes)) if changes.is_empty() => tip.clone(),
            _ => {
                let parent = there.as_ref().unwrap_or(&base_sha);
                from.write_source(Some(parent), new.source.clone(), &new.author, &new.title).await?
            }
        };
        from.move_branch(&new.branch, &sha, false, &new.author).await?;
        let number = self.read(|repo| repo.pulls.keys().last().map_or(1, |last| last.get() + 1));
        let number = PrNumber::new(number).expect("one more than a number is not 0");
        self.bare().set_refs(&[(format!("refs/pull/{number}/head"), Some(&sha))]).await?;
        let head = Head { repo: from.id, branch: new.branch.clone(), sha };
        self.shared.write(|state| self.add_pull(state, number, new, head, (base_branch, base_sha)));
        Ok(Pull { repo: self.clone(), number })
    }

    fn add_pull(&self, state: &mut State, number: PrNumber, new: NewPull, head: Head, base: (String, CommitSha)) {
        let (author, now) = (state.meet(&new.author), Timestamp::now());
        let pull = PullRequest {
            id: state.fresh_id(),
            number,
            title: new.title,
            body: new.body,
            author: author.clone(),
            state: PullState::Open,
            draft: new.draft,
            labels: new.labels,
            head,
            base_branch: base.0,
            base_sha: base.1,
            created_at: now,
            updated_at: now,
        };
        self.change(state, |repo| {
            if !new.from_fork {
                repo.permissions.entry(author.login.to_ascii_lowercase()).or_insert(Permission::Write);
            }
            repo.commits.insert(pull.head.sha.clone());
            repo.pulls.insert(number, pull.clone());
        });
        state.announce(self.id, &author, Event::Pull(&pull, PullAction::Opened));
    }

    /// This person's fork.
    async fn fork(&self, login: &str) -> Result<Repo> {
        let name = format!("{}/{}", login.trim_end_matches("[bot]"), self.name().name()).parse()?;
        if let Some(id) = self.shared.read(|state| state.repo_by_name(&name)) {
            let ours = self.shared.read(|state| state.repository(id).is_some_and(|repo| repo.fork_of == Some(self.id)));
            let fork = Repo { shared: self.shared.clone(), id };
            return if ours { Ok(fork) } else { Err(Error::Exists(format!("repository {name}"))) };
        }
        let (branch, private) = self.read(|repo| (repo.default_branch.clone(), repo.private));
        let tip = self.tip(&branch)?;
        let id = self.shared.write_quietly(|state| state.add_repository(name, Some(self.id), Timestamp::now()));
        let fork = Repo { shared: self.shared.clone(), id };
        fork.set_private(private);
        fork.bare().init(&branch).await?;
        fork.bare().borrow_objects_of(&self.bare())?;
        fork.move_branch(&branch, &tip, false, login).await?;
        Ok(fork)
    }
}

/// One pull request, to act on.
#[derive(Clone)]
pub struct Pull {
    pub(super) repo: Repo,
    pub(super) number: PrNumber,
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pull").field(&self.repo.id).field(&self.number).finish()
    }
}

impl Pull {
    /// Its number.
    pub fn number(&self) -> PrNumber {
        self.number
    }

    /// Where it was opened.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// It, as it is now.
    pub fn look(&self) -> PullRequest {
        self.repo.read(|repo| repo.pulls.get(&self.number).cloned().expect("pull requests are never deleted"))
    }

    /// Its newest commit.
    pub fn head(&self) -> CommitSha {
        self.look().head.sha
    }

    /// The comments that the product's account wrote.
    pub fn bot_comments(&self) -> Vec<Comment> {
        let owned = |state: &State| state.bot_comments(self.repo.id, self.number).into_iter().cloned().collect();
        self.repo.shared.read(owned)
    }

    /// The newest status of its newest commit in a context.
    pub fn status(&self, context: &str) -> Option<Status> {
        let head = self.head();
        self.repo.read(|repo| repo.status(&head, context).cloned())
    }

    /// Pushes one more commit as its author. On a closed one only the branch moves, as on GitHub.
    pub async fn push(&self, source: impl Into<Source>) -> Result<CommitSha> {
        let (pull, from) = self.origin();
        from.push(&pull.head.branch, source, &pull.author.login).await
    }

    /// Replaces all its commits by one on top of the base.
    pub async fn force_push(&self, source: impl Into<Source>) -> Result<CommitSha> {
        let (pull, from) = self.origin();
        let _held = self.repo.shared.pushing.lock().await;
        let base = self.repo.tip(&pull.base_branch)?;
        let login = &pull.author.login;
        let commit = from.write_source(Some(&base), source.into(), login, "Start over").await?;
        from.move_branch(&pull.head.branch, &commit, true, login).await?;
        Ok(commit)
    }

    fn origin(&self) -> (PullRequest, Repo) {
        let pull = self.look();
        let from = Repo { shared: self.repo.shared.clone(), id: pull.head.repo };
        (pull, from)
    }

    /// Closes it without merging.
    pub fn close(&self) -> Result<()> {
        self.require(true, "closed")?;
        self.update(PullAction::Closed, |pull| pull.state = PullState::Closed { at: Timestamp::now() });
        Ok(())
    }

    /// Reopens it, if it was not merged; its head is the branch as it is now.
    pub async fn reopen(&self) -> Result<()> {
        let (pull, from) = self.origin();
        let _held = self.repo.shared.pushing.lock().await;
        if !matches!(pull.state, PullState::Closed { .. }) {
            return Err(self.wrong_state(&pull, "reopened"));
        }
        let tip = from.tip(&pull.head.branch)?;
        self.repo.bare().set_refs(&[(format!("refs/pull/{}/head", self.number), Some(&tip))]).await?;
        self.update(PullAction::Reopened, |pull| {
            (pull.state, pull.head.sha) = (PullState::Open, tip);
        });
        Ok(())
    }

    /// Merges it with a merge commit.
    pub async fn merge(&self) -> Result<CommitSha> {
        self.require(true, "merged")?;
        let _held = self.repo.shared.pushing.lock().await;
        let pull = self.look();
        let base = self.repo.tip(&pull.base_branch)?;
        let message = format!("Merge pull request #{}", self.number);
        let authorship = Authorship { login: &pull.author.login, at: Timestamp::now(), message: &message };
        let commit = self.repo.bare().merge(&base, &pull.head.sha, authorship).await?;
        self.repo.move_branch(&pull.base_branch, &commit, false, &pull.author.login).await?;
        let state = PullState::Merged { at: Timestamp::now(), commit: commit.clone() };
        self.update(PullAction::Closed, |pull| pull.state = state);
        Ok(commit)
    }

    /// Changes the branch that it is to be merged into.
    pub fn retarget(&self, base: &str) -> Result<()> {
        let sha = self.repo.tip(base)?;
        let pull = self.look();
        let action = PullAction::Retargeted { from: pull.base_branch, from_sha: pull.base_sha };
        self.update(action, |pull| (pull.base_branch, pull.base_sha) = (base.to_owned(), sha));
        Ok(())
    }

    /// Puts a label on it.
    pub fn label(&self, name: &str) {
        self.update(PullAction::Labeled(name.to_owned()), |pull| {
            pull.labels.insert(name.to_owned());
        });
    }

    /// Takes a label away.
    pub fn unlabel(&self, name: &str) {
        self.update(PullAction::Unlabeled(name.to_owned()), |pull| {
            pull.labels.remove(name);
        });
    }

    /// It is no draft any more.
    pub fn ready_for_review(&self) {
        self.update(PullAction::ReadyForReview, |pull| pull.draft = false);
    }

    /// It is a draft again.
    pub fn convert_to_draft(&self) {
        self.update(PullAction::ConvertedToDraft, |pull| pull.draft = true);
    }

    /// Somebody says something.
    pub fn comment(&self, login: &str, text: &str) -> CommentId {
        let now = Timestamp::now();
        let id = self.repo.shared.write(|state| {
            let author = state.meet(login);
            state.add_comment(self.repo.id, self.number, author, text.to_owned(), now)
        });
        id.expect("pull requests are never deleted")
    }

    /// Somebody changes what a comment says, whoever wrote it. It is touched a second later at the least, which is what GitHub's
    /// times can tell.
    pub fn edit_comment(&self, login: &str, id: CommentId, text: &str) -> Result<()> {
        let edited = self.repo.shared.write(|state| {
            let sender = state.meet(login);
            state.edit_comment(self.repo.id, id, text.to_owned(), &sender)?;
            let comment = state.repositories.get_mut(&self.repo.id)?.comments.get_mut(&id)?;
            comment.updated_at = comment.updated_at.max(comment.created_at + jiff::SignedDuration::from_secs(1));
            Some(())
        });
        edited.ok_or_else(|| Error::Missing(format!("comment {id}")))
    }

    /// The marks that the product's account put on a comment.
    pub fn bot_reactions(&self, id: CommentId) -> Vec<String> {
        let marks = |state: &State| {
            let reactions = self.repo.known(state).reactions.iter();
            let ours = reactions.filter(|reaction| reaction.comment == id && reaction.user == state.bot);
            ours.map(|reaction| reaction.content.clone()).collect()
        };
        self.repo.shared.read(marks)
    }

    /// An administrator deletes a comment, of whomever.
    pub fn delete_comment(&self, id: CommentId) -> Result<()> {
        let gone = self.repo.shared.write(|state| {
            let sender = self.repo.known(state).owner.clone();
            state.remove_comment(self.repo.id, id, &sender)
        });
        gone.ok_or_else(|| Error::Missing(format!("comment {id}")))
    }

    /// Changes it and tells the hooks, its author being the one who did it.
    fn update(&self, action: PullAction, change: impl FnOnce(&mut PullRequest)) {
        let repo: RepoId = self.repo.id;
        self.repo.shared.write(|state| {
            let Some(pull) = state.repositories.get_mut(&repo).and_then(|repo| repo.pulls.get_mut(&self.number)) else {
                return;
            };
            change(pull);
            pull.updated_at = Timestamp::now();
            let pull = pull.clone();
            state.announce(repo, &pull.author, Event::Pull(&pull, action));
        });
    }

    fn require(&self, open: bool, action: &'static str) -> Result<()> {
        let pull = self.look();
        if pull.is_open() == open { Ok(()) } else { Err(self.wrong_state(&pull, action)) }
    }

    fn wrong_state(&self, pull: &PullRequest, action: &'static str) -> Error {
        let state = match pull.state {
            PullState::Open => "open",
            PullState::Closed { .. } => "closed",
            PullState::Merged { .. } => "merged",
        };
        Error::WrongState { number: self.number, state, action }
    }
}
