//! Visitors of a preview: one request after the other while something happens to it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Visitors who come fifty times a second.
pub(super) struct Visitors {
    stop: CancellationToken,
    running: JoinHandle<Visits>,
}

/// How the visits went.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Visits {
    pub(super) requests: u32,
    pub(super) failed: u32,
}

impl Visitors {
    /// Lets them come.
    pub(super) fn come(http: &reqwest::Client, url: &str) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(visit(http.clone(), url.to_owned(), stop.clone()));
        Self { stop, running }
    }

    /// Sends them home and counts.
    pub(super) async fn leave(self) -> Visits {
        self.stop.cancel();
        self.running.await.unwrap_or_default()
    }
}

async fn visit(http: reqwest::Client, url: String, stop: CancellationToken) -> Visits {
    let mut visits = Visits::default();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !stop.is_cancelled() {
        tick.tick().await;
        let answer = http.get(&url).timeout(Duration::from_secs(10)).send().await;
        visits.requests += 1;
        visits.failed += u32::from(!answer.is_ok_and(|answer| answer.status().is_success()));
    }
    visits
}
