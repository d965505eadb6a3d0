//! From opening to closing, and what may happen between: the main road, with both routers where visitors are concerned.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use preview_simulator::state::StatusState;
use preview_simulator::{Change, Mimic};
use serde_json::{Value, json};

use crate::load::Load;
use crate::rig::{Rig, RouterKind, Setup, assert_all_served};

/// The same story with each router, side by side: both wait more than they work.
async fn with_each_router<Story: Future<Output = ()>>(story: impl Fn(RouterKind) -> Story) {
    tokio::join!(story(RouterKind::Builtin), story(RouterKind::Nginx));
}

// --------------------------------------------------------------------------------------------- opened, pushed to, closed

async fn a_whole_life(router: RouterKind) {
    let rig = Setup::new().router(router).start().await;
    let (pull, url) = rig.up("version one").await;
    let comment = rig.until_comment(&pull, &url).await;
    assert!(comment.body.contains(&pull.head().as_str()[..7]), "{}", comment.body);
    let status = rig.until_status(&pull, StatusState::Success).await;
    assert_eq!(status.target_url.as_deref(), Some(url.as_str()));

    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    rig.until_comment(&pull, &pull.head().as_str()[..7]).await;

    pull.close().unwrap();
    rig.until_gone(&url).await;
    let page = rig.http.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("There is no preview here"), "{page}");
    let last = rig.until_comment(&pull, "removed").await;
    assert_eq!(last.id, comment.id);
    assert!(!last.body.contains(&url), "{}", last.body);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_with_the_builtin_router() {
    a_whole_life(RouterKind::Builtin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_with_nginx() {
    a_whole_life(RouterKind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reopened_it_is_back_with_its_comment() {
    with_each_router(reopened).await;
}

async fn reopened(router: RouterKind) {
    let rig = Setup::new().router(router).start().await;
    let (pull, url) = rig.up("version one").await;
    let before = rig.until_comment(&pull, &url).await;
    pull.close().unwrap();
    rig.until_comment(&pull, "removed").await;
    pull.reopen().await.unwrap();
    rig.until_answers(&url, "version one").await;
    assert_eq!(rig.until_comment(&pull, &url).await.id, before.id);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merging_removes_it() {
    let rig = Setup::new().start().await;
    let (pull, url) = rig.up("version one").await;
    pull.merge().await.unwrap();
    rig.until_gone(&url).await;
    rig.until_comment(&pull, "removed").await;
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------------- updates

/// While a new version comes up and for five seconds after, every visitor is answered.
async fn no_request_is_lost(router: RouterKind) {
    let rig = Setup::new().router(router).start().await;
    let (pull, url) = rig.up("version one").await;
    let load = Load::start(&url);
    pull.push(Mimic::new("version two").starting_after(Duration::from_millis(500)).files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    let id = rig.id(&pull);
    rig.until_record(&id, "settled", |record| record.is_some_and(|r| r["attempt"]["step"] == "done")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = load.stop().await;
    assert_all_served(&seen);
    assert!(seen.visits > 250, "only {} visits", seen.visits);
    assert_eq!(seen.texts.iter().collect::<Vec<_>>(), ["version one", "version two"]);
    assert_eq!(rig.containers(&id).await.len(), 1, "the old version's container is gone");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_during_an_update_with_the_builtin_router() {
    no_request_is_lost(RouterKind::Builtin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_during_an_update_with_nginx() {
    no_request_is_lost(RouterKind::Nginx).await;
}

// ------------------------------------------------------------------------------------------------------------- failures

/// A commit that can't come up, and what its comment must say: the step, the cause, and what the log shows.
struct Bad {
    files: Vec<Change>,
    says: [&'static str; 3],
}

/// One of each kind.
fn bad_commits() -> Vec<Bad> {
    let dockerfile = "FROM scratch\nCOPY mimic /mimic\nCOPY no-such-file /\nENTRYPOINT [\"/mimic\"]\n";
    let broken_build = [Mimic::new("never built").files(), vec![Change::write("Dockerfile", dockerfile)]].concat();
    let exits = Mimic::new("never up").exiting_after(Duration::ZERO, 7, "no database, no fun");
    vec![
        Bad { files: broken_build, says: ["while building the image", "COPY no-such-file", "no-such-file"] },
        Bad {
            files: exits.starting_after(Duration::from_secs(5)).files(),
            says: ["while waiting for the app to answer", "exit code 7", "no database, no fun"],
        },
        Bad {
            files: Mimic::new("never well").never_healthy().files(),
            says: ["while waiting for the app to answer", "answers `/health` with status 503", "mimic: listening"],
        },
    ]
}

async fn a_bad_update(rig: &Rig, bad: Bad) {
    let (pull, url) = rig.up("good").await;
    pull.push(bad.files).await.unwrap();
    let comment = rig.until_comment(&pull, "Preview update failed").await;
    for words in bad.says {
        assert!(comment.body.contains(words), "no {words:?} in {}", comment.body);
    }
    assert!(comment.body.contains("still shows"), "{}", comment.body);
    rig.until_status(&pull, StatusState::Failure).await;
    rig.until_answers(&url, "good").await;
    let id = rig.id(&pull);
    rig.until("only the old version's container is there", async || {
        (rig.containers(&id).await.len() == 1).then_some(())
    })
    .await;
    rig.until_record(&id, "holds one port", |record| {
        record.is_some_and(|r| r["attempt"]["appPort"].is_null() && r["serving"]["appPort"].is_u64())
    })
    .await;

    pull.push(Mimic::new("good again").files()).await.unwrap();
    rig.until_answers(&url, "good again").await;
    rig.until_status(&pull, StatusState::Success).await;
    rig.until_comment(&pull, "Preview is ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_update_fails_the_old_version_serves_on() {
    with_each_router(bad_updates).await;
}

async fn bad_updates(router: RouterKind) {
    let rig = Setup::new().router(router).set("HEALTH_TIMEOUT_SECONDS", 3).start().await;
    join_all(bad_commits().into_iter().map(|bad| a_bad_update(&rig, bad))).await;
    rig.finish().await;
}

/// A first attempt that fails leaves nothing but the comment, so that others get its place.
async fn a_bad_first_attempt(bad: Bad, router: RouterKind) {
    let setup = Setup::new().router(router).set("HEALTH_TIMEOUT_SECONDS", 3).set("MAX_CONCURRENT_PREVIEWS", 1);
    let rig = setup.start().await;
    let pull = rig.open_with(bad.files).await;
    let comment = rig.until_comment(&pull, "Preview failed").await;
    for words in bad.says {
        assert!(comment.body.contains(words), "no {words:?} in {}", comment.body);
    }
    rig.until_status(&pull, StatusState::Failure).await;
    rig.until("nothing of it is left", async || rig.engine_leftovers().await.is_empty().then_some(())).await;
    let id = rig.id(&pull);
    rig.until_record(&id, "ports released", |_| rig.ledger()["portAllocations"] == json!({})).await;
    assert_eq!(rig.http.get(rig.url(&pull)).send().await.unwrap().status(), 404);

    let (other, _) = rig.up("in the only place").await;
    other.close().unwrap();
    pull.push(Mimic::new("good").files()).await.unwrap();
    rig.until_answers(&rig.url(&pull), "good").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_attempts_that_fail_hold_no_place() {
    let with = |router| bad_commits().into_iter().map(move |bad| a_bad_first_attempt(bad, router));
    join_all(with(RouterKind::Builtin).chain(with(RouterKind::Nginx))).await;
}

// --------------------------------------------------------------------------------------------------------- time to live

#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_over_it_goes_until_the_next_push() {
    with_each_router(expired).await;
}

async fn expired(router: RouterKind) {
    let mut rig = Setup::new().router(router).start().await;
    let (pull, url) = rig.up("version one").await;
    let id = rig.id(&pull);
    rig.stop_service().await;
    rig.set("CLEANUP_TTL_DAYS", 1.0 / 86_400.0);
    rig.set("CLEANUP_INTERVAL_MINUTES", 1.0 / 60.0);
    rig.start_service().await;
    rig.until_gone(&url).await;
    let comment = rig.until_comment(&pull, "expired").await;
    assert!(comment.body.contains("Nothing was pushed since"), "{}", comment.body);
    rig.until_record(&id, "gone", |record| record.is_none()).await;
    assert_eq!(rig.engine_leftovers().await, Vec::<String>::new());

    // A longer time to live does not revive what has expired, and neither do a restart and resync.
    rig.until_listed(3).await;
    rig.stop_service().await;
    rig.set("CLEANUP_TTL_DAYS", 7);
    rig.start_service().await;
    rig.until_listed(3).await;
    assert_eq!(rig.record(&id), Value::Null);
    assert_eq!(rig.ledger()["setAside"][&id]["reason"], "expired");

    pull.push(Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    assert_eq!(rig.until_comment(&pull, "Preview is ready").await.id, comment.id);
    rig.finish().await;
}

// -------------------------------------------------------------------------------------------------- open since before us

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_before_us_stays_untouched_until_it_is_pushed_to() {
    with_each_router(open_before_us).await;
}

async fn open_before_us(router: RouterKind) {
    let mut rig = Setup::new().router(router).prepare().await;
    let (old, reopened) = (rig.open(Mimic::new("old")).await, rig.open(Mimic::new("reopened")).await);
    rig.start_service().await;
    rig.until_listed(3).await;
    let (new, _) = rig.up("new").await;
    old.label("unrelated");
    rig.until_comment(&new, "Preview is ready").await;
    rig.stop_service().await;
    rig.start_service().await;
    rig.until_listed(3).await;
    for pull in [&old, &reopened] {
        assert!(pull.bot_comments().is_empty() && pull.status("preview").is_none(), "{:?}", pull.bot_comments());
        assert_eq!(rig.record(&rig.id(pull)), Value::Null);
        assert_eq!(rig.http.get(rig.url(pull)).send().await.unwrap().status(), 404);
    }

    old.push(Mimic::new("old, pushed to").files()).await.unwrap();
    reopened.close().unwrap();
    reopened.reopen().await.unwrap();
    rig.until_answers(&rig.url(&old), "old, pushed to").await;
    rig.until_answers(&rig.url(&reopened), "reopened").await;
    rig.until_comment(&old, "Preview is ready").await;
    rig.finish().await;
}

// --------------------------------------------------------------------------------------------------- accidents afterwards

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_ends_is_started_again_and_one_that_stays_down_is_told_of() {
    let rig = Setup::new().start().await;
    let (pull, url) = rig.up("version one").await;
    let container = &rig.containers(&rig.id(&pull)).await[0];
    rig.until_comment(&pull, "Preview is ready").await;

    // It ends by itself; Docker starts it again, and nobody is told.
    drop(rig.http.get(format!("{url}exit")).send().await);
    rig.until("Docker has started it again", async || {
        (rig.docker(&["inspect", "--format", "{{.RestartCount}}", container]).await == "1").then_some(())
    })
    .await;
    rig.until_answers(&url, "version one").await;

    rig.docker(&["stop", "--time", "1", container]).await;
    let comment = rig.until_comment(&pull, "Preview stopped answering").await;
    assert!(comment.body.contains("mimic: listening"), "its log is shown: {}", comment.body);
    let page = rig.http.get(&url).send().await.unwrap();
    assert!(page.status().is_server_error(), "{}", page.status());

    rig.docker(&["start", container]).await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.until_answers(&url, "version one").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_ends_again_and_again_is_told_of() {
    let rig = Setup::new().start().await;
    let pull = rig.open(Mimic::new("short").exiting_after(Duration::from_millis(1500), 3, "out of tea")).await;
    let comment = rig.until_comment(&pull, "Preview stopped answering").await;
    assert!(comment.body.contains("out of tea"), "{}", comment.body);
    pull.push(Mimic::new("long").files()).await.unwrap();
    rig.until_answers(&rig.url(&pull), "long").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_removed_by_hand_comes_back() {
    let rig = Setup::new().start().await;
    let (pull, url) = rig.up("version one").await;
    let container = &rig.containers(&rig.id(&pull)).await[0];
    rig.docker(&["rm", "--force", container]).await;
    rig.until("another container runs", async || {
        let now =
            rig.docker(&["ps", "--filter", &format!("label=preview-deployer.deployment={}", rig.id(&pull))]).await;
        now.contains(" Up ").then_some(())
    })
    .await;
    rig.until_answers(&url, "version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    assert_eq!(rig.ledger()["repairs"], 1, "what should not have happened is counted");
    rig.finish().await;
}

// -------------------------------------------------------------------------------------------------------- real examples

/// Writes a note through the route and gives all notes as the database has them.
async fn leave_note(rig: &Rig, url: &str, message: &str) -> Vec<String> {
    let notes = format!("{url}api/notes");
    let note = json!({"author": "alice", "message": message}).to_string();
    let post = rig.http.post(&notes).header("content-type", "application/json").body(note).send().await.unwrap();
    assert_eq!(post.status(), 201);
    let notes: Vec<Value> = rig.http.get(&notes).send().await.unwrap().json().await.unwrap();
    notes.iter().map(|note| note["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nest_app_keeps_its_postgres_data_over_a_push() {
    with_each_router(nest_app).await;
}

async fn nest_app(router: RouterKind) {
    let rig = Setup::new().router(router).example("nestjs-postgres").set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let greeting = |text: &str| vec![Change::write("src/greeting.ts", format!("export const GREETING = '{text}';\n"))];
    let pull = rig.open_with(greeting("Hello one")).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "Hello one").await;
    assert_eq!(leave_note(&rig, &url, "first").await, ["first"]);
    let comment = rig.until_comment(&pull, "NestJS with PostgreSQL").await;
    assert!(comment.body.contains(&url), "{}", comment.body);

    pull.push(greeting("Hello two")).await.unwrap();
    rig.until_answers(&url, "Hello two").await;
    assert_eq!(leave_note(&rig, &url, "second").await, ["second", "first"]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_express_app_needs_no_build() {
    let rig = Setup::new().example("express-notes").set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let greeting = Change::write("greeting.js", "export const GREETING = 'Hello pull';\n");
    let pull = rig.open_with(vec![greeting]).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "Hello pull").await;
    assert_eq!(leave_note(&rig, &url, "first").await, ["first"]);
    rig.until_comment(&pull, "Node.js").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_go_app_needs_no_configuration() {
    let rig = Setup::new().example("go-hello").set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let pull =
        rig.open_with(vec![Change::write("greeting.go", "package main\n\nconst greeting = \"Hello pull\"\n")]).await;
    rig.until_answers(&rig.url(&pull), "Hello pull").await;
    rig.until_comment(&pull, "Go").await;
    rig.finish().await;
}
