//! What comes before a start: images that are made elsewhere, migrations, seeds, empty databases.

use preview_core::deployment::{Notice, Stage, Step};

use crate::house::{House, good, that_migrates, with_database};
use crate::world::engine::Rows;
use crate::world::trouble::{Call, Trouble};
use crate::world::{App, Build, Migration, Run};

/// What is in the one database that there is.
fn rows<T>(house: &House, look: impl FnOnce(&Rows) -> T) -> T {
    look(&house.world().engine.values().next().unwrap().rows)
}

/// How many migrations and loads have begun since the last mark.
fn begun(house: &House) -> (usize, usize) {
    let world = house.world();
    (world.count(Call::BeginTask), world.count(Call::Load))
}

#[tokio::test(start_paused = true)]
async fn a_commit_migrates_once_and_a_new_database_is_filled_once() {
    let mut house = House::new().await;
    let pull = house.open(that_migrates(Migration::Works)).await;
    house.settle().await;
    assert_eq!((rows(&house, |rows| rows.migrations), rows(&house, |rows| rows.seeded)), (1, true));
    house.world().mark();
    house.restart().await;
    house.settle().await;
    house.command(pull, preview_orchestrator::ledger::Reason::Redeploy).await;
    house.settle().await;
    assert_eq!(begun(&house), (0, 0));
    house.push(pull, that_migrates(Migration::Works)).await;
    house.settle().await;
    assert_eq!(begun(&house), (1, 0));
    assert!(house.record(pull).unwrap().notices.is_empty());
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_leaves_the_old_version_and_says_that_the_database_may_be_changed() {
    let mut house = House::new().await;
    let pull = house.open(that_migrates(Migration::Works)).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, that_migrates(Migration::Fails)).await;
    house.settle().await;
    let Stage::Failed(failure) = house.record(pull).unwrap().attempt.unwrap().stage else { panic!("not failed") };
    assert_eq!((failure.step, failure.cause.as_str()), (Step::Migrate, "`up` ended with exit code 1"));
    assert_eq!(failure.log_tail, ["the migration's own words"]);
    let comment = house.world().comment(pull);
    assert!(comment.contains("**The database may be changed:**"), "{comment}");
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_after_its_migration_says_so_too_and_so_does_the_next_one() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.push(pull, App { run: Run::Silent, seed: false, ..that_migrates(Migration::Works) }).await;
    house.settle().await;
    for _ in 0..2 {
        let comment = house.world().comment(pull);
        assert!(comment.contains("**The database may be changed:**"), "{comment}");
        house.push(pull, App { run: Run::Silent, ..with_database() }).await;
        house.settle().await;
    }
    house.push(pull, with_database()).await;
    house.settle().await;
    assert!(!house.world().comment(pull).contains("may be changed"));
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_migration_under_way_is_not_cut_off_by_a_push_and_is_waited_for_after_a_crash() {
    let mut house = House::new().await;
    let pull = house.open(that_migrates(Migration::Works)).await;
    house.until("it migrates", |house| house.world().count(Call::AwaitTask) == 1).await;
    let next = house.push(pull, that_migrates(Migration::Works)).await;
    house.settle().await;
    assert_eq!(rows(&house, |rows| rows.migrations), 2, "the first came to its end");
    assert_eq!(house.world().shown.values().flatten().collect::<Vec<_>>(), [&next]);
    house.world().mark();
    house.push(pull, that_migrates(Migration::Works)).await;
    house.until("it migrates", |house| house.world().count(Call::AwaitTask) == 1).await;
    house.restart().await;
    house.settle().await;
    assert_eq!(rows(&house, |rows| rows.migrations), 3, "not begun a second time");
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_was_cut_off_begins_with_a_new_database() {
    let mut house = House::new().await;
    house.trouble(Call::Load, 1, Trouble::CrashAfter);
    house.open(that_migrates(Migration::Works)).await;
    house.settle().await;
    assert_eq!((rows(&house, |rows| rows.migrations), rows(&house, |rows| rows.seeded)), (1, true));
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_used_database_is_not_filled_and_that_is_told() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.push(pull, that_migrates(Migration::Works)).await;
    house.settle().await;
    assert!(!rows(&house, |rows| rows.seeded));
    assert_eq!(house.record(pull).unwrap().notices, [Notice::NotSeeded].into());
    let comment = house.world().comment(pull);
    assert!(comment.contains("Its `seed` was not loaded"), "{comment}");
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn on_push_reset_begins_with_an_empty_database_and_a_build_that_fails_costs_nothing() {
    let mut house = House::new().await;
    let resets = || App { resets: true, ..that_migrates(Migration::Works) };
    let pull = house.open(resets()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, App { build: Build::Fails, ..resets() }).await;
    house.settle().await;
    house.world().must_serve.clear();
    house.world().mark();
    house.push(pull, resets()).await;
    house.settle().await;
    assert_eq!((rows(&house, |rows| rows.migrations), rows(&house, |rows| rows.seeded)), (1, true));
    assert_eq!(house.world().count(Call::RemoveVolumes), 1);
    house.push(pull, good()).await;
    house.settle().await;
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_made_elsewhere_is_waited_for_and_others_build_meanwhile() {
    let mut house = House::new().await;
    let pull = house.open(App { build: Build::Elsewhere(4), ..good() }).await;
    house.until("it is waited for", |house| house.world().comment(pull).contains("not in the registry yet")).await;
    house.open(good()).await;
    house.settle().await;
    assert_eq!(house.world().builds.len(), 5);
    house.kill().await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_never_comes_is_the_pull_request_s_own_failure() {
    let mut house = House::new().await;
    let pull = house.open(App { build: Build::Elsewhere(1000), ..good() }).await;
    house.settle().await;
    let Stage::Failed(failure) = house.record(pull).unwrap().attempt.unwrap().stage else { panic!("not failed") };
    assert!(failure.advice.unwrap().contains("waited for during 20 minutes"));
    house.kill().await;
}
