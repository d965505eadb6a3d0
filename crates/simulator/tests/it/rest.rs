//! The API's manners: who is let in, pages, tags, limits, refusals.

use jiff::Timestamp;
use preview_simulator::{Change, GitHub, NewPull, Options};
use serde_json::{Value, json};

use crate::common::{Answer, SOON, api, get, github, hooked, raw};

const COMMENTS: &str = "/repos/my-org/app/issues/1/comments";

/// A repository with one open pull request.
async fn with_pull(github: &GitHub) -> preview_simulator::Pull {
    let repo = github.create_repo("my-org/app", [Change::write("VERSION", "1")]).await.unwrap();
    repo.open_pull(NewPull::new("feature", [Change::write("VERSION", "2")])).await.unwrap()
}

#[tokio::test]
async fn only_the_token_opens_the_door() {
    let github = github().await;
    let url = format!("{}/user", github.api_url());
    let agent = ("user-agent", "test");
    let none = raw("GET", &url, &[agent], b"").await.unwrap();
    assert_eq!((none.status, none.json()["message"].as_str()), (401, Some("Requires authentication")));
    let wrong = raw("GET", &url, &[agent, ("authorization", "Bearer nonsense")], b"").await.unwrap();
    assert_eq!((wrong.status, wrong.json()["message"].as_str()), (401, Some("Bad credentials")));
    assert!(wrong.json()["documentation_url"].is_string());
    let bearer = format!("bearer {}", github.token());
    assert_eq!(raw("GET", &url, &[("authorization", &bearer)], b"").await.unwrap().status, 403, "no user agent");
    let me = raw("GET", &url, &[agent, ("authorization", &bearer)], b"").await.unwrap();
    assert_eq!((me.status, me.json()["login"].as_str()), (200, Some(github.bot_login())));
    assert_eq!(me.header("content-type"), "application/json; charset=utf-8");
    let token = format!("token {}", github.token());
    assert_eq!(raw("GET", &url, &[agent, ("authorization", &token)], b"").await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_not_there_or_not_visible_is_404() {
    let github = github().await;
    let pull = with_pull(&github).await;
    let id = pull.repo().id();
    let paths = [
        "/nothing".to_owned(),
        "/repos/my-org/other".to_owned(),
        "/repositories/1".to_owned(),
        format!("/repositories/{id}/pulls/2"),
        "/repos/my-org/app/pulls/x".to_owned(),
        "/repos/my-org/app/issues/2/comments".to_owned(),
        "/repos/my-org/app/issues/comments/1".to_owned(),
        "/repos/my-org/app/collaborators/nobody/permission".to_owned(),
        "/repos/my-org/app/hooks/1".to_owned(),
    ];
    for path in paths {
        let answer = get(&github, &path).await;
        assert_eq!((answer.status, answer.json()["message"].as_str()), (404, Some("Not Found")), "{path}");
    }
    assert_eq!(get(&github, "/repos/MY-ORG/App").await.json()["id"], json!(id));
    assert_eq!(get(&github, &format!("/repositories/{id}/pulls/1")).await.status, 200);
    pull.repo().set_archived(true);
    assert_eq!(get(&github, "/repos/my-org/app").await.json()["archived"], true);
    let refused = api(&github, "POST", "/repos/my-org/app/issues/1/comments", json!({"body": "late"})).await;
    let words = "Repository was archived so is read-only.";
    assert_eq!((refused.status, refused.json()["message"].as_str()), (403, Some(words)));
    pull.repo().set_archived(false);
    assert_eq!(get(&github, "/repos/my-org/app").await.json()["archived"], false);
    pull.repo().set_visible(false);
    assert_eq!(get(&github, &format!("/repositories/{id}")).await.status, 404);
    assert_eq!(get(&github, "/repos/my-org/app/pulls").await.status, 404);
}

/// The address that an answer's `Link` has for a relation.
fn link(answer: &Answer, rel: &str) -> Option<String> {
    let wanted = format!("rel=\"{rel}\"");
    let entry = answer.header("link").split(", ").find(|entry| entry.ends_with(&wanted))?;
    Some(entry.split(['<', '>']).nth(1)?.to_owned())
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let github = github().await;
    let pull = with_pull(&github).await;
    for number in 0..205 {
        pull.comment("bob", &format!("number {number}"));
    }
    let mut next = Some(format!("{COMMENTS}?per_page=500"));
    let (mut sizes, mut bodies) = (Vec::new(), Vec::new());
    while let Some(path) = next {
        let answer = get(&github, &path).await;
        let list = answer.json();
        sizes.push(list.as_array().unwrap().len());
        bodies.extend(list.as_array().unwrap().iter().map(|comment| comment["body"].as_str().unwrap().to_owned()));
        next = link(&answer, "next");
        if sizes.len() == 2 {
            assert!(link(&answer, "prev").unwrap().contains(&format!("/repositories/{}/", pull.repo().id())));
            assert!(link(&answer, "last").unwrap().contains("page=3"));
        }
    }
    assert_eq!(sizes, [100, 100, 5]);
    assert_eq!(bodies, (0..205).map(|number| format!("number {number}")).collect::<Vec<_>>());
    let usual = get(&github, COMMENTS).await;
    assert_eq!(usual.json().as_array().unwrap().len(), 30);
    let beyond = get(&github, &format!("{COMMENTS}?page=99")).await;
    assert_eq!((beyond.json(), link(&beyond, "next")), (json!([]), None));
}

#[tokio::test]
async fn pull_requests_are_filtered_and_sorted() {
    let github = github().await;
    let first = with_pull(&github).await;
    let repo = first.repo().clone();
    let second = repo.open_pull(NewPull::new("second", [Change::write("a", "")]).draft()).await.unwrap();
    repo.open_pull(NewPull::new("third", [Change::write("b", "")]).author("x").from_fork()).await.unwrap();
    second.close().unwrap();
    let numbers = async |query: &str| {
        let list = get(&github, &format!("/repos/my-org/app/pulls{query}")).await.json();
        list.as_array().unwrap().iter().map(|pull| pull["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("").await, [3, 1]);
    assert_eq!(numbers("?direction=asc").await, [1, 3]);
    assert_eq!(numbers("?state=closed").await, [2]);
    assert_eq!(numbers("?state=all&per_page=2&page=2").await, [1]);
    assert_eq!(numbers("?state=all&head=x:third").await, [3]);
    assert_eq!(numbers("?base=nothing").await, [0_u64; 0]);
    assert_eq!(get(&github, "/repos/my-org/app/pulls?state=half").await.status, 422);
    assert_eq!(get(&github, "/repos/my-org/app/pulls/2").await.json()["draft"], true);
}

#[tokio::test]
async fn what_has_not_changed_costs_nothing() {
    let github = github().await;
    let pull = with_pull(&github).await;
    let path = format!("{}/repos/my-org/app/pulls", github.api_url());
    let token = format!("Bearer {}", github.token());
    let base = [("user-agent", "test"), ("authorization", token.as_str())];
    let first = raw("GET", &path, &base, b"").await.unwrap();
    let tag = first.header("etag").to_owned();
    let conditional = [base[0], base[1], ("if-none-match", tag.as_str())];
    let again = raw("GET", &path, &conditional, b"").await.unwrap();
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    assert_eq!(again.header("x-ratelimit-remaining"), first.header("x-ratelimit-remaining"));
    pull.push([Change::write("VERSION", "3")]).await.unwrap();
    let changed = raw("GET", &path, &conditional, b"").await.unwrap();
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn the_hourly_limit_is_counted_and_kept() {
    let github = GitHub::start(Options { hourly_limit: 3, ..Options::default() }).await.unwrap();
    let mut left = Vec::new();
    for _ in 0..3 {
        let answer = get(&github, "/user").await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, "3"));
        left.push(answer.header("x-ratelimit-remaining").to_owned());
    }
    assert_eq!(left, ["2", "1", "0"]);
    let refused = get(&github, "/user").await;
    assert_eq!(refused.status, 403);
    assert!(refused.json()["message"].as_str().unwrap().starts_with("API rate limit exceeded"));
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    let ahead = reset - Timestamp::now().as_second();
    assert!((3500..=3600).contains(&ahead), "{ahead}");
    assert_eq!(get(&github, "/rate_limit").await.json()["resources"]["core"]["remaining"], 0);
    github.set_remaining_requests(1);
    assert_eq!(get(&github, "/user").await.status, 200);
}

#[tokio::test]
async fn comments_are_written_edited_and_deleted() {
    let github = github().await;
    let pull = with_pull(&github).await;
    let created = api(&github, "POST", COMMENTS, json!({"body": "one"})).await;
    assert_eq!(created.status, 201);
    let comment = created.json();
    assert_eq!((&comment["user"]["login"], &comment["user"]["type"]), (&json!(github.bot_login()), &json!("User")));
    assert!(comment["id"].as_u64().unwrap() > u64::from(u32::MAX), "as on GitHub");
    let path = format!("/repos/my-org/app/issues/comments/{}", comment["id"]);
    assert_eq!(api(&github, "PATCH", &path, json!({"body": "two"})).await.json()["body"], "two");
    let seen = pull.bot_comments();
    assert_eq!((seen.len(), seen[0].body.as_str(), seen[0].edits), (1, "two", 1));
    assert_eq!(get(&github, COMMENTS).await.json()[0]["body"], "two");
    let foreign = format!("/repos/my-org/app/issues/comments/{}", pull.comment("bob", "mine"));
    assert_eq!(api(&github, "PATCH", &foreign, json!({"body": "two"})).await.status, 403);
    assert_eq!(api(&github, "DELETE", &foreign, Value::Null).await.status, 403);
    assert_eq!(api(&github, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(api(&github, "PATCH", &path, json!({"body": "two"})).await.status, 404);
    let too_long = api(&github, "POST", COMMENTS, json!({"body": "ü".repeat(65_537)})).await;
    assert_eq!((too_long.status, &too_long.json()["message"]), (422, &json!("Validation Failed")));
    assert_eq!(api(&github, "POST", COMMENTS, json!({"body": "ü".repeat(65_536)})).await.status, 201);
    for wrong in [json!({}), json!({"body": ""}), json!({"body": 1}), json!([])] {
        assert_eq!(api(&github, "POST", COMMENTS, wrong.clone()).await.status, 422, "{wrong}");
    }
    let token = format!("Bearer {}", github.token());
    let headers = [("user-agent", "test"), ("authorization", token.as_str())];
    let url = format!("{}{COMMENTS}", github.api_url());
    let broken = raw("POST", &url, &headers, b"{").await.unwrap();
    assert_eq!((broken.status, &broken.json()["message"]), (400, &json!("Problems parsing JSON")));
}

#[tokio::test]
async fn statuses_add_up() {
    let github = github().await;
    let pull = with_pull(&github).await;
    let path = format!("/repos/my-org/app/statuses/{}", pull.head());
    let combined = format!("/repos/my-org/app/commits/{}/status", pull.head());
    assert_eq!(get(&github, &combined).await.json()["state"], "pending");
    let steps = [
        ("preview", "pending", "pending"),
        ("ci", "success", "pending"),
        ("preview", "success", "success"),
        ("CI", "error", "failure"),
    ];
    for (context, state, together) in steps {
        let body = json!({"state": state, "context": context, "target_url": "http://x/", "description": "d"});
        assert_eq!(api(&github, "POST", &path, body).await.status, 201);
        assert_eq!(get(&github, &combined).await.json()["state"], together);
    }
    assert_eq!(get(&github, &combined).await.json()["total_count"], 2);
    let all = get(&github, &format!("/repos/my-org/app/commits/{}/statuses", pull.head())).await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["state"]), (4, &json!("error")));
    assert_eq!(pull.status("preview").unwrap().target_url.as_deref(), Some("http://x/"));
    let wrong = [
        json!({}),
        json!({"state": "fine"}),
        json!({"state": "success", "target_url": "javascript:alert(1)"}),
        json!({"state": "success", "description": "x".repeat(141)}),
    ];
    for body in wrong {
        assert_eq!(api(&github, "POST", &path, body.clone()).await.status, 422, "{body}");
    }
    let unknown = format!("/repos/my-org/app/statuses/{}", "a".repeat(40));
    let answer = api(&github, "POST", &unknown, json!({"state": "success"})).await;
    assert_eq!(answer.json()["message"], json!(format!("No commit found for SHA: {}", "a".repeat(40))));
}

#[tokio::test]
async fn reactions_come_once_each() {
    let github = github().await;
    let comment = with_pull(&github).await.comment("bob", "/preview deploy");
    let path = format!("/repos/my-org/app/issues/comments/{comment}/reactions");
    assert_eq!(api(&github, "POST", &path, json!({"content": "eyes"})).await.status, 201);
    assert_eq!(api(&github, "POST", &path, json!({"content": "eyes"})).await.status, 200);
    assert_eq!(api(&github, "POST", &path, json!({"content": "shrug"})).await.status, 422);
    assert_eq!(get(&github, &path).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn hooks_are_managed_and_their_deliveries_seen_and_repeated() {
    let github = github().await;
    let (repo, receiver) = hooked(&github).await;
    let hooks = "/repos/my-org/app/hooks";
    let other = format!("{}/other", receiver.url);
    let create = json!({"name": "web", "events": ["pull_request"], "config": {"url": other, "secret": "s3cret"}});
    let created = api(&github, "POST", hooks, create.clone()).await;
    assert_eq!((created.status, &created.json()["config"]["secret"]), (201, &json!("********")));
    assert_eq!(api(&github, "POST", hooks, create).await.status, 422, "the same address twice");
    for wrong in [json!({}), json!({"config": {"url": "file:///etc/passwd"}}), json!({"name": "irc", "config": {}})] {
        assert_eq!(api(&github, "POST", hooks, wrong.clone()).await.status, 422, "{wrong}");
    }
    let one = format!("{hooks}/{}", created.json()["id"]);
    repo.open_pull(NewPull::new("feature", [Change::write("a", "b")])).await.unwrap();
    let got = receiver.take(&github).await;
    let form = got.iter().find(|got| got.header("content-type").contains("form")).unwrap();
    assert!(form.body.starts_with(b"payload=%7B%22action%22%3A%22opened%22"));
    let json_config = json!({"config": {"url": other, "content_type": "json"}, "add_events": ["issue_comment"]});
    let updated = api(&github, "PATCH", &one, json_config).await.json();
    assert_eq!(updated["config"]["secret"], Value::Null, "not given again, so it is gone");
    assert_eq!(updated["events"], json!(["issue_comment", "pull_request"]));
    assert_eq!(api(&github, "POST", &format!("{one}/pings"), Value::Null).await.status, 204);
    github.deliveries_done(SOON).await.unwrap();
    let page = get(&github, &format!("{one}/deliveries?per_page=1")).await;
    assert_eq!((&page.json()[0]["event"], &page.json()[0]["status_code"]), (&json!("ping"), &json!(202)));
    let older = get(&github, &link(&page, "next").unwrap()).await.json();
    assert_eq!(older[0]["event"], "pull_request");
    let delivery = format!("{one}/deliveries/{}", older[0]["id"]);
    assert_eq!(get(&github, &delivery).await.json()["request"]["headers"]["X-GitHub-Delivery"], older[0]["guid"]);
    receiver.take(&github).await;
    assert_eq!(api(&github, "POST", &format!("{delivery}/attempts"), Value::Null).await.status, 202);
    assert_eq!(receiver.take(&github).await[0].header("x-github-delivery"), older[0]["guid"]);
    assert_eq!(api(&github, "DELETE", &one, Value::Null).await.status, 204);
    assert_eq!(get(&github, hooks).await.json().as_array().unwrap().len(), 1);
}
