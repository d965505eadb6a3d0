//! What a pull request's preview should be, and for which reason.
//!
//! One pure function, [`desired`], asked by everything that wakes a worker: a delivery, resync, a restart, a person. What
//! woke it does not matter to the answer, so there is no rare path that only a lost webhook would test.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deployment::{RemovalReason, Told};
use crate::ids::{BranchName, CommentId, CommitSha, DeploymentId, PrNumber, PullKey, RepoId, RepoName};
use crate::trust::Trust;
use crate::ttl;

/// A pull request as GitHub tells it, reduced to what decisions hang on.
///
/// Source: <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number in the base repository.
    pub number: PrNumber,
    /// The base repository, which receives the changes and whose secrets and caches it would use.
    pub base_repo: RepoId,
    /// The base repository's name, as it is now.
    pub base_name: RepoName,
    /// The repository of the head branch; `None` when that was deleted.
    pub head_repo: Option<RepoId>,
    /// The newest commit.
    pub head: CommitSha,
    /// The head branch's name: hostile text.
    pub branch: BranchName,
    /// `false` once closed or merged.
    pub open: bool,
    /// Marked as not ready for review.
    pub draft: bool,
    /// Whether GitHub says that a bot opened it (`user.type` is `Bot`).
    pub by_bot: bool,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// When it was opened.
    pub created_at: Timestamp,
}

impl Pull {
    /// Whether the commit comes from another repository than the one it would be deployed for.
    pub fn from_fork(&self) -> bool {
        self.head_repo != Some(self.base_repo)
    }

    /// How far its code is trusted.
    pub fn trust(&self) -> Trust {
        if self.from_fork() { Trust::Stranger } else { Trust::Member }
    }
}

/// What happens to pull requests from forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkPolicy {
    /// They get no preview.
    Deny,
    /// Each commit waits until somebody with write permission approves it.
    Approve,
    /// They deploy as others do, on everybody's word.
    Allow,
}

/// What this installation was told about which pull requests it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What happens to pull requests from forks.
    pub forks: ForkPolicy,
    /// Whether pull requests that are still drafts deploy.
    pub drafts: bool,
    /// Whether pull requests that bots opened deploy.
    pub bots: bool,
    /// The label without which nothing deploys.
    pub require_label: Option<String>,
    /// How long a preview stays without a push.
    pub ttl: SignedDuration,
}

/// Why a pull request has no preview although it is open and its repository allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitReason {
    /// It is a draft, and drafts are skipped here.
    Draft,
    /// A bot opened it, and bots are skipped here.
    Bot,
    /// It lacks the required label.
    Label,
    /// Its commits come from a fork, and forks are not deployed here.
    Fork,
    /// Its newest commit comes from a fork, and nobody has approved that commit.
    Approval,
}

/// What is kept of a pull request that is set aside: it holds no container and no port, only this line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAside {
    /// The base repository.
    pub repository_id: RepoId,
    /// Why.
    pub reason: SetAsideReason,
    /// The head commit at that time: a push lifts what a person or the time to live decided.
    pub head: CommitSha,
    /// Since when.
    pub since: Timestamp,
    /// When that head was first seen, or the pull request reopened: what the time to live counts from.
    pub active_at: Timestamp,
    /// Our comment, to be edited when it comes back.
    pub comment_id: Option<CommentId>,
    /// What people were told last, where something is to be told while it is set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

impl SetAside {
    /// The pull request of the line that stands under this id.
    pub fn key(&self, id: &DeploymentId) -> PullKey {
        PullKey { repo: self.repository_id, number: id.number() }
    }
}

/// Why a pull request was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SetAsideReason {
    /// A person stopped it.
    Stopped,
    /// The time to live passed.
    Expired,
    /// Settings say that it waits.
    Waiting(WaitReason),
}

/// What we know of a pull request beside what GitHub tells.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// Whether its repository is allowed (matched by number).
    pub allowed: bool,
    /// Its head when the repository was first listed, unless something happened to it since.
    pub baseline: Option<&'a CommitSha>,
    /// Why it is set aside, if it is.
    pub set_aside: Option<&'a SetAside>,
    /// The head that we know and since when, from the record or the line of what is set aside.
    pub activity: Option<(&'a CommitSha, Timestamp)>,
    /// The commit that somebody with write permission approved last.
    pub approved: Option<&'a CommitSha>,
    /// Whether the clock may be believed when it says that the time to live has passed (see [`ttl`]).
    pub expiry_confirmed: bool,
}

/// What a pull request's preview should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Desired {
    /// Nothing, and no line in the ledger: closed, or the repository is not ours.
    Gone(RemovalReason),
    /// Nothing: open since before we came, and nothing happened to it since.
    Ignored,
    /// Nothing until the next push: a person stopped it.
    Stopped,
    /// Nothing until that changes.
    Waiting(WaitReason),
    /// Nothing until the next push: nobody pushed for too long.
    Expired,
    /// This commit, running.
    Commit(CommitSha),
}

impl Desired {
    /// The reason for which a preview that exists has to go, if it has.
    pub fn removal(&self) -> Option<RemovalReason> {
        match self {
            Self::Gone(reason) => Some(*reason),
            Self::Ignored | Self::Commit(_) => None,
            Self::Stopped => Some(RemovalReason::Stopped),
            Self::Waiting(WaitReason::Fork | WaitReason::Approval) => Some(RemovalReason::Unapproved),
            Self::Waiting(_) => Some(RemovalReason::Waiting),
            Self::Expired => Some(RemovalReason::Expired),
        }
    }

    /// The line to keep of it, if one is to be kept.
    pub fn set_aside(&self) -> Option<SetAsideReason> {
        match self {
            Self::Gone(_) | Self::Ignored | Self::Commit(_) => None,
            Self::Stopped => Some(SetAsideReason::Stopped),
            Self::Waiting(reason) => Some(SetAsideReason::Waiting(*reason)),
            Self::Expired => Some(SetAsideReason::Expired),
        }
    }
}

/// Decides: the first rule that fits.
pub fn desired(pull: &Pull, known: &Known<'_>, policy: &Policy, now: Timestamp) -> Desired {
    if !known.allowed {
        return Desired::Gone(RemovalReason::NotAllowed);
    }
    if !pull.open {
        return Desired::Gone(RemovalReason::Closed);
    }
    if known.baseline == Some(&pull.head) {
        return Desired::Ignored;
    }
    let aside = known.set_aside.filter(|aside| aside.head == pull.head).map(|aside| aside.reason);
    if aside == Some(SetAsideReason::Stopped) {
        return Desired::Stopped;
    }
    if let Some(reason) = waits(pull, known.approved, policy) {
        return Desired::Waiting(reason);
    }
    let overdue = known.activity.is_some_and(|(head, since)| {
        *head == pull.head && ttl::overdue(since, policy.ttl, now) && known.expiry_confirmed
    });
    if aside == Some(SetAsideReason::Expired) || overdue {
        return Desired::Expired;
    }
    Desired::Commit(pull.head.clone())
}

/// Why a pull request that is open waits, if it does. Approval comes last: what waits for something else as well asks nobody.
pub fn waits(pull: &Pull, approved: Option<&CommitSha>, policy: &Policy) -> Option<WaitReason> {
    let labelled = |label: &String| pull.labels.iter().any(|have| have.eq_ignore_ascii_case(label));
    let fork = pull.from_fork();
    if fork && policy.forks == ForkPolicy::Deny {
        Some(WaitReason::Fork)
    } else if pull.draft && !policy.drafts {
        Some(WaitReason::Draft)
    } else if pull.by_bot && !policy.bots {
        Some(WaitReason::Bot)
    } else if policy.require_label.as_ref().is_some_and(|label| !labelled(label)) {
        Some(WaitReason::Label)
    } else if fork && policy.forks == ForkPolicy::Approve && approved != Some(&pull.head) {
        Some(WaitReason::Approval)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const OLD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn sha(text: &str) -> CommitSha {
        text.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn pull() -> Pull {
        Pull {
            number: PrNumber::new(1).unwrap(),
            base_repo: RepoId(7),
            base_name: "org/app".parse().unwrap(),
            head_repo: Some(RepoId(7)),
            head: sha(HEAD),
            branch: BranchName::new("feature"),
            open: true,
            draft: false,
            by_bot: false,
            labels: Vec::new(),
            created_at: at(0),
        }
    }

    fn policy() -> Policy {
        Policy {
            forks: ForkPolicy::Approve,
            drafts: true,
            bots: false,
            require_label: None,
            ttl: SignedDuration::from_secs(100),
        }
    }

    fn known<'a>() -> Known<'a> {
        Known { allowed: true, baseline: None, set_aside: None, activity: None, approved: None, expiry_confirmed: true }
    }

    fn aside(reason: SetAsideReason, head: &str) -> SetAside {
        let (repository_id, head, since) = (RepoId(7), sha(head), at(0));
        SetAside { repository_id, reason, head, since, active_at: since, comment_id: None, told: None }
    }

    fn decide(pull: &Pull, known: &Known<'_>) -> Desired {
        desired(pull, known, &policy(), at(1000))
    }

    #[test]
    fn an_open_pull_request_of_an_allowed_repository_deploys_its_head() {
        assert_eq!(decide(&pull(), &known()), Desired::Commit(sha(HEAD)));
    }

    #[test]
    fn closed_and_not_allowed_win_over_everything() {
        let draft = Pull { open: false, draft: true, head_repo: None, ..pull() };
        assert_eq!(decide(&draft, &known()), Desired::Gone(RemovalReason::Closed));
        let foreign = Known { allowed: false, ..known() };
        assert_eq!(decide(&pull(), &foreign), Desired::Gone(RemovalReason::NotAllowed));
    }

    #[test]
    fn what_was_open_before_us_is_ignored_until_it_is_pushed_to() {
        let (same, other) = (sha(HEAD), sha(OLD));
        assert_eq!(decide(&pull(), &Known { baseline: Some(&same), ..known() }), Desired::Ignored);
        assert_eq!(decide(&pull(), &Known { baseline: Some(&other), ..known() }), Desired::Commit(sha(HEAD)));
    }

    #[test]
    fn stopped_and_expired_last_until_the_next_push() {
        for (reason, want) in [(SetAsideReason::Stopped, Desired::Stopped), (SetAsideReason::Expired, Desired::Expired)]
        {
            let line = aside(reason, HEAD);
            assert_eq!(decide(&pull(), &Known { set_aside: Some(&line), ..known() }), want);
            let line = aside(reason, OLD);
            assert_eq!(decide(&pull(), &Known { set_aside: Some(&line), ..known() }), Desired::Commit(sha(HEAD)));
        }
    }

    #[test]
    fn waiting_ends_when_its_cause_ends() {
        let line = aside(SetAsideReason::Waiting(WaitReason::Bot), HEAD);
        assert_eq!(decide(&pull(), &Known { set_aside: Some(&line), ..known() }), Desired::Commit(sha(HEAD)));
        for (pull, reason) in [
            (Pull { head_repo: Some(RepoId(8)), ..pull() }, WaitReason::Approval),
            (Pull { head_repo: None, ..pull() }, WaitReason::Approval),
            (Pull { head_repo: Some(RepoId(8)), by_bot: true, ..pull() }, WaitReason::Bot),
            (Pull { by_bot: true, ..pull() }, WaitReason::Bot),
        ] {
            assert_eq!(decide(&pull, &known()), Desired::Waiting(reason));
        }
        let skip = Policy { drafts: false, require_label: Some("Preview".into()), ..policy() };
        let decide = |pull: &Pull| desired(pull, &known(), &skip, at(0));
        assert_eq!(decide(&Pull { draft: true, ..pull() }), Desired::Waiting(WaitReason::Draft));
        assert_eq!(decide(&pull()), Desired::Waiting(WaitReason::Label));
        let labelled = Pull { labels: vec!["preview".into()], ..pull() };
        assert_eq!(decide(&labelled), Desired::Commit(sha(HEAD)));
    }

    #[test]
    fn a_forks_commit_deploys_as_the_policy_says_and_approval_is_of_one_commit() {
        let (same, other) = (sha(HEAD), sha(OLD));
        for fork in [Pull { head_repo: Some(RepoId(8)), ..pull() }, Pull { head_repo: None, ..pull() }] {
            let decide =
                |forks, approved| desired(&fork, &Known { approved, ..known() }, &Policy { forks, ..policy() }, at(0));
            let deploys = Desired::Commit(sha(HEAD));
            assert_eq!(decide(ForkPolicy::Approve, Some(&same)), deploys);
            assert_eq!(decide(ForkPolicy::Approve, Some(&other)), Desired::Waiting(WaitReason::Approval));
            assert_eq!(decide(ForkPolicy::Approve, None), Desired::Waiting(WaitReason::Approval));
            assert_eq!(decide(ForkPolicy::Deny, Some(&same)), Desired::Waiting(WaitReason::Fork));
            assert_eq!(decide(ForkPolicy::Allow, None), deploys);
        }
    }

    #[test]
    fn the_time_to_live_counts_for_the_head_it_was_seen_with_and_needs_confirmation() {
        let (same, other) = (sha(HEAD), sha(OLD));
        let with =
            |head, since, expiry_confirmed| Known { activity: Some((head, at(since))), expiry_confirmed, ..known() };
        assert_eq!(decide(&pull(), &with(&same, 899, true)), Desired::Expired);
        assert_eq!(decide(&pull(), &with(&same, 899, false)), Desired::Commit(sha(HEAD)));
        assert_eq!(decide(&pull(), &with(&same, 901, true)), Desired::Commit(sha(HEAD)));
        assert_eq!(decide(&pull(), &with(&other, 0, true)), Desired::Commit(sha(HEAD)));
    }
}
