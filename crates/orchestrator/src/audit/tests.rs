use jiff::Timestamp;
use preview_core::backing::Backing;
use preview_core::deployment::Attempt;
use preview_core::desired::{SetAside, SetAsideReason};
use preview_core::ids::{BranchName, RepoId};
use preview_core::route::Route;

use super::*;
use crate::needs::{Container, ContainerState};

const ID: &str = "org-app-1";

fn id() -> DeploymentId {
    ID.parse().unwrap()
}

fn sha(letter: char) -> CommitSha {
    letter.to_string().repeat(40).parse().unwrap()
}

fn port(number: u16) -> HostPort {
    HostPort::new(number).unwrap()
}

fn serving(commit: CommitSha, app_port: u16) -> Serving {
    let since = Timestamp::UNIX_EPOCH;
    Serving {
        commit_sha: commit,
        slot: Slot::A,
        app_port: port(app_port),
        since,
        took_ms: 1,
        down: false,
        filled: None,
    }
}

fn attempt(stage: Stage) -> Attempt {
    let started_at = Timestamp::UNIX_EPOCH;
    Attempt { commit: sha('a'), slot: Slot::A, app_port: None, started_at, stage, in_place: false }
}

fn record() -> Deployment {
    let repo = (RepoId(7), "org/app".parse().unwrap());
    let new = Deployment::new(id(), repo, BranchName::new("b"), sha('a'), Timestamp::UNIX_EPOCH);
    let (db_type, db_port) = (Some("postgres".to_owned()), Some(port(9000)));
    Deployment { serving: Some(serving(sha('a'), 8000)), attempt: Some(attempt(Stage::Done)), db_type, db_port, ..new }
}

fn container(part: Part, commit: Option<CommitSha>) -> Container {
    Container { id: "c".into(), part, commit, state: ContainerState::Running { healthy: None }, restarts: 0 }
}

/// One preview with a database, all sides agreeing.
fn agreeing() -> Sides {
    let view = EngineView {
        containers: vec![container(Part::App(Slot::A), Some(sha('a'))), container(Part::Database, None)],
        volumes: vec![format!("{}_db-data", id())],
        networks: vec!["net".into()],
        images: vec![sha('a')],
    };
    Sides {
        desired: [(id(), Desired::Commit(sha('a')))].into(),
        ledger: State { deployments: [(id(), record())].into(), ..State::default() },
        engine: [(id(), view)].into(),
        routes: [Route { deployment: id(), port: port(8000) }].into_iter().collect(),
        folders: [id()].into(),
        under_way: BTreeSet::new(),
    }
}

fn found(change: impl FnOnce(&mut Sides)) -> Vec<String> {
    let mut sides = agreeing();
    change(&mut sides);
    compare(&sides).findings.into_iter().map(|finding| finding.line).collect()
}

#[test]
fn when_all_agrees_nothing_is_found() {
    let report = compare(&agreeing());
    assert!(report.is_clean());
    assert_eq!((report.to_string(), report.deployments), ("0 leftovers".to_owned(), 1));
}

#[test]
fn each_side_that_disagrees_is_named() {
    let record =
        |sides: &mut Sides, change: fn(&mut Deployment)| change(sides.ledger.deployments.get_mut(&id()).unwrap());
    let view = |sides: &mut Sides, change: fn(&mut EngineView)| change(sides.engine.get_mut(&id()).unwrap());
    let all = [
        found(|s| drop(s.desired.insert(id(), Desired::Gone(RemovalReason::Closed)))),
        found(|s| drop(s.desired.insert(id(), Desired::Ignored))),
        found(|s| drop(s.desired.insert(id(), Desired::Commit(sha('b'))))),
        found(|s| view(s, |v| v.containers[0].commit = Some(sha('c')))),
        found(|s| view(s, |v| v.containers.push(container(Part::App(Slot::B), None)))),
        found(|s| view(s, |v| v.images.push(sha('d')))),
        found(|s| view(s, |v| *v = EngineView::default())),
        found(|s| s.routes = RouteTable::new()),
        found(|s| s.routes.insert(Route { deployment: id(), port: port(8001) })),
        found(|s| record(s, |r| r.attempt = Some(attempt(Stage::Running(Step::Build))))),
        found(|s| record(s, |r| r.removing = Some(RemovalReason::Closed))),
        found(|s| record(s, |r| r.attempt.as_mut().unwrap().app_port = Some(port(8005)))),
    ];
    insta::assert_snapshot!(all.map(|lines| lines.join("\n")).join("\n--\n"));
}

#[test]
fn backing_services_and_their_data_belong_to_versions_that_name_them() {
    let redis = |sides: &mut Sides| {
        sides.engine.get_mut(&id()).unwrap().containers.push(container(Part::Extra(Backing::Redis), None));
    };
    let names_redis = |sides: &mut Sides| {
        sides.ledger.deployments.get_mut(&id()).unwrap().extras = [Backing::Redis].into();
    };
    let volume = |sides: &mut Sides, name: &str| {
        sides.engine.get_mut(&id()).unwrap().volumes.push(format!("{}_{name}", id()));
    };
    assert_eq!(found(|s| (redis(s), names_redis(s)).1), [""; 0]);
    let lines =
        [found(redis), found(names_redis), found(|s| volume(s, "mysql-data")), found(|s| volume(s, "db-mysql-data"))];
    insta::assert_snapshot!(lines.map(|lines| lines.join("\n")).join("\n--\n"));
}

#[test]
fn without_a_record_everything_is_left_over() {
    insta::assert_snapshot!(found(|s| s.ledger.deployments.clear()).join("\n"));
}

#[test]
fn two_holders_of_one_port_are_named() {
    let other: DeploymentId = "org-app-2".parse().unwrap();
    let lines = found(|s| {
        let second = Deployment { id: other.clone(), ..record() };
        s.ledger.deployments.insert(other.clone(), second);
        s.under_way.insert(other.clone());
    });
    assert_eq!(lines, ["org-app-1: org-app-2 holds port 8000 too", "org-app-1: org-app-2 holds port 9000 too"]);
}

#[test]
fn a_line_of_what_is_set_aside_needs_an_open_pull_request_without_a_preview() {
    let line = SetAside {
        repository_id: RepoId(7),
        reason: SetAsideReason::Stopped,
        head: sha('a'),
        since: Timestamp::UNIX_EPOCH,
        active_at: Timestamp::UNIX_EPOCH,
        comment_id: None,
        told: None,
    };
    let with = |desired: Desired| {
        let mut sides = Sides { desired: [(id(), desired)].into(), ..Sides::default() };
        sides.ledger.set_aside.insert(id(), line.clone());
        compare(&sides)
    };
    assert!(with(Desired::Stopped).is_clean());
    let report = with(Desired::Gone(RemovalReason::Closed));
    assert_eq!(report.findings[0].problem, Problem::Leftover { what: Thing::Line });
}

#[test]
fn what_is_being_worked_on_is_told_and_not_found() {
    let mut sides = agreeing();
    sides.ledger.deployments.clear();
    sides.under_way.insert(id());
    let report = compare(&sides);
    assert!(report.is_clean());
    assert_eq!(report.in_progress, [id()]);
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let mut sides = agreeing();
    sides.routes.insert(Route { deployment: id(), port: port(8001) });
    sides.engine.clear();
    let report = compare(&sides);
    let text = serde_json::to_string(&report).unwrap();
    assert!(text.contains(r#""kind":"staleRoute""#), "{text}");
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}
