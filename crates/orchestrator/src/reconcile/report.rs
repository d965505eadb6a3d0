//! Telling people: the one comment, and the commit status.
//!
//! Whoever changes a record says so here and goes on. One task writes, the newest state only: a record that changed five
//! times while GitHub was slow costs one edit. Failures go first. What was told last stands in the record, so that the same
//! is not told again, and that a start can tell what its predecessor was killed before telling.

mod turns;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use preview_core::comment::{self, Beside, View};
use preview_core::deployment::{Blame, Deployment, Stage, Status, Told};
use preview_core::desired::{SetAside, SetAsideReason, WaitReason};
use preview_core::ids::{BranchName, CommentId, DeploymentId, PullKey};
use preview_core::talk::Talk;
use preview_core::ttl;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::turns::{Next, Turns};
use super::Reconciler;
use crate::folders::Log;
use crate::ledger::State;
use crate::mishap::contained;
use crate::needs::{CommitStatus, Fault, StatusState, Written};

/// What is set aside until somebody approves it.
const UNAPPROVED: SetAsideReason = SetAsideReason::Waiting(WaitReason::Approval);
/// Lines of a log that a comment shows.
const TAIL: usize = 50;

/// What is to be told.
pub(super) struct Reporter {
    turns: Mutex<Turns>,
    told: Notify,
    /// Held while a comment is being written, so that nothing comes after the last words.
    writing: tokio::sync::Mutex<()>,
    gap: Duration,
}

impl Reporter {
    pub(super) fn new(gap: Duration) -> Self {
        Self { turns: Mutex::default(), told: Notify::new(), writing: tokio::sync::Mutex::default(), gap }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is to be told of it.
    pub(super) fn forget(&self, id: &DeploymentId) {
        self.turns().forget(id);
    }

    /// How many comments wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.turns().waiting()
    }
}

/// What people are to be told of one pull request, and what they were told last.
struct Words {
    key: PullKey,
    body: String,
    status: Option<CommitStatus>,
    told: Told,
    known: Option<Told>,
    comment_id: Option<CommentId>,
    /// Whether it asks for approval.
    asks: bool,
}

impl Reconciler {
    /// Notes that a record changed in a way that its comment should tell.
    pub(super) fn report(&self, id: &DeploymentId) {
        self.inner.reporter.turns().add(id, Instant::now());
        self.inner.reporter.told.notify_one();
    }

    /// Has every comment compared with its record: what is as it was told costs nothing.
    pub(super) fn report_all(&self) {
        let ids = |state: &State| state.deployments.keys().chain(state.set_aside.keys()).cloned().collect();
        let all: Vec<DeploymentId> = self.inner.ledger.read(ids);
        all.iter().for_each(|id| self.report(id));
    }

    /// Writes what is to be told, for ever.
    pub(super) async fn keep_reporting(self) {
        self.report_all();
        loop {
            let told = self.inner.reporter.told.notified();
            if self.inner.reporter.waiting() > 0 {
                self.inner.out.forge.may_write().await;
            }
            match self.next_report() {
                Next::Tell(id) => self.tell_or_rest(&id).await,
                Next::At(when) => {
                    let until = async {
                        match when {
                            Some(when) => tokio::time::sleep_until(when).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = told => {}
                        () = until => {}
                    }
                }
            }
        }
    }

    async fn tell_or_rest(&self, id: &DeploymentId) {
        let written = contained(self.tell_people(id)).await;
        let mut turns = self.inner.reporter.turns();
        match written {
            Ok(()) => turns.note_success(id),
            Err(fault) => {
                fault.log("could not tell GitHub; trying again later");
                turns.note_failure(id, Instant::now(), fault.retry_after, |tries| self.backoff(tries));
            }
        }
    }

    fn next_report(&self) -> Next {
        let (failed, asking) = self.inner.ledger.read(|state| {
            let failed = state.deployments.values().filter(|d| d.status() == Status::Failed);
            let asking = state.set_aside.iter().filter(|(_, line)| line.reason == UNAPPROVED && line.told.is_none());
            (failed.map(|d| d.id.clone()).collect(), asking.map(|(id, _)| id.clone()).collect())
        });
        self.inner.reporter.turns().next(Instant::now(), &failed, &asking)
    }

    /// Writes comment and commit status, unless they say so already.
    async fn tell_people(&self, id: &DeploymentId) -> Result<(), Fault> {
        let _writing = self.inner.reporter.writing.lock().await;
        let Some(words) = self.words_of(id).filter(|words| words.known.as_ref() != Some(&words.told)) else {
            return Ok(());
        };
        let Words { key, body, status, told, known, mut comment_id, asks } = words;
        let Reporter { gap, .. } = self.inner.reporter;
        self.inner.reporter.turns().note_writing(id, Instant::now(), gap);
        if known.is_some() {
            // Should we be killed or unheard while writing, nobody knows what people were told.
            self.inner.ledger.change(|state| voice(state, id).and_then(|(_, told)| told.take())).await?;
        }
        let mut permitted = true;
        if known.as_ref().map(|known| &known.comment) != Some(&told.comment) {
            match self.inner.out.forge.comment(key, comment_id, &body).await? {
                Written::Comment(written) => comment_id = Some(written),
                Written::Refused(reason) => tracing::warn!(deployment = %id, reason, "GitHub refused the comment"),
                Written::NotPermitted(_) => permitted = false,
            }
            if asks && permitted {
                self.inner.reporter.turns().note_asked(Instant::now());
            }
        }
        if let Some(status) = status.filter(|_| known.as_ref().map(|known| &known.status) != Some(&told.status)) {
            self.inner.out.forge.status(key.repo, &status).await?;
        }
        if !permitted {
            // Resync has it told again, until somebody has given our token the right.
            return Ok(());
        }
        let note = |state: &mut State| {
            let (id_there, told_there) = voice(state, id)?;
            (*id_there, *told_there) = (comment_id, Some(told));
            Some(())
        };
        self.inner.ledger.change(note).await?;
        Ok(())
    }

    /// What people should read of a pull request, if anything: of what is going, from the one who removes it.
    fn words_of(&self, id: &DeploymentId) -> Option<Words> {
        let found = |state: &State| (state.deployments.get(id).cloned(), state.set_aside.get(id).cloned());
        match self.inner.ledger.read(found) {
            (Some(record), _) if record.removing.is_some() => None,
            (Some(record), _) => self.words(&record),
            (None, Some(line)) => self.words_aside(id, line),
            (None, None) => None,
        }
    }

    fn words(&self, record: &Deployment) -> Option<Words> {
        let view = View::of(record, &self.beside(record))?;
        let (body, status) = (self.rendered(&view, &record.id), self.status_of(record, &view));
        let told = Told { comment: fingerprint(&body), status: status.as_ref().map(of_status).unwrap_or_default() };
        let (key, known, comment_id) = (record.key(), record.told.clone(), record.comment_id);
        Some(Words { key, body, status, told, known, comment_id, asks: false })
    }

    /// What people should read of a pull request that is set aside.
    fn words_aside(&self, id: &DeploymentId, line: SetAside) -> Option<Words> {
        let key = line.key(id);
        let talk = self.talk(key);
        let state = comment::State::aside(&line, &talk)?;
        let repo = self.inner.ledger.read(|state| state.projects.get(&key.repo).map(|project| project.name.clone()))?;
        let view = View::new(key, &self.inner.config.github, &repo, &BranchName::new(""), state).with(talk);
        let body = self.rendered(&view, id);
        let told = Told { comment: fingerprint(&body), status: String::new() };
        let SetAside { told: known, comment_id, reason, .. } = line;
        Some(Words { key, body, status: None, told, known, comment_id, asks: reason == UNAPPROVED })
    }

    /// What people said of it.
    fn talk(&self, key: PullKey) -> Talk {
        self.inner.ledger.read(|state| state.talks.get(&key).cloned()).unwrap_or_default()
    }

    /// Whether people have yet to be told of what is.
    pub(super) fn is_untold(&self, record: &Deployment) -> bool {
        record.removing.is_none() && self.words(record).is_some_and(|words| record.told.as_ref() != Some(&words.told))
    }

    /// Writes the comment of a preview that is going. Nothing is written after it.
    pub(super) async fn say_last_words(&self, id: &DeploymentId) -> Result<Option<Written>, Fault> {
        let _writing = self.inner.reporter.writing.lock().await;
        self.inner.reporter.forget(id);
        let record = self.inner.ledger.read(|state| state.deployments.get(id).cloned());
        let Some(record) = record else { return Ok(None) };
        let Some(view) = View::of(&record, &self.beside(&record)) else { return Ok(None) };
        let body = self.rendered(&view, id);
        self.inner.out.forge.comment(record.key(), record.comment_id, &body).await.map(Some)
    }

    /// What the commit status should say.
    fn status_of(&self, record: &Deployment, view: &View) -> Option<CommitStatus> {
        let description = comment::status_line(view, &self.mask(&record.id))?;
        let (serving, attempt) = (record.serving.as_ref(), record.attempt.as_ref());
        let served = serving.map(|serving| &serving.commit_sha);
        let (commit, state) = match attempt.map(|attempt| (&attempt.commit, &attempt.stage)) {
            Some((commit, Stage::Failed(failure))) => match failure.blame {
                Blame::Author => (commit, StatusState::Failure),
                Blame::Passing => (commit, StatusState::Error),
            },
            // While the old version drains, the new one answers already.
            Some((commit, Stage::Queued(_) | Stage::Running(_))) if !record.is_draining() => {
                (commit, StatusState::Pending)
            }
            _ if serving?.down => (served?, StatusState::Failure),
            _ => (served?, StatusState::Success),
        };
        let url = serving.and(record.url.clone());
        Some(CommitStatus { commit: commit.clone(), state, description, url })
    }

    fn beside(&self, record: &Deployment) -> Beside {
        let down = record.serving.as_ref().is_some_and(|serving| serving.down);
        let app_log =
            if down { self.inner.folders.tail(&record.id, Log::App, TAIL).unwrap_or_default() } else { Vec::new() };
        Beside {
            server: self.inner.config.github.clone(),
            ahead: self.ahead_of(record.repository_id, &record.id),
            expires: Some(ttl::expires_at(record.active_at, self.inner.config.policy.ttl)),
            app_log,
            talk: self.talk(record.key()),
            login: self.inner.config.site.asks_for_login(),
        }
    }

    fn rendered(&self, view: &View, id: &DeploymentId) -> String {
        comment::render(view, &self.mask(id))
    }
}

/// Where it stands what our comment is and what people were told last.
fn voice<'a>(state: &'a mut State, id: &DeploymentId) -> Option<(&'a mut Option<CommentId>, &'a mut Option<Told>)> {
    match state.deployments.get_mut(id) {
        Some(record) => Some((&mut record.comment_id, &mut record.told)),
        None => state.set_aside.get_mut(id).map(|line| (&mut line.comment_id, &mut line.told)),
    }
}

fn fingerprint(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// How far an attempt is does not matter to its status, so that it costs two writes and no more.
fn of_status(status: &CommitStatus) -> String {
    let CommitStatus { commit, state, description, .. } = status;
    let words = if *state == StatusState::Pending { "" } else { description };
    fingerprint(&format!("{commit} {state:?} {words}"))
}
