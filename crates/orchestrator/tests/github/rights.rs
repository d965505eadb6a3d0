//! What the token may not do: said once, shown, not asked for again at once, and noticed when it is mended.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const REFUSED: &str = "Resource not accessible by personal access token";
const NEEDED: (&str, &str) = ("x-accepted-github-permissions", "issues=write; pull_requests=write");

fn is_write(seen: &Seen) -> bool {
    seen.method != axum::http::Method::GET
}

/// Refuses comments while `refuses`, lets all else through.
async fn server(refuses: Arc<AtomicBool>) -> Server {
    Server::start(move |seen| match seen.target.as_str() {
        _ if seen.target.contains("/statuses/") => json(201, value!({}), &[]),
        "/user" => json(200, value!({"id": 1}), &[]),
        _ if is_write(seen) && refuses.load(Ordering::SeqCst) => json(403, value!({"message": REFUSED}), &[NEEDED]),
        _ if is_write(seen) => json(201, value!({"id": 5}), &[]),
        _ if seen.target.contains("/comments") => json(200, value!([]), &[]),
        _ => json(200, pull(1), &[]),
    })
    .await
}

#[tokio::test(flavor = "current_thread")]
async fn a_missing_right_stops_what_needs_it_and_nothing_else() {
    let refuses = Arc::new(AtomicBool::new(true));
    let server = server(refuses.clone()).await;
    let github = client(&server);
    for _ in 0..3 {
        let written = github.comment(key(1), None, "hello").await.unwrap();
        let Written::NotPermitted(why) = written else { panic!("{written:?}") };
        assert!(why.contains("may not comment") && why.contains(NEEDED.1), "{why}");
    }
    assert_eq!(server.seen().iter().filter(|seen| is_write(seen)).count(), 1, "nobody hammers");
    github.pull(key(1)).await.unwrap();
    github.status(REPO, &statuses::status(1)).await.unwrap();
    let ForgeHealth::Token(troubles) = github.health() else { panic!("{:?}", github.health()) };
    assert_eq!(troubles.len(), 1);

    // A fine-grained token gets rights without changing.
    refuses.store(false, Ordering::SeqCst);
    limits::leap(Duration::from_secs(600)).await;
    assert_eq!(github.comment(key(1), None, "hello").await.unwrap(), Written::Comment(CommentId(5)));
    assert_eq!(github.health(), ForgeHealth::Ok);
}

#[tokio::test]
async fn each_kind_of_refusal_says_what_to_do() {
    let sso = ("x-github-sso", "required; url=https://github.com/orgs/org/sso?authorization_request=canary");
    for (message, header, advice) in [
        (REFUSED, None, "contents read, pull requests and commit statuses write"),
        ("Resource not accessible by integration", Some(NEEDED), NEEDED.1),
        ("Resource protected by organization SAML enforcement.", Some(sso), "Configure SSO"),
        ("`org` forbids access via a personal access token (classic).", None, "forbids tokens of this kind"),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        let server = Server::start(move |_| json(403, value!({"message": message}), &headers)).await;
        let github = client(&server);
        for _ in 0..2 {
            let fault = github.pull(key(1)).await.unwrap_err();
            let told = fault.advice.unwrap();
            assert!(told.contains(advice) && !told.contains("canary") && fault.told, "{told}");
        }
        assert_eq!(server.seen().len(), 1);
        github.repository(&"org/other".parse().unwrap()).await.unwrap_err();
        assert_eq!(server.seen().len(), 2, "another repository may be another matter");
    }
}

#[tokio::test]
async fn a_locked_conversation_says_nothing_of_the_token() {
    let locked = value!({"message": "Unable to create comment because issue is locked."});
    let server = Server::start(move |seen| match is_write(seen) {
        true => json(403, locked.clone(), &[]),
        false if seen.target == "/user" => json(200, value!({"id": 1}), &[]),
        false => json(200, value!([]), &[]),
    });
    let server = server.await;
    let github = client(&server);
    assert!(matches!(github.comment(key(1), None, "hello").await.unwrap(), Written::Refused(_)));
    assert_eq!(github.health(), ForgeHealth::Ok);
}

#[tokio::test]
async fn a_token_about_to_expire_is_said_before() {
    for (days, said) in [(3, true), (30, false)] {
        let end = Timestamp::now() + SignedDuration::from_hours(24 * days);
        let end = end.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        let header = move |_: &Seen| json(200, pull(1), &[("github-authentication-token-expiration", &end)]);
        let server = Server::start(header).await;
        let github = client(&server);
        github.pull(key(1)).await.unwrap();
        assert_eq!(matches!(github.health(), ForgeHealth::Token(_)), said, "{days} days");
    }
}
