//! Visitors who come and go while something is being changed behind their backs.

use std::fmt;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::Failure;

/// Between two visitors.
const EACH: Duration = Duration::from_millis(50);

/// Visitors of one address, until they are sent away or dropped.
pub(super) struct Visitors {
    leave: oneshot::Sender<()>,
    task: JoinHandle<Tally>,
}

/// How they fared.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: usize,
    failures: Vec<String>,
}

impl Visitors {
    /// Twenty a second, of whom none waits for another.
    pub(super) fn of(http: &reqwest::Client, url: &str) -> Self {
        let (leave, left) = oneshot::channel();
        Self { leave, task: tokio::spawn(visit(http.clone(), url.to_owned(), left)) }
    }

    /// Sends them away; all of them must have been served.
    pub(super) async fn leave(self) -> Result<Tally, Failure> {
        let _ = self.leave.send(());
        let tally = self.task.await?;
        if tally.failures.is_empty() {
            return Ok(tally);
        }
        let mut failure = Failure::new(format!("every request should have been answered: {tally}"));
        failure.causes = tally.failures.into_iter().take(5).collect();
        Err(failure)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests during the update, {} failed", self.requests, self.failures.len())
    }
}

async fn visit(http: reqwest::Client, url: String, mut left: oneshot::Receiver<()>) -> Tally {
    let mut under_way = JoinSet::new();
    let mut next = tokio::time::interval(EACH);
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            _ = next.tick() => {
                under_way.spawn(one(http.get(&url)));
            }
            Some(answer) = under_way.join_next() => tally.count(answer),
            _ = &mut left => break,
        }
    }
    while let Some(answer) = under_way.join_next().await {
        tally.count(answer);
    }
    tally
}

/// One visit, to the answer's last byte.
async fn one(request: reqwest::RequestBuilder) -> Result<(), String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    answer.bytes().await.map_err(|error| error.to_string())?;
    if status.is_success() { Ok(()) } else { Err(format!("status {status}")) }
}

impl Tally {
    fn count(&mut self, answer: Result<Result<(), String>, tokio::task::JoinError>) {
        self.requests += 1;
        self.failures.extend(answer.map_err(|error| error.to_string()).flatten().err());
    }
}
