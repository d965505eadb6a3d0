//! When an app counts as up: by the path that its repository names, or, where it names none, by what it answers at `/` and the usual paths.

use std::time::Duration;

use preview_core::deployment::{Notice, Stage};
use preview_core::health::UsualPath;
use preview_core::ids::PullKey;

use crate::house::{House, good, that_runs};
use crate::world::trouble::Call;
use crate::world::{Root, Run};

fn names_no_path(status: u16) -> Root {
    Root { status, well_after: None, usual: None }
}

/// Opens a pull request with such an app, and lets everything come to rest.
async fn opened(run: Run) -> (House, PullKey) {
    let mut house = House::new().await;
    let pull = house.open(that_runs(run)).await;
    house.settle().await;
    (house, pull)
}

/// The cause of the failure, and what is advised.
fn failure(house: &House, pull: PullKey) -> (String, String) {
    let Stage::Failed(failure) = house.record(pull).unwrap().attempt.unwrap().stage else { panic!("not failed") };
    (failure.cause, failure.advice.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn an_app_that_says_no_at_its_root_is_up_and_the_comment_says_by_what() {
    for status in [401, 403, 404, 405] {
        let (house, pull) = opened(Run::NamesNoPath(names_no_path(status))).await;
        let record = house.record(pull).unwrap();
        assert_eq!(record.notices, [Notice::NothingAtRoot { status, well: None }].into());
        let comment = house.world().comment(pull);
        assert!(comment.contains("Preview is ready"), "{comment}");
        let told = format!("It answers `/` with status {status}, and counts as up because it answers at all");
        assert!(comment.contains(&told), "{comment}");
        // It was not believed at once, nor was it asked for ever.
        let took = Duration::from_millis(record.serving.unwrap().took_ms);
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(60), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_usual_path_that_answers_well_is_believed_at_once() {
    let usual = Some(("/docs", 200));
    let (house, pull) = opened(Run::NamesNoPath(Root { usual, ..names_no_path(404) })).await;
    let notice = Notice::NothingAtRoot { status: 404, well: Some(UsualPath::Docs) };
    assert_eq!(house.record(pull).unwrap().notices, [notice].into());
    let comment = house.world().comment(pull);
    assert!(comment.contains("counts as up because `/docs` answers well."), "{comment}");
    // `/`, each usual path up to this one, and the visitors' question.
    let probes = house.world().count(Call::Probe);
    assert!(probes <= 2 + UsualPath::ALL.len(), "{probes}");
}

#[tokio::test(start_paused = true)]
async fn a_no_for_a_moment_of_its_start_is_nothing_to_tell() {
    let (house, pull) = opened(Run::NamesNoPath(Root { well_after: Some(1), ..names_no_path(404) })).await;
    assert!(house.record(pull).unwrap().notices.is_empty());
    let comment = house.world().comment(pull);
    assert!(comment.contains("Preview is ready") && !comment.contains("404"), "{comment}");
}

#[tokio::test(start_paused = true)]
async fn a_health_path_that_says_that_it_is_not_well_is_believed_more_than_a_no_at_the_root() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    let sick = Root { usual: Some(("/healthz", 503)), ..names_no_path(404) };
    house.push(pull, that_runs(Run::NamesNoPath(sick))).await;
    house.settle().await;
    assert_eq!(failure(&house, pull).0, "the app answers `/healthz` with status 503");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_no_at_the_root_is_not_up() {
    for status in [302, 400, 410, 429, 500, 503] {
        let mut house = House::new().await;
        let pull = house.open(that_runs(Run::NamesNoPath(names_no_path(status)))).await;
        house.settle().await;
        let (cause, _) = failure(&house, pull);
        assert!(cause.starts_with(&format!("the app answers `/` with status {status}")), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_named_is_taken_at_its_word() {
    for status in [401, 404] {
        let (house, pull) = opened(Run::Answers(status)).await;
        let (cause, advice) = failure(&house, pull);
        assert_eq!(cause, format!("the app answers `/health` with status {status}"));
        assert!(advice.contains("`health_check_path`"), "{advice}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_answers_localhost_alone_is_no_preview() {
    for status in [400, 403, 421] {
        let mut house = House::new().await;
        let pull = house.open(good()).await;
        house.settle().await;
        house.keep_watch(pull);
        house.push(pull, that_runs(Run::RefusesHost(status))).await;
        house.settle().await;
        let (cause, advice) = failure(&house, pull);
        let host = house.config.site.authority(&house.record(pull).unwrap().id);
        assert!(cause.contains(&format!("with status {status} where it is asked as `{host}`")), "{cause}");
        assert!(advice.contains("`ALLOWED_HOSTS`"), "{advice}");
        house.kill().await;
    }
    // Another answer is the app's own business.
    let mut house = House::new().await;
    house.open(that_runs(Run::RefusesHost(404))).await;
    house.settle().await;
}
