//! One pull request, as GitHub tells it.

use super::*;

#[tokio::test]
async fn a_pull_request_is_read_as_github_tells_it() {
    let server = Server::start(|_| {
        let mut answer = pull(12);
        answer["state"] = "closed".into();
        answer["draft"] = true.into();
        answer["user"]["type"] = "Bot".into();
        answer["labels"] = value!([{"id": 1, "name": "preview"}, {"id": 2, "name": "<b>"}]);
        answer["head"]["ref"] = "x${HOME}$(id);touch y".into();
        answer["head"]["repo"] = Value::Null;
        json(200, answer, &[])
    })
    .await;
    let PullAnswer::Known(pull) = client(&server).pull(key(12)).await.unwrap() else { panic!("not found") };
    assert_eq!(server.lines(), ["GET /repositories/7/pulls/12"]);
    assert_eq!((pull.number.get(), pull.base_repo, pull.base_name.to_string()), (12, REPO, "org/app".to_owned()));
    assert_eq!((pull.head.as_str(), pull.branch.as_str()), (SHA, "x${HOME}$(id);touch y"));
    assert_eq!((pull.open, pull.draft, pull.by_bot, pull.from_fork()), (false, true, true, true));
    assert_eq!(pull.labels, ["preview", "<b>"]);
    assert_eq!(pull.created_at, "2026-01-29T10:00:00Z".parse::<Timestamp>().unwrap());
}

#[tokio::test]
async fn a_deleted_account_and_a_missing_draft_flag_are_fine() {
    let server = Server::start(|_| {
        let mut answer = pull(1);
        answer["user"] = Value::Null;
        answer.as_object_mut().unwrap().remove("draft");
        json(200, answer, &[])
    })
    .await;
    let PullAnswer::Known(pull) = client(&server).pull(key(1)).await.unwrap() else { panic!("not found") };
    assert!(!pull.by_bot && !pull.draft && !pull.from_fork());
}

#[tokio::test]
async fn a_missing_pull_request_counts_only_while_its_repository_answers() {
    for (status, body, absent) in [
        (200, value!({"id": 7, "full_name": "org/app"}), true),
        (200, value!({"id": 8, "full_name": "org/other"}), false),
        (200, value!([]), false),
        (404, value!({"message": "Not Found"}), false),
        (403, value!({"message": "Resource not accessible by personal access token"}), false),
        (500, value!({}), false),
    ] {
        let answer = body.clone();
        let server = Server::start(move |seen| match seen.target.as_str() {
            "/repositories/7" => json(status, answer.clone(), &[]),
            _ => json(404, value!({"message": "Not Found"}), &[]),
        })
        .await;
        let found = client(&server).pull(key(3)).await;
        assert_eq!(matches!(found, Ok(PullAnswer::NotFound)), absent, "{status} {body}: {found:?}");
        assert_eq!(found.is_err(), !absent);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_pull_request_asked_for_is_a_fault() {
    let other_repo = {
        let mut answer = pull(1);
        answer["base"]["repo"]["id"] = 8.into();
        answer
    };
    let odd_state = {
        let mut answer = pull(1);
        answer["state"] = "half-open".into();
        answer
    };
    let short_sha = {
        let mut answer = pull(1);
        answer["head"]["sha"] = "a5e1d0c".into();
        answer
    };
    for answer in [pull(2), other_repo, odd_state, short_sha, value!({}), value!([]), Value::Null] {
        let body = answer.clone();
        let server = Server::start(move |_| json(200, body.clone(), &[])).await;
        assert!(client(&server).pull(key(1)).await.is_err(), "{answer}");
    }
}
