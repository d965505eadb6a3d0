//! What every request has in common.

use preview_simulator::free_port;

use super::*;

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
    let github = GitHub::new(settings(&format!("http://127.0.0.1:{}", free_port()))).unwrap();
    let fault = github.pull(key(1)).await.unwrap_err();
    assert_eq!(fault.cause, "GitHub could not be reached");
    assert_eq!(github.health(), ForgeHealth::Ok);
}

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
    github.open_pulls(REPO).await.unwrap_err();
    github.comment(key(1), Some(CommentId(5)), "text").await.unwrap_err();
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::start(|_| text(301, "", &[("location", "/repos/org/app")])).await;
    client(&server).repository(&"org/app".parse().unwrap()).await.unwrap_err();
    assert_eq!(server.seen().len(), 6);
}
