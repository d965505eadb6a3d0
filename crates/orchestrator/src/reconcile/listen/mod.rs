//! Hearing what people say in comments, so that a lost delivery loses no command.
//!
//! A delivery is a hint, as ever: GitHub is asked for what was said since the last time, one list for all pull requests of a
//! repository, which costs nothing while nobody speaks. That a command is dealt with is written down together with what it
//! does, so that none is acted on twice; one that GitHub could not be asked about stays open and is heard again. What a
//! command means is in `obey`.
//!
//! Who may command is asked of GitHub each time. A delivery's claims (`author_association` above all), edited comments, apps
//! and ourselves count for nothing.

mod obey;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use preview_core::command::{Command, Unclear, parse};
use preview_core::ids::{CommentId, PullKey, RepoId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Reconciler;
use crate::ledger::{Done, Heard, Mark, State};
use crate::mishap::contained;
use crate::needs::{Fault, Person, Remark};
use people::People;

/// Between two questions for what was said, so that a flood of comments is read in few lists.
const GAP: Duration = Duration::from_secs(5);
/// Before what GitHub could not tell is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command stays open that GitHub can't be asked about.
const LONGEST_OPEN: Duration = Duration::from_secs(24 * 3600);

/// What is to be listened to.
#[derive(Default)]
pub(super) struct Ears {
    pricked: Mutex<BTreeSet<RepoId>>,
    rung: Notify,
    people: Mutex<People>,
    /// Commands that GitHub could not be asked about yet, and since when.
    open: Mutex<BTreeMap<CommentId, Instant>>,
}

impl Ears {
    fn pricked(&self) -> MutexGuard<'_, BTreeSet<RepoId>> {
        self.pricked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<CommentId, Instant>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's command, not yet known to be one that counts.
struct Heeded<'a> {
    key: PullKey,
    remark: &'a Remark,
    person: &'a Person,
    asked: Result<Command, Unclear>,
}

impl Reconciler {
    /// Has a repository's comments read, soon.
    pub(super) fn listen_to(&self, repo: RepoId) {
        self.inner.ears.pricked().insert(repo);
        self.inner.ears.rung.notify_one();
    }

    /// Reads what is said, for ever.
    pub(super) async fn keep_listening(self) {
        loop {
            self.inner.ears.rung.notified().await;
            let repos = std::mem::take(&mut *self.inner.ears.pricked());
            let mut pause = GAP;
            for repo in repos {
                if let Err(fault) = contained(self.listen(repo)).await {
                    fault.log("could not hear what people say; asking again later");
                    pause = pause.max(PATIENCE).max(fault.retry_after.unwrap_or_default());
                    self.listen_to(repo);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Hears what was said in one repository since the last time. An error leaves something to be heard again.
    async fn listen(&self, repo: RepoId) -> Result<(), Fault> {
        let Some(project) = self.inner.ledger.read(|state| state.projects.get(&repo).cloned()) else { return Ok(()) };
        let Some(heard) = project.heard else { return self.begin_to_listen(repo).await };
        let said = self.inner.out.forge.remarks(repo, Some(heard.from)).await?;
        let mut remarks: Vec<&Remark> = said.on_pulls.iter().filter(|remark| remark.written_at >= heard.from).collect();
        remarks.sort_by_key(|remark| remark.id);
        let (mut open, mut trouble) = (None::<Timestamp>, None);
        for remark in remarks {
            if let Err(fault) = self.hear(repo, remark).await {
                open = Some(open.map_or(remark.written_at, |open| open.min(remark.written_at)));
                trouble = Some(fault);
            }
        }
        if let Some(newest) = said.newest {
            self.advance(repo, newest, open).await?;
        }
        self.pay_marks(repo).await?;
        trouble.map_or(Ok(()), Err)
    }

    /// What was said before we came is history.
    async fn begin_to_listen(&self, repo: RepoId) -> Result<(), Fault> {
        let newest = self.inner.out.forge.remarks(repo, None).await?.newest;
        let begin = |state: &mut State| {
            state.projects.get_mut(&repo).map(|project| project.heard.get_or_insert_with(|| Heard::after(newest)).from)
        };
        self.inner.ledger.change(begin).await?;
        Ok(())
    }

    async fn advance(&self, repo: RepoId, newest: Timestamp, open: Option<Timestamp>) -> Result<(), Fault> {
        let advanced = |state: &State| {
            let mut heard = state.projects.get(&repo)?.heard.clone()?;
            heard.advance(newest, open);
            (Some(&heard) != state.projects.get(&repo)?.heard.as_ref()).then_some(heard)
        };
        if let Some(heard) = self.inner.ledger.read(advanced) {
            let change = |state: &mut State| state.projects.get_mut(&repo).and_then(|p| p.heard.replace(heard));
            self.inner.ledger.change(change).await?;
        }
        Ok(())
    }

    /// Deals with one comment, unless it says nothing to us or has been dealt with.
    async fn hear(&self, repo: RepoId, remark: &Remark) -> Result<(), Fault> {
        let Some(asked) = parse(&remark.line) else { return Ok(()) };
        let Some(person) = remark.author.as_ref().filter(|_| remark.is_as_written()) else { return Ok(()) };
        let done = |state: &State| {
            let heard = state.projects.get(&repo).and_then(|project| project.heard.as_ref());
            heard.is_some_and(|heard| heard.done.contains_key(&remark.id))
        };
        if self.inner.ledger.read(done) {
            return Ok(());
        }
        let heeded = Heeded { key: PullKey { repo, number: remark.pull }, remark, person, asked };
        match self.heed(&heeded).await {
            Ok(()) => {
                self.inner.ears.open().remove(&remark.id);
                Ok(())
            }
            Err(fault) if self.is_open_since(remark.id, LONGEST_OPEN) => {
                fault.log("GitHub could not be asked for a day about a command, which is passed over");
                self.inner.ears.open().remove(&remark.id);
                self.note_done(&heeded, None).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whether GitHub could not be asked about a command for so long, counted from the first question.
    fn is_open_since(&self, comment: CommentId, time: Duration) -> bool {
        let since = *self.inner.ears.open().entry(comment).or_insert_with(Instant::now);
        since.elapsed() > time
    }

    /// Asks who it is that commands, and has it done.
    async fn heed(&self, heeded: &Heeded<'_>) -> Result<(), Fault> {
        let (ears, person) = (&self.inner.ears, heeded.person);
        let known = ears.open().contains_key(&heeded.remark.id);
        if !known && !ears.people().admits(person.id, Instant::now()) {
            tracing::debug!(pull = %heeded.key, by = %person.login, "a command too many is passed over");
            return self.refuse(heeded).await;
        }
        if !self.inner.out.forge.may_push(heeded.key.repo, person).await? {
            tracing::info!(pull = %heeded.key, by = %person.login, "somebody who may not push gave a command; it changes nothing");
            ears.people().refuse(person.id, Instant::now());
            return self.refuse(heeded).await;
        }
        self.obey(heeded).await
    }

    async fn refuse(&self, heeded: &Heeded<'_>) -> Result<(), Fault> {
        let told = self.inner.ears.people().is_to_be_told(heeded.person.id, Instant::now());
        self.note_done(heeded, told.then_some(Mark::Refused)).await
    }

    async fn note_done(&self, heeded: &Heeded<'_>, owes: Option<Mark>) -> Result<(), Fault> {
        Ok(self.inner.ledger.change(|state| note_done(state, heeded, owes)).await?)
    }

    /// Marks what has been dealt with and not been marked.
    async fn pay_marks(&self, repo: RepoId) -> Result<(), Fault> {
        let owed = self.inner.ledger.read(|state| {
            let heard = state.projects.get(&repo).and_then(|project| project.heard.as_ref());
            let done = heard.into_iter().flat_map(|heard| &heard.done);
            done.filter_map(|(id, done)| Some((*id, done.owes?))).collect::<Vec<_>>()
        });
        for (comment, mark) in owed {
            self.inner.out.forge.mark(repo, comment, mark).await?;
            let paid = |state: &mut State| {
                let heard = state.projects.get_mut(&repo)?.heard.as_mut()?;
                heard.done.get_mut(&comment)?.owes = None;
                Some(())
            };
            self.inner.ledger.change(paid).await?;
        }
        Ok(())
    }
}

fn note_done(state: &mut State, heeded: &Heeded<'_>, owes: Option<Mark>) {
    let heard = state.projects.get_mut(&heeded.key.repo).and_then(|project| project.heard.as_mut());
    if let Some(heard) = heard {
        heard.done.insert(heeded.remark.id, Done { at: heeded.remark.written_at, owes });
    }
}
