//! Deliveries are hints: twice, late, in the wrong order or never, they end in one comment and one preview of the newest commit,
//! or in nothing.
//!
//! Where nothing else is said, resync is out of the way, so that deliveries alone are at work.

use std::time::Duration;

use preview_simulator::state::{StatusState, Surface};
use preview_simulator::{Deliveries, Fault, Matching, Mimic, NewPull, Pull};
use serde_json::Value;

use crate::rig::{PATIENCE, Rig, Setup, runs, slow_build};

/// An installation that resyncs at its start alone.
fn deaf() -> Setup {
    Setup::new().set("RESYNC_INTERVAL_SECONDS", 3600)
}

/// Waits until all deliveries were answered and nothing is left to do.
async fn settled(rig: &Rig) {
    rig.github.deliveries_done(PATIENCE).await.unwrap();
    rig.until("nothing is left to do", async || {
        let ledger = rig.ledger();
        let told = ledger["pending"].as_array().is_some_and(Vec::is_empty);
        let mut records = ledger["deployments"].as_object()?.values();
        (told && records.all(|record| record["attempt"]["step"] == "done")).then_some(())
    })
    .await;
}

/// How many attempts came up, ever.
fn came_up(rig: &Rig) -> usize {
    rig.log().matches("the preview answers").count()
}

/// The GUIDs of all deliveries about pull requests, in the order of their events.
fn guids(rig: &Rig) -> Vec<String> {
    rig.github.look(|state| {
        let all = state.deliveries().filter(|delivery| delivery.event == "pull_request" && !delivery.redelivery);
        all.map(|delivery| delivery.guid.clone()).collect()
    })
}

async fn one_preview(rig: &Rig, pull: &Pull, version: &str) {
    let url = rig.url(pull);
    rig.until_answers(&url, version).await;
    settled(rig).await;
    rig.until_answers(&url, version).await;
    rig.until_comment(pull, "Preview is ready").await;
    assert_eq!(rig.record(&rig.id(pull))["commitSha"], pull.head().as_str());
    assert_eq!(rig.containers(&rig.id(pull)).await.len(), 1);
}

async fn nothing(rig: &Rig, pull: &Pull) {
    rig.until_comment(pull, "removed").await;
    rig.until_gone(&rig.url(pull)).await;
    settled(rig).await;
    assert_eq!(rig.record(&rig.id(pull)), Value::Null);
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());
}

// ------------------------------------------------------------------------------------------------------ twice, and in disorder

#[tokio::test(flavor = "multi_thread")]
async fn every_delivery_twice_and_again_later() {
    let rig = deaf().start().await;
    rig.github.deliver(Deliveries::Twice);
    let (pull, _) = rig.up("version one").await;
    pull.push(Mimic::new("version two").files()).await.unwrap();
    one_preview(&rig, &pull, "version two").await;
    for guid in guids(&rig) {
        rig.github.redeliver(&guid).unwrap();
    }
    one_preview(&rig, &pull, "version two").await;
    assert_eq!(came_up(&rig), 2);

    pull.close().unwrap();
    nothing(&rig, &pull).await;
    for guid in guids(&rig) {
        rig.github.redeliver(&guid).unwrap();
    }
    nothing(&rig, &pull).await;
    assert_eq!(came_up(&rig), 2);
    rig.github.deliver(Deliveries::Normal);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_synchronize_after_a_newer_one() {
    let rig = deaf().start().await;
    let (pull, _) = rig.up("version one").await;
    one_preview(&rig, &pull, "version one").await;
    // Each push makes a `push` and a `synchronize`: the four arrive the newest first.
    rig.github.deliver(Deliveries::Reordered(4));
    pull.push(Mimic::new("version two").files()).await.unwrap();
    pull.push(Mimic::new("version three").files()).await.unwrap();
    rig.github.deliver(Deliveries::Normal);
    one_preview(&rig, &pull, "version three").await;
    assert_eq!(came_up(&rig), 2, "version two was never brought up");
    rig.github.redeliver(&guids(&rig)[1]).unwrap();
    one_preview(&rig, &pull, "version three").await;
    assert_eq!(came_up(&rig), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_and_synchronize_in_the_same_second_in_either_order() {
    let rig = deaf().start().await;
    for how in [Deliveries::Held, Deliveries::Reordered(3)] {
        let (pull, _) = rig.up("version one").await;
        one_preview(&rig, &pull, "version one").await;
        rig.github.deliver(how);
        pull.push(Mimic::new("version two").files()).await.unwrap();
        pull.close().unwrap();
        rig.github.release();
        rig.github.deliver(Deliveries::Normal);
        nothing(&rig, &pull).await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_and_reopened_in_the_same_second_in_either_order() {
    let rig = deaf().start().await;
    for how in [Deliveries::Held, Deliveries::Reordered(2)] {
        let (pull, _) = rig.up("version one").await;
        one_preview(&rig, &pull, "version one").await;
        rig.github.deliver(how);
        pull.close().unwrap();
        pull.reopen().await.unwrap();
        rig.github.release();
        rig.github.deliver(Deliveries::Normal);
        one_preview(&rig, &pull, "version one").await;
    }
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------------- while building

#[tokio::test(flavor = "multi_thread")]
async fn closed_while_building() {
    let rig = deaf().start().await;
    let (changes, sleep) = slow_build("never up", 600);
    let pull = rig.open_with(changes).await;
    rig.until("the build has begun", async || runs(&sleep).then_some(())).await;
    pull.close().unwrap();
    nothing(&rig, &pull).await;
    rig.until("the build has ended", async || (!runs(&sleep)).then_some(())).await;
    assert_eq!(came_up(&rig), 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_quick_pushes_only_the_last_is_built_to_the_end() {
    let rig = deaf().start().await;
    let (pull, url) = rig.up("version one").await;
    let (mut superseded, mut sleeps) = (Vec::new(), Vec::new());
    for version in ["version two", "version three"] {
        let (changes, sleep) = slow_build(version, 600);
        superseded.push(pull.push(changes).await.unwrap());
        rig.until("its build has begun", async || runs(&sleep).then_some(())).await;
        sleeps.push(sleep);
    }
    rig.until_answers(&url, "version one").await;
    pull.push(Mimic::new("version four").files()).await.unwrap();
    one_preview(&rig, &pull, "version four").await;
    assert!(!sleeps.iter().any(|sleep| runs(sleep)), "older builds were cut off");
    assert_eq!(came_up(&rig), 2);
    let repo = pull.repo().id();
    for commit in superseded {
        let status = rig.github.look(|state| state.repository(repo)?.status(&commit, "preview").map(|s| s.state));
        assert!(!matches!(status, Some(StatusState::Failure | StatusState::Error)), "{status:?}");
    }
    rig.finish().await;
}

// ---------------------------------------------------------------------------------------------------------------------- never

#[tokio::test(flavor = "multi_thread")]
async fn lost_deliveries_lose_nothing() {
    let rig = Setup::new().start().await;
    rig.github.deliver(Deliveries::Lost);
    let (pull, url) = rig.up("version one").await;
    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.until_comment(&pull, "removed").await;
    pull.reopen().await.unwrap();
    rig.until_answers(&url, "version two").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_fails_to_list_is_not_removed() {
    let rig = Setup::new().start().await;
    let previews = [rig.up("first").await, rig.up("second").await];
    let listing = || Matching::get("/pulls?");
    let faults = [
        (listing(), Fault::Status(500)),
        (listing(), Fault::Status(403)),
        (listing(), Fault::NotFound),
        (listing(), Fault::EmptyList),
        (listing(), Fault::CutList(1)),
        (listing(), Fault::CutBody),
        (listing(), Fault::Disconnect),
        // As if the token might not see the repository any more.
        (Matching::api(), Fault::NotFound),
    ];
    for (matching, fault) in faults {
        let failing = rig.github_fails(matching, fault.clone());
        rig.until_listed(2).await;
        drop(failing);
        for (_, url) in &previews {
            assert_eq!(rig.http.get(url).send().await.unwrap().status(), 200, "after {fault:?}");
        }
        assert!(!rig.log().contains("removing the preview"), "after {fault:?}");
    }
    assert_eq!(came_up(&rig), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_that_github_does_not_confirm_waits_until_it_does() {
    let rig = deaf().start().await;
    let (pull, url) = rig.up("version one").await;
    settled(&rig).await;
    let failing = rig.github_fails(Matching::api(), Fault::Status(502));
    pull.close().unwrap();
    rig.github.deliveries_done(PATIENCE).await.unwrap();
    rig.until("GitHub was asked in vain", async || rig.log().contains("could not learn").then_some(())).await;
    rig.until_answers(&url, "version one").await;
    drop(failing);
    nothing(&rig, &pull).await;
    rig.finish().await;
}

// -------------------------------------------------------------------------------------------------------------- moved, renamed

#[tokio::test(flavor = "multi_thread")]
async fn retargeted_to_another_base_it_stays_as_it_is() {
    let rig = deaf().start().await;
    rig.repo().push("develop", Mimic::new("develop").files(), "alice").await.unwrap();
    let (pull, _) = rig.up("version one").await;
    pull.retarget("develop").unwrap();
    one_preview(&rig, &pull, "version one").await;
    assert_eq!(came_up(&rig), 1);
    pull.push(Mimic::new("version two").files()).await.unwrap();
    one_preview(&rig, &pull, "version two").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_stays_and_a_new_one_under_its_name_is_not_allowed() {
    let mut rig = deaf().start().await;
    let old_name = rig.repos[0].clone();
    let (pull, url) = rig.up("version one").await;
    let comment = rig.until_comment(&pull, "Preview is ready").await;
    rig.repo().rename(&format!("{old_name}-renamed")).unwrap();
    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    settled(&rig).await;

    // The service knows repositories by name at its start alone, and GitHub redirects the old name.
    rig.stop_service().await;
    rig.start_service().await;
    pull.push(Mimic::new("version three").files()).await.unwrap();
    rig.until_answers(&url, "version three").await;
    assert_eq!(pull.bot_comments().iter().map(|comment| comment.id).collect::<Vec<_>>(), [comment.id]);

    let usurper = rig.github.create_repo(&old_name, Mimic::new("usurper").repository().await.unwrap()).await.unwrap();
    usurper.add_hook(&format!("{}/webhook/github", rig.api));
    let foreign = usurper.open_pull(NewPull::new("foreign", Mimic::new("foreign").files())).await.unwrap();
    settled(&rig).await;
    let answer = rig.github.look(|state| {
        let newest = state.deliveries().filter(|d| d.repo == usurper.id() && d.event == "pull_request");
        newest.last().and_then(|delivery| delivery.status())
    });
    assert_eq!(answer, Some(403));
    assert!(foreign.bot_comments().is_empty());
    rig.until_answers(&url, "version three").await;
    rig.finish().await;
}

/// Deliveries that take their time are as good as any.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_deliveries_arrive() {
    let rig = deaf().start().await;
    rig.github.deliver(Deliveries::Delayed(Duration::from_millis(700)));
    let (pull, url) = rig.up("version one").await;
    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    pull.close().unwrap();
    nothing(&rig, &pull).await;
    rig.github.deliver(Deliveries::Normal);
    rig.finish().await;
}

/// As GitHub asks of its clients; nothing is set to make it so.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_github_is_written_a_second_apart() {
    let rig = Setup::new().start().await;
    let (first, url) = rig.up("one").await;
    let (second, other) = rig.up("two").await;
    first.push(Mimic::new("one, again").files()).await.unwrap();
    second.push(Mimic::new("two, again").files()).await.unwrap();
    rig.until_answers(&url, "one, again").await;
    rig.until_answers(&other, "two, again").await;
    for pull in [&first, &second] {
        rig.until_status(pull, StatusState::Success).await;
    }
    let writes = rig.github.look(|state| {
        let writes = state.requests().filter(|request| request.surface == Surface::Api && request.method != "GET");
        writes.map(|request| request.at).collect::<Vec<_>>()
    });
    // At least one comment and the last status of each commit: what is outdated before its turn comes is never sent.
    assert!(writes.len() >= 6, "{writes:?}");
    // They leave a second apart; one that was held up on its way is closer to the next.
    assert!(writes.windows(2).all(|two| two[1].duration_since(two[0]).as_millis() >= 900), "{writes:?}");
    rig.finish().await;
}
