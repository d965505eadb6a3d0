use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use insta::assert_snapshot;

use super::*;
use crate::command::Command;
use crate::deployment::Blame;
use crate::ids::{CommentId, DeploymentId, HostPort, PrNumber, RepoId, Slot};
use crate::mask::Mask;
use crate::talk::{Answered, Approval, Outcome};

const URL: &str = "http://203.0.113.7/my-org-my-app/pr-12/";

fn old() -> CommitSha {
    "1f0e9d8c7b6a5948372615049382716f5e4d3c2b".parse().unwrap()
}

fn new() -> CommitSha {
    "a5e1d0c2b3f4958677889900aabbccddeeff0011".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn live(commit: CommitSha) -> Live {
    Live { url: URL.into(), commit, since: at("2026-01-29T10:00:12Z"), took_ms: 12_480 }
}

fn key() -> PullKey {
    PullKey { repo: RepoId(1_296_269), number: PrNumber::new(12).unwrap() }
}

fn view(state: State) -> View {
    let repo = "my-org/my-app".parse().unwrap();
    View::new(key(), "https://github.com/", &repo, &BranchName::new("feature/login"), state)
}

fn failure(blame: Blame) -> Failure {
    Failure {
        step: Step::Build,
        cause: "`npm ci` ended with exit code 1".into(),
        advice: Some("Run `npm install` and commit `package-lock.json`.".into()),
        log_tail: vec!["#9 [deps 3/3] RUN npm ci".into(), "\u{1B}[31mnpm ERR!\u{1B}[0m missing: left-pad@1.3.0".into()],
        blame,
    }
}

fn running() -> State {
    State::Running {
        live: live(new()),
        framework: Some("nestjs".into()),
        database: Some("postgres".into()),
        extras: vec!["redis".into()],
        services: Vec::new(),
        expires: Some(at("2026-02-05T10:00:00Z")),
        in_place: false,
    }
}

fn failed(blame: Blame, in_place: bool, still: Option<Live>) -> State {
    State::Failed { commit: new(), failure: failure(blame), in_place, still }
}

#[test]
fn every_state_reads_well() {
    let queued = |reason, ahead, still| State::Queued { commit: new(), reason, ahead, still };
    let building = |in_place, still| State::Building { commit: new(), step: Step::Build, in_place, still };
    for (name, state) in [
        ("queued", queued(QueueReason::Places, Some(2), None)),
        ("queued_update", queued(QueueReason::Memory, None, Some(live(old())))),
        ("building", building(false, None)),
        ("building_update", building(false, Some(live(old())))),
        ("building_in_place", building(true, None)),
        ("running", running()),
        ("failed", failed(Blame::Author, false, None)),
        ("failed_update", failed(Blame::Author, false, Some(live(old())))),
        ("failed_in_place", failed(Blame::Author, true, None)),
        ("failed_for_now", failed(Blame::Passing, false, None)),
        ("down", State::Down { live: live(new()), filled: None, log_tail: vec!["panic: out of cheese".into()] }),
        ("filled", State::Down { live: live(new()), filled: Some(Measure::Bytes), log_tail: vec!["writing".into()] }),
        ("filled_by_files", State::Down { live: live(new()), filled: Some(Measure::Files), log_tail: Vec::new() }),
        ("draft", State::Draft),
        ("unapproved", State::Unapproved { commit: new() }),
        ("waiting", State::Waiting),
    ] {
        assert_snapshot!(name, render(&view(state), &Mask::default()));
    }
}

#[test]
fn a_running_preview_without_framework_database_or_end() {
    let state = State::Running {
        live: live(new()),
        framework: None,
        database: None,
        extras: Vec::new(),
        services: Vec::new(),
        expires: None,
        in_place: true,
    };
    assert_snapshot!(render(&view(state), &Mask::default()));
}

#[test]
fn services_of_an_own_compose_file_are_told_by_their_names() {
    let state = State::Running {
        live: live(new()),
        framework: Some("compose".into()),
        database: None,
        extras: Vec::new(),
        // One is called as something that it isn't.
        services: vec!["image".into(), "worker".into()],
        expires: None,
        in_place: false,
    };
    let text = render(&view(state), &Mask::default());
    assert!(text.contains("| Runs | the repository's own Compose file with `image` and `worker` |"), "{text}");
}

fn said(command: Option<Command>, outcome: Outcome, shown: Vec<String>) -> Talk {
    let approval =
        Approval { commit: new(), by: "alice".parse().unwrap(), comment: CommentId(7), at: at("2026-01-29T10:00:00Z") };
    let last = Answered { command, by: "bob".parse().unwrap(), outcome, shown };
    Talk { approval: Some(approval), last: Some(last), decided: None }
}

#[test]
fn an_answer_is_folded_into_the_comment_and_the_approver_is_named() {
    let hostile = "</details> ```` @everyone [x](http://evil) \u{1b}[31m".to_owned();
    let talk = said(Some(Command::Logs), Outcome::Shown, vec!["listening".into(), hostile]);
    assert_snapshot!(render(&view(running()).with(talk), &Mask::default()));
}

#[test]
fn every_outcome_has_its_words() {
    let kept = Outcome::Kept(at("2026-02-05T10:00:00Z"));
    let waiting = [WaitReason::Draft, WaitReason::Bot, WaitReason::Label, WaitReason::Fork, WaitReason::Approval];
    let outcomes = [
        Outcome::Deploying,
        Outcome::Approved(new()),
        Outcome::Stopping,
        Outcome::Resetting,
        kept,
        Outcome::Shown,
        Outcome::NotUnderstood,
        Outcome::NeedsWholeName,
        Outcome::OtherHead(new()),
        Outcome::NoPreview,
        Outcome::Closed,
        Outcome::Overtaken,
    ];
    let all = outcomes.into_iter().chain(waiting.map(Outcome::Waiting));
    let lines = all.filter_map(|outcome| pages::said(&said(Some(Command::Redeploy), outcome, Vec::new())));
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    assert_snapshot!(commands().join("\n"));
}

#[test]
fn a_line_that_is_set_aside_is_told_where_there_is_something_to_tell() {
    let (asked, nobody) = (said(None, Outcome::NotUnderstood, commands()), Talk::default());
    let line = |reason| SetAside {
        repository_id: RepoId(1),
        reason,
        head: new(),
        since: at("2026-01-29T10:00:00Z"),
        active_at: at("2026-01-29T10:00:00Z"),
        comment_id: None,
        told: None,
    };
    let told = |reason, talk| State::aside(&line(reason), talk);
    assert_eq!(told(SetAsideReason::Waiting(WaitReason::Draft), &nobody), Some(State::Draft));
    let unapproved = Some(State::Unapproved { commit: new() });
    assert_eq!(told(SetAsideReason::Waiting(WaitReason::Approval), &nobody), unapproved);
    for reason in [WaitReason::Fork, WaitReason::Bot, WaitReason::Label].map(SetAsideReason::Waiting) {
        assert_eq!(told(reason, &nobody), None);
        assert_eq!(told(reason, &asked), Some(State::Waiting));
    }
    for reason in [SetAsideReason::Stopped, SetAsideReason::Expired] {
        assert_eq!(told(reason, &nobody), None);
        assert!(matches!(told(reason, &asked), Some(State::Removed { .. })));
    }
}

#[test]
fn every_removal_says_why_and_how_it_comes_back() {
    let reasons = [
        RemovalReason::Closed,
        RemovalReason::Vanished,
        RemovalReason::NotAllowed,
        RemovalReason::Expired,
        RemovalReason::Stopped,
        RemovalReason::Waiting,
        RemovalReason::Unapproved,
    ];
    let texts = reasons.map(|reason| {
        render(&view(State::Removed { reason, active_at: at("2026-01-22T10:00:00Z") }), &Mask::default())
    });
    assert_snapshot!(texts.join("\n"));
}

#[test]
fn every_step_and_every_reason_to_wait_has_its_words() {
    let steps = Step::ALL.map(words::progress).join("\n");
    let reasons =
        [QueueReason::Places, QueueReason::Builds, QueueReason::Memory, QueueReason::Disk, QueueReason::Ports]
            .map(words::waits_for)
            .join("\n");
    let ahead = [0, 1, 2, 10, 11, 500].map(words::ahead).join("\n");
    let times = [0, 840, 1_000, 12_480, 59_999, 60_000, 185_000].map(words::duration).join("\n");
    assert_snapshot!(format!("{steps}\n\n{reasons}\n\n{ahead}\n\n{times}"));
}

#[test]
fn every_commit_status_has_its_line() {
    let queued = |reason| State::Queued { commit: new(), reason, ahead: None, still: None };
    let states = [
        queued(QueueReason::Places),
        queued(QueueReason::Builds),
        queued(QueueReason::Memory),
        queued(QueueReason::Disk),
        queued(QueueReason::Ports),
        State::Building { commit: new(), step: Step::Read, in_place: false, still: None },
        running(),
        failed(Blame::Author, false, None),
        failed(Blame::Passing, false, None),
        State::Down { live: live(new()), filled: None, log_tail: Vec::new() },
    ];
    let lines = states.map(|state| status_line(&view(state), &Mask::default()).unwrap());
    assert_snapshot!(lines.join("\n"));
    assert_eq!(status_line(&view(State::Draft), &Mask::default()), None);
}

#[test]
fn a_status_line_is_cut_cleaned_and_masked() {
    let mut hostile = failure(Blame::Author);
    hostile.cause = format!("\u{202E}\u{1B}[31mtoken s3cr3t-value\n{}", "x".repeat(300));
    let state = State::Failed { commit: new(), failure: hostile, in_place: false, still: None };
    let line = status_line(&view(state), &Mask::new(["s3cr3t-value"])).unwrap();
    assert_eq!(line.chars().count(), STATUS_LIMIT);
    assert!(line.starts_with("Failed while building the image: token [secret] xxx"), "{line}");
}

#[test]
fn what_is_written_down_of_a_failure_holds_no_secret() {
    let said = "password is hun\u{1b}[31mter2!";
    let failure = Failure {
        cause: said.into(),
        advice: Some(said.into()),
        log_tail: vec![said.into()],
        ..failure(Blame::Author)
    };
    let kept = without_secrets(failure, &Mask::new(["hunter2"]));
    for text in [&kept.cause, kept.advice.as_ref().unwrap(), &kept.log_tail[0]] {
        assert_eq!(text, "password is [secret]!");
    }
}

#[test]
fn of_a_failures_log_so_much_is_written_down() {
    let kept = |lines: Vec<String>| {
        without_secrets(Failure { log_tail: lines, ..failure(Blame::Author) }, &Mask::default()).log_tail
    };
    let short: Vec<String> = (0..50).map(|n| format!("line {n}")).collect();
    assert_eq!(kept(short.clone()), short);
    let long = kept((0..50).map(|n| format!("{n}{}", "ä".repeat(8000))).collect());
    assert!(long.iter().map(String::len).sum::<usize>() <= 32 << 10, "{}", long.len());
    assert!(long.last().unwrap().starts_with("49ä") && long.last().unwrap().ends_with('…'));
}

#[test]
fn the_marker_is_the_last_line_and_belongs_to_one_pull_request() {
    let mut body = render(&view(running()), &Mask::default());
    assert!(carries_marker(&body, key()));
    assert!(carries_marker(&body.replace('\n', "\r\n"), key()));
    let other = PullKey { number: PrNumber::new(1).unwrap(), ..key() };
    assert!(!carries_marker(&body, other));
    body.push_str("\nquoted by somebody");
    assert!(!carries_marker(&body, key()));
    assert!(!carries_marker("", key()));
}

#[test]
fn the_cause_is_in_the_first_line() {
    let body = render(&view(failed(Blame::Author, false, None)), &Mask::default());
    assert!(body.lines().next().unwrap().contains("`npm ci` ended with exit code 1"), "{body}");
}

#[test]
fn only_the_last_fifty_lines_are_shown() {
    let mut long = failure(Blame::Author);
    long.log_tail = (0..200).map(|n| format!("line {n}")).chain(["".into(), "  ".into()]).collect();
    let body =
        render(&view(State::Failed { commit: new(), failure: long, in_place: false, still: None }), &Mask::default());
    assert!(body.contains("Last 50 lines") && body.contains("\nline 150\n") && body.contains("\nline 199\n"), "{body}");
    assert!(!body.contains("line 149\n"), "{body}");
}

#[test]
fn a_huge_log_is_cut_from_its_beginning() {
    let mut huge = failure(Blame::Author);
    huge.log_tail = (0..50).map(|n| format!("{n}{}", "ü`".repeat(2_000))).chain(["the end".into()]).collect();
    let body =
        render(&view(State::Failed { commit: new(), failure: huge, in_place: false, still: None }), &Mask::default());
    let length = body.chars().count();
    assert!((LIMIT - 5_000..=LIMIT).contains(&length), "{length}");
    assert!(body.contains("too long to show") && body.contains("\nthe end\n") && carries_marker(&body, key()));
}

/// Everything that a pull request can put into a comment, as bad as it gets: what GitHub sees is our own HTML alone.
#[test]
fn a_hostile_pull_request_opens_nothing() {
    let bad = "</details><!-- <img src=x> ![i](http://h/i) [l](http://h) @octocat #1 GH-2 `` ``` | \\| \u{202E}\u{0}\r\n\r\n# big\n- www.h.example";
    let log = [bad, "`````", "</details>", "~~~", "<!-- preview-deployer:1296269/13 -->"].map(str::to_owned).to_vec();
    let failure =
        Failure { step: Step::Start, cause: bad.into(), advice: Some(bad.into()), log_tail: log, blame: Blame::Author };
    let branches =
        [bad.to_owned(), "x".repeat(255), "`".repeat(255), "\u{202E}".repeat(255), "x${HOME}$(id);touch y".into()];
    for branch in branches {
        let still = Some(live(old()));
        let mut view = view(State::Failed { commit: new(), failure: failure.clone(), in_place: false, still });
        view.branch = BranchName::new(&branch);
        let body = render(&view, &Mask::default());
        assert!(!body.contains(['\u{202E}', '\u{0}', '\r']), "{body}");
        assert_eq!(own_markup(&body), EXPECTED, "{body}");
    }
}

/// Sixty names that mean something to a shell, YAML, nginx, Markdown, HTML, a terminal or nobody.
#[test]
fn a_hostile_name_opens_nothing_in_a_comment() {
    let names: Vec<String> = serde_json::from_str(include_str!("../hostile-names.json")).unwrap();
    for name in names {
        let failure =
            Failure { cause: name.clone(), log_tail: vec!["a line".into(), name.clone()], ..failure(Blame::Author) };
        let state = State::Failed { commit: new(), failure, in_place: false, still: Some(live(old())) };
        let mut view = view(state);
        view.branch = BranchName::new(&name);
        let body = render(&view, &Mask::default());
        assert_eq!(own_markup(&body), EXPECTED, "{name:?}: {body}");
        let invisible = ['\0', '\r', '\u{1b}', '\u{7}', '\u{8}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}'];
        assert!(!body.contains(invisible), "{name:?}: {body:?}");
        assert!(carries_marker(&body, key()), "{name:?}");
    }
}

/// What a failed update's comment contains beside text and code: four links of ours, and our own tags.
const EXPECTED: [&str; 8] = [
    "link http://203.0.113.7/my-org-my-app/pr-12/",
    "link https://github.com/my-org/my-app/commit/1f0e9d8c7b6a5948372615049382716f5e4d3c2b",
    "link https://github.com/my-org/my-app/commit/a5e1d0c2b3f4958677889900aabbccddeeff0011",
    "html <details>",
    "html </details>",
    "html <sub>",
    "html </sub>",
    "html <!-- preview-deployer:1296269/12 -->",
];

fn own_markup(body: &str) -> Vec<String> {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.autolink = true;
    options.extension.table = true;
    options.extension.strikethrough = true;
    let first_line = |html: &str| html.lines().next().unwrap_or_default().to_owned();
    parse_document(&arena, body, &options)
        .descendants()
        .filter_map(|node| match &node.data.borrow().value {
            NodeValue::Link(link) => Some(format!("link {}", link.url)),
            NodeValue::Image(image) => Some(format!("image {}", image.url)),
            NodeValue::HtmlBlock(block) => Some(format!("html {}", first_line(&block.literal))),
            NodeValue::HtmlInline(tag) => Some(format!("html {tag}")),
            NodeValue::List(_) | NodeValue::Emph => Some("markup".to_owned()),
            _ => None,
        })
        .collect()
}

// ------------------------------------------------------------------------------------------------ From record to view

fn record() -> Deployment {
    let id: DeploymentId = "my-org-my-app-12".parse().unwrap();
    let repo = (RepoId(1_296_269), "my-org/my-app".parse().unwrap());
    let mut record = Deployment::new(id, repo, BranchName::new("feature/login"), new(), at("2026-01-29T10:00:00Z"));
    record.url = Some(URL.into());
    record
}

fn attempt(stage: Stage) -> Option<Attempt> {
    let started_at = at("2026-01-29T10:00:00Z");
    Some(Attempt { commit: new(), slot: Slot::B, app_port: None, started_at, stage, in_place: false })
}

fn serving(commit_sha: CommitSha, down: bool) -> Option<Serving> {
    let app_port = HostPort::new(8000).unwrap();
    Some(Serving {
        commit_sha,
        slot: Slot::A,
        app_port,
        since: at("2026-01-29T10:00:12Z"),
        took_ms: 12_480,
        down,
        filled: None,
    })
}

fn state_of(record: &Deployment) -> Option<State> {
    let beside = Beside { server: "https://github.com".into(), app_log: vec!["bye".into()], ..Beside::default() };
    View::of(record, &beside).map(|view| view.state)
}

#[test]
fn nothing_is_told_before_the_first_attempt() {
    assert_eq!(state_of(&record()), None);
}

#[test]
fn an_update_tells_of_the_version_that_still_answers_unless_it_is_down() {
    for (down, still) in [(false, Some(live(old()))), (true, None)] {
        let mut record = Deployment { serving: serving(old(), down), ..record() };
        record.attempt = attempt(Stage::Queued(QueueReason::Builds));
        let queued = State::Queued { commit: new(), reason: QueueReason::Builds, ahead: None, still: still.clone() };
        assert_eq!(state_of(&record), Some(queued));
        record.attempt = attempt(Stage::Running(Step::Health));
        let building = State::Building { commit: new(), step: Step::Health, in_place: false, still: still.clone() };
        assert_eq!(state_of(&record), Some(building));
        record.attempt = attempt(Stage::Failed(failure(Blame::Author)));
        assert_eq!(state_of(&record), Some(failed(Blame::Author, false, still)));
    }
}

#[test]
fn a_finished_attempt_runs_or_is_down() {
    let mut record = Deployment { serving: serving(new(), false), attempt: attempt(Stage::Done), ..record() };
    assert!(matches!(state_of(&record), Some(State::Running { live, .. }) if live.commit == new()));
    record.serving = serving(new(), true);
    assert_eq!(state_of(&record), Some(State::Down { live: live(new()), filled: None, log_tail: vec!["bye".into()] }));
}

#[test]
fn removal_comes_before_all_else() {
    let record = Deployment { serving: serving(new(), false), removing: Some(RemovalReason::Closed), ..record() };
    assert!(matches!(state_of(&record), Some(State::Removed { reason: RemovalReason::Closed, .. })));
}

#[test]
fn a_login_is_told_and_no_password() {
    let record = Deployment { serving: serving(new(), false), attempt: attempt(Stage::Done), ..record() };
    let text = |login| render(&View::of(&record, &Beside { login, ..Beside::default() }).unwrap(), &Mask::default());
    let words = "It asks for a user name and a password; whoever runs this server has them.";
    assert!(text(true).contains(words) && !text(false).contains(words), "{}", text(true));
}
