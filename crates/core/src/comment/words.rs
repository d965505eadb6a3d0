//! Every sentence of the comment and of the commit status.

use jiff::Timestamp;

use super::State;
use crate::capacity::Measure;
use crate::deployment::{Blame, Notice, QueueReason, RemovalReason, Step};
use crate::desired::WaitReason;
use crate::ids::CommitSha;
use crate::talk::Outcome;

// ------------------------------------------------------------------------------------------------------------- Titles

pub(super) fn queued(update: bool) -> &'static str {
    if update { "🟡 Preview update is queued" } else { "🟡 Preview is queued" }
}

pub(super) fn building(update: bool) -> &'static str {
    if update { "🟡 Preview is being updated" } else { "🟡 Preview is on its way" }
}

pub(super) fn running() -> &'static str {
    "🟢 Preview is ready"
}

/// Nothing answers. `cause` is escaped already.
pub(super) fn failed(step: Step, blame: Blame, cause: &str) -> String {
    match blame {
        Blame::Author => format!("🔴 Preview failed while {}: {cause}", doing(step)),
        Blame::Passing => format!("🟠 Preview failed for now while {}: {cause}", doing(step)),
    }
}

/// An older version still answers. `cause` is escaped already.
pub(super) fn update_failed(step: Step, blame: Blame, cause: &str) -> String {
    match blame {
        Blame::Author => format!("🟠 Preview update failed while {}: {cause}", doing(step)),
        Blame::Passing => format!("🟠 Preview update failed for now while {}: {cause}", doing(step)),
    }
}

pub(super) fn down() -> &'static str {
    "🔴 Preview stopped answering: the app ended and does not stay up when restarted"
}

pub(super) fn filled(by: Measure) -> &'static str {
    match by {
        Measure::Bytes => {
            "🔴 Preview was stopped: its app or its database had written more to the disk than a preview may"
        }
        Measure::Files => "🔴 Preview was stopped: its app or its database had made more files than a preview may",
    }
}

pub(super) fn how_to_fill_less(by: Measure) -> &'static str {
    match by {
        Measure::Bytes => {
            "Let it write less (the operator's limit is `CONTAINER_DISK_MB`) and push. A database that is full stays so: close and \
             reopen this pull request to begin with an empty one."
        }
        Measure::Files => {
            "Let it make fewer files, or remove what it no longer needs, and push: a disk has room for so many, empty ones too, and a \
             preview may have its part of them (the operator's `CONTAINER_DISK_MB`). Files of a database stay: close and reopen this \
             pull request to begin with an empty one."
        }
    }
}

pub(super) fn draft() -> &'static str {
    "⚪ No preview while this pull request is a draft"
}

pub(super) fn unapproved() -> &'static str {
    "⚪ No preview until somebody approves this commit"
}

pub(super) fn waiting() -> &'static str {
    "⚪ No preview"
}

pub(super) fn removed(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Expired => "⚪ Preview has expired",
        RemovalReason::Stopped => "⚪ Preview was stopped",
        _ => "⚪ Preview was removed",
    }
}

// -------------------------------------------------------------------------------------------------------------- Table

/// `done` of all steps.
pub(super) fn progress(step: Step) -> String {
    let number = Step::ALL.iter().position(|one| *one == step).map_or(1, |index| index + 1);
    format!("{} ({number} of {})", doing(step), Step::ALL.len())
}

pub(super) fn doing(step: Step) -> &'static str {
    match step {
        Step::Checkout => "fetching the commit",
        Step::Read => "reading `preview-config.yml`",
        Step::Detect => "finding out the framework",
        Step::Plan => "planning the containers",
        Step::Build => "building the image",
        Step::Migrate => "migrating the database",
        Step::Seed => "filling the new database",
        Step::Start => "starting the app",
        Step::Health => "waiting for the app to answer",
        Step::Route => "switching visitors to it",
        Step::Drain => "letting the old version finish",
    }
}

/// `older` is the commit as Markdown.
pub(super) fn still_shows(url: &str, older: &str) -> String {
    format!("{url} still shows {older}")
}

pub(super) fn ready(took_ms: u64, since: Timestamp) -> String {
    format!("in {}, on {}", duration(took_ms), moment(since))
}

pub(super) fn expires(at: Timestamp) -> String {
    format!("{}, unless something is pushed before", moment(at))
}

/// `who` is escaped already.
pub(super) fn approved_by(who: &str) -> String {
    format!("this commit of a fork, by {who}")
}

/// Frameworks and databases as their makers write them; `None` for one that this page doesn't know.
pub(super) fn product(name: &str) -> Option<&'static str> {
    Some(match name {
        "nestjs" => "NestJS",
        "node" => "Node.js",
        "go" => "Go",
        "laravel" => "Laravel",
        "rails" => "Ruby on Rails",
        "spring" => "Spring Boot",
        "rust" => "Rust",
        "python" => "Python",
        "django" => "Django",
        "fastapi" => "FastAPI",
        "flask" => "Flask",
        "docker" => "the repository's own Dockerfile",
        "compose" => "the repository's own Compose file",
        "image" => "an image of the repository's own CI",
        "postgres" => "PostgreSQL",
        "mysql" => "MySQL",
        "mariadb" => "MariaDB",
        "mongodb" => "MongoDB",
        "redis" => "Redis",
        _ => return None,
    })
}

// -------------------------------------------------------------------------------------------------------------- Notes

pub(super) fn waits_for(reason: QueueReason) -> &'static str {
    match reason {
        QueueReason::Places => "All places for previews on this server are taken. It starts as soon as one is free.",
        QueueReason::Builds => "Other builds are running. It starts as soon as one of them ends.",
        QueueReason::Image => "Its image is not in the registry yet. It starts as soon as it is there.",
        QueueReason::Memory => "The server has too little free memory right now. It starts as soon as there is enough.",
        QueueReason::Disk => "The server's disk is almost full. It starts as soon as there is room again.",
        QueueReason::Ports => {
            "The server has no port or network left for another preview. It starts as soon as one is free."
        }
    }
}

pub(super) fn ahead(others: usize) -> String {
    match others {
        0 => "It is the next one.".to_owned(),
        1 => "One other is ahead of it.".to_owned(),
        // Told exactly, every comment would change whenever anything moves.
        11.. => "More than 10 others are ahead of it.".to_owned(),
        _ => format!("{others} others are ahead of it."),
    }
}

pub(super) fn asks_for_login() -> &'static str {
    "It asks for a user name and a password; whoever runs this server has them."
}

pub(super) fn replacing_in_place() -> &'static str {
    "The server has no memory for two versions at once: the older one was stopped first, and nothing answers until this one is up."
}

pub(super) fn replaced_in_place() -> &'static str {
    "The server had no memory for two versions at once: the older one was stopped first, so the preview was away for a moment."
}

pub(super) fn stopped_for_it() -> &'static str {
    "The older version had been stopped to make room for this one, so nothing answers now."
}

/// `newer` is the commit as Markdown.
pub(super) fn database_may_be_changed(newer: &str) -> String {
    format!(
        "**The database may be changed:** the migration of {newer} had begun, and the older version that still answers has the same \
         database. `/preview reset-db` begins with an empty one."
    )
}

pub(super) fn notice(notice: Notice) -> String {
    match notice {
        Notice::FewerResources => {
            "It asks for more memory or CPU in `resources` than this server gives a container, and got what the server gives."
        }
        Notice::NotSeeded => {
            "Its `seed` was not loaded: that is for a new database, and this one has been used. `/preview reset-db` begins with an \
             empty one."
        }
        Notice::NothingAtRoot { status, well: Some(path) } => {
            return format!("It answers `/` with status {status}, and counts as up because `{path}` answers well.");
        }
        Notice::NothingAtRoot { status, well: None } => {
            return format!(
                "It answers `/` with status {status}, and counts as up because it answers at all: let `health_check_path` in \
                 `preview-config.yml` name a path that tells more."
            );
        }
    }
    .to_owned()
}

/// `advice` is escaped already.
pub(super) fn what_to_try(advice: &str) -> String {
    format!("**What to try:** {advice}")
}

pub(super) fn what_happens_next(blame: Blame) -> &'static str {
    match blame {
        Blame::Author => "The next push tries again.",
        Blame::Passing => "This is not the pull request's doing. It is tried again by itself within minutes.",
    }
}

pub(super) fn how_to_revive() -> &'static str {
    "The next push brings up a fresh one. Below is what the app wrote last."
}

pub(super) fn leave_draft() -> &'static str {
    "Mark it as ready for review to get one."
}

/// The line to copy stands alone, so that GitHub's button copies exactly it.
pub(super) fn how_to_approve(commit: &CommitSha) -> String {
    format!(
        "It comes from a fork. Whoever may push to this repository can let this one commit run, by a comment with this line:\n\n\
         ```\n/preview deploy {commit}\n```"
    )
}

pub(super) fn what_approval_means() -> &'static str {
    "**What that means:** code of somebody who may not push here is built and runs on the team's server, in containers with \
     limits and without the team's secrets, and whoever knows the address can use it. Read the changes before, those of \
     dependencies and build files too. It counts for this commit alone: a later push asks again."
}

/// `command` and `who` are escaped already.
pub(super) fn last_command(command: &str, who: &str, outcome: &str) -> String {
    format!("**Last command:** {command} by {who}: {outcome}")
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Deploying => "the newest commit is brought up.".to_owned(),
        Outcome::Approved(commit) => format!("`{}` is approved, and brought up.", commit.short()),
        Outcome::Stopping => "the preview is taken down until the next push or command.".to_owned(),
        Outcome::Resetting => "the newest commit is brought up with an empty database.".to_owned(),
        Outcome::Kept(until) => format!("the preview stays until {}.", moment(*until)),
        Outcome::Shown => "see below.".to_owned(),
        Outcome::NotUnderstood => "that is none of the commands below.".to_owned(),
        Outcome::NeedsWholeName => {
            "a fork's commit is approved by its whole name, with all 40 digits: copy the line above.".to_owned()
        }
        Outcome::OtherHead(head) => format!(
            "that is not the newest commit, which is `{}`. If something was pushed meanwhile, look at it first.",
            head.short()
        ),
        Outcome::Waiting(reason) => format!("it still waits, since {}.", still_waits(*reason)),
        Outcome::NoPreview => "there is no preview for which that could be done.".to_owned(),
        Outcome::Closed => "the pull request is closed.".to_owned(),
        Outcome::Overtaken => "a later comment has decided already.".to_owned(),
    }
}

fn still_waits(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Draft => "it is a draft, and drafts are skipped here",
        WaitReason::Bot => "a bot opened it, and bots are skipped here",
        WaitReason::Label => "it lacks a label that previews need here",
        WaitReason::Fork => "this server makes no previews of forks",
        WaitReason::Approval => "nobody has approved this commit of a fork",
    }
}

/// What each command does, to be folded away.
pub fn commands() -> Vec<String> {
    [
        "/preview deploy        bring up the newest commit (after a stop, an expiry or a failure too)",
        "/preview deploy SHA    the same if it is that commit; of a fork, approve it: all 40 digits",
        "/preview redeploy      build and start the newest commit again",
        "/preview stop          take the preview down until the next push or command",
        "/preview reset-db      throw the database away and deploy again",
        "/preview keep 3d       keep the preview for 3 days from now on (12h: hours; 30 days at most)",
        "/preview logs          show what the app wrote last",
        "/preview why           say why there is a preview, or none",
        "/preview help          show this",
    ]
    .map(str::to_owned)
    .to_vec()
}

pub(super) fn answer_summary() -> &'static str {
    "Answer"
}

pub(super) fn why_removed(reason: RemovalReason, active_at: Timestamp) -> String {
    match reason {
        RemovalReason::Closed => {
            "The pull request was closed; the app and its database are gone. Reopening it brings up a new preview."
        }
        RemovalReason::Vanished => "GitHub no longer knows this pull request; the app and its database are gone.",
        RemovalReason::NotAllowed => {
            "This server no longer makes previews of this repository; the app and its database are gone."
        }
        RemovalReason::Stopped => {
            "It was stopped by hand; the app and its database are gone. The next push brings up a new preview."
        }
        RemovalReason::Waiting => {
            "The pull request became a draft or lost a label that previews need; the app and its database are gone. \
             A new preview comes up once it is ready again."
        }
        RemovalReason::Unapproved => {
            "Its newest commit is one of a fork that nobody has approved; the app and its database are gone."
        }
        RemovalReason::Expired => return expired(active_at),
    }
    .to_owned()
}

fn expired(active_at: Timestamp) -> String {
    format!(
        "Nothing was pushed since {}; the app and its database are gone. The next push, or closing and reopening the pull \
         request, brings up a new preview.",
        moment(active_at)
    )
}

pub(super) fn footer() -> &'static str {
    "Preview Deployer updates this comment and the preview at every push, and removes the preview when the pull request is closed."
}

// ---------------------------------------------------------------------------------------------------------------- Log

pub(super) fn log_summary(lines: usize) -> String {
    match lines {
        1 => "Last line of the log".to_owned(),
        _ => format!("Last {lines} lines of the log"),
    }
}

pub(super) fn log_was_cut() -> &'static str {
    "… (what stood before was too long to show)"
}

// ------------------------------------------------------------------------------------------------------ Commit status

/// In plain text, not yet cut or cleaned. `None` where there is nothing to say about a commit.
pub(super) fn status(state: &State) -> Option<String> {
    Some(match state {
        State::Queued { reason, .. } => format!("Queued: {}", queued_for(*reason)),
        State::Building { step, .. } => format!("On its way: {}", unquoted(doing(*step))),
        State::Running { live, .. } => format!("Ready in {}", duration(live.took_ms)),
        State::Failed { failure, .. } => {
            let yet = if failure.blame == Blame::Passing { " for now" } else { "" };
            format!("Failed{yet} while {}: {}", unquoted(doing(failure.step)), failure.cause)
        }
        State::Down { filled: Some(Measure::Bytes), .. } => {
            "Stopped: it had written more to the disk than a preview may".to_owned()
        }
        State::Down { filled: Some(Measure::Files), .. } => {
            "Stopped: it had made more files than a preview may".to_owned()
        }
        State::Down { .. } => "The app ended and does not stay up when restarted".to_owned(),
        State::Draft | State::Unapproved { .. } | State::Waiting | State::Removed { .. } => return None,
    })
}

fn queued_for(reason: QueueReason) -> &'static str {
    match reason {
        QueueReason::Places => "all places for previews are taken",
        QueueReason::Builds => "other builds are running",
        QueueReason::Image => "its image is not in the registry yet",
        QueueReason::Memory => "the server has too little free memory",
        QueueReason::Disk => "the server's disk is almost full",
        QueueReason::Ports => "the server has no port or network left",
    }
}

fn unquoted(text: &str) -> String {
    text.replace('`', "")
}

// --------------------------------------------------------------------------------------------------------------- Time

/// `840 ms`, `12.4 s`, `3 min 5 s`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// `29 January 2026, 10:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%-d %B %Y, %H:%M UTC").to_string()
}
