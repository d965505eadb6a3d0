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
    let words = value!({"message": "Resource not accessible by personal access token"});
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
