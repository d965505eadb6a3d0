//! Why a pull request has the preview that it has, or none: what GitHub says, what follows from it, what there is, and what
//! is being waited for, each in a sentence.
//!
//! [`explain`] is a function of the facts and nothing else; `reconcile` gathers them, `http` adds what arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};
use preview_core::capacity::Measure;
use preview_core::deployment::{Blame, Deployment, QueueReason, RemovalReason, Stage};
use preview_core::desired::{Desired, Policy, SetAsideReason, WaitReason};
use preview_core::ids::{CommitSha, DeploymentId, PrNumber, RepoName};
use preview_core::talk::Approval;
use serde::{Deserialize, Serialize};

use crate::ledger::{Pending, Reason};
use crate::needs::{Fault, PullAnswer};

/// Which pull request somebody means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `12`, where only one repository can be meant.
    Number(PrNumber),
    /// `owner/name#12`, or the pull request's address.
    Named(RepoName, PrNumber),
    /// `owner-name-12`.
    Id(DeploymentId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Named(repo, number) => write!(f, "{repo}#{number}"),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

/// A text that names no pull request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pull request is named by its number (12), by owner/name#12, or as `preview list` shows it (owner-name-12)")]
pub struct UnknownForm;

impl FromStr for Subject {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, UnknownForm> {
        let text = text.trim();
        let named = |repo: &str, number: &str| Some(Self::Named(repo.parse().ok()?, number.parse().ok()?));
        let of_address = |address: &str| {
            let (_, path) = address.split_once("://")?.1.split_once('/')?;
            let (repo, number) = path.split_once("/pull/")?;
            named(repo, number.split('/').next()?)
        };
        let number = text.strip_prefix('#').unwrap_or(text).parse().ok().map(Self::Number);
        let found = number.or_else(|| text.split_once('#').and_then(|(repo, number)| named(repo, number)));
        found.or_else(|| of_address(text)).or_else(|| text.parse().ok().map(Self::Id)).ok_or(UnknownForm)
    }
}

/// All that there is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The repository.
    pub repository: RepoName,
    /// The pull request there.
    pub pr_number: PrNumber,
    /// Its deployment's id, once the repository has been seen.
    pub deployment_id: Option<DeploymentId>,
    /// What GitHub says of it now.
    pub github: String,
    /// What follows from that, and for which reason.
    pub decided: String,
    /// What there is.
    pub preview: String,
    /// What is being waited for; nothing when all is as it should be.
    pub waiting_for: Vec<String>,
}

/// What an explanation is made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// GitHub's answer.
    pub github: Result<&'a PullAnswer, &'a Fault>,
    /// What the rules make of it; `None` when they can't tell yet.
    pub desired: Option<&'a Desired>,
    /// The record.
    pub record: Option<&'a Deployment>,
    /// What somebody let run, if it is a fork's.
    pub approval: Option<&'a Approval>,
    /// What was told and not dealt with.
    pub pending: Option<&'a Pending>,
    /// How many stand before it in the queue.
    pub ahead: Option<usize>,
    /// Whether its comment waits to be written.
    pub reporting: bool,
    /// Whether a worker looks after it now.
    pub working: bool,
    /// What this installation serves.
    pub policy: &'a Policy,
    /// How often what failed for a passing reason is tried again.
    pub resync: Duration,
    /// The time.
    pub now: Timestamp,
}

/// Explains one pull request.
pub fn explain(name: RepoName, number: PrNumber, id: Option<DeploymentId>, facts: &Facts<'_>) -> Why {
    Why {
        repository: name,
        pr_number: number,
        deployment_id: id,
        github: heard(facts),
        decided: decided(facts),
        preview: facts.record.map_or_else(|| "none".to_owned(), |record| state(record, facts.now)),
        waiting_for: waits(facts),
    }
}

fn heard(facts: &Facts<'_>) -> String {
    match facts.github {
        Ok(PullAnswer::Known(pull)) => {
            let state = if pull.open { "open" } else { "closed" };
            let draft = if pull.draft { ", a draft" } else { "" };
            let fork = if pull.from_fork() { ", from a fork" } else { "" };
            let bot = if pull.by_bot { ", opened by a bot" } else { "" };
            format!("{state}{draft}{fork}{bot}, newest commit {}", short(&pull.head))
        }
        Ok(PullAnswer::NotFound) => "there is no such pull request".to_owned(),
        Err(fault) => format!("not asked: {fault}"),
    }
}

fn decided(facts: &Facts<'_>) -> String {
    let Some(desired) = facts.desired else {
        let why = match facts.github {
            Err(_) => "GitHub's word is needed; what runs stays as it is",
            Ok(_) => "the repository's open pull requests have not been listed yet",
        };
        return format!("nothing yet: {why}");
    };
    let because = match desired {
        Desired::Commit(commit) => match approver(commit, facts) {
            Some(who) => return format!("a preview of {}: {who} approved this commit of a fork", short(commit)),
            None => return format!("a preview of {}: it is open, and no rule speaks against it", short(commit)),
        },
        Desired::Gone(reason) => gone(*reason),
        Desired::Ignored => "it was open before this server served the repository, and nothing happened to it since",
        Desired::Stopped => "somebody stopped it, with `preview rm` or a comment",
        Desired::Expired => {
            return format!("no preview: nobody pushed for {} (CLEANUP_TTL_DAYS)", span(facts.policy.ttl));
        }
        Desired::Waiting(WaitReason::Label) => {
            let label = facts.policy.require_label.as_deref().unwrap_or_default();
            return format!("no preview: it lacks the label `{label}` (REQUIRE_LABEL)");
        }
        Desired::Waiting(reason) => set_aside(*reason),
    };
    format!("no preview: {because}")
}

fn gone(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Closed => "the pull request is closed",
        RemovalReason::Vanished => "GitHub does not know the pull request",
        RemovalReason::NotAllowed => "the repository is not in ALLOWED_REPOS",
        RemovalReason::Expired => "nobody pushed for too long (CLEANUP_TTL_DAYS)",
        RemovalReason::Stopped => "somebody stopped it, with `preview rm` or a comment",
        RemovalReason::Waiting => "the settings have it wait",
        RemovalReason::Unapproved => "nobody has approved its newest commit, a fork's (FORK_POLICY)",
    }
}

fn set_aside(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Draft => "it is a draft, and drafts are skipped here (DRAFTS)",
        WaitReason::Bot => "a bot opened it, and bots are skipped here (BOTS)",
        WaitReason::Label => "it lacks the required label (REQUIRE_LABEL)",
        WaitReason::Fork => "its commits come from a fork, which is not deployed here (FORK_POLICY=deny)",
        WaitReason::Approval => {
            "its newest commit is a fork's, and nobody who may push here has approved it (FORK_POLICY=approve)"
        }
    }
}

/// What there is of a preview.
fn state(record: &Deployment, now: Timestamp) -> String {
    if let Some(reason) = record.removing {
        return format!("being removed: {}", gone(reason));
    }
    let attempt = record.attempt.as_ref();
    let trying = attempt.and_then(|attempt| {
        let (commit, time) = (short(&attempt.commit), span(now.duration_since(attempt.started_at)));
        Some(match &attempt.stage {
            Stage::Queued(_) => format!("{commit} is queued for {time}"),
            Stage::Running(step) => format!("{commit} is at the step `{}`, begun {time} ago", step.name()),
            Stage::Failed(failure) => format!("{commit} failed at `{}`: {}", failure.step.name(), failure.cause),
            Stage::Done => return None,
        })
    });
    let serving = record.serving.as_ref().map(|serving| {
        let url = record.url.as_deref().unwrap_or("its address");
        let (commit, time) = (short(&serving.commit_sha), span(now.duration_since(serving.since)));
        match serving.down {
            true => match serving.filled {
                Some(Measure::Bytes) => {
                    format!("{commit} was stopped, because it had written more than CONTAINER_DISK_MB")
                }
                Some(Measure::Files) => {
                    format!("{commit} was stopped, because it had made more files than go with CONTAINER_DISK_MB")
                }
                None => format!("{commit} has ended by itself and does not come back"),
            },
            false => format!("{commit} answers at {url} for {time}"),
        }
    });
    let built = record.serving.as_ref().and_then(|_| built_from(&record.base_images));
    let parts: Vec<String> = trying.into_iter().chain(serving).chain(built).collect();
    if parts.is_empty() { "a record, and nothing of it is up".to_owned() } else { parts.join("; ") }
}

/// The images that what serves was built from, as many digits of their digests as tell two apart.
fn built_from(images: &BTreeMap<String, String>) -> Option<String> {
    let image = |(name, digest): (&String, &String)| format!("{name}@{}", digest.get(..19).unwrap_or(digest));
    let images: Vec<String> = images.iter().map(image).collect();
    (!images.is_empty()).then(|| format!("built from {}", images.join(", ")))
}

fn waits(facts: &Facts<'_>) -> Vec<String> {
    let mut waits = Vec::new();
    if let Some(pending) = facts.pending {
        waits.push(format!(
            "its worker: told {} {}, and not done yet",
            told(pending.reason),
            ago(pending.since, facts.now)
        ));
    }
    if let Err(fault) = facts.github {
        let when = fault.retry_after.map(|wait| format!(", to be asked again in {}", brief(wait))).unwrap_or_default();
        let advice = fault.advice.as_deref().map(|advice| format!(". {advice}")).unwrap_or_default();
        waits.push(format!("GitHub{when}{advice}"));
    }
    match facts.record {
        Some(record) => waits.extend(next_of(record, facts)),
        None => waits.extend(facts.desired.and_then(|desired| revival(desired, facts))),
    }
    if facts.reporting {
        waits.push("its comment, which is to be written when GitHub may be written to".to_owned());
    }
    if waits.is_empty() && facts.working {
        waits.push("its worker, which is looking at it now".to_owned());
    }
    waits
}

/// What the next thing to happen to a preview is, unless it is as it should be.
fn next_of(record: &Deployment, facts: &Facts<'_>) -> Option<String> {
    if record.removing.is_some() {
        return Some("its removal, which ends with the comment's last words".to_owned());
    }
    let Some(attempt) = &record.attempt else { return Some("its first attempt".to_owned()) };
    Some(match &attempt.stage {
        Stage::Queued(reason) => queued(*reason, facts.ahead),
        Stage::Running(step) => format!("the step `{}`", step.name()),
        Stage::Failed(failure) => match failure.blame {
            Blame::Author => "a new commit, or `preview redeploy`: the same would fail again".to_owned(),
            Blame::Passing => {
                format!("the next resync, within {}: what failed may have passed by then", brief(facts.resync))
            }
        },
        Stage::Done => match (facts.desired, &record.serving) {
            (Some(Desired::Commit(wanted)), Some(serving)) if serving.commit_sha != *wanted => {
                worker(&format!("bring up {}", short(wanted)), facts)
            }
            (_, Some(serving)) if serving.down => match serving.filled {
                Some(Measure::Bytes) => "a commit that writes less to the disk".to_owned(),
                Some(Measure::Files) => "a commit that makes fewer files".to_owned(),
                None => "the app to come back, or a new commit".to_owned(),
            },
            _ => return None,
        },
    })
}

/// Who does it next: one that could not do it after all its tries has ended.
fn worker(what: &str, facts: &Facts<'_>) -> String {
    if facts.working {
        format!("its worker, which is to {what}")
    } else {
        format!("the next resync, within {}, which is to {what}", brief(facts.resync))
    }
}

fn queued(reason: QueueReason, ahead: Option<usize>) -> String {
    let what = match reason {
        QueueReason::Places => "a place: MAX_CONCURRENT_PREVIEWS are up",
        QueueReason::Builds => "a build to end: MAX_CONCURRENT_BUILDS run",
        QueueReason::Image => "its image: the repository's own CI has not pushed it yet",
        QueueReason::Memory => "memory: the server has less free than this preview may use",
        QueueReason::Disk => "disk: the server has less free than its floor",
        QueueReason::Ports => "a host port or network: none is free",
    };
    match ahead {
        Some(ahead) if ahead > 0 => format!("{what}; {ahead} before it"),
        _ => what.to_owned(),
    }
}

/// What brings a preview (back).
fn revival(desired: &Desired, facts: &Facts<'_>) -> Option<String> {
    if let (Desired::Waiting(WaitReason::Approval), Ok(PullAnswer::Known(pull))) = (desired, facts.github) {
        let head = &pull.head;
        return Some(format!("somebody who may push to the repository to comment `/preview deploy {head}`"));
    }
    let what = match desired {
        Desired::Commit(_) => return Some(worker("bring it up", facts)),
        Desired::Gone(RemovalReason::Closed) => "the pull request to be reopened",
        Desired::Gone(_) => return None,
        Desired::Ignored => "a push, or a reopening",
        other => match other.set_aside()? {
            SetAsideReason::Stopped | SetAsideReason::Expired => {
                "a push, a reopening, a comment `/preview deploy`, or `preview redeploy`"
            }
            SetAsideReason::Waiting(WaitReason::Draft) => "it to be ready for review",
            SetAsideReason::Waiting(WaitReason::Label) => "the label",
            SetAsideReason::Waiting(WaitReason::Bot | WaitReason::Fork) => "other settings",
            SetAsideReason::Waiting(WaitReason::Approval) => "somebody to approve its newest commit",
        },
    };
    Some(what.to_owned())
}

/// Who let this commit run, where that was needed.
fn approver(commit: &CommitSha, facts: &Facts<'_>) -> Option<String> {
    let approval = facts.approval.filter(|approval| approval.commit == *commit)?;
    Some(format!("{}, at {},", approval.by, approval.at))
}

fn told(reason: Reason) -> &'static str {
    match reason {
        Reason::Changed => "of a change",
        Reason::Pushed => "of a push",
        Reason::Reopened => "of a reopening",
        Reason::Deploy => "to deploy it",
        Reason::Redeploy => "to deploy it again",
        Reason::ResetDatabase => "to deploy it with an empty database",
        Reason::Stop => "to remove it",
    }
}

fn short(commit: &CommitSha) -> &str {
    commit.as_str().get(..7).unwrap_or(commit.as_str())
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span(now.duration_since(then)))
}

fn brief(wait: Duration) -> String {
    span(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX))
}

/// In the largest unit of which there are at least two.
fn span(time: SignedDuration) -> String {
    let seconds = time.round(Unit::Second).unwrap_or(time).as_secs().max(0);
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
