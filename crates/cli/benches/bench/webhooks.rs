//! Answering webhooks: each is on the disk before it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use preview_simulator::{NewPull, sha256_signature};
use tokio::sync::Mutex;

use crate::installation::{Installation, until};
use crate::report::{Report, percentile};

const PER_SECOND: u32 = 200;
const SECONDS: u32 = 10;
/// Pull requests that the deliveries are about.
const PULLS: u32 = 20;

pub(crate) async fn measure(report: &mut Report) {
    let installation = Installation::start("webhooks", Vec::new()).await;
    let mut numbers = Vec::new();
    for number in 0..PULLS {
        // Drafts of strangers' forks: what the deliveries ask for is looked at and decided, and nothing is built.
        let new = NewPull::new(format!("branch-{number}"), Vec::new()).from_fork();
        numbers.push(installation.repo.open_pull(new).await.unwrap().number());
    }
    let repository = installation.repo.id();
    let times = Arc::new(Mutex::new(Vec::new()));
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut sent = tokio::task::JoinSet::new();
    for n in 0..PER_SECOND * SECONDS {
        tick.tick().await;
        let number = numbers[(n % PULLS) as usize];
        let body = serde_json::json!({"action": "synchronize", "number": number,
            "repository": {"id": repository, "full_name": installation.repo.name().to_string()}});
        let body = body.to_string();
        let request = installation
            .http
            .post(format!("{}/webhook/github", installation.api))
            .header("content-type", "application/json")
            .header("x-github-event", "pull_request")
            .header("x-github-delivery", format!("bench-{n}"))
            .header(
                "x-hub-signature-256",
                sha256_signature(installation.github.webhook_secret().as_bytes(), body.as_bytes()),
            )
            .body(body);
        let times = times.clone();
        sent.spawn(async move {
            let begun = Instant::now();
            assert_eq!(request.send().await.unwrap().status(), 202);
            times.lock().await.push(begun.elapsed().as_secs_f64() * 1000.0);
        });
    }
    sent.join_all().await;
    let times = times.lock().await.clone();
    until(|| installation.ledger().contains("\"pending\": []")).await;
    installation.end().await;
    let how = format!("{} deliveries at {PER_SECOND} a second, each on the disk before its answer", times.len());
    report.row("Webhook answer, p50", format!("{:.1} ms", percentile(&times, 0.5)), "–", how.clone());
    report.row("Webhook answer, p99", format!("{:.1} ms", percentile(&times, 0.99)), "50 ms", how);
}
