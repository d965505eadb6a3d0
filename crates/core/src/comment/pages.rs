//! Which sentences each state needs, and in which order.

use super::escape::{code, link, prose};
use super::{Live, State, View, words};
use crate::deployment::Failure;
use crate::ids::CommitSha;
use crate::mask::Mask;
use crate::talk::Talk;

/// A comment before it is laid out. All parts but the log are Markdown.
pub(super) struct Page<'a> {
    /// The first line.
    pub(super) title: String,
    /// The table; its first row is the header.
    pub(super) rows: Vec<(&'static str, String)>,
    /// Paragraphs.
    pub(super) notes: Vec<String>,
    /// Lines to be folded away; hostile text.
    pub(super) log: &'a [String],
    /// The small print, while there is a preview or will be one.
    pub(super) footer: Option<&'static str>,
}

impl Page<'_> {
    fn titled(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new(), notes: Vec::new(), log: &[], footer: Some(words::footer()) }
    }
}

pub(super) fn page<'a>(view: &'a View, mask: &Mask) -> Page<'a> {
    match &view.state {
        State::Queued { commit, reason, ahead, still } => Page {
            rows: rows(view, commit, still.as_ref(), []),
            notes: vec![match ahead {
                Some(ahead) => format!("{} {}", words::waits_for(*reason), words::ahead(*ahead)),
                None => words::waits_for(*reason).to_owned(),
            }],
            ..Page::titled(words::queued(still.is_some()))
        },
        State::Building { commit, step, in_place, still } => Page {
            rows: rows(view, commit, still.as_ref(), [("Step", words::progress(*step))]),
            notes: in_place.then(|| words::replacing_in_place().to_owned()).into_iter().collect(),
            ..Page::titled(words::building(still.is_some() || *in_place))
        },
        State::Running { live, .. } => running(view, live),
        State::Failed { commit, failure, in_place, still } => {
            failed(view, commit, (failure, *in_place), still.as_ref(), mask)
        }
        State::Down { live, filled, log_tail } => Page {
            rows: vec![("Preview", link(&live.url)), ("Commit", commit_on_branch(view, &live.commit))],
            notes: vec![filled.map_or(words::how_to_revive(), words::how_to_fill_less).to_owned()],
            log: log_tail,
            ..Page::titled(filled.map_or(words::down(), words::filled))
        },
        State::Draft => Page { notes: vec![words::leave_draft().to_owned()], ..Page::titled(words::draft()) },
        State::Unapproved { commit } => Page {
            rows: vec![("Commit", commit_link(view, commit))],
            notes: vec![words::how_to_approve(commit), words::what_approval_means().to_owned()],
            ..Page::titled(words::unapproved())
        },
        State::Waiting => Page { footer: None, ..Page::titled(words::waiting()) },
        State::Removed { reason, active_at } => Page {
            notes: vec![words::why_removed(*reason, *active_at)],
            footer: None,
            ..Page::titled(words::removed(*reason))
        },
    }
}

fn running<'a>(view: &'a View, live: &Live) -> Page<'a> {
    let mut rows = vec![
        ("Preview", link(&live.url)),
        ("Commit", commit_on_branch(view, &live.commit)),
        ("Ready", words::ready(live.took_ms, live.since)),
    ];
    let mut notes: Vec<String> = view.behind_login.then(|| words::asks_for_login().to_owned()).into_iter().collect();
    if let State::Running { framework, database, extras, services, expires, in_place, .. } = &view.state {
        let backing = database.iter().chain(extras).map(|name| product(name));
        // Names of the author's own choice: one may be called as a product that it isn't.
        let backing = backing.chain(services.iter().map(|name| code(name))).collect::<Vec<_>>().join(" and ");
        let framework = framework.as_ref().map(|name| product(name));
        let parts = framework.into_iter().chain(Some(backing).filter(|backing| !backing.is_empty()));
        let runs = parts.collect::<Vec<_>>().join(" with ");
        if !runs.is_empty() {
            rows.push(("Runs", runs));
        }
        let approval = view.talk.approval.as_ref().filter(|approval| approval.commit == live.commit);
        rows.extend(approval.map(|approval| ("Approved", words::approved_by(&code(&approval.by.to_string())))));
        rows.extend(expires.map(|at| ("Expires", words::expires(at))));
        notes.extend(view.notices.iter().copied().map(words::notice));
        notes.extend(in_place.then(|| words::replaced_in_place().to_owned()));
    }
    Page { rows, notes, ..Page::titled(words::running()) }
}

fn failed<'a>(
    view: &View,
    commit: &CommitSha,
    (failure, in_place): (&'a Failure, bool),
    still: Option<&Live>,
    mask: &Mask,
) -> Page<'a> {
    let gone = in_place && still.is_none();
    let cause = prose(mask, &failure.cause);
    let title = match still {
        Some(_) => words::update_failed(failure.step, failure.blame, &cause),
        None => words::failed(failure.step, failure.blame, &cause),
    };
    let changed = view.migrated_by.as_ref().filter(|_| still.is_some());
    let notes = [
        changed.map(|newer| words::database_may_be_changed(&commit_link(view, newer))),
        gone.then(|| words::stopped_for_it().to_owned()),
        failure.advice.as_ref().map(|advice| words::what_to_try(&prose(mask, advice))),
        Some(words::what_happens_next(failure.blame).to_owned()),
    ];
    Page {
        rows: rows(view, commit, still, []),
        notes: notes.into_iter().flatten().collect(),
        log: &failure.log_tail,
        ..Page::titled(title)
    }
}

/// What somebody asked for last, and what came of it.
pub(super) fn said(talk: &Talk) -> Option<String> {
    let last = talk.last.as_ref()?;
    let command = last.command.as_ref().map_or_else(|| "/preview".to_owned(), |command| format!("/preview {command}"));
    Some(words::last_command(&code(&command), &code(&last.by.to_string()), &words::outcome(&last.outcome)))
}

/// What answers now, if anything, then the commit that should.
fn rows<const N: usize>(
    view: &View,
    commit: &CommitSha,
    still: Option<&Live>,
    more: [(&'static str, String); N],
) -> Vec<(&'static str, String)> {
    let old = still.map(|live| ("Preview", words::still_shows(&link(&live.url), &commit_link(view, &live.commit))));
    let label = if still.is_some() { "New commit" } else { "Commit" };
    old.into_iter().chain([(label, commit_on_branch(view, commit))]).chain(more).collect()
}

fn commit_on_branch(view: &View, commit: &CommitSha) -> String {
    format!("{} on {}", commit_link(view, commit), code(view.branch.as_str()))
}

fn commit_link(view: &View, commit: &CommitSha) -> String {
    format!("[`{}`]({}/commit/{commit})", commit.short(), view.repo_page)
}

fn product(name: &str) -> String {
    words::product(name).map_or_else(|| code(name), str::to_owned)
}
