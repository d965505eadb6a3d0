//! What people say on pull requests, who has a say, and whose commits may run.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::desired::ForkPolicy;
use preview_core::ids::{CommentId, CommitSha, PullKey, RepoId};
use preview_orchestrator::ledger::Mark;
use preview_orchestrator::needs::{Fault, Person, Remark, Remarks};

use super::planted::Planted;
use super::{App, Fakes, World};
use crate::world::trouble::Call;

/// Somebody who may push to every repository.
pub(crate) const MAINTAINER: u64 = 1;
/// Somebody who may not.
pub(crate) const STRANGER: u64 = 2;
/// The repository that forks' pull requests come from.
const FORK: RepoId = RepoId(99);

/// Everything that is said, and what follows from it.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) remarks: Vec<(RepoId, Remark)>,
    said: u64,
    /// Every mark that a comment got, in order.
    pub(crate) marks: Vec<(CommentId, Mark)>,
    /// Commits that were pushed to forks.
    forks: BTreeSet<CommitSha>,
    /// Those of them that somebody with a say named whole in a comment that nobody has edited.
    approved: BTreeSet<CommitSha>,
    /// What the installation was told about forks; unless something else, they need approval.
    pub(crate) policy: Option<ForkPolicy>,
}

impl World {
    /// GitHub's own clock, which our jumps don't move, in whole seconds.
    fn github_now(&self) -> Timestamp {
        let now = self.now().checked_sub(self.skew).unwrap();
        Timestamp::from_second(now.as_second()).unwrap()
    }

    /// A pull request turns out to come from a fork.
    pub(crate) fn make_fork(&mut self, key: PullKey) {
        self.pull(key).head_repo = Some(FORK);
        let head = self.head(key);
        self.people.forks.insert(head);
    }

    /// A commit is pushed to a fork's pull request.
    pub(super) fn note_push(&mut self, key: PullKey, commit: &CommitSha) {
        if self.pull(key).from_fork() {
            self.people.forks.insert(commit.clone());
        }
    }

    pub(crate) fn say(&mut self, key: PullKey, person: u64, line: &str) -> CommentId {
        self.people.said += 1;
        let id = CommentId(1_000_000 + self.people.said);
        let named = line.strip_prefix("/preview deploy ").and_then(|commit| commit.parse().ok());
        self.people.approved.extend(named.filter(|_| person == MAINTAINER));
        let (written_at, login) = (self.github_now(), format!("person-{person}").parse().unwrap());
        let author = Some(Person { id: person, login });
        let remark = Remark { id, pull: key.number, author, line: line.to_owned(), written_at, edited_at: written_at };
        self.people.remarks.push((key.repo, remark));
        id
    }

    /// Somebody changes what another has said.
    pub(crate) fn edit(&mut self, comment: CommentId, line: &str) {
        let now = self.github_now() + SignedDuration::from_secs(1);
        for (_, remark) in &mut self.people.remarks {
            if remark.id == comment {
                (remark.line, remark.edited_at) = (line.to_owned(), now);
            }
        }
    }

    /// The marks of a comment.
    pub(crate) fn marks(&self, comment: CommentId) -> Vec<Mark> {
        self.people.marks.iter().filter(|(id, _)| *id == comment).map(|(_, mark)| *mark).collect()
    }

    /// Code of strangers is touched only if somebody with a say has approved exactly it.
    pub(super) fn check_approved(&mut self, commit: &CommitSha, what: &str) {
        let free = self.people.policy == Some(ForkPolicy::Allow);
        let denied = self.people.policy == Some(ForkPolicy::Deny);
        let unapproved = denied || !self.people.approved.contains(commit);
        if !free && unapproved && self.people.forks.contains(commit) {
            self.violation(format!("{what} of a fork's commit {} that nobody approved", commit.short()));
        }
    }

    /// What a checkout for this commit really gives.
    pub(super) fn checked_out(&mut self, key: PullKey, wanted: &CommitSha) -> CommitSha {
        if self.planted == Some(Planted::StaleApproval) { self.head(key) } else { wanted.clone() }
    }

    /// An app of some commit.
    pub(crate) fn push_to_fork(&mut self, key: PullKey, app: App) -> CommitSha {
        let commit = self.push(key, app);
        self.people.forks.insert(commit.clone());
        commit
    }
}

const READ: Duration = Duration::from_millis(100);

impl Fakes {
    pub(super) async fn read_remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault> {
        let read = move |world: &mut World| {
            world.hub.answer()?;
            let all = world.people.remarks.iter().filter(|(of, _)| *of == repo).map(|(_, remark)| remark.clone());
            let mut all: Vec<Remark> =
                all.filter(|remark| since.is_none_or(|since| remark.edited_at >= since)).collect();
            all.sort_by_key(|remark| remark.edited_at);
            let newest = all.last().map(|remark| remark.edited_at);
            Ok(Remarks { on_pulls: if since.is_some() { all } else { Vec::new() }, newest })
        };
        self.call(Call::Remarks, READ, read).await
    }

    pub(super) async fn ask_permission(&self, person: &Person) -> Result<bool, Fault> {
        let person = person.id;
        let ask = move |world: &mut World| {
            world.hub.answer()?;
            Ok(person == MAINTAINER || world.planted == Some(Planted::EverybodyMay))
        };
        self.call(Call::Permission, READ, ask).await
    }

    pub(super) async fn put_mark(&self, comment: CommentId, mark: Mark) -> Result<(), Fault> {
        let put = move |world: &mut World| {
            world.hub.answer()?;
            // The same again is none.
            if !world.people.marks.contains(&(comment, mark)) {
                world.people.marks.push((comment, mark));
            }
            Ok(())
        };
        self.call(Call::Mark, READ, put).await
    }
}
