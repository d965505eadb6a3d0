//! A disk that fills: caches go, and nothing else does.

use std::time::Duration;

use preview_core::capacity::{DiskUse, Files, Measure};
use preview_core::deployment::{QueueReason, Stage, Step};
use preview_orchestrator::needs::{Filled, Part};

use crate::house::{House, good, minutes};
use crate::world::trouble::{Call, Rule, Trouble};

const GB: u64 = 1 << 30;

#[tokio::test(start_paused = true)]
async fn what_is_over_the_budget_goes_from_the_build_cache() {
    let mut house = House::with(|config| config.disk_budget = Some(30 * GB)).await;
    house.world().disk_use = DiskUse { previews: 8 * GB, build_cache: 20 * GB, mirrors: 2 * GB };
    house.pass(minutes(61)).await;
    assert_eq!(house.world().disk_use.build_cache, 20 * GB, "just within it");
    house.world().disk_use.previews = 13 * GB;
    house.pass(minutes(61)).await;
    assert_eq!(house.world().disk_use.build_cache, 15 * GB);
    let told = house.reconciler().overview().disk.unwrap();
    assert_eq!((told.budget, told.used.previews), (30 * GB, 13 * GB));
    // More than everything can't go.
    house.world().disk_use.previews = 90 * GB;
    house.pass(minutes(61)).await;
    assert_eq!(house.world().disk_use.build_cache, 0);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_waits_for_the_disk_has_the_caches_cleared_and_goes_on() {
    let mut house = House::new().await;
    house.pass(minutes(2)).await;
    house.world().room.disk_free = 9 * GB;
    house.world().disk_use.build_cache = 20 * GB;
    // An engine that fails once is asked again, soon.
    house.world().rules.push(Rule::next(Call::DiskUse, 1, Trouble::FailsBefore));
    let pull = house.open(good()).await;
    let waits = |house: &House| match house.record(pull)?.attempt?.stage {
        Stage::Queued(reason) => Some(reason),
        _ => None,
    };
    house.until("it waits", |house| waits(house) == Some(QueueReason::Disk)).await;
    house.pass(Duration::from_secs(30)).await;
    assert!(house.world().comment(pull).contains("disk is almost full"));
    assert_eq!(house.reconciler().overview().waiting, 1);
    house.pass(minutes(2)).await;
    assert_eq!(waits(&house), None, "within two minutes, not at the next sweep");
    let (room, used) = {
        let world = house.world();
        (world.room, world.disk_use)
    };
    assert_eq!(
        (room.disk_free, used.build_cache),
        (25 * GB / 2, 33 * GB / 2),
        "as much as it takes, and a little more"
    );
    house.settle().await;
}

/// A build writes what it likes, and has no name on the disk: it ends before the disk does, and is tried again when there is room.
#[tokio::test(start_paused = true)]
async fn a_build_that_fills_the_disk_is_stopped_before_it_is_full() {
    let mut house = House::new().await;
    house.pass(minutes(2)).await;
    house.world().rules.push(Rule::next(Call::Build, 1, Trouble::Late(minutes(10))));
    let pull = house.open(good()).await;
    let step = |house: &House| match house.record(pull)?.attempt?.stage {
        Stage::Running(step) => Some(step),
        _ => None,
    };
    house.until("it builds", |house| step(house) == Some(Step::Build)).await;
    house.pass(Duration::from_secs(10)).await;
    assert_eq!(step(&house), Some(Step::Build));
    house.world().room.disk_free = 4 * GB;
    house.pass(Duration::from_secs(10)).await;
    assert_eq!(step(&house), None, "it builds no more");
    let stage = house.record(pull).unwrap().attempt.unwrap().stage;
    assert!(
        matches!(&stage, Stage::Failed(failure) if failure.cause.contains("disk was about to be full"))
            || stage == Stage::Queued(QueueReason::Disk),
        "{stage:?}"
    );
    house.world().room.disk_free = 80 * GB;
    house.settle().await;
    assert!(house.record(pull).unwrap().serving.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_does_not_exist_keeps_no_copy_of_another_from_being_counted() {
    let mut house = House::with(|config| config.allowed.push("org/misspelt".parse().unwrap())).await;
    house.open(good()).await;
    house.settle().await;
    house.world().disk_use.mirrors = 2 * GB;
    house.pass(minutes(61)).await;
    assert_eq!(house.reconciler().overview().disk.unwrap().used.mirrors, 2 * GB);
    assert_eq!(house.world().mirrors, [house.repo].into(), "nor is it the other");
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn copies_of_repositories_go_when_they_are_no_longer_served_and_not_before_that_is_sure() {
    let mut house = House::empty();
    let other = house.world().add_repo(8, "org/other");
    house.config.allowed.push("org/other".parse().unwrap());
    house.start();
    house.settle().await;
    house.open(good()).await;
    house.open_in(other, good()).await;
    house.settle().await;
    assert_eq!(house.world().mirrors, [house.repo, other].into());

    house.config.allowed.pop();
    house.world().rules.push(Rule::next(Call::Repository, 1000, Trouble::FailsBefore));
    house.restart().await;
    house.pass(minutes(61)).await;
    assert_eq!(house.world().mirrors.len(), 2, "GitHub has not told which repository is the allowed one");
    house.world().rules.clear();
    house.pass(minutes(121)).await;
    assert_eq!(house.world().mirrors, [house.repo].into());
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn what_fills_the_disk_is_stopped_and_everybody_is_told() {
    let mut house = House::new().await;
    let (full, fine) = (house.open(good()).await, house.open(good()).await);
    house.settle().await;
    let record = house.record(full).unwrap();
    let part = Part::App(record.serving.unwrap().slot);
    let others = house.record(fine).unwrap().id;
    house.world().written = vec![
        Filled { deployment: record.id.clone(), part, by: Measure::Bytes, amount: 3 * GB },
        Filled { deployment: others, part, by: Measure::Bytes, amount: GB },
    ];
    house.pass(Duration::from_secs(20)).await;
    assert_eq!(house.world().halted, [(record.id, part)]);
    assert!(house.world().comment(full).contains("had written more to the disk than a preview may"));
    assert_eq!(house.record(full).unwrap().serving.unwrap().filled, Some(Measure::Bytes));
    assert_eq!(house.record(fine).unwrap().serving.unwrap().filled, None);
    assert!(house.world().comment(fine).contains("Preview is ready"));
    house.kill().await;
}

/// Empty files take no bytes, and so the disk has enough of these to the end.
#[tokio::test(start_paused = true)]
async fn a_build_that_makes_too_many_files_is_stopped_and_the_next_one_waits() {
    let mut house = House::new().await;
    let files = |free| Some(Files { free, total: 1_000_000 });
    house.world().room.files = files(500_000);
    house.pass(minutes(2)).await;
    house.world().rules.push(Rule::next(Call::Build, 1, Trouble::Late(minutes(10))));
    let pull = house.open(good()).await;
    let stage = |house: &House, pull| house.record(pull)?.attempt.map(|attempt| attempt.stage);
    house.until("it builds", |house| stage(house, pull) == Some(Stage::Running(Step::Build))).await;
    house.world().room.files = files(60_000);
    house.pass(Duration::from_secs(10)).await;
    assert_eq!(stage(&house, pull), Some(Stage::Running(Step::Build)), "more than half of the floor is left");
    house.world().disk_use.build_cache = 3 * GB;
    house.world().room.files = files(40_000);
    house.pass(Duration::from_secs(10)).await;
    let stopped = stage(&house, pull).unwrap();
    assert!(
        matches!(&stopped, Stage::Failed(failure) if failure.cause.contains("room for few more files"))
            || stopped == Stage::Queued(QueueReason::Disk),
        "{stopped:?}"
    );
    let builds = house.world().builds.len();
    let other = house.open(good()).await;
    house.until("it waits", |house| stage(house, other) == Some(Stage::Queued(QueueReason::Disk))).await;
    house.pass(minutes(5)).await;
    assert!(house.world().comment(other).contains("disk is almost full"));
    assert_eq!(house.world().builds.len(), builds, "nothing is built meanwhile");
    assert_eq!(house.world().disk_use.build_cache, 0, "what may have the files has gone");
    house.world().room.files = files(500_000);
    house.settle().await;
    assert!([pull, other].iter().all(|pull| house.record(*pull).unwrap().serving.is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_makes_too_many_files_is_stopped_and_told_that_it_was_files() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let record = house.record(pull).unwrap();
    let part = Part::App(record.serving.unwrap().slot);
    house.world().written = vec![Filled { deployment: record.id.clone(), part, by: Measure::Files, amount: 200_001 }];
    house.pass(Duration::from_secs(20)).await;
    assert_eq!(house.world().halted, [(record.id, part)]);
    assert_eq!(house.record(pull).unwrap().serving.unwrap().filled, Some(Measure::Files));
    let comment = house.world().comment(pull);
    assert!(
        comment.contains("had made more files than a preview may") && !comment.contains("written more"),
        "{comment}"
    );
    // What was stopped stays so over a restart.
    house.restart().await;
    house.pass(minutes(2)).await;
    assert_eq!(house.record(pull).unwrap().serving.unwrap().filled, Some(Measure::Files));
    house.kill().await;
}
