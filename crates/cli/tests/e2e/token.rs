//! A token that GitHub does not accept, or that lacks a right: said once, and whatever needs neither goes on.

use preview_simulator::state::StatusState;
use preview_simulator::{App, Fault, Matching};
use serde_json::Value;

use crate::rig::{Rig, Setup, TOKEN};

/// What `/health` says of GitHub, once it says something.
async fn until_told(rig: &Rig) -> String {
    let health = format!("{}/health", rig.api);
    rig.until("/health tells of the token", async || {
        let answer = rig.http.get(&health).bearer_auth(TOKEN).send().await.ok()?;
        let health: Value = answer.json().await.ok()?;
        assert_eq!(health["status"], "ok", "the service can do its work: {health}");
        health["checks"]["github"]["detail"].as_str().map(str::to_owned)
    })
    .await
}

fn times(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_that_counts_previews_stay_up_and_grow_old() {
    let mut rig = Setup::new().start().await;
    let (pull, url) = rig.up("version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.stop_service().await;
    let token = rig.setting("GITHUB_TOKEN").to_owned();
    rig.set("GITHUB_TOKEN", "ghp_000000000000000000000000000000000000");
    rig.start_service().await;
    assert!(until_told(&rig).await.contains("expired or was revoked"));
    rig.until_answers(&url, "version one").await;
    let asked = rig.github.look(|state| state.count(&Matching::api()));
    rig.stop_service().await;

    rig.set("CLEANUP_TTL_DAYS", 1.0 / 86_400.0);
    rig.set("CLEANUP_INTERVAL_MINUTES", 1.0 / 60.0);
    rig.start_service().await;
    rig.until_gone(&url).await;
    rig.until("its container is gone", async || rig.containers(&rig.id(&pull)).await.is_empty().then_some(())).await;
    rig.stop_service().await;
    let log = rig.log();
    assert_eq!(times(&log, "GitHub does not accept our token"), 2, "once for each start: {log}");
    // What a start says of the machine that it is on (known holes, no firewall) is no concern of the token's.
    let of_start = |line: &&str| line.contains("preview_orchestrator::service") || line.contains("::firewall");
    let warnings = log.lines().filter(|line| line.contains("WARN") && !of_start(line)).count();
    assert!(warnings <= 2, "{log}");
    let again = rig.github.look(|state| state.count(&Matching::api())) - asked;
    assert!(again <= 2, "a token that does not count is not repeated: {again} times");

    rig.set("GITHUB_TOKEN", token);
    rig.start_service().await;
    rig.until_comment(&pull, "expired").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_comment_does_all_else() {
    let mut rig = Setup::new().prepare().await;
    let writes = Matching::path(reqwest::Method::POST, "/comments");
    let refused = rig.github_fails(writes.clone(), Fault::NotPermitted("issues=write; pull_requests=write"));
    rig.start_service().await;
    let (pull, url) = rig.up("version one").await;
    let told = until_told(&rig).await;
    assert!(told.contains("may not comment") && told.contains("issues=write; pull_requests=write"), "{told}");
    rig.until_status(&pull, StatusState::Success).await;
    rig.until_listed(3).await;
    assert_eq!(rig.github.look(|state| state.count(&writes)), 1, "nobody hammers");
    assert_eq!(times(&rig.log(), "our token may not comment"), 1);

    // Not even its last words hold up what goes; and the next start asks anew.
    let (other, other_url) = rig.up("another").await;
    other.close().unwrap();
    rig.until_gone(&other_url).await;
    rig.until_record(&rig.id(&other), "gone", |record| record.is_none()).await;
    drop(refused);
    rig.stop_service().await;
    rig.start_service().await;
    rig.until_comment(&pull, &url).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_app_serves_private_repositories_under_its_own_name() {
    let rig = Setup::new().app(App::default()).start().await;
    rig.repo().set_private(true);
    let (pull, url) = rig.up("version one").await;
    let comment = rig.until_comment(&pull, "Preview is ready").await;
    assert_eq!(comment.author.login, "previews[bot]");
    pull.push(preview_simulator::Mimic::new("version two").files()).await.unwrap();
    rig.until_answers(&url, "version two").await;
    let renewals = |path: &str| path.ends_with("/access_tokens");
    let asked = rig.github.look(|state| state.requests().filter(|request| renewals(&request.path)).count());
    assert_eq!(asked, 1, "one token serves for an hour");
    assert!(!rig.log().contains("ghs_"));
    rig.finish().await;
}
