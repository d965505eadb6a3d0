//! GitHub's word about waiting, and about the token.

use super::*;

#[tokio::test]
async fn limits_close_the_gate_for_as_long_as_github_says() {
    let date = ("date", "Thu, 29 Jan 2026 10:00:00 GMT");
    let used_up = ("x-ratelimit-remaining", "0");
    let reset = ("x-ratelimit-reset", "1769681400"); // 2026-01-29T10:10:00Z
    let secondary = value!({"message": "You have exceeded a secondary rate limit. Please wait."});
    for (status, headers, body, seconds) in [
        (403, vec![used_up, reset, date], value!({"message": "API rate limit exceeded"}), 601),
        (429, vec![used_up, reset, date], value!({}), 601),
        (403, vec![("retry-after", "30")], secondary.clone(), 30),
        (429, vec![("retry-after", "5")], value!({}), 5),
        (403, vec![], secondary.clone(), 60),
        (429, vec![], value!({}), 60),
        (429, vec![("retry-after", "0")], value!({}), 1),
        (429, vec![("retry-after", "99999999")], value!({}), 3600),
        (429, vec![used_up, ("x-ratelimit-reset", "1")], value!({}), 1),
    ] {
        let answer = body.clone();
        let told = headers.clone();
        let server = Server::start(move |_| json(status, answer.clone(), &told)).await;
        let github = client(&server);
        for _ in 0..3 {
            let fault = github.pull(key(1)).await.unwrap_err();
            let wait = fault.retry_after.unwrap().as_secs_f64();
            assert!((seconds as f64 - 0.9..=seconds as f64).contains(&wait), "{status} {headers:?}: {wait}");
        }
        assert_eq!(server.seen().len(), 1, "{status} {headers:?}: nobody hammers");
        let ForgeHealth::LimitedUntil(until) = github.health() else { panic!("{:?}", github.health()) };
        assert!(until <= Timestamp::now() + SignedDuration::from_secs(seconds));
    }
}

#[tokio::test]
async fn the_last_request_of_a_window_counts_and_the_next_one_waits() {
    let server = Server::start(|_| json(200, pull(1), &[("x-ratelimit-remaining", "0")])).await;
    let github = client(&server);
    github.pull(key(1)).await.unwrap();
    assert!(github.pull(key(1)).await.unwrap_err().retry_after.is_some());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn after_the_wait_requests_go_out_again() {
    let first = Mutex::new(true);
    let server = Server::start(move |_| match std::mem::take(&mut *first.lock().unwrap()) {
        true => text(429, "{}", &[("retry-after", "1")]),
        false => json(200, pull(1), &[]),
    })
    .await;
    let github = client(&server);
    let wait = github.pull(key(1)).await.unwrap_err().retry_after.unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    let open = async {
        while let Err(fault) = github.pull(key(1)).await {
            tokio::time::sleep(fault.retry_after.unwrap()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), open).await.unwrap();
    assert_eq!((server.seen().len(), github.health()), (2, ForgeHealth::Ok));
}

#[tokio::test]
async fn a_refusal_and_a_server_error_close_nothing() {
    let words = value!({"message": "Repository access blocked"});
    let server = Server::start(move |_| json(403, words.clone(), &[])).await;
    let github = client(&server);
    for _ in 0..2 {
        assert!(github.pull(key(1)).await.unwrap_err().advice.is_some());
    }
    assert_eq!((server.seen().len(), github.health()), (2, ForgeHealth::Ok));
    let away = Server::start(|_| text(503, "", &[("retry-after", "7")])).await;
    let fault = client(&away).pull(key(1)).await.unwrap_err();
    assert_eq!((fault.cause.as_str(), fault.retry_after), ("GitHub answered 503", Some(Duration::from_secs(7))));
}

/// The whole seconds that GitHub, limiting us without saying for how long, is left alone at each of its refusals.
async fn pauses(github: &GitHub, refusals: usize) -> Vec<u64> {
    let mut pauses = Vec::new();
    for _ in 0..refusals {
        let wait = github.pull(key(1)).await.unwrap_err().retry_after.unwrap();
        pauses.push(wait.as_secs_f64().ceil() as u64);
        leap(wait).await;
    }
    pauses
}

/// Later, at once. The clock is paused only for the leap: sockets need it to run.
pub(crate) async fn leap(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by + Duration::from_millis(1)).await;
    tokio::time::resume();
}

#[tokio::test(flavor = "current_thread")]
async fn a_limit_that_names_no_time_is_given_more_each_time() {
    let words = value!({"message": "You have exceeded a secondary rate limit."});
    // Reading works all the while: what may not be written is not forgiven for that.
    let server = Server::start(move |seen| match seen.target.contains("/pulls/") {
        true => json(403, words.clone(), &[]),
        false => json(200, value!({"id": 7, "full_name": "org/app"}), &[]),
    });
    let server = server.await;
    let github = client(&server);
    assert_eq!(pauses(&github, 3).await, [60, 120, 240]);
    github.repository(&"org/app".parse().unwrap()).await.unwrap();
    assert_eq!(pauses(&github, 3).await, [480, 900, 900]);
    leap(Duration::from_secs(3600)).await;
    assert_eq!(pauses(&github, 1).await, [60], "an hour without one is a new beginning");
}

#[tokio::test]
async fn refusals_that_come_together_are_one() {
    let server = Server::slow(Duration::from_millis(50), |_| json(429, value!({}), &[])).await;
    let github = client(&server);
    let asked = (1..=8).map(|number| github.pull(key(number)));
    for refused in futures_util::future::join_all(asked).await {
        assert!(refused.unwrap_err().retry_after.unwrap() <= Duration::from_secs(60));
    }
    assert_eq!(server.seen().len(), 8);
}

#[tokio::test]
async fn points_are_spent_no_faster_than_they_may() {
    let server = Server::start(|_| json(201, value!({}), &[])).await;
    let points = Some(Budget { at_once: 10, each: Duration::from_millis(20) });
    let github = GitHub::new(GitHubSettings { pace: Pace { points, ..AT_ONCE }, ..settings(&server.url) }).unwrap();
    let begun = std::time::Instant::now();
    for number in 0..4 {
        github.status(REPO, &statuses::status(number)).await.unwrap();
    }
    // Four writes are twenty points, of which ten were there.
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_token_that_does_not_count_is_said_and_not_repeated() {
    let server = Server::start(|_| json(401, value!({"message": "Bad credentials"}), &[])).await;
    let github = client(&server);
    for _ in 0..3 {
        let fault = github.pull(key(1)).await.unwrap_err();
        assert!(fault.advice.unwrap().contains("expired or was revoked"));
        assert!(fault.retry_after.is_some());
    }
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(github.health(), ForgeHealth::Unauthorised { .. }));
}

#[tokio::test(flavor = "current_thread")]
async fn a_token_that_counts_again_is_fine_again() {
    let first = Mutex::new(true);
    let server = Server::start(move |_| match std::mem::take(&mut *first.lock().unwrap()) {
        true => json(401, value!({"message": "Bad credentials"}), &[]),
        false => json(200, pull(1), &[]),
    });
    let server = server.await;
    let github = client(&server);
    assert_eq!(pauses(&github, 1).await, [60]);
    assert!(matches!(github.health(), ForgeHealth::Unauthorised { .. }), "nothing has shown otherwise");
    github.pull(key(1)).await.unwrap();
    assert_eq!(github.health(), ForgeHealth::Ok);
}
