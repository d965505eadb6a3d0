use std::sync::LazyLock;

use preview_core::deployment::{Attempt, Failure, Serving, Step};
use preview_core::desired::{ForkPolicy, Pull};
use preview_core::ids::{BranchName, CommentId, HostPort, RepoId, Slot};

use super::*;

const NOW: &str = "2026-01-29T10:00:00Z";
const REPO: RepoId = RepoId(7);

fn before(seconds: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() - SignedDuration::from_secs(seconds)
}

fn commit(digit: &str) -> CommitSha {
    digit.repeat(40).parse().unwrap()
}

fn number() -> PrNumber {
    PrNumber::new(12).unwrap()
}

fn pull() -> Pull {
    Pull {
        number: number(),
        base_repo: REPO,
        base_name: "my-org/my-app".parse().unwrap(),
        head_repo: Some(REPO),
        head: commit("a"),
        branch: BranchName::new("feature"),
        open: true,
        draft: false,
        by_bot: false,
        labels: Vec::new(),
        created_at: before(9000),
    }
}

fn record(stage: Stage, serves: bool) -> Deployment {
    let repo = (REPO, "my-org/my-app".parse().unwrap());
    let id = "my-org-my-app-12".parse().unwrap();
    let mut record = Deployment::new(id, repo, BranchName::new("feature"), commit("a"), before(9000));
    record.url = Some("http://h/my-org-my-app/pr-12/".into());
    let slot = Slot::A;
    record.serving = serves.then(|| Serving {
        commit_sha: if stage == Stage::Done { commit("a") } else { commit("b") },
        slot: Slot::B,
        app_port: HostPort::new(8000).unwrap(),
        since: before(7300),
        took_ms: 4200,
        down: false,
        filled: None,
    });
    record.attempt =
        Some(Attempt { commit: commit("a"), slot, app_port: None, started_at: before(65), stage, in_place: false });
    record
}

fn failed(blame: Blame) -> Stage {
    let cause = "`npm ci` ended with 1".to_owned();
    Stage::Failed(Failure { step: Step::Build, cause, advice: None, log_tail: Vec::new(), blame })
}

fn policy() -> Policy {
    let label = Some("preview".to_owned());
    Policy {
        forks: ForkPolicy::Approve,
        drafts: false,
        bots: false,
        require_label: label,
        ttl: SignedDuration::from_hours(168),
    }
}

static USUAL: LazyLock<(PullAnswer, Desired, Policy)> =
    LazyLock::new(|| (PullAnswer::Known(pull()), Desired::Commit(commit("a")), policy()));

/// What is said where everything but this is usual.
fn said<'a>(change: impl FnOnce(&mut Facts<'a>)) -> String {
    let (answer, desired, policy) = &*USUAL;
    let mut facts = Facts {
        github: Ok(answer),
        desired: Some(desired),
        record: None,
        approval: None,
        pending: None,
        ahead: None,
        reporting: false,
        working: false,
        policy,
        resync: Duration::from_secs(300),
        now: NOW.parse().unwrap(),
    };
    change(&mut facts);
    let why = explain("my-org/my-app".parse().unwrap(), number(), None, &facts);
    format!("{}\n  -> {}\n  -> {}\n  -> {:?}\n", why.github, why.decided, why.preview, why.waiting_for)
}

#[test]
fn every_state_of_a_preview_says_what_it_waits_for() {
    let stages = [
        (Stage::Queued(QueueReason::Places), false),
        (Stage::Running(Step::Build), true),
        (failed(Blame::Author), true),
        (failed(Blame::Passing), false),
        (Stage::Done, true),
    ];
    let mut text = String::new();
    for (stage, serves) in stages {
        let record = record(stage, serves);
        let ahead = Some(2);
        text += &said(|facts| (facts.record, facts.ahead) = (Some(&record), ahead));
    }
    let mut removed = record(Stage::Done, true);
    removed.removing = Some(RemovalReason::Closed);
    text += &said(|facts| facts.record = Some(&removed));
    let mut down = record(Stage::Done, true);
    down.serving.as_mut().unwrap().down = true;
    text += &said(|facts| (facts.record, facts.reporting) = (Some(&down), true));
    let mut built = record(Stage::Done, true);
    let digest = |c: &str| format!("sha256:{}", c.repeat(64));
    built.base_images = [("node:22-bookworm-slim".into(), digest("5")), ("redis:7".into(), digest("6"))].into();
    text += &said(|facts| facts.record = Some(&built));
    let pushed = Desired::Commit(commit("c"));
    let served = record(Stage::Done, true);
    for working in [true, false] {
        text += &said(|facts| {
            (facts.record, facts.desired, facts.working) = (Some(&served), Some(&pushed), working);
        });
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_decision_has_its_reason() {
    let mut text = String::new();
    for desired in [
        Desired::Commit(commit("a")),
        Desired::Gone(RemovalReason::Closed),
        Desired::Gone(RemovalReason::Vanished),
        Desired::Gone(RemovalReason::NotAllowed),
        Desired::Ignored,
        Desired::Stopped,
        Desired::Expired,
        Desired::Waiting(WaitReason::Draft),
        Desired::Waiting(WaitReason::Bot),
        Desired::Waiting(WaitReason::Label),
        Desired::Waiting(WaitReason::Fork),
        Desired::Waiting(WaitReason::Approval),
    ] {
        text += &said(|facts| facts.desired = Some(&desired));
    }
    let (commit, by, at) = (commit("a"), "alice".parse().unwrap(), before(0));
    let approval = Approval { commit, by, comment: CommentId(7), at };
    text += &said(|facts| facts.approval = Some(&approval));
    insta::assert_snapshot!(text);
}

#[test]
fn what_github_does_not_say_is_said_too() {
    let closed = PullAnswer::Known(Pull { open: false, draft: true, by_bot: true, head_repo: None, ..pull() });
    let away =
        Fault::passing("GitHub asks the server to wait: its rate limit is reached").after(Duration::from_secs(90));
    let token = Fault::passing("GitHub does not accept the server's token").advise("Give it a new one.");
    let pending = Pending {
        repository_id: REPO,
        number: number(),
        reason: Reason::Pushed,
        asked: 1,
        later: None,
        since: before(3),
        serial: 1,
    };
    let text = [
        said(|facts| facts.github = Ok(&closed)),
        said(|facts| facts.github = Ok(&PullAnswer::NotFound)),
        said(|facts| (facts.github, facts.desired) = (Err(&away), None)),
        said(|facts| (facts.github, facts.desired, facts.pending) = (Err(&token), None, Some(&pending))),
        said(|facts| (facts.desired, facts.working) = (None, true)),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn pull_requests_are_named_in_many_ways() {
    let named = || Ok(Subject::Named("my-org/my-app".parse().unwrap(), number()));
    assert_eq!("12".parse(), Ok(Subject::Number(number())));
    assert_eq!("#12".parse(), Ok(Subject::Number(number())));
    assert_eq!(" my-org/my-app#12 ".parse(), named());
    assert_eq!("https://github.com/my-org/my-app/pull/12".parse(), named());
    assert_eq!("https://github.com/my-org/my-app/pull/12/files".parse(), named());
    assert_eq!("my-org-my-app-12".parse(), Ok(Subject::Id("my-org-my-app-12".parse().unwrap())));
    for wrong in ["", "0", "x", "my-app#12", "https://github.com/my-org/my-app", "my-org/my-app#x"] {
        assert_eq!(wrong.parse::<Subject>(), Err(UnknownForm), "{wrong}");
    }
}
