//! GitHub: repositories, pull requests, comments, statuses.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use preview_core::comment::carries_marker;
use preview_core::desired::Pull;
use preview_core::ids::{BranchName, CommentId, CommitSha, PrNumber, PullKey, RepoId, RepoName};
use preview_orchestrator::ledger::Mark;
use preview_orchestrator::needs::{CommitStatus, Fault, Forge, Person, PullAnswer, Remarks, Repository, Written};

use super::planted::Planted;
use super::trouble::Call;
use super::{App, Fakes, World};

/// GitHub.
#[derive(Default)]
pub(crate) struct Hub {
    pub(crate) repos: BTreeMap<RepoId, Repo>,
    /// While set, every answer is this trouble.
    pub(crate) down: Option<&'static str>,
    /// Questions for a pull request, or for a repository by its name, that are still answered with 404.
    pub(crate) blinks: usize,
    comments: u64,
    commits: u64,
}

/// A repository.
pub(crate) struct Repo {
    pub(crate) name: RepoName,
    /// Names that it had: GitHub leads from them to it until somebody else takes them.
    former: Vec<RepoName>,
    pub(crate) pulls: BTreeMap<PrNumber, Thread>,
    pub(crate) statuses: Vec<CommitStatus>,
    /// What a listing answers instead of the truth.
    pub(crate) listing: Option<fn(Vec<Pull>) -> Vec<Pull>>,
    /// What the last listing answered, where absence from it is taken for closure.
    listed: Option<Vec<PrNumber>>,
}

/// A pull request with its conversation.
pub(crate) struct Thread {
    pub(crate) pull: Pull,
    pub(crate) comments: BTreeMap<CommentId, String>,
    /// Every text that our comment ever had.
    pub(crate) told: Vec<String>,
    /// Whether its conversation is locked for us.
    pub(crate) locked: bool,
    /// Whether GitHub answers 404 for it.
    pub(crate) hidden: bool,
    /// The text that was meant for our comment last, where it is always the one before that is written.
    meant: Option<String>,
}

impl World {
    pub(crate) fn add_repo(&mut self, id: u64, name: &str) -> RepoId {
        let repo = Repo {
            name: name.parse().unwrap(),
            former: Vec::new(),
            pulls: BTreeMap::new(),
            statuses: Vec::new(),
            listing: None,
            listed: None,
        };
        self.hub.repos.insert(RepoId(id), repo);
        RepoId(id)
    }

    pub(crate) fn rename(&mut self, repo: RepoId, name: &str) {
        let repo = self.hub.repos.get_mut(&repo).unwrap();
        let former = std::mem::replace(&mut repo.name, name.parse().unwrap());
        repo.former.push(former);
    }

    /// A commit that holds this app.
    pub(crate) fn commit(&mut self, app: App) -> CommitSha {
        self.hub.commits += 1;
        // Different from the first digit on: people see the first seven.
        let commit: CommitSha = format!("{:07x}{:033x}", self.hub.commits, self.hub.commits).parse().unwrap();
        self.apps.insert(commit.clone(), app);
        commit
    }

    pub(crate) fn open(&mut self, repo: RepoId, app: App) -> PullKey {
        let (head, created_at) = (self.commit(app), self.now());
        let model = self.hub.repos.get_mut(&repo).unwrap();
        let number = PrNumber::new(model.pulls.len() as u64 + 1).unwrap();
        let pull = Pull {
            number,
            base_repo: repo,
            base_name: model.name.clone(),
            head_repo: Some(repo),
            head,
            branch: BranchName::new(&format!("feature-{number}")),
            open: true,
            draft: false,
            by_bot: false,
            labels: Vec::new(),
            created_at,
        };
        let thread =
            Thread { pull, comments: BTreeMap::new(), told: Vec::new(), locked: false, hidden: false, meant: None };
        model.pulls.insert(number, thread);
        PullKey { repo, number }
    }

    pub(crate) fn thread(&mut self, key: PullKey) -> &mut Thread {
        self.hub.repos.get_mut(&key.repo).unwrap().pulls.get_mut(&key.number).unwrap()
    }

    pub(crate) fn pull(&mut self, key: PullKey) -> &mut Pull {
        &mut self.thread(key).pull
    }

    pub(crate) fn head(&mut self, key: PullKey) -> CommitSha {
        self.pull(key).head.clone()
    }

    pub(crate) fn push(&mut self, key: PullKey, app: App) -> CommitSha {
        let commit = self.commit(app);
        self.pull(key).head = commit.clone();
        self.note_push(key, &commit);
        commit
    }

    /// The text of our comment; empty without one.
    pub(crate) fn comment(&mut self, key: PullKey) -> String {
        self.thread(key).comments.values().next().cloned().unwrap_or_default()
    }

    /// The newest status of a commit.
    pub(crate) fn status(&self, repo: RepoId, commit: &CommitSha) -> Option<&CommitStatus> {
        self.hub.repos[&repo].statuses.iter().rev().find(|status| status.commit == *commit)
    }
}

impl Hub {
    pub(super) fn answer(&self) -> Result<(), Fault> {
        self.down.map_or(Ok(()), |answer| Err(Fault::passing(format!("GitHub answered {answer}"))))
    }

    fn repo(&mut self, id: RepoId) -> Result<&mut Repo, Fault> {
        self.answer()?;
        self.repos.get_mut(&id).ok_or_else(|| Fault::passing("GitHub answered 404 for the repository"))
    }

    fn write(
        &mut self,
        key: PullKey,
        known: Option<CommentId>,
        body: &str,
        planted: Option<Planted>,
    ) -> Result<Written, Fault> {
        self.comments += 1;
        let fresh = CommentId(self.comments);
        let thread = self.repo(key.repo)?.pulls.get_mut(&key.number);
        let Some(thread) = thread.filter(|thread| !thread.hidden) else { return Ok(Written::Refused("404".into())) };
        if thread.locked {
            return Ok(Written::Refused("403".into()));
        }
        let known = known.filter(|id| thread.comments.contains_key(id));
        let marked = thread.comments.iter().find(|(_, text)| carries_marker(text, key)).map(|(id, _)| *id);
        let marked = marked.filter(|_| planted != Some(Planted::SecondComment));
        let id = known.or(marked).unwrap_or(fresh);
        let before = thread.meant.replace(body.to_owned()).filter(|_| planted == Some(Planted::StaleReport));
        thread.comments.insert(id, before.unwrap_or_else(|| body.to_owned()));
        thread.told.push(body.to_owned());
        Ok(Written::Comment(id))
    }
}

const READ: Duration = Duration::from_millis(100);
const WRITE: Duration = Duration::from_millis(300);

#[async_trait]
impl Forge for Fakes {
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault> {
        let name = name.clone();
        let find = move |world: &mut World| {
            world.hub.answer()?;
            if world.hub.blinks > 0 {
                world.hub.blinks -= 1;
                return Ok(None);
            }
            let repos = &world.hub.repos;
            let found = repos.iter().find(|(_, repo)| repo.name == name);
            let found = found.or_else(|| repos.iter().find(|(_, repo)| repo.former.contains(&name)));
            Ok(found.map(|(id, repo)| Repository { id: *id, name: repo.name.clone() }))
        };
        self.call(Call::Repository, READ, find).await
    }

    async fn pull(&self, key: PullKey) -> Result<PullAnswer, Fault> {
        let read = move |world: &mut World| {
            let (looking, planted) = (world.looking, world.planted);
            if world.hub.blinks > 0 && !looking {
                world.hub.blinks -= 1;
                return Ok(PullAnswer::NotFound);
            }
            let repo = world.hub.repo(key.repo)?;
            let absent = repo.listed.as_ref().is_some_and(|listed| !listed.contains(&key.number));
            let misread = absent && planted == Some(Planted::AbsenceAsClosure) && !looking;
            let Some(thread) = repo.pulls.get(&key.number).filter(|thread| !thread.hidden) else {
                return Ok(PullAnswer::NotFound);
            };
            let open = thread.pull.open && !misread;
            Ok(PullAnswer::Known(Pull { base_name: repo.name.clone(), open, ..thread.pull.clone() }))
        };
        self.call(Call::Pull, READ, read).await
    }

    async fn open_pulls(&self, repo: RepoId) -> Result<Vec<Pull>, Fault> {
        let list = move |world: &mut World| {
            let looking = world.looking;
            let repo = world.hub.repo(repo)?;
            let open = repo.pulls.values().filter(|thread| thread.pull.open && !thread.hidden);
            let mut open: Vec<Pull> =
                open.map(|thread| Pull { base_name: repo.name.clone(), ..thread.pull.clone() }).collect();
            if let Some(cut) = repo.listing.filter(|_| !looking) {
                open = cut(open);
            }
            if !looking {
                repo.listed = Some(open.iter().map(|pull| pull.number).collect());
            }
            Ok(open)
        };
        self.call(Call::OpenPulls, READ, list).await
    }

    async fn comment(&self, key: PullKey, known: Option<CommentId>, body: &str) -> Result<Written, Fault> {
        let body = body.to_owned();
        let write = move |world: &mut World| {
            let written = world.hub.write(key, known, &body, world.planted)?;
            let comments = world.hub.repos[&key.repo].pulls.get(&key.number).map_or(0, |thread| thread.comments.len());
            if comments > 1 {
                world.violation(format!("{key} has {comments} comments"));
            }
            Ok(written)
        };
        self.call(Call::Comment, WRITE, write).await
    }

    async fn status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault> {
        let status = status.clone();
        let write = move |world: &mut World| {
            world.hub.repo(repo)?.statuses.push(status.clone());
            Ok(())
        };
        self.call(Call::Status, WRITE, write).await
    }

    async fn remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault> {
        self.read_remarks(repo, since).await
    }

    async fn may_push(&self, _: RepoId, person: &Person) -> Result<bool, Fault> {
        self.ask_permission(person).await
    }

    async fn mark(&self, _: RepoId, comment: CommentId, mark: Mark) -> Result<(), Fault> {
        self.put_mark(comment, mark).await
    }
}
