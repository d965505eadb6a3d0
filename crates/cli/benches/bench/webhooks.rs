//! Answering webhooks: each is on the disk before it is answered.

use std::time::Duration;

use preview_simulator::sha256_signature;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::installation::{Ground, Installation, until};
use crate::report::{Report, percentile};

const PER_SECOND: u32 = 200;
const SECONDS: u32 = 10;
/// Tracked deployments, which the deliveries are about in turn.
const TRACKED: u32 = 100;

pub(crate) async fn measure(report: &mut Report) {
    let ground = Ground::prepare("webhooks", Vec::new()).await;
    ground.track(TRACKED).await;
    let installation = ground.start().await;
    installation.until_looked_at(TRACKED).await;
    let times = deliver(&installation).await;
    until("what was delivered is dealt with", || installation.ledger().contains("\"pending\": []")).await;
    installation.stop().await;
    let how = format!("{} deliveries at {PER_SECOND} a second, about {TRACKED} tracked deployments", times.len());
    report.row("Webhook answer on the disk, p50", (percentile(&times, 0.5), "ms"), None, how.clone());
    report.row("Webhook answer on the disk, p99", (percentile(&times, 0.99), "ms"), Some(50.0), how);
}

/// Sends deliveries at their pace, however long the answers take, and gives the milliseconds that each took from the moment
/// at which it was due.
async fn deliver(installation: &Installation) -> Vec<f64> {
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    let mut sent = JoinSet::new();
    for n in 0..PER_SECOND * SECONDS {
        let request = delivery(installation, n);
        let due = ticks.tick().await;
        sent.spawn(async move {
            assert_eq!(request.send().await.unwrap().status(), 202);
            (Instant::now() - due).as_secs_f64() * 1000.0
        });
    }
    sent.join_all().await
}

fn delivery(installation: &Installation, n: u32) -> reqwest::RequestBuilder {
    let repository = json!({"id": installation.repo.id(), "full_name": installation.repo.name().to_string()});
    let body = json!({"action": "synchronize", "number": 1 + n % TRACKED, "repository": repository}).to_string();
    let secret = installation.github.webhook_secret().as_bytes();
    installation
        .http
        .post(format!("{}/webhook/github", installation.api))
        .header("content-type", "application/json")
        .header("x-github-event", "pull_request")
        .header("x-github-delivery", format!("bench-{n}"))
        .header("x-hub-signature-256", sha256_signature(secret, body.as_bytes()))
        .body(body)
}
