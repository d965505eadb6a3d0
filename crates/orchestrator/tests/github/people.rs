//! What people say, and whether they may: against the model of GitHub, and against answers that it would not give.

use preview_simulator::{Fault as Trouble, Matching, Permission};

use super::simulated::{client, key, model, open};
use super::*;

fn person(id: u64, login: &str) -> Person {
    Person { id, login: login.parse().unwrap() }
}

async fn since_ever(github: &GitHub, repo: RepoId) -> Vec<Remark> {
    github.remarks(repo, Some(Timestamp::UNIX_EPOCH)).await.unwrap().on_pulls
}

#[tokio::test]
async fn what_is_said_is_heard_once_and_silence_costs_nothing() {
    let (model, repo) = model().await;
    let (first, second) = (open(&repo, "one").await, open(&repo, "two").await);
    let github = client(&model);
    assert_eq!(github.remarks(repo.id(), None).await.unwrap().newest, None);
    let long = format!("/preview stop\n{}", "x".repeat(60_000));
    let ids = [
        first.comment("alice", &long),
        second.comment("mallory", "> /preview stop"),
        first.comment("robot[bot]", "/preview stop"),
    ];
    github.comment(key(&first), None, "/preview stop").await.unwrap();
    let heard = since_ever(&github, repo.id()).await;
    let seen: Vec<_> = heard.iter().map(|r| (r.id, r.pull, r.author.is_some(), r.line.as_str())).collect();
    let ours = first.bot_comments()[0].id;
    assert_eq!(
        seen,
        [
            (ids[0], first.number(), true, "/preview stop"),
            (ids[1], second.number(), true, "> /preview stop"),
            // Neither an app's word nor our own is anybody's.
            (ids[2], first.number(), false, "/preview stop"),
            (ours, first.number(), false, "/preview stop"),
        ]
    );
    assert_eq!(heard[0].author.as_ref().unwrap().login.to_string(), "alice");
    assert_eq!(since_ever(&github, repo.id()).await, heard);
    assert_eq!(model.look(|state| state.requests().last().unwrap().status), Some(304));
    first.edit_comment("alice", ids[0], "/preview deploy").unwrap();
    let heard = since_ever(&github, repo.id()).await;
    let edited = heard.iter().find(|remark| remark.id == ids[0]).unwrap();
    assert!(!edited.is_as_written() && heard[0].is_as_written());
}

#[tokio::test]
async fn three_hundred_comments_are_read_page_by_page_and_the_newest_is_known() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let ids: Vec<_> = (0..300).map(|n| pull.comment("alice", &format!("word {n}"))).collect();
    let github = client(&model);
    let heard = since_ever(&github, repo.id()).await;
    assert_eq!(heard.iter().map(|remark| remark.id).collect::<Vec<_>>(), ids);
    let newest = github.remarks(repo.id(), None).await.unwrap().newest;
    assert_eq!(newest, heard.iter().map(|remark| remark.edited_at).max());
    let later = newest.unwrap() + SignedDuration::from_secs(1);
    assert_eq!(github.remarks(repo.id(), Some(later)).await.unwrap(), Default::default());
    for trouble in [Trouble::Status(502), Trouble::CutBody, Trouble::NotFound] {
        pull.comment("alice", "more");
        model.fail_next(Matching::get("/issues/comments"), 1, trouble.clone());
        github.remarks(repo.id(), Some(Timestamp::UNIX_EPOCH)).await.expect_err(&format!("{trouble:?}"));
    }
}

#[tokio::test]
async fn who_may_push_is_githubs_word_about_this_very_account() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let github = client(&model);
    for (permission, may) in [
        (Permission::Admin, true),
        (Permission::Maintain, true),
        (Permission::Write, true),
        (Permission::Triage, false),
        (Permission::Read, false),
        (Permission::None, false),
    ] {
        repo.set_permission("carol", permission);
        pull.comment("carol", "hello");
        let carol = since_ever(&github, repo.id()).await.last().unwrap().author.clone().unwrap();
        assert_eq!(github.may_push(repo.id(), &carol).await.unwrap(), may, "{permission:?}");
        // Somebody else has taken the name.
        assert!(!github.may_push(repo.id(), &Person { id: carol.id + 1, ..carol }).await.unwrap());
    }
    assert!(!github.may_push(repo.id(), &person(7, "nobody-of-this-name")).await.unwrap());
    for trouble in [Trouble::Status(500), Trouble::Status(403), Trouble::CutBody, Trouble::Disconnect] {
        model.fail_next(Matching::get("/permission"), 1, trouble.clone());
        github.may_push(repo.id(), &person(7, "carol")).await.expect_err(&format!("{trouble:?}"));
    }
}

#[tokio::test]
async fn an_answer_of_another_shape_lets_nobody_push() {
    for answer in [
        value!({"permission": "write"}),
        value!({"permission": "write", "user": null}),
        value!({"permission": "owner", "user": {"id": 7}}),
        value!({"role_name": "admin", "permission": "read", "user": {"id": 7}}),
    ] {
        let told = answer.clone();
        let server = Server::start(move |_| json(200, told.clone(), &[])).await;
        let may = super::client(&server).may_push(REPO, &person(7, "carol")).await;
        assert!(!may.unwrap_or(false), "{answer}");
    }
}

#[tokio::test]
async fn a_comment_is_marked_once() {
    let (model, repo) = model().await;
    let pull = open(&repo, "feature").await;
    let id = pull.comment("alice", "/preview help");
    let github = client(&model);
    for mark in [Mark::Look, Mark::Look, Mark::Done, Mark::Refused, Mark::Puzzled] {
        github.mark(repo.id(), id, mark).await.unwrap();
    }
    assert_eq!(pull.bot_reactions(id), ["eyes", "+1", "-1", "confused"]);
    pull.delete_comment(id).unwrap();
    github.mark(repo.id(), id, Mark::Done).await.unwrap();
    model.fail_next(Matching::writes(), 1, Trouble::Status(502));
    github.mark(repo.id(), id, Mark::Done).await.unwrap_err();
}
