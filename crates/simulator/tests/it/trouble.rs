//! What goes wrong on demand: odd deliveries, and answers that are late, wrong, short or missing.

use std::time::{Duration, Instant};

use http::Method;
use preview_simulator::state::{Outcome, Surface};
use preview_simulator::{Change, Deliveries, Fault, GitHub, Matching, NewPull, Options, Pull};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::common::{Receiver, SOON, api, get, git, github, hooked, raw};

async fn with_pull(github: &GitHub) -> (Pull, Receiver) {
    let (repo, receiver) = hooked(github).await;
    let pull = repo.open_pull(NewPull::new("feature", [Change::write("VERSION", "2")])).await.unwrap();
    receiver.take(github).await;
    (pull, receiver)
}

#[tokio::test]
async fn deliveries_are_lost_repeated_reordered_and_late() {
    let github = github().await;
    let (pull, receiver) = with_pull(&github).await;
    github.deliver(Deliveries::Lost);
    pull.label("lost");
    assert!(receiver.take(&github).await.is_empty());
    let lost = github.look(|state| state.deliveries().last().unwrap().clone());
    assert_eq!(lost.outcome, Outcome::Lost);
    github.redeliver(&lost.guid).unwrap();
    assert_eq!(receiver.take(&github).await[0].header("x-github-delivery"), lost.guid);
    assert!(github.redeliver("nothing").is_err());

    github.deliver(Deliveries::Twice);
    pull.label("twice");
    let got = receiver.take(&github).await;
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].header("x-github-delivery"), got[1].header("x-github-delivery"));

    github.deliver(Deliveries::Reordered(3));
    pull.label("a");
    pull.unlabel("a");
    pull.close().unwrap();
    let names = receiver.take_names(&github).await;
    assert_eq!(names, ["pull_request.closed", "pull_request.unlabeled", "pull_request.labeled"]);

    github.deliver(Deliveries::Held);
    pull.label("b");
    pull.unlabel("b");
    assert!(github.deliveries_done(Duration::from_millis(50)).await.is_err(), "they are held");
    github.release();
    assert_eq!(receiver.take_names(&github).await, ["pull_request.labeled", "pull_request.unlabeled"]);

    let late = Duration::from_millis(300);
    github.deliver(Deliveries::Delayed(late));
    let begun = Instant::now();
    pull.label("late");
    assert_eq!(receiver.take(&github).await.len(), 1);
    assert!(begun.elapsed() >= late);
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_silent_is_written_down_and_not_asked_again() {
    let options = Options { delivery_timeout: Duration::from_millis(200), ..Options::default() };
    let github = GitHub::start(options).await.unwrap();
    let repo = github.create_repo("my-org/app", [Change::write("a", "b")]).await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    repo.add_hook(&address);
    github.deliveries_done(SOON).await.unwrap();
    drop(silent);
    repo.push("main", [Change::write("a", "c")], "alice").await.unwrap();
    github.deliveries_done(SOON).await.unwrap();
    let outcomes = github.look(|state| state.deliveries().map(|delivery| delivery.outcome.clone()).collect::<Vec<_>>());
    assert!(matches!(&outcomes[0], Outcome::Failed { reason, .. } if reason == "timed out"), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Failed { reason, .. } if reason.contains("connect")), "{outcomes:?}");
    assert_eq!(outcomes.len(), 2);
    let hooks = get(&github, "/repos/my-org/app/hooks").await.json();
    let path = format!("/repos/my-org/app/hooks/{}/deliveries", hooks[0]["id"]);
    assert_eq!(get(&github, &path).await.json()[1]["status"], "timed out");
}

#[tokio::test]
async fn raw_deliveries_carry_what_they_are_given() {
    let github = github().await;
    let (repo, receiver) = hooked(&github).await;
    let body = b"{ \"action\" : \"opened\" }".as_slice();
    repo.deliver_raw("pull_request", body, &[("X-GitHub-Event", "pull_request"), ("X-Hub-Signature", "sha1=00")]);
    let got = receiver.take(&github).await.pop().unwrap();
    assert_eq!((&got.body[..], got.header("x-hub-signature")), (body, "sha1=00"));
    assert_eq!(got.header("x-hub-signature-256"), "");
}

#[tokio::test]
async fn answers_fail_as_often_as_asked() {
    let github = github().await;
    with_pull(&github).await;
    let list = "/repos/my-org/app/pulls";
    github.fail_next(Matching::get("/pulls"), 2, Fault::Status(500));
    github.fail_next(Matching::get("/pulls"), 1, Fault::Answer(403, json!({"message": "no"})));
    assert_eq!(get(&github, "/user").await.status, 200, "another path");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&github, list).await.status);
    }
    assert_eq!(seen, [500, 500, 403, 200]);
    let guard = github.fail_while(Matching::path(Method::GET, "/pulls"), Fault::NotFound);
    assert_eq!((get(&github, list).await.status, get(&github, list).await.status), (404, 404));
    drop(guard);
    assert_eq!(get(&github, list).await.status, 200);
    let comments = "/repos/my-org/app/issues/1/comments";
    github.fail_next(Matching::writes(), 1, Fault::Status(502));
    assert_eq!(get(&github, comments).await.status, 200);
    assert_eq!(api(&github, "POST", comments, json!({"body": "x"})).await.status, 502);
}

#[tokio::test]
async fn limits_say_when_to_come_back() {
    let github = github().await;
    github.fail_next(Matching::api(), 1, Fault::RateLimited { reset: Duration::from_secs(90) });
    let limited = get(&github, "/user").await;
    assert_eq!((limited.status, limited.header("x-ratelimit-remaining")), (403, "0"));
    let reset: i64 = limited.header("x-ratelimit-reset").parse().unwrap();
    assert!((85..=90).contains(&(reset - jiff::Timestamp::now().as_second())));
    github.fail_next(Matching::api(), 1, Fault::Secondary { retry_after: Duration::from_secs(7) });
    let limited = get(&github, "/user").await;
    assert_eq!((limited.status, limited.header("retry-after")), (403, "7"));
    assert!(limited.json()["message"].as_str().unwrap().contains("secondary rate limit"));
    assert_eq!(get(&github, "/user").await.status, 200);
}

#[tokio::test]
async fn lists_are_emptied_and_cut() {
    let github = github().await;
    let (pull, _receiver) = with_pull(&github).await;
    for branch in ["b", "c", "d"] {
        pull.repo().open_pull(NewPull::new(branch, [Change::write(branch, "")])).await.unwrap();
    }
    let path = "/repos/my-org/app/pulls?per_page=3";
    let right = get(&github, path).await;
    assert!(!right.header("link").is_empty());
    github.fail_next(Matching::get("/pulls"), 1, Fault::EmptyList);
    github.fail_next(Matching::get("/pulls"), 1, Fault::CutList(1));
    let token = format!("Bearer {}", github.token());
    let headers = [("user-agent", "test"), ("authorization", token.as_str()), ("if-none-match", right.header("etag"))];
    let url = format!("{}{path}", github.api_url());
    for expected in [0, 1] {
        let cut = raw("GET", &url, &headers, b"").await.unwrap();
        assert_eq!((cut.status, cut.header("link"), cut.header("etag")), (200, "", ""));
        assert_eq!(cut.json().as_array().unwrap().len(), expected);
    }
    github.fail_next(Matching::get("/pulls"), 1, Fault::CutBody);
    assert!(raw("GET", &url, &headers[..2], b"").await.is_err(), "the body ends too early");
    github.fail_next(Matching::get("/pulls"), 1, Fault::Disconnect);
    assert!(raw("GET", &url, &headers[..2], b"").await.is_err(), "no answer at all");
    let late = Duration::from_millis(200);
    github.fail_next(Matching::get("/pulls"), 1, Fault::Hang(late));
    let begun = Instant::now();
    assert_eq!(raw("GET", &url, &headers[..2], b"").await.unwrap().status, 200);
    assert!(begun.elapsed() >= late);
    let (path, late) = ("/repos/my-org/app/issues/1/comments", Duration::from_secs(3));
    github.fail_next(Matching::path(Method::POST, path), 1, Fault::LateAnswer(late));
    let begun = Instant::now();
    let there = async {
        while get(&github, path).await.json().as_array().unwrap().is_empty() {}
        begun.elapsed()
    };
    let (answer, seen) = tokio::join!(api(&github, "POST", path, json!({"body": "done at once"})), there);
    assert!(answer.status == 201 && seen < late && begun.elapsed() >= late, "{seen:?}");
}

#[tokio::test]
async fn git_fails_on_demand_and_is_counted() {
    let github = github().await;
    let (pull, _receiver) = with_pull(&github).await;
    let dir = TempDir::new().unwrap();
    let clones = |github: &GitHub| github.look(|s| s.requests().filter(|r| r.surface == Surface::Git).count());
    assert_eq!(clones(&github), 0);
    github.fail_next(Matching::git(), 1, Fault::Status(503));
    let url = pull.repo().clone_url();
    let refused = git(dir.path(), Some(github.token()), &["ls-remote", &url]).await.unwrap_err();
    assert!(refused.stderr().contains("503"), "{}", refused.stderr());
    let listed = git(dir.path(), Some(github.token()), &["ls-remote", &url]).await.unwrap().text();
    assert!(listed.contains(&format!("{}\trefs/pull/1/head", pull.head())), "{listed}");
    assert!(clones(&github) >= 2);
    let push = git(dir.path(), Some(github.token()), &["ls-remote", &format!("{url}x")]).await.unwrap_err();
    assert!(push.stderr().contains("not found"), "{}", push.stderr());
    let logged = github
        .look(|state| state.requests().map(|r| format!("{} {} {:?}", r.method, r.path, r.status)).collect::<Vec<_>>());
    assert!(logged.iter().any(|line| line.starts_with("GET /my-org/app.git/info/refs") && line.ends_with("Some(503)")));
    assert_eq!(api(&github, "GET", "/user", Value::Null).await.status, 200);
}
