//! A flood of strangers' requests, while GitHub delivers and people visit; and a login in front of previews.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use preview_simulator::Mimic;
use reqwest::{Client, StatusCode};
use tokio::task::JoinHandle;

use crate::load::Load;
use crate::rig::{Rig, RouterKind, Setup, assert_all_served};

/// Clients that flood, each with requests one after the other.
const STRANGERS: usize = 16;

/// Asks without token or signature for as long as wanted; gives how often which status came.
fn flood(rig: &Rig, number: usize, stop: Arc<AtomicBool>) -> JoinHandle<BTreeMap<u16, usize>> {
    let api = rig.api.clone();
    tokio::spawn(async move {
        let http = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut seen = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let request = match number % 4 {
                0 => http.post(format!("{api}/webhook/github")).body(vec![b'x'; 1 << 20]),
                1 => http.get(format!("{api}/api/previews")),
                2 => http.delete(format!("{api}/api/previews/x")).header("authorization", "Bearer wrong"),
                _ => http.get(format!("{api}/health")),
            };
            // A connection that is closed on the one who floods is an answer too.
            let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
            *seen.entry(status).or_default() += 1;
        }
        seen
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_leaves_deliveries_and_previews_answered() {
    // Nothing but deliveries tells of anything, and they come from the very address that floods.
    let rig = Setup::new().set("RESYNC_INTERVAL_SECONDS", 3600).set("LOG_LEVEL", "info").start().await;
    rig.until("the repository was listed", async || {
        let ledger = rig.ledger();
        let listed = ledger["projects"].as_object()?.values().all(|project| project["baseline"].is_object());
        (listed && !ledger["projects"].as_object()?.is_empty()).then_some(())
    })
    .await;
    let (_, url) = rig.up("before").await;
    let stop = Arc::new(AtomicBool::new(false));
    let strangers: Vec<_> = (0..STRANGERS).map(|number| flood(&rig, number, stop.clone())).collect();
    let visitors = Load::start(&url);
    // The whole way of another pull request, from the delivery to the preview that answers and the token that asks.
    let (second, _) = rig.up("meanwhile").await;
    assert_eq!(rig.ask_api("/api/previews").await["deployments"].as_array().unwrap().len(), 2);
    second.close().unwrap();
    rig.until_record(&rig.id(&second), "it is gone", |record| record.is_none()).await;
    assert_all_served(&visitors.stop().await);
    stop.store(true, Ordering::Relaxed);
    let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
    for stranger in strangers {
        for (status, times) in stranger.await.unwrap() {
            *seen.entry(status).or_default() += times;
        }
    }
    assert!(seen.keys().all(|status| [0, 200, 401, 429].contains(status)), "{seen:?}");
    assert!(seen[&429] > 100, "they are held back: {seen:?}");
    rig.finish().await;
}

/// Asks for a preview with user and password, or as a stranger.
async fn visit(rig: &Rig, url: &str, password: Option<&str>) -> (StatusCode, String) {
    let request = rig.http.get(url);
    let request = password.into_iter().fold(request, |request, password| request.basic_auth("qa", Some(password)));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_stands_in_front_of_previews_and_its_password_nowhere() {
    for router in [RouterKind::Builtin, RouterKind::Nginx] {
        let setup = Setup::new().router(router).set("PREVIEW_AUTH", "basic").set("PREVIEW_AUTH_USER", "qa");
        let rig = setup.start().await;
        let pull = rig.open(Mimic::new("hello")).await;
        let comment = rig.until_comment(&pull, "Preview is ready").await;
        let file = rig.dir.path().join("state/preview-password");
        let password = std::fs::read_to_string(file).unwrap().trim().to_owned();
        assert!(comment.body.contains("asks for a user name and a password") && !comment.body.contains(&password));
        let url = rig.url(&pull);
        assert_eq!(visit(&rig, &url, None).await.0, StatusCode::UNAUTHORIZED, "{router:?}");
        assert_eq!(visit(&rig, &url, Some("wrong")).await.0, StatusCode::UNAUTHORIZED, "{router:?}");
        let (status, text) = visit(&rig, &url, Some(&password)).await;
        assert!(status == StatusCode::OK && text.contains("hello"), "{router:?}: {status} {text}");
        assert!(!rig.log().contains(&password), "the log knows no password");
        rig.finish().await;
    }
}
