//! The service is killed, or told to stop, in the middle of things: its children end with it, nginx and what runs serve on,
//! and the next start brings everything to its end without any new event.

use std::time::{Duration, Instant};

use preview_core::deployment::Step;
use preview_simulator::{Change, Fault, Matching, Mimic, Pull};
use serde_json::Value;

use crate::load::Load;
use crate::rig::{Rig, RouterKind, Setup, assert_all_served, running, runs, slow_build};

/// An installation that resyncs at its start alone, so that the ledger has to know what is to be done.
fn setup() -> Setup {
    Setup::new().router(RouterKind::Nginx).set("RESYNC_INTERVAL_SECONDS", 3600)
}

/// Whether a record's attempt at this commit has come to a step, or past it.
fn has_reached(record: Option<&Value>, commit: &str, step: Step) -> bool {
    let order = |name: &str| match Step::ALL.iter().position(|step| step.name() == name) {
        None if name == "done" => Some(Step::ALL.len()),
        position => position,
    };
    let attempt = record.map(|record| &record["attempt"]).filter(|attempt| attempt["commitSha"] == commit);
    attempt.and_then(|attempt| order(attempt["step"].as_str()?)) >= order(step.name())
}

pub(crate) async fn until_step(rig: &Rig, pull: &Pull, step: Step) {
    let head = pull.head();
    let what = format!("the newest commit is at {}", step.name());
    rig.until_record(&rig.id(pull), &what, |record| has_reached(record, head.as_str(), step)).await;
}

async fn kill(rig: &mut Rig) {
    rig.kill_service().await;
    rig.until("its children have ended with it", async || rig.children().is_empty().then_some(())).await;
}

/// What must be in the end, whatever happened: the newest commit, one container, one comment.
async fn one_preview(rig: &Rig, pull: &Pull, version: &str) {
    rig.until_answers(&rig.url(pull), version).await;
    let id = rig.id(pull);
    rig.until_record(&id, "done", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;
    let comment = rig.until_comment(pull, "Preview is ready").await;
    assert!(comment.body.contains(&pull.head().as_str()[..7]), "{}", comment.body);
    assert_eq!(rig.containers(&id).await.len(), 1);
    assert_eq!(rig.ledger()["repairs"], 0, "nothing was found where it should not be");
}

// ------------------------------------------------------------------------------------------------------- kill -9 in an update

/// Killed at a step of an update. Visitors notice nothing.
async fn killed_at(step: Step, update: Vec<Change>) {
    let mut rig = setup().start().await;
    let (pull, url) = rig.up("version one").await;
    // Whom the old version still serves when its guardian dies at the drain may be cut off.
    let load = (step != Step::Drain).then(|| Load::start(&url));
    let under_way = tokio::spawn(rig.http.get(format!("{url}slow?ms=3000")).send());
    let held =
        (step == Step::Checkout).then(|| rig.github_fails(Matching::git(), Fault::Hang(Duration::from_secs(60))));
    pull.push(update).await.unwrap();
    until_step(&rig, &pull, step).await;
    kill(&mut rig).await;
    drop(held);
    rig.start_service().await;
    one_preview(&rig, &pull, "version two").await;
    drop(under_way.await.unwrap());
    if let Some(load) = load {
        assert_all_served(&load.stop().await);
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_fetching_the_commit() {
    killed_at(Step::Checkout, Mimic::new("version two").files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_starting_the_app() {
    killed_at(Step::Start, Mimic::new("version two").files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_waiting_for_the_app() {
    killed_at(Step::Health, Mimic::new("version two").starting_after(Duration::from_secs(3)).files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_switching_visitors() {
    killed_at(Step::Route, Mimic::new("version two").files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_old_version_finishes() {
    killed_at(Step::Drain, Mimic::new("version two").files()).await;
}

/// The built-in router dies with the service; the old version answers again at once.
#[tokio::test(flavor = "multi_thread")]
async fn killed_with_the_builtin_router() {
    let mut rig = setup().router(RouterKind::Builtin).start().await;
    let (pull, url) = rig.up("version one").await;
    pull.push(slow_build("version two", 3).0).await.unwrap();
    until_step(&rig, &pull, Step::Build).await;
    kill(&mut rig).await;
    rig.start_service().await;
    rig.until_answers(&url, "version one").await;
    one_preview(&rig, &pull, "version two").await;
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------------- while building

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_building_there_are_never_two_builds() {
    let mut rig = setup().start().await;
    let (changes, sleep) = slow_build("version one", 3);
    let pull = rig.open_with(changes).await;
    rig.until("the build has begun", async || runs(&sleep).then_some(())).await;
    kill(&mut rig).await;
    rig.start_service().await;
    rig.until("the build is over", async || {
        assert!(running(&sleep) <= 1, "two builds at once");
        has_reached(Some(&rig.record(&rig.id(&pull))), pull.head().as_str(), Step::Start).then_some(())
    })
    .await;
    one_preview(&rig, &pull, "version one").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_while_the_service_was_dead() {
    let mut rig = setup().start().await;
    let (changes, sleep) = slow_build("never up", 600);
    let pull = rig.open_with(changes).await;
    rig.until("the build has begun", async || runs(&sleep).then_some(())).await;
    kill(&mut rig).await;
    pull.close().unwrap();
    rig.start_service().await;
    rig.until_comment(&pull, "removed").await;
    rig.until("the build has ended", async || (!runs(&sleep)).then_some(())).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_while_building() {
    let mut rig = setup().start().await;
    let (other, url) = rig.up("other").await;
    let load = Load::start(&url);
    let (changes, sleep) = slow_build("version one", 15);
    let pull = rig.open_with(changes).await;
    rig.until("the build has begun", async || runs(&sleep).then_some(())).await;
    let begun = Instant::now();
    rig.stop_service().await;
    // What takes under ten seconds would have been finished.
    assert!(begun.elapsed() < Duration::from_secs(14), "it took {:?}", begun.elapsed());
    assert_eq!(rig.children(), Vec::<String>::new());
    rig.until("the build has ended", async || (!runs(&sleep)).then_some(())).await;
    assert_eq!(rig.record(&rig.id(&pull))["status"], "building", "it is not a failure");
    assert!(!pull.bot_comments().iter().any(|comment| comment.body.contains("failed")), "{:?}", pull.bot_comments());

    rig.start_service().await;
    one_preview(&rig, &pull, "version one").await;
    one_preview(&rig, &other, "other").await;
    assert_all_served(&load.stop().await);
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------------- in a removal

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_removal() {
    let mut rig = setup().start().await;
    let pull = rig.open(Mimic::new("version one").ignoring_sigterm()).await;
    rig.until_answers(&rig.url(&pull), "version one").await;
    let id = rig.id(&pull);
    pull.close().unwrap();
    rig.until_record(&id, "it is going", |record| record.is_none_or(|record| !record["removing"].is_null())).await;
    kill(&mut rig).await;
    rig.start_service().await;
    rig.until_gone(&rig.url(&pull)).await;
    rig.until_comment(&pull, "removed").await;
    rig.finish().await;
}

/// The record leaves last: as long as GitHub has not taken the comment's last words, somebody has to know of them.
#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_last_words() {
    // What fails again and again is tried again by resync.
    let mut rig = setup().set("RESYNC_INTERVAL_SECONDS", 1).start().await;
    let (pull, url) = rig.up("version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    let failing = rig.github_fails(Matching::writes(), Fault::Status(503));
    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.until("all but the record is gone", async || rig.engine_leftovers().await.is_empty().then_some(())).await;
    kill(&mut rig).await;
    rig.start_service().await;
    let tried = || rig.github.look(|state| state.count(&Matching::writes()));
    let before = tried();
    rig.until("it tries again to say them", async || (tried() > before).then_some(())).await;
    assert_ne!(rig.record(&rig.id(&pull)), Value::Null);
    drop(failing);
    rig.until_comment(&pull, "removed").await;
    rig.finish().await;
}

/// GitHub has written the comment, and the answer with its number never arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_comment_whose_number_was_lost_is_found_again() {
    let mut rig = setup().start().await;
    let posts = || Matching::path(reqwest::Method::POST, "/comments");
    let failing = rig.github_fails(posts(), Fault::CutBody);
    let pull = rig.open(Mimic::new("version one")).await;
    rig.until("it is written", async || (!pull.bot_comments().is_empty()).then_some(())).await;
    kill(&mut rig).await;
    drop(failing);
    rig.start_service().await;
    one_preview(&rig, &pull, "version one").await;
    assert_eq!(rig.github.look(|state| state.count(&posts())), 1);
    rig.finish().await;
}
