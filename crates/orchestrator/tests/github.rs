//! The client against a server that misbehaves as GitHub, proxies and networks do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::comment::marker;
use preview_core::ids::{CommentId, CommitSha, PrNumber, PullKey, RepoId};
use preview_orchestrator::github::{BadSettings, Credentials, ForgeHealth, GitHub, GitHubSettings};
use preview_orchestrator::needs::{CommitStatus, Fault, Forge, Listing, PullAnswer, Repository, StatusState, Written};
use serde_json::{Value, json as value};

#[path = "github/server.rs"]
mod server;
use server::{Seen, Server, json, text};

const TOKEN: &str = "github_pat_11AAAA0000canary";
const SHA: &str = "a5e1d0c2b3f4958677889900aabbccddeeff0011";
const REPO: RepoId = RepoId(7);

fn settings(api_url: &str) -> GitHubSettings {
    GitHubSettings {
        api_url: api_url.to_owned(),
        credentials: Credentials::Token(TOKEN.into()),
        write_interval: Duration::ZERO,
    }
}

fn client(server: &Server) -> GitHub {
    GitHub::new(settings(&server.url)).unwrap()
}

fn key(number: u64) -> PullKey {
    PullKey { repo: REPO, number: PrNumber::new(number).unwrap() }
}

fn pull(number: u64) -> Value {
    value!({
        "number": number, "state": "open", "draft": false, "title": "ignored", "body": null,
        "user": {"login": "octocat", "id": 1, "type": "User"}, "labels": [],
        "created_at": "2026-01-29T10:00:00Z",
        "head": {"sha": SHA, "ref": "feature", "repo": {"id": 7, "full_name": "org/app"}},
        "base": {"sha": SHA, "ref": "main", "repo": {"id": 7, "full_name": "org/app"}},
    })
}

fn numbers(listing: Result<Listing, Fault>) -> Vec<u64> {
    match listing.unwrap() {
        Listing::Open(pulls) => pulls.iter().map(|pull| pull.number.get()).collect(),
        Listing::Unchanged => panic!("unchanged"),
    }
}

/// One page of the open pull requests `1..=total`, as GitHub serves it.
fn page_of(seen: &Seen, total: u64) -> axum::http::Response<axum::body::Body> {
    let page = seen.page() as u64;
    let last = total.div_ceil(100).max(1);
    let items: Vec<Value> = (1..=total).skip((page as usize - 1) * 100).take(100).map(pull).collect();
    let etag = format!("W/\"{total}-{page}-{}\"", items.len());
    let link =
        |page: u64, rel: &str| format!("</repositories/7/pulls?state=open&per_page=100&page={page}>; rel=\"{rel}\"");
    let mut links = Vec::new();
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    let links = links.join(", ");
    let headers = [("etag", etag.as_str()), ("link", links.as_str())];
    if seen.header("if-none-match") == etag {
        text(304, "", &headers)
    } else {
        json(200, Value::Array(items), &headers)
    }
}

// ------------------------------------------------------------------------------------------------------------ Requests

#[tokio::test]
async fn requests_say_who_we_are_and_keep_the_path_of_the_api() {
    let server = Server::start(|_| json(200, value!({"id": 7, "full_name": "org/app"}), &[])).await;
    let github = GitHub::new(settings(&format!("{}/api/v3/", server.url))).unwrap();
    github.repository(&"org/app".parse().unwrap()).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "GET /api/v3/repos/org/app");
    assert_eq!(seen.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(seen.header("accept"), "application/vnd.github+json");
    assert_eq!(seen.header("x-github-api-version"), "2022-11-28");
    assert!(seen.header("user-agent").starts_with("preview-deployer/"));
}

#[test]
fn settings_that_cannot_work_are_refused_without_showing_the_token() {
    for url in ["", "api.github.com", "ftp://h/", "https://user:pw@h/", "https://h/?x=1", "https://h/#x", "file:///etc"]
    {
        assert!(matches!(GitHub::new(settings(url)), Err(BadSettings::Url)), "{url}");
    }
    let credentials = Credentials::Token(format!("{TOKEN}\n").into());
    let broken = GitHubSettings { credentials, ..settings("https://h") };
    assert!(!format!("{broken:?}").contains("canary"));
    let error = GitHub::new(broken).err().unwrap();
    assert!(matches!(error, BadSettings::Token) && !format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_passing_fault() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let github = GitHub::new(settings(&format!("http://{free}"))).unwrap();
    let fault = github.pull(key(1)).await.unwrap_err();
    assert_eq!(fault.cause, "GitHub could not be reached");
    assert_eq!(github.health(), ForgeHealth::Ok);
}

// -------------------------------------------------------------------------------------------- Repositories and redirects

#[tokio::test]
async fn a_renamed_repository_is_found_under_its_number_and_a_missing_one_is_none() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/repos/org/old" => text(301, "{}", &[("location", "/repositories/7")]),
        "/repositories/7" => json(200, value!({"id": 7, "full_name": "org/new"}), &[]),
        _ => json(404, value!({"message": "Not Found"}), &[]),
    })
    .await;
    let github = client(&server);
    let found = github.repository(&"org/old".parse().unwrap()).await.unwrap();
    assert_eq!(found, Some(Repository { id: REPO, name: "org/new".parse().unwrap() }));
    assert_eq!(github.repository(&"org/none".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn the_token_never_follows_to_another_server() {
    let elsewhere = Server::start(|_| json(200, value!([]), &[])).await;
    let target = format!("{}/x?page=2", elsewhere.url);
    let server = Server::start(move |seen| match seen.target.as_str() {
        "/repos/org/app" => text(302, "", &[("location", &target)]),
        target_here if target_here.contains("/pulls?") => {
            json(200, value!([]), &[("link", &format!("<{target}>; rel=\"next\""))])
        }
        _ => text(307, "", &[("location", &target)]),
    })
    .await;
    let github = client(&server);
    github.repository(&"org/app".parse().unwrap()).await.unwrap_err();
    github.open_pulls(REPO, false).await.unwrap_err();
    github.comment(key(1), Some(CommentId(5)), "text").await.unwrap_err();
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::start(|_| text(301, "", &[("location", "/repos/org/app")])).await;
    client(&server).repository(&"org/app".parse().unwrap()).await.unwrap_err();
    assert_eq!(server.seen().len(), 6);
}

// ------------------------------------------------------------------------------------------------------- Pull requests

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

// --------------------------------------------------------------------------------------------------------------- Lists

#[tokio::test]
async fn all_pages_are_read_and_an_unchanged_list_costs_no_body() {
    let total = Arc::new(Mutex::new(250));
    let shared = Arc::clone(&total);
    let server = Server::start(move |seen| page_of(seen, *shared.lock().unwrap())).await;
    let github = client(&server);
    assert_eq!(numbers(github.open_pulls(REPO, false).await), (1..=250).collect::<Vec<_>>());
    assert_eq!(server.seen().len(), 3);
    assert_eq!(github.open_pulls(REPO, false).await.unwrap(), Listing::Unchanged);
    assert!(server.seen()[3..].iter().all(|seen| !seen.header("if-none-match").is_empty()));
    assert_eq!(numbers(github.open_pulls(REPO, true).await).len(), 250);
    *total.lock().unwrap() = 251;
    assert_eq!(numbers(github.open_pulls(REPO, false).await).len(), 251);
    *total.lock().unwrap() = 3;
    assert_eq!(numbers(github.open_pulls(REPO, false).await), [1, 2, 3]);
    *total.lock().unwrap() = 0;
    assert_eq!(numbers(github.open_pulls(REPO, false).await), Vec::<u64>::new());
    assert_eq!(github.open_pulls(REPO, false).await.unwrap(), Listing::Unchanged);
}

#[tokio::test]
async fn a_full_page_whose_link_got_lost_is_not_taken_for_the_last() {
    let server = Server::start(|seen| {
        let mut answer = page_of(seen, 250);
        answer.headers_mut().remove("link");
        answer
    })
    .await;
    assert_eq!(numbers(client(&server).open_pulls(REPO, false).await).len(), 250);
}

/// The first page stays as it was and goes on saying that there are three, when there are only two left.
#[tokio::test]
async fn a_list_that_shrinks_behind_an_unchanged_page_is_still_read() {
    let shrunk = Arc::new(Mutex::new(false));
    let shared = Arc::clone(&shrunk);
    let server = Server::start(move |seen| {
        let shrunk = *shared.lock().unwrap();
        match (seen.page(), shrunk) {
            (1, true) => text(304, "", &[]),
            (2, true) => json(200, value!([pull(101)]), &[]),
            _ => page_of(seen, 250),
        }
    })
    .await;
    let github = client(&server);
    github.open_pulls(REPO, false).await.unwrap();
    *shrunk.lock().unwrap() = true;
    assert_eq!(numbers(github.open_pulls(REPO, false).await).len(), 101);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_whole_is_a_fault_and_the_next_good_one_counts() {
    type Break = fn(&Seen) -> axum::http::Response<axum::body::Body>;
    let cases: [(&str, Break); 10] = [
        ("second page fails", |seen| if seen.page() == 2 { text(500, "", &[]) } else { page_of(seen, 250) }),
        (
            "second page is refused",
            |seen| if seen.page() == 2 { json(403, value!({}), &[]) } else { page_of(seen, 250) },
        ),
        (
            "second page is cut",
            |seen| if seen.page() == 2 { text(200, "[{\"number\": 1", &[]) } else { page_of(seen, 250) },
        ),
        ("body shorter than promised", |_| text(200, "[]", &[("content-length", "1000")])),
        ("ends before its last page", |_| json(200, value!([pull(1)]), &[("link", "</x?page=3>; rel=\"last\"")])),
        ("an object", |_| json(200, value!({"items": []}), &[])),
        ("a page of HTML", |_| text(200, "<html>please log in</html>", &[])),
        ("an entry of another repository", |_| {
            let mut other = pull(2);
            other["base"]["repo"]["id"] = 8.into();
            json(200, value!([pull(1), other]), &[])
        }),
        ("an entry without a head", |_| json(200, value!([{"number": 1}]), &[])),
        ("the repository is gone", |_| json(404, value!({"message": "Not Found"}), &[])),
    ];
    for (name, broken) in cases {
        let good = Arc::new(Mutex::new(true));
        let shared = Arc::clone(&good);
        let server = Server::start(move |seen| match *shared.lock().unwrap() {
            true => page_of(seen, 3),
            false => broken(seen),
        })
        .await;
        let github = client(&server);
        github.open_pulls(REPO, false).await.unwrap();
        *good.lock().unwrap() = false;
        assert!(github.open_pulls(REPO, true).await.is_err(), "{name}");
        *good.lock().unwrap() = true;
        assert_eq!(github.open_pulls(REPO, false).await.unwrap(), Listing::Unchanged, "{name}");
    }
}

#[tokio::test]
async fn a_list_without_end_and_an_answer_without_end_are_given_up() {
    let endless = Server::start(|seen| {
        let next = format!("</repositories/7/pulls?page={}>; rel=\"next\"", seen.page() + 1);
        json(200, value!([]), &[("link", &next)])
    })
    .await;
    client(&endless).open_pulls(REPO, false).await.unwrap_err();
    assert_eq!(endless.seen().len(), 100);
    let long = Server::start(|_| text(200, &" ".repeat(9 << 20), &[])).await;
    assert_eq!(client(&long).pull(key(1)).await.unwrap_err().cause, "GitHub's answer is too long to be read");
}

// -------------------------------------------------------------------------------------------------------------- Limits

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

// -------------------------------------------------------------------------------------------------------------- Writes

fn status(number: u8) -> CommitStatus {
    let commit: CommitSha = format!("{number:040x}").parse().unwrap();
    CommitStatus {
        commit,
        state: StatusState::Success,
        description: "Ready in 12.4 s".into(),
        url: Some("http://h/".into()),
    }
}

#[tokio::test]
async fn one_write_at_a_time_with_a_pause_between() {
    let server = Server::slow(Duration::from_millis(20), |_| json(201, value!({}), &[])).await;
    let pause = Duration::from_millis(50);
    let github = GitHub::new(GitHubSettings { write_interval: pause, ..settings(&server.url) }).unwrap();
    let statuses: Vec<CommitStatus> = (0..5).map(status).collect();
    let writes = statuses.iter().map(|status| github.status(REPO, status));
    futures_util::future::join_all(writes).await.into_iter().for_each(|written| written.unwrap());
    assert_eq!(server.most_at_once(), 1);
    let seen = server.seen();
    assert_eq!(seen.len(), 5);
    for pair in seen.windows(2) {
        assert!(pair[1].began - pair[0].ended >= pause, "{:?}", pair[1].began - pair[0].ended);
    }
}

#[tokio::test]
async fn a_commit_status_is_written_once_until_it_changes() {
    let server = Server::start(|_| json(201, value!({}), &[])).await;
    let github = client(&server);
    for _ in 0..2 {
        github.status(REPO, &status(1)).await.unwrap();
    }
    let failed = CommitStatus { state: StatusState::Failure, description: "Failed".into(), url: None, ..status(1) };
    github.status(REPO, &failed).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line(), format!("POST /repositories/7/statuses/{}", status(1).commit));
    let first =
        value!({"context": "preview", "state": "success", "description": "Ready in 12.4 s", "target_url": "http://h/"});
    let second = value!({"context": "preview", "state": "failure", "description": "Failed"});
    assert_eq!(seen.iter().map(|seen| &seen.body).collect::<Vec<_>>(), [&first, &second]);
}

#[tokio::test]
async fn a_refused_status_is_no_fault_and_a_passing_error_is() {
    for (code, fine) in [(403, true), (404, true), (422, true), (500, false), (429, false)] {
        let server = Server::start(move |_| json(code, value!({"message": "no"}), &[])).await;
        assert_eq!(client(&server).status(REPO, &status(1)).await.is_ok(), fine, "{code}");
    }
}

// ------------------------------------------------------------------------------------------------------------ Comments

const ME: u64 = 1;
const SOMEBODY: u64 = 2;

/// A pull request's comments, as GitHub keeps them.
struct Thread(Arc<Mutex<Vec<(u64, u64, String)>>>);

impl Thread {
    async fn serve(comments: &[(u64, u64, &str)]) -> (Server, Self) {
        let comments = comments.iter().map(|(id, user, body)| (*id, *user, (*body).to_owned())).collect();
        let thread = Arc::new(Mutex::new(comments));
        let shared = Arc::clone(&thread);
        (Server::start(move |seen| Self::answer(&mut shared.lock().unwrap(), seen)).await, Self(thread))
    }

    fn answer(comments: &mut Vec<(u64, u64, String)>, seen: &Seen) -> axum::http::Response<axum::body::Body> {
        let shown = |(id, user, body): &(u64, u64, String)| value!({"id": id, "user": {"id": user}, "body": body});
        let body = seen.body["body"].as_str().unwrap_or_default().to_owned();
        let path = seen.target.split('?').next().unwrap_or_default();
        match (seen.method.as_str(), path) {
            ("GET", "/user") => json(200, value!({"id": ME}), &[]),
            ("GET", "/repositories/7/issues/12/comments") => {
                let page = comments.iter().skip((seen.page() - 1) * 100).take(100).map(shown).collect();
                json(200, Value::Array(page), &[])
            }
            ("POST", "/repositories/7/issues/12/comments") => {
                let id = comments.iter().map(|(id, ..)| *id).max().unwrap_or(0) + 1;
                comments.push((id, ME, body));
                json(201, shown(&comments[comments.len() - 1]), &[])
            }
            ("PATCH", path) => {
                let id = path.rsplit('/').next().unwrap().parse::<u64>().unwrap();
                match comments.iter_mut().find(|comment| comment.0 == id) {
                    Some(comment) => {
                        comment.2 = body;
                        json(200, value!({"id": id}), &[])
                    }
                    None => json(404, value!({"message": "Not Found"}), &[]),
                }
            }
            _ => json(404, value!({"message": "Not Found"}), &[]),
        }
    }

    fn all(&self) -> Vec<(u64, u64, String)> {
        self.0.lock().unwrap().clone()
    }
}

fn body(text: &str) -> String {
    format!("{text}\n\n{}\n", marker(key(12)))
}

#[tokio::test]
async fn a_first_comment_is_made_then_edited_and_the_same_text_is_not_sent_twice() {
    let (server, thread) = Thread::serve(&[]).await;
    let github = client(&server);
    let written = github.comment(key(12), None, &body("one")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(1)));
    for text in ["one", "two", "two"] {
        assert_eq!(github.comment(key(12), Some(CommentId(1)), &body(text)).await.unwrap(), written);
    }
    assert_eq!(thread.all(), [(1, ME, body("two"))]);
    let writes: Vec<String> = server.lines().into_iter().filter(|line| !line.starts_with("GET")).collect();
    assert_eq!(writes, ["POST /repositories/7/issues/12/comments", "PATCH /repositories/7/issues/comments/1"]);
}

#[tokio::test]
async fn our_comment_is_found_again_on_a_later_page_and_a_forged_one_is_left_alone() {
    let forged = body("forged");
    let mut comments: Vec<(u64, u64, &str)> = (1..=150).map(|id| (id, SOMEBODY, "hello")).collect();
    let old = body("old");
    comments[3] = (4, SOMEBODY, &forged);
    comments[4] = (5, ME, "a word of our own user that is not the preview's");
    comments[130] = (131, ME, &old);
    let (server, thread) = Thread::serve(&comments).await;
    let written = client(&server).comment(key(12), None, &body("new")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(131)));
    let after = thread.all();
    assert_eq!((after.len(), &after[3].2, &after[130].2), (150, &forged, &body("new")));
}

#[tokio::test]
async fn a_deleted_comment_is_made_anew_once() {
    let (server, thread) = Thread::serve(&[(1, SOMEBODY, "hello")]).await;
    let github = client(&server);
    let written = github.comment(key(12), Some(CommentId(99)), &body("back")).await.unwrap();
    assert_eq!(written, Written::Comment(CommentId(2)));
    // A ledger that still has the old number finds the new comment.
    assert_eq!(github.comment(key(12), Some(CommentId(99)), &body("again")).await.unwrap(), written);
    assert_eq!(thread.all(), [(1, SOMEBODY, "hello".into()), (2, ME, body("again"))]);
    let asked = server.lines().iter().filter(|line| *line == "GET /user").count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_refusal_is_told_from_a_limit() {
    for (code, message, refused) in [
        (403, "Unable to create comment because issue is locked.", true),
        (404, "Not Found", true),
        (410, "Issues are disabled for this repo", true),
        (422, "Validation Failed", true),
        (403, "You have exceeded a secondary rate limit", false),
        (500, "", false),
    ] {
        let server = Server::start(move |seen| match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/user") => json(200, value!({"id": ME}), &[]),
            ("GET", _) => json(200, value!([]), &[]),
            _ => json(code, value!({"message": message}), &[]),
        })
        .await;
        let written = client(&server).comment(key(12), None, &body("text")).await;
        match &written {
            Ok(Written::Refused(reason)) => assert!(refused && reason.contains(message), "{reason}"),
            Ok(Written::Comment(_)) => panic!("{code} {message}"),
            Err(_) => assert!(!refused, "{code} {message}: {written:?}"),
        }
    }
}

#[tokio::test]
async fn no_comment_is_made_while_the_list_cannot_be_read() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/user") => json(200, value!({"id": ME}), &[]),
        ("GET", _) => text(502, "", &[]),
        _ => json(201, value!({"id": 1, "user": {"id": ME}}), &[]),
    })
    .await;
    client(&server).comment(key(12), None, &body("text")).await.unwrap_err();
    assert!(server.lines().iter().all(|line| line.starts_with("GET")), "{:?}", server.lines());
}
