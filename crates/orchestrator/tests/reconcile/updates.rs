//! Pushes that go wrong, and what happens to a version that serves.

use std::sync::Arc;
use std::time::Duration;

use preview_core::backing::{Backing, Database};
use preview_core::compose::own_image;
use preview_core::deployment::Stage;
use preview_core::ids::{CommitSha, DeploymentId, PullKey, Slot};
use preview_orchestrator::ledger::Reason;

use crate::check::Expect;
use crate::house::{House, broken_build, good, hours, minutes, that_runs, with_database, with_service};
use crate::world::trouble::{Call, Rule, Trouble};
use crate::world::{App, Build, Run, SERVICE};

/// Apps that don't come up, and what their comment says.
fn broken() -> [(App, &'static str); 4] {
    [
        (broken_build(), "the build failed"),
        (that_runs(Run::Exits(3)), "exit code 3"),
        (that_runs(Run::Silent), "nothing answered on port 3000 within 60 s"),
        (that_runs(Run::Answers(500)), "with status 500"),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_leaves_the_old_version_serving_and_says_why() {
    for database in [None, Some(Database::Postgres)] {
        for (app, cause) in broken() {
            let mut house = House::new().await;
            let pull = house.open(App { database, ..good() }).await;
            house.settle().await;
            house.keep_watch(pull);
            house.push(pull, App { database, ..app }).await;
            house.settle().await;
            let comment = house.world().comment(pull);
            assert!(comment.contains(cause), "{comment}");
            house.push(pull, App { database, ..good() }).await;
            house.settle().await;
            house.kill().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_holds_no_place_and_no_port() {
    for (app, cause) in broken() {
        let mut house = House::with(|config| config.max_previews = 1).await;
        let pull = house.open(App { database: Some(Database::Postgres), ..app }).await;
        house.settle().await;
        let comment = house.world().comment(pull);
        assert!(comment.contains(cause), "{comment}");
        // The only place is free for another, and the network too.
        let other = house.open(with_database()).await;
        house.settle().await;
        house.close(other).await;
        house.settle().await;
        house.push(pull, with_database()).await;
        house.settle().await;
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_pull_request_did_wrong_is_not_tried_again_without_a_push() {
    let mut house = House::new().await;
    house.open(broken_build()).await;
    house.settle().await;
    house.world().mark();
    house.pass(hours(2)).await;
    house.restart().await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_broken_container_is_noticed_at_once_and_its_last_words_are_told() {
    let mut house = House::new().await;
    let pull = house.open(that_runs(Run::Exits(1))).await;
    house.settle().await;
    let Stage::Failed(failure) = house.record(pull).unwrap().attempt.unwrap().stage else { panic!("not failed") };
    assert_eq!(failure.log_tail.len(), 1);
    let probes = house.world().count(Call::Probe);
    assert!(probes < 20, "{probes}");
}

#[tokio::test(start_paused = true)]
async fn three_quick_pushes_build_only_the_last_to_its_end() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let first = house.push(pull, good()).await;
    house.until("the first is being built", |house| house.world().builds.len() == 2).await;
    let second = house.push(pull, good()).await;
    let third = house.push(pull, good()).await;
    house.settle().await;
    let world = house.world();
    let built = |commit| world.builds.iter().any(|(of, ended)| of == commit && *ended == crate::world::Ended::Built);
    assert_eq!([&first, &second, &third].map(built), [false, false, true]);
    let told = world.hub.repos[&pull.repo].pulls[&pull.number].told.join("\n");
    assert!(!told.contains("failed"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_push_while_the_app_is_being_asked_for_its_health_is_taken_at_once() {
    let mut house = House::new().await;
    let pull = house.open(that_runs(Run::Silent)).await;
    house.until("it is asked", |house| house.world().count(Call::Probe) > 3).await;
    house.push(pull, good()).await;
    house.settle().await;
    assert!(!house.world().thread(pull).told.join("\n").contains("failed"));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_build_is_cut_off_by_a_push() {
    let mut house = House::new().await;
    let pull = house.open(App { build: Build::Hangs, ..good() }).await;
    house.until("it is being built", |house| house.world().builds.len() == 1).await;
    house.push(pull, good()).await;
    house.until("the new one serves", |house| house.record(pull).is_some_and(|record| record.serving.is_some())).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_commit_that_serves_is_no_work() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let old = house.world().head(pull);
    house.push(pull, broken_build()).await;
    house.settle().await;
    house.world().mark();
    house.world().pull(pull).head = old.clone();
    house.expect(pull, Expect::Serves(old));
    house.tell(pull, Reason::Pushed).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
}

#[tokio::test(start_paused = true)]
async fn a_database_comes_and_goes_with_the_commits_that_want_one() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, with_database()).await;
    house.settle().await;
    house.push(pull, good()).await;
    house.settle().await;
    assert_eq!(house.record(pull).unwrap().db_port, None);
}

/// An app with this database and Redis beside it.
fn beside_redis(database: Database) -> App {
    App { database: Some(database), extras: [Backing::Redis].into(), ..good() }
}

#[tokio::test(start_paused = true)]
async fn extra_services_come_and_go_with_the_commits_that_name_them() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.keep_watch(pull);
    for extras in [&[Backing::Redis, Database::MongoDb.into()][..], &[Backing::Redis], &[]] {
        house.push(pull, App { extras: extras.iter().copied().collect(), ..with_database() }).await;
        house.settle().await;
    }
    house.push(pull, App { extras: Backing::ALL.into(), ..broken_build() }).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_extra_service_that_somebody_removed_comes_back_and_so_does_one_whose_password_was_lost() {
    let mut house = House::new().await;
    let pull = house.open(App { extras: [Database::Mysql.into()].into(), ..good() }).await;
    house.settle().await;
    let id = house.id(pull);
    house.world().tampered = true;
    house.world().remove_backing(&id, "mysql");
    house.pass(minutes(61)).await;
    house.settle().await;
    house.folders().remove(&id).unwrap();
    house.world().remove_backing(&id, "mysql");
    house.pass(minutes(61)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn another_database_takes_the_place_of_the_old_one_and_reads_nothing_of_it() {
    let mut house = House::new().await;
    let pull = house.open(beside_redis(Database::Postgres)).await;
    house.settle().await;
    house.push(pull, beside_redis(Database::Mysql)).await;
    house.settle().await;
    let volumes = house.world().engine[&house.id(pull)].volumes.clone();
    assert_eq!(volumes, [format!("{}_db-mysql-data", house.id(pull))].into());
}

#[tokio::test(start_paused = true)]
async fn an_update_with_another_database_that_cannot_be_built_leaves_the_old_version() {
    let mut house = House::new().await;
    let pull = house.open(beside_redis(Database::Postgres)).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, App { build: Build::Fails, ..beside_redis(Database::Mysql) }).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_with_another_database_that_does_not_come_up_leaves_nothing() {
    let mut house = House::new().await;
    let pull = house.open(beside_redis(Database::Postgres)).await;
    house.settle().await;
    let failed = house.push(pull, App { run: Run::Exits(1), ..beside_redis(Database::Mysql) }).await;
    house.expect(pull, Expect::Failed(failed));
    house.settle().await;
    house.push(pull, beside_redis(Database::Postgres)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_wants_a_database_and_fails_leaves_none() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, App { database: Some(Database::Postgres), ..broken_build() }).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_without_the_database_that_fails_leaves_the_old_one_its_database() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, broken_build()).await;
    house.settle().await;
    let id = house.id(pull);
    assert!(house.world().engine[&id].database.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_service_beside_the_app_comes_is_replaced_and_goes_with_the_commits_that_name_it() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    for _ in 0..2 {
        house.push(pull, with_service()).await;
        house.settle().await;
    }
    // Its volume stays with the preview, as its own Compose file is the author's.
    house.push(pull, good()).await;
    house.settle().await;
    let id = house.id(pull);
    assert!(house.world().engine[&id].services.is_empty() && !house.world().engine[&id].volumes.is_empty());
    house.close(pull).await;
    house.settle().await;
    assert!(house.world().engine.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_names_a_service_and_fails_leaves_none() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, App { service: true, ..that_runs(Run::Exits(1)) }).await;
    house.settle().await;
    let id = house.id(pull);
    assert!(house.world().engine[&id].services.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_of_a_commit_that_never_served_does_not_stay_beside_the_next() {
    let mut house = House::new().await;
    let pull = house.open(App { service: true, ..that_runs(Run::Silent) }).await;
    house.until("the app is asked", |house| house.world().count(Call::Probe) > 3).await;
    house.push(pull, with_service()).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ends_later_changes_the_comment_and_so_does_its_return() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let id = house.id(pull);
    let set = |house: &House, broken| {
        house.world().engine.get_mut(&id).unwrap().apps.get_mut(&Slot::A).unwrap().broken = broken;
    };
    set(&house, true);
    house.until("the comment tells", |house| house.world().comment(pull).contains("stopped answering")).await;
    assert!(house.world().comment(pull).contains("own words"));
    set(&house, false);
    house.until("the comment tells", |house| house.world().comment(pull).contains("Preview is ready")).await;
    house.settle().await;
}

fn break_down(house: &House, id: &DeploymentId) {
    house.world().engine.get_mut(id).unwrap().apps.get_mut(&Slot::A).unwrap().broken = true;
}

/// What one preview does again and again hides no other.
#[tokio::test(start_paused = true)]
async fn an_app_that_went_down_is_told_of_however_much_happens_to_another() {
    let mut house = House::new().await;
    let (pull, noisy) = (house.open(good()).await, house.open(good()).await);
    house.settle().await;
    let (id, other) = (house.id(pull), house.id(noisy));
    break_down(&house, &id);
    for _ in 0..60 {
        house.world().tell(&other, "health_status");
        house.pass(Duration::from_secs(1)).await;
    }
    let comment = house.world().comment(pull);
    assert!(comment.contains("stopped answering"), "{comment}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_went_down_is_told_of_while_twenty_others_hang() {
    let mut house = House::with(|config| config.max_previews = 21).await;
    let pull = house.open(good()).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(house.open(good()).await);
    }
    house.settle().await;
    let hanging = others.iter().map(|pull| house.id(*pull)).collect();
    house.world().hanging = hanging;
    break_down(&house, &house.id(pull));
    house.pass(Duration::from_secs(75)).await;
    let comment = house.world().comment(pull);
    assert!(comment.contains("stopped answering"), "{comment}");
}

/// A house in which one version with a service beside it serves, and another is pushed, with this trouble.
async fn pushed_beside_a_service(rule: Option<Rule>) -> (House, PullKey, CommitSha) {
    let mut house = House::new().await;
    let pull = house.open(with_service()).await;
    house.settle().await;
    let old = house.world().head(pull);
    house.world().mark();
    house.world().rules.extend(rule);
    house.push(pull, with_service()).await;
    (house, pull, old)
}

/// The services beside an app are replaced in the middle of a switch; one that came to no end is not forgotten.
#[tokio::test(start_paused = true)]
async fn going_back_to_what_serves_after_a_switch_that_was_cut_off_brings_its_services_back() {
    let (mut house, ..) = pushed_beside_a_service(None).await;
    house.settle().await;
    let replacing = house.world().calls.iter().rposition(|call| *call == Call::Start).unwrap();
    house.kill().await;

    let (mut house, pull, old) = pushed_beside_a_service(Some(Rule::nth(replacing, Trouble::CrashAfter))).await;
    while house.world().rules[0].left > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let id = house.id(pull);
    let services: Vec<String> = house.world().engine[&id].services.values().cloned().collect();
    let new = house.world().head(pull);
    assert_eq!(services, [own_image(&id, &new, SERVICE.parse().unwrap())]);
    house.world().pull(pull).head = old.clone();
    house.expect(pull, Expect::Serves(old));
    house.restart().await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_password_that_cannot_be_read_for_a_moment_costs_no_data() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let id = house.id(pull);
    let (password, aside) = (house.folders().of(&id).join("password"), house.folders().of(&id).join("aside"));
    std::fs::rename(&password, &aside).unwrap();
    // A folder can't be read either.
    std::fs::create_dir(&password).unwrap();
    house.world().tampered = true;
    house.world().remove_backing(&id, "db");
    house.world().mark();
    house.tell(pull, Reason::Changed).await;
    house.until("it is missed", |house| house.record(pull).unwrap().serving.is_none()).await;
    house.pass(Duration::from_secs(5)).await;
    std::fs::remove_dir(&password).unwrap();
    std::fs::rename(&aside, &password).unwrap();
    house.settle().await;
    assert_eq!(house.world().count(Call::RemoveVolumes), 0);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_removed_comes_back_and_is_counted() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let id = house.id(pull);
    house.world().tampered = true;
    house.world().steal_app(&id, Slot::A);
    house.settle().await;
    assert_eq!(house.read(|state| state.repairs), 1);
    house.world().engine.remove(&id);
    house.pass(minutes(61)).await;
    house.settle().await;
    assert_eq!(house.read(|state| state.repairs), 2);
    assert_ne!(house.reconciler().audit().await.unwrap().deployments, 0);
}

#[tokio::test(start_paused = true)]
async fn a_router_that_lost_its_memory_is_told_again() {
    let mut house = House::new().await;
    house.open(good()).await;
    house.settle().await;
    house.world().routes = Default::default();
    house.pass(minutes(61)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_comment_is_slow_all_its_news_fold_into_one_or_two_edits() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let told = house.world().thread(pull).told.len();
    house.trouble(Call::Comment, 1, Trouble::Late(minutes(1)));
    house.world().mark();
    let head = house.push(pull, good()).await;
    let done = |house: &House| {
        let record = house.record(pull).unwrap();
        record.serving.is_some_and(|serving| serving.commit_sha == head)
            && record.attempt.is_some_and(|attempt| attempt.stage == Stage::Done)
    };
    house.until("the update is done", done).await;
    assert_eq!(house.world().thread(pull).told.len(), told, "the first comment is still being written");
    assert!(house.world().count(Call::Store) >= 5);
    house.settle().await;
    let edits = house.world().thread(pull).told.len() - told - 1;
    assert!((1..=2).contains(&edits), "{edits}");
}

#[tokio::test(start_paused = true)]
async fn twenty_pushes_that_each_cut_off_the_one_before_are_no_mistake_of_ours() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let errors = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR);
    let errors = errors.with_writer(Arc::new(log.reopen().unwrap())).finish();
    let _told = tracing::subscriber::set_default(errors);
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    for builds in 1..=20 {
        house.until("it is being built", |house| house.world().builds.len() == builds).await;
        house.push(pull, good()).await;
    }
    house.settle().await;
    assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "");
}
