//! One pull request from opening to closing, on the real engine.
use std::net::TcpListener;
use std::time::{Duration, Instant};

use preview_orchestrator::reconcile::Pace;
use preview_orchestrator::service::{Given, Service};
use preview_orchestrator::settings::{Settings, Variables};
use preview_simulator::{GitHub, Mimic, NewPull};

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let _ = tracing_subscriber::fmt().with_env_filter("preview_orchestrator=debug").with_test_writer().try_init();
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(Default::default()).await.unwrap();
    let repo = github.create_repo("My-Org/app", Mimic::new("v0").repository().await.unwrap()).await.unwrap();
    let router = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", router.local_addr().unwrap());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let vars: Variables = [
        ("GITHUB_TOKEN", github.token().to_owned()),
        ("GITHUB_WEBHOOK_SECRET", github.webhook_secret().to_owned()),
        ("GITHUB_API_URL", github.api_url()),
        ("GITHUB_SERVER_URL", github.server_url()),
        ("ALLOWED_REPOS", "my-org/app".to_owned()),
        ("PREVIEW_BASE_URL", base.clone()),
        ("DEPLOYMENTS_DIR", path("deployments")),
        ("DEPLOYMENTS_DB", path("state/deployments.json")),
        ("LOG_DIR", path("logs")),
        ("RESYNC_INTERVAL_SECONDS", "1".to_owned()),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect();
    let settings = Settings::read(&vars).unwrap();
    preview_orchestrator::settings::check_paths(&settings.paths).unwrap();
    let given = Given { api: Some(api), router: Some(router), pace: Pace::default(), write_interval: Some(Duration::from_millis(50)), ..Given::default() };
    let service = Service::start(&settings, given).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = Instant::now();
    let pull = repo.open_pull(NewPull::new("feature", Mimic::new("v1").files())).await.unwrap();
    let url = format!("{base}/my-org-app/pr-{}/", pull.number());
    loop {
        if let Ok(answer) = reqwest::get(&url).await {
            if answer.status().is_success() {
                eprintln!("PREVIEW {} after {:?}", answer.text().await.unwrap(), begun.elapsed());
                break;
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    for comment in pull.bot_comments() { eprintln!("COMMENT {}", comment.body); }
    let begun = Instant::now();
    pull.push(Mimic::new("v2").files()).await.unwrap();
    loop {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        if text.contains("v2") { eprintln!("UPDATED after {:?}", begun.elapsed()); break; }
        assert!(begun.elapsed() < Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    pull.close().unwrap();
    let begun = Instant::now();
    let db = dir.path().join("state/deployments.json");
    loop {
        let text = std::fs::read_to_string(&db).unwrap();
        let ledger: serde_json::Value = serde_json::from_str(&text).unwrap();
        if ledger["deployments"].as_object().unwrap().is_empty() { eprintln!("GONE after {:?}\n{text}", begun.elapsed()); break; }
        assert!(begun.elapsed() < Duration::from_secs(40));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for comment in pull.bot_comments() { eprintln!("COMMENT {}", comment.body); }
    service.stop().await;
}
