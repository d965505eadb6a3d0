//! Doing what somebody may command: what it changes in the ledger, in one commit with the note that it is done.

use jiff::Timestamp;
use preview_core::command::{Command, CommitPrefix};
use preview_core::comment::{self, commands};
use preview_core::desired::{ForkPolicy, Pull, WaitReason, waits};
use preview_core::ids::{DeploymentId, PullKey};
use preview_core::talk::{Answered, Approval, Outcome};

use super::super::Reconciler;
use super::{Heeded, note_done};
use crate::folders::Log;
use crate::ledger::{Mark, Reason, State};
use crate::needs::{Fault, Part, PullAnswer};
use crate::why::Subject;

/// Lines of a log that an answer shows, and bytes of each: they stand in the ledger.
const LINES: usize = 50;
const LINE: usize = 300;

/// What a command makes of the ledger.
struct Effect {
    outcome: Outcome,
    /// What its worker is told.
    tells: Option<Reason>,
}

impl Effect {
    fn only(outcome: Outcome) -> Self {
        Self { outcome, tells: None }
    }

    fn tell(outcome: Outcome, reason: Reason) -> Self {
        Self { outcome, tells: Some(reason) }
    }
}

impl Reconciler {
    /// Does what is asked, once, and notes what came of it.
    pub(super) async fn obey(&self, heeded: &Heeded<'_>) -> Result<(), Fault> {
        let key = heeded.key;
        let pull = match self.inner.out.forge.pull(key).await? {
            PullAnswer::Known(pull) => pull,
            // Once may be a hiccup; an interval later it is the truth.
            PullAnswer::NotFound if self.is_open_since(heeded.remark.id, self.inner.config.resync_interval) => {
                return self.note_done(heeded, Some(Mark::Puzzled)).await;
            }
            PullAnswer::NotFound => return Err(Fault::passing("GitHub does not know the pull request")),
        };
        let shown = self.answer(key, heeded.asked.as_ref().ok()).await?;
        let now = self.inner.out.clock.now();
        let change = |state: &mut State| {
            let Effect { outcome, tells } = self.effect(state, heeded, &pull, shown.is_empty(), now);
            if let Some(reason) = tells {
                state.tell(key, reason, now);
            }
            note_done(state, heeded, Some(mark(&outcome)));
            let (command, by) = (heeded.asked.clone().ok(), heeded.person.login.clone());
            if !matches!(outcome, Outcome::Closed | Outcome::Overtaken) {
                let talk = state.talks.entry(key).or_default();
                if outcome.is_done() && command.as_ref().is_some_and(decides) {
                    talk.decided = Some(heeded.remark.id);
                }
                talk.last = Some(Answered { command, by, outcome: outcome.clone(), shown });
            }
            (outcome, state.id_of(key))
        };
        let (outcome, id) = self.inner.ledger.change(change).await?;
        let command = heeded.asked.as_ref().map_or_else(|_| "not understood".to_owned(), ToString::to_string);
        tracing::info!(pull = %key, by = %heeded.person.login, command, ?outcome, "somebody gave a command");
        self.wake(key);
        id.iter().for_each(|id| self.report(id));
        Ok(())
    }

    /// What a command does to the ledger.
    fn effect(&self, state: &mut State, heeded: &Heeded<'_>, pull: &Pull, silent: bool, now: Timestamp) -> Effect {
        let key = heeded.key;
        if !pull.open {
            return Effect::only(Outcome::Closed);
        }
        let Ok(command) = &heeded.asked else { return Effect::only(Outcome::NotUnderstood) };
        if is_overtaken(state, heeded, command) {
            return Effect::only(Outcome::Overtaken);
        }
        let id = state.id_of(key);
        let has_record = id.as_ref().is_some_and(|id| state.deployments.contains_key(id));
        let has_line = id.as_ref().is_some_and(|id| state.set_aside.contains_key(id));
        match command {
            Command::Help | Command::Why => Effect::only(Outcome::Shown),
            Command::Logs if silent => Effect::only(Outcome::NoPreview),
            Command::Logs => Effect::only(Outcome::Shown),
            Command::Deploy(named) => self.deploy(state, heeded, pull, named.as_ref()),
            Command::Stop if has_record || has_line => Effect::tell(Outcome::Stopping, Reason::Stop),
            Command::Stop => Effect::only(Outcome::NoPreview),
            Command::Redeploy | Command::ResetDb => match waits(pull, state.approved(key), &self.inner.config.policy) {
                Some(WaitReason::Approval) => Effect::only(Outcome::NeedsWholeName),
                Some(reason) => Effect::only(Outcome::Waiting(reason)),
                None if *command == Command::Redeploy => Effect::tell(Outcome::Deploying, Reason::Redeploy),
                None if state.stays(key) => Effect::tell(Outcome::Resetting, Reason::ResetDatabase),
                None => Effect::only(Outcome::NoPreview),
            },
            Command::Keep(time) => {
                let kept = self.keep_in(state, key, *time, now);
                Effect::only(kept.map_or(Outcome::NoPreview, Outcome::Kept))
            }
        }
    }

    /// Brings up the newest commit. Of a fork, that commit is approved, and no other: it has to be named whole, so that nobody
    /// approves what was pushed between reading and writing.
    fn deploy(&self, state: &mut State, heeded: &Heeded<'_>, pull: &Pull, named: Option<&CommitPrefix>) -> Effect {
        let key = heeded.key;
        if named.is_some_and(|named| !named.fits(&pull.head)) {
            return Effect::only(Outcome::OtherHead(pull.head.clone()));
        }
        let policy = &self.inner.config.policy;
        let needs_approval =
            pull.from_fork() && policy.forks == ForkPolicy::Approve && state.approved(key) != Some(&pull.head);
        if needs_approval {
            let Some(commit) = named.and_then(CommitPrefix::whole) else {
                return Effect::only(Outcome::NeedsWholeName);
            };
            let by = heeded.person.login.clone();
            let (comment, at) = (heeded.remark.id, heeded.remark.written_at);
            let approval = Approval { commit: commit.clone(), by, comment, at };
            state.talks.entry(key).or_default().approval = Some(approval);
            return Effect::tell(Outcome::Approved(commit), Reason::Deploy);
        }
        match waits(pull, state.approved(key), policy) {
            // Without a word of its own the comment still tells why.
            Some(reason) => Effect::tell(Outcome::Waiting(reason), Reason::Deploy),
            None => Effect::tell(Outcome::Deploying, Reason::Deploy),
        }
    }

    /// Lines to be folded into the comment.
    async fn answer(&self, key: PullKey, command: Option<&Command>) -> Result<Vec<String>, Fault> {
        let Some(id) = self.inner.ledger.read(|state| state.id_of(key)) else { return Ok(Vec::new()) };
        let lines = match command {
            None | Some(Command::Help) => commands(),
            Some(Command::Why) => match self.why(&Subject::Id(id)).await {
                Ok((_, why)) => {
                    let waits = why.waiting_for.into_iter().map(|what| format!("waits for: {what}"));
                    let facts = [("GitHub says", why.github), ("decided", why.decided), ("preview", why.preview)];
                    facts.map(|(what, fact)| format!("{what}: {fact}")).into_iter().chain(waits).collect()
                }
                Err(puzzled) => vec![puzzled.to_string()],
            },
            Some(Command::Logs) => self.last_lines(&id).await?,
            Some(_) => Vec::new(),
        };
        Ok(lines.into_iter().map(|line| line[..line.floor_char_boundary(LINE)].to_owned()).collect())
    }

    /// What the app wrote last, or, where there is none, its build.
    async fn last_lines(&self, id: &DeploymentId) -> Result<Vec<String>, Fault> {
        let serving = self.inner.ledger.read(|state| state.deployments.get(id)?.serving.clone());
        let mut lines = match serving {
            Some(serving) => self.inner.out.engine.logs(id, Part::App(serving.slot), LINES).await?,
            None => Vec::new(),
        };
        for log in [Log::App, Log::Build] {
            if lines.is_empty() {
                lines = self.inner.folders.tail(id, log, LINES).unwrap_or_default();
            }
        }
        Ok(comment::lines_without_secrets(lines, &self.mask(id)))
    }
}

/// Whether a command is about there being a preview, and with which data: of those the newest holds.
fn decides(command: &Command) -> bool {
    matches!(command, Command::Deploy(_) | Command::Redeploy | Command::ResetDb | Command::Stop)
}

/// Whether what was said later has been done already: GitHub may have been away when this was to be heard.
fn is_overtaken(state: &State, heeded: &Heeded<'_>, command: &Command) -> bool {
    let decided = state.talks.get(&heeded.key).and_then(|talk| talk.decided);
    decides(command) && decided.is_some_and(|decided| decided > heeded.remark.id)
}

fn mark(outcome: &Outcome) -> Mark {
    match outcome {
        Outcome::Shown | Outcome::Overtaken => Mark::Look,
        outcome if outcome.is_done() => Mark::Done,
        _ => Mark::Puzzled,
    }
}
