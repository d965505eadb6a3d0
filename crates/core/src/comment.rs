//! The one comment on a pull request, and the line of its commit status: what reviewers see.
//!
//! A [`View`] is what is to be told, made of the record and the little that the record doesn't know; [`render`] is how. The
//! parts: `words` has every sentence, `pages` says which sentences a state needs, `escape` makes text from outside harmless.
//! Everything that comes from a pull request, a build or an app passes through `escape`, and nothing else may.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::capacity::Measure;
use crate::deployment::{Attempt, Deployment, Failure, Notice, QueueReason, RemovalReason, Serving, Stage, Step};
use crate::desired::{SetAside, SetAsideReason, WaitReason};
use crate::ids::{BranchName, CommitSha, PullKey, RepoName};
use crate::mask::Mask;
use crate::plain_text::clean;
use crate::talk::Talk;

mod escape;
mod pages;
mod words;

pub use words::commands;

/// Longest comment that we write, in characters. GitHub refuses bodies of more than 65,536.
const LIMIT: usize = 60_000;
/// Lines of a log that a comment shows.
const LOG_LINES: usize = 50;
/// Longest description of a commit status, in characters.
///
/// Source: <https://docs.github.com/en/rest/commits/statuses>
pub const STATUS_LIMIT: usize = 140;

/// What a comment has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The pull request: names the comment.
    pub key: PullKey,
    /// The repository's page (`https://github.com/my-org/my-app`), for links to commits.
    pub repo_page: String,
    /// The head branch: hostile text.
    pub branch: BranchName,
    /// What is the case.
    pub state: State,
    /// What people said last, and who let a fork's commit run.
    pub talk: Talk,
    /// Whether visitors are asked for a login.
    pub behind_login: bool,
    /// The commit whose migration may have changed the database of an older version that answers.
    pub migrated_by: Option<CommitSha>,
    /// What people should know although nothing failed.
    pub notices: BTreeSet<Notice>,
}

/// A version that answers now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Where.
    pub url: String,
    /// Which commit.
    pub commit: CommitSha,
    /// Since when.
    pub since: Timestamp,
    /// Milliseconds that it took to come up.
    pub took_ms: u64,
}

/// What can be the case with a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A commit waits for its turn.
    Queued {
        /// The commit.
        commit: CommitSha,
        /// For what it waits.
        reason: QueueReason,
        /// How many others are ahead of it, where that is known.
        ahead: Option<usize>,
        /// The older version that answers meanwhile.
        still: Option<Live>,
    },
    /// A commit is being brought up.
    Building {
        /// The commit.
        commit: CommitSha,
        /// How far it is.
        step: Step,
        /// Whether the older version had to stop first, for want of memory.
        in_place: bool,
        /// The older version that answers meanwhile.
        still: Option<Live>,
    },
    /// The newest commit answers.
    Running {
        /// It.
        live: Live,
        /// The framework found.
        framework: Option<String>,
        /// The database beside it.
        database: Option<String>,
        /// The backing services beside that.
        extras: Vec<String>,
        /// The services beside the app that the repository's own Compose file names.
        services: Vec<String>,
        /// When it is removed if nobody pushes.
        expires: Option<Timestamp>,
        /// Whether the older version had to stop first, for want of memory.
        in_place: bool,
    },
    /// The newest commit did not come up.
    Failed {
        /// The commit.
        commit: CommitSha,
        /// Where, why, and what to try.
        failure: Failure,
        /// Whether an older version had been stopped for it, for want of memory.
        in_place: bool,
        /// The older version that still answers.
        still: Option<Live>,
    },
    /// The newest commit answered, then ended, and the engine could not bring it back.
    Down {
        /// It, as it was.
        live: Live,
        /// What it was stopped for, if it filled the disk.
        filled: Option<Measure>,
        /// The last lines that the app wrote; hostile text.
        log_tail: Vec<String>,
    },
    /// No preview as long as the pull request is a draft.
    Draft,
    /// No preview until somebody lets this commit of a fork run.
    Unapproved {
        /// The commit.
        commit: CommitSha,
    },
    /// No preview, for a reason that only settings or a new event change.
    Waiting,
    /// It is gone.
    Removed {
        /// Why.
        reason: RemovalReason,
        /// The last push, reopening or `keep`.
        active_at: Timestamp,
    },
}

/// What a comment tells beside the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// GitHub's web address (`https://github.com`), for links.
    pub server: String,
    /// How many others are ahead in the queue.
    pub ahead: Option<usize>,
    /// When the preview is removed if nobody pushes.
    pub expires: Option<Timestamp>,
    /// The last lines of an app that is down.
    pub app_log: Vec<String>,
    /// What people said.
    pub talk: Talk,
    /// Whether visitors are asked for a login.
    pub login: bool,
}

impl View {
    /// What there is to tell of a pull request.
    pub fn new(key: PullKey, server: &str, repo: &RepoName, branch: &BranchName, state: State) -> Self {
        let repo_page = format!("{}/{repo}", server.trim_end_matches('/'));
        let (talk, notices) = (Talk::default(), BTreeSet::new());
        Self { key, repo_page, branch: branch.clone(), state, talk, behind_login: false, migrated_by: None, notices }
    }

    /// The same, with what people said.
    pub fn with(self, talk: Talk) -> Self {
        Self { talk, ..self }
    }

    /// What there is to tell of a record; `None` before its first attempt has begun.
    pub fn of(record: &Deployment, beside: &Beside) -> Option<Self> {
        let state = State::of(record, beside)?;
        let view = Self::new(record.key(), &beside.server, &record.repo, &record.branch, state);
        let older = record.serving.as_ref();
        let migrated_by = older.and_then(|older| record.data.changed_since(&older.commit_sha)).cloned();
        let notices = record.notices.clone();
        Some(Self { behind_login: beside.login, migrated_by, notices, ..view.with(beside.talk.clone()) })
    }
}

impl State {
    /// What there is to tell of a pull request that is set aside. Nothing of what was told when its preview went, unless
    /// somebody has spoken since; and nothing to bots, and where a label is missing, unless somebody asked.
    pub fn aside(line: &SetAside, talk: &Talk) -> Option<Self> {
        let asked = talk.last.is_some();
        let removed = |reason| Self::Removed { reason, active_at: line.active_at };
        match line.reason {
            SetAsideReason::Waiting(WaitReason::Draft) => Some(Self::Draft),
            SetAsideReason::Waiting(WaitReason::Approval) => Some(Self::Unapproved { commit: line.head.clone() }),
            SetAsideReason::Waiting(_) => asked.then_some(Self::Waiting),
            SetAsideReason::Stopped => asked.then(|| removed(RemovalReason::Stopped)),
            SetAsideReason::Expired => asked.then(|| removed(RemovalReason::Expired)),
        }
    }

    fn of(record: &Deployment, beside: &Beside) -> Option<Self> {
        if let Some(reason) = record.removing {
            return Some(Self::Removed { reason, active_at: record.active_at });
        }
        let live = |serving: &Serving| {
            let Serving { commit_sha, since, took_ms, .. } = serving.clone();
            record.url.clone().map(|url| Live { url, commit: commit_sha, since, took_ms })
        };
        let still = record.serving.as_ref().filter(|serving| !serving.down).and_then(live);
        match (record.attempt.clone(), &record.serving) {
            (Some(Attempt { commit, stage: Stage::Queued(reason), .. }), _) => {
                Some(Self::Queued { commit, reason, ahead: beside.ahead, still })
            }
            (Some(Attempt { commit, stage: Stage::Running(step), in_place, .. }), _) if !record.is_draining() => {
                Some(Self::Building { commit, step, in_place, still })
            }
            (Some(Attempt { commit, stage: Stage::Failed(failure), in_place, .. }), _) => {
                Some(Self::Failed { commit, failure, in_place, still })
            }
            (_, Some(serving)) if serving.down => {
                let filled = serving.filled;
                live(serving).map(|live| Self::Down { live, filled, log_tail: beside.app_log.clone() })
            }
            (attempt, Some(_)) => still.map(|live| Self::Running {
                live,
                framework: record.framework.clone(),
                database: record.db_type.clone(),
                extras: record.extras.iter().map(ToString::to_string).collect(),
                services: record.services.iter().map(ToString::to_string).collect(),
                expires: beside.expires,
                in_place: attempt.is_some_and(|attempt| attempt.in_place),
            }),
            (_, None) => None,
        }
    }
}

/// The hidden line that says which comment is ours. It is made of GitHub's own numbers alone, so that a new installation,
/// a new slug or a renamed repository finds the old comment again.
pub fn marker(key: PullKey) -> String {
    format!("<!-- preview-deployer:{}/{} -->", key.repo, key.number)
}

/// Whether a comment's text is one that [`render`] made for this pull request. Only its last line counts: a log that it
/// shows may contain anything. Who wrote it is the caller's question.
pub fn carries_marker(body: &str, key: PullKey) -> bool {
    body.trim_end().lines().next_back().is_some_and(|line| line.trim() == marker(key))
}

/// The comment's text, in Markdown, of at most 60,000 characters, without the secrets of the mask.
pub fn render(view: &View, mask: &Mask) -> String {
    let page = pages::page(view, mask);
    let mut head = format!("### {}\n", page.title);
    for (index, (label, cell)) in page.rows.iter().enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        let after = if index == 0 { "| --- | --- |\n" } else { "" };
        let _ = write!(head, "{before}| {label} | {cell} |\n{after}");
    }
    for note in page.notes.iter().chain(&pages::said(&view.talk)) {
        let _ = write!(head, "\n{note}\n");
    }
    let footer = page.footer.map(|footer| format!("\n<sub>{footer}</sub>\n")).unwrap_or_default();
    let foot = format!("{footer}\n{}\n", marker(view.key));
    let room = LIMIT.saturating_sub(head.chars().count() + foot.chars().count());
    let shown = view.talk.last.as_ref().map_or(&[][..], |last| &last.shown);
    let answer = folded(shown, mask, room / 2, |_| words::answer_summary().to_owned());
    let log = folded(page.log, mask, room.saturating_sub(answer.chars().count()), words::log_summary);
    format!("{head}{answer}{log}{foot}")
}

/// The description of the commit status, in plain text of at most 140 characters; `None` where the state says nothing
/// about a commit.
pub fn status_line(view: &View, mask: &Mask) -> Option<String> {
    let line = words::status(&view.state)?;
    Some(escape::cut(&escape::one_line(&mask.over(&clean(&line))), STATUS_LIMIT))
}

/// A failure as it may be written down: what an app printed may hold secrets that are forgotten before the failure is told.
pub fn without_secrets(failure: Failure, mask: &Mask) -> Failure {
    let one = |text: String| lines_without_secrets([text], mask).concat();
    Failure {
        cause: one(failure.cause),
        advice: failure.advice.map(one),
        log_tail: last_of(lines_without_secrets(failure.log_tail, mask)),
        ..failure
    }
}

/// The last lines, in as many bytes as are written down of a failure: how long a line is, its author decides.
fn last_of(lines: Vec<String>) -> Vec<String> {
    let mut left = KEPT_BYTES;
    let fits = |line: &String| {
        let fits = line.len() < left;
        left = left.saturating_sub(line.len() + 1);
        fits
    };
    let mut last: Vec<String> = lines.into_iter().map(in_short).rev().take_while(fits).collect();
    last.reverse();
    last
}

/// A line that is not too long, or its beginning.
fn in_short(mut line: String) -> String {
    if line.len() > LONGEST_LINE {
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        line.push('…');
    }
    line
}

/// Most bytes of a failure's log that are written down, of which a comment shows all.
const KEPT_BYTES: usize = 32 << 10;
/// Most bytes of one line of it.
const LONGEST_LINE: usize = 4 << 10;

/// Lines of an app as they may be written down.
pub fn lines_without_secrets(lines: impl IntoIterator<Item = String>, mask: &Mask) -> Vec<String> {
    // Cleaned first: what a terminal would not show could stand in the middle of a secret.
    lines.into_iter().map(|line| mask.over(&clean(&line))).collect()
}

/// The last lines of a log, folded away, in at most `room` characters. What is too much goes from its beginning.
fn folded(log: &[String], mask: &Mask, room: usize, summary: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = log.iter().flat_map(|text| text.lines()).map(clean).collect();
    let skipped = lines.iter().rev().take_while(|line| line.trim().is_empty()).count();
    let lines = &lines[..lines.len() - skipped];
    let masked = mask.over(&lines.join("\n"));
    let mut kept: Vec<&str> = masked.lines().rev().take(LOG_LINES).collect();
    kept.reverse();
    if kept.is_empty() {
        return String::new();
    }
    let summary = summary(kept.len());
    let text = kept.join("\n");
    let fence = escape::fence(&text);
    let open = format!("\n<details>\n<summary>{summary}</summary>\n\n{fence}text\n");
    let close = format!("\n{fence}\n\n</details>\n");
    let text = escape::keep_end(&text, room.saturating_sub(open.chars().count() + close.chars().count()));
    format!("{open}{text}{close}")
}

#[cfg(test)]
mod tests;
