//! What fails for a passing reason, and what is killed.

use preview_core::deployment::{Blame, Stage};
use preview_core::route::RouteTable;
use preview_orchestrator::ledger::Reason;

use crate::check::Expect;
use crate::house::{House, good, minutes, with_database};
use crate::world::trouble::{Call, Trouble};
use crate::world::{App, Ended};

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_tried_three_times_more_and_not_told() {
    for call in [Call::Checkout, Call::Build, Call::Start, Call::Room] {
        let mut house = House::new().await;
        house.world().mark();
        house.trouble(call, 3, Trouble::FailsBefore);
        let pull = house.open(good()).await;
        house.settle().await;
        let told = house.world().thread(pull).told.join("\n");
        assert!(!told.contains("failed"), "{told}");
        assert!(house.world().count(call) >= 4);
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_third_it_has_failed_for_now_and_the_next_listing_tries_again() {
    let mut house = House::new().await;
    house.trouble(Call::Checkout, 4, Trouble::FailsBefore);
    let pull = house.open(with_database()).await;
    house
        .until("it has failed", |house| {
            let attempt = house.record(pull).and_then(|record| record.attempt);
            matches!(attempt, Some(attempt) if matches!(&attempt.stage, Stage::Failed(f) if f.blame == Blame::Passing))
        })
        .await;
    house.until("it says so", |house| house.world().comment(pull).contains("failed for now")).await;
    let head = house.world().head(pull);
    house.expect(pull, Expect::Failed(head.clone()));
    house.settle().await;
    house.expect(pull, Expect::Serves(head));
    house.settle().await;
}

/// A mistake of ours costs a try: nobody has to start the service again.
#[tokio::test(start_paused = true)]
async fn after_a_panic_at_any_call_the_same_life_goes_on() {
    for call in [
        Call::Pull,
        Call::OpenPulls,
        Call::Remarks,
        Call::Comment,
        Call::Status,
        Call::Checkout,
        Call::Build,
        Call::Start,
        Call::Probe,
        Call::Observe,
        Call::ObserveAll,
        Call::Apply,
        Call::Drain,
        Call::RemovePart,
        Call::RemoveVolumes,
        Call::Store,
    ] {
        let mut house = House::new().await;
        let pull = house.open(with_database()).await;
        house.settle().await;
        house.keep_watch(pull);
        house.trouble(call, 1, Trouble::Panics);
        // Its delivery is lost, so that the loop that lists has to live.
        house.push_silently(pull, with_database());
        house.settle().await;
        house.close(pull).await;
        house.settle().await;
        house.pass(minutes(61)).await;
        assert!(house.world().rules.iter().all(|rule| rule.left == 0), "{call:?} was not called");
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_comes_back_is_told_as_a_failure_and_holds_up_nobody_else() {
    let mut house = House::new().await;
    house.trouble(Call::Build, 4, Trouble::Panics);
    let pull = house.open(good()).await;
    house.until("it says so", |house| house.world().comment(pull).contains("failed for now")).await;
    let other = house.open(good()).await;
    house.until("another one serves", |house| house.record(other).is_some_and(|r| r.serving.is_some())).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_is_not_acknowledged_and_found_later() {
    let mut house = House::new().await;
    let pull = house.open_silently(house.repo, good());
    house.trouble(Call::Store, 1, Trouble::FailsBefore);
    assert!(!house.tell(pull, Reason::Pushed).await);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_done_after_any_death() {
    let mut house = House::new().await;
    let pull = house.open_silently(house.repo, good());
    assert!(house.tell(pull, Reason::Pushed).await);
    house.kill().await;
    house.start();
    // Long before any listing would have found it: there is none that differs.
    house.until("it serves", |house| house.record(pull).is_some_and(|record| record.serving.is_some())).await;
    house.settle().await;
}

/// Nothing in the ledger tells of it: the new head is written down, and its delivery was lost.
#[tokio::test(start_paused = true)]
async fn what_all_tries_could_not_do_is_taken_up_by_the_next_listing() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let serves = |house: &House| house.record(pull).and_then(|record| record.serving).map(|serving| serving.commit_sha);

    house.trouble(Call::ObserveRoutes, 4, Trouble::FailsBefore);
    let head = house.push_silently(pull, good());
    house.pass(minutes(6)).await;
    assert_eq!(house.world().rules[0].left, 0, "the tries are used up");
    assert_ne!(serves(&house).as_ref(), Some(&head));
    house.pass(minutes(6)).await;
    assert_eq!(serves(&house), Some(head));
    house.settle().await;

    // The old version should be gone, too.
    let head = house.push_silently(pull, good());
    house.until("the new one serves", |house| serves(house).as_ref() == Some(&head)).await;
    house.trouble(Call::RemovePart, 4, Trouble::FailsBefore);
    house.pass(minutes(1)).await;
    let id = house.id(pull);
    let apps = |house: &House| house.world().engine[&id].apps.len();
    assert_eq!((apps(&house), house.is_quiet()), (2, true), "the tries are used up");
    house.pass(minutes(5)).await;
    assert_eq!(apps(&house), 1);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_away_comes_back_within_the_hour_although_the_engine_lists_nothing_then() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    let id = house.id(pull);
    {
        let mut world = house.world();
        (world.tampered, world.routes) = (true, RouteTable::default());
    }
    house.trouble(Call::ObserveAll, 1, Trouble::FailsBefore);
    house.pass(minutes(62)).await;
    assert_eq!(house.world().rules[0].left, 0, "the sweep came");
    assert!(house.world().visit(&id).is_some());
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn stopped_in_good_order_the_build_is_cut_off_and_taken_up_again() {
    let mut house = House::new().await;
    house.open(good()).await;
    house.until("it is being built", |house| house.world().builds.len() == 1).await;
    house.stop().await;
    assert_eq!(house.world().builds[0].1, Ended::CutOff);
    house.start();
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_tenth_of_a_second_it_converges_without_any_event() {
    for tenth in (0..300).step_by(3) {
        let mut house = House::new().await;
        let pull = house.open(with_database()).await;
        house.settle().await;
        house.keep_watch(pull);
        house.push(pull, with_database()).await;
        tokio::time::sleep(std::time::Duration::from_millis(tenth * 100)).await;
        house.restart().await;
        house.settle().await;
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn github_away_at_the_start_is_waited_for() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.world().hub.down = Some("503");
    house.restart().await;
    house.push(pull, good()).await;
    house.pass(minutes(20)).await;
    house.world().hub.down = None;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_older_table_of_routes_never_comes_after_a_newer_one() {
    let mut house = House::with(|config| config.max_builds = 2).await;
    let pulls = [house.open(good()).await, house.open(good()).await];
    house.settle().await;
    pulls.iter().for_each(|pull| house.keep_watch(*pull));
    house.trouble(Call::Apply, 1, Trouble::Late(std::time::Duration::from_secs(20)));
    for pull in pulls {
        house.push(pull, good()).await;
    }
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn two_that_change_their_routes_at_once_both_get_them() {
    for seed in 0..40 {
        let mut house = House::with(|config| config.max_builds = 8).await;
        house.world().shake(seed);
        let mut pulls = Vec::new();
        for _ in 0..4 {
            pulls.push(house.open(good()).await);
        }
        house.settle().await;
        pulls.iter().for_each(|pull| house.keep_watch(*pull));
        for pull in &pulls {
            house.push(*pull, good()).await;
        }
        house.settle().await;
        house.kill().await;
    }
}

/// The engine would fetch it on the server's own network.
#[tokio::test(start_paused = true)]
async fn nothing_is_built_that_adds_from_a_name_which_leads_inside() {
    let mut house = House::new().await;
    let pull = house.open(App { adds_from: Some("files.inside.example.com"), ..good() }).await;
    house.settle().await;
    let comment = house.world().comment(pull);
    assert!(comment.contains("files.inside.example.com") && comment.contains("RUN curl"), "{comment}");
    assert_eq!(house.world().count(Call::Build), 0);

    house.push(pull, App { adds_from: Some("files.example.com"), ..good() }).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 1);
}

fn looks_and_builds(house: &House) -> (usize, usize) {
    let world = house.world();
    (world.count(Call::LookAt), world.count(Call::Build))
}

/// What an image has put aside is obeyed as if it stood in the file, so it is judged like that.
#[tokio::test(start_paused = true)]
async fn nothing_is_built_upon_an_image_that_brings_along_what_the_file_may_not_have() {
    for (put_aside, told) in [
        ("ADD http://127.0.0.1:3000/api/previews /x", "`ONBUILD` of the image"),
        ("ADD https://files.inside.example.com/x /x", "leads to the server or into a private network"),
        ("COPY --from=preview-deployer/org-secret-3:1 / /", "images of previews can't be built upon"),
    ] {
        let mut house = House::new().await;
        let pull = house.open(App { put_aside: Some(put_aside), ..good() }).await;
        house.settle().await;
        let comment = house.world().comment(pull);
        assert!(comment.contains(told) && comment.contains("line 1"), "{put_aside}: {comment}");
        assert_eq!(looks_and_builds(&house), (1, 0));
        house.kill().await;
    }
}

/// One that can't be looked at is tried again, as whatever may pass.
#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_looked_at_is_looked_at_again() {
    let mut house = House::new().await;
    house.trouble(Call::LookAt, 2, Trouble::FailsBefore);
    let pull = house.open(App { put_aside: Some("RUN npm ci"), ..good() }).await;
    let head = house.world().head(pull);
    house.expect(pull, Expect::Serves(head));
    house.settle().await;
    assert_eq!(looks_and_builds(&house), (3, 1));
}
