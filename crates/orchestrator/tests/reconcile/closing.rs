//! Closings at the wrong moment.

use preview_orchestrator::ledger::Reason;

use crate::house::{House, good, minutes, with_database};
use crate::world::trouble::{Call, Trouble};
use crate::world::{App, Build, Ended};

#[tokio::test(start_paused = true)]
async fn closed_at_any_moment_of_its_coming_up_it_is_gone() {
    for tenth in 0..300 {
        let mut house = House::new().await;
        let pull = house.open(with_database()).await;
        tokio::time::sleep(std::time::Duration::from_millis(tenth * 100)).await;
        house.close(pull).await;
        house.settle().await;
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn closed_while_building_the_build_is_cut_off() {
    let mut house = House::new().await;
    let pull = house.open(App { build: Build::Hangs, ..good() }).await;
    house.until("it is being built", |house| house.world().builds.len() == 1).await;
    house.close(pull).await;
    house.pass(minutes(1)).await;
    assert_eq!(house.world().builds[0].1, Ended::CutOff);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn closed_and_pushed_to_in_the_same_instant_it_is_gone() {
    for order in [[Reason::Changed, Reason::Pushed], [Reason::Pushed, Reason::Changed]] {
        let mut house = House::new().await;
        let pull = house.open(good()).await;
        house.settle().await;
        house.push_silently(pull, good());
        house.close_silently(pull);
        for reason in order {
            house.tell(pull, reason).await;
        }
        house.settle().await;
        assert_eq!(house.world().builds.len(), 1);
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_delivery_after_a_newer_one_is_harmless() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, good()).await;
    house.settle().await;
    house.world().mark();
    house.tell(pull, Reason::Pushed).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
    house.close(pull).await;
    house.settle().await;
    house.tell(pull, Reason::Pushed).await;
    house.tell(pull, Reason::Reopened).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
}

#[tokio::test(start_paused = true)]
async fn closed_and_reopened_while_it_is_being_removed_it_comes_back() {
    for tenth in 0..30 {
        let mut house = House::new().await;
        let pull = house.open(with_database()).await;
        house.settle().await;
        house.close(pull).await;
        tokio::time::sleep(std::time::Duration::from_millis(tenth * 100)).await;
        house.reopen(pull).await;
        house.settle().await;
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_is_refused_for_good_holds_up_nothing() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.world().thread(pull).locked = true;
    house.push(pull, good()).await;
    house.settle().await;
    house.close(pull).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_words_wait_for_github_and_the_record_with_them() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let id = house.id(pull);
    house.trouble(Call::Comment, 20, Trouble::FailsBefore);
    house.close(pull).await;
    house.until("everything else is gone", |house| !house.world().engine.contains_key(&id)).await;
    assert!(house.record(pull).is_some());
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_somebody_removed_is_written_again() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.world().thread(pull).comments.clear();
    house.push(pull, good()).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn closed_with_its_delivery_lost_it_is_found_by_the_next_listing() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.close_silently(pull);
    house.pass(minutes(6)).await;
    house.settle().await;
}
