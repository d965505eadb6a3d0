//! Visitors who come all the while a preview changes, and forgive nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval};

/// Fifty visits a second.
const PACE: Duration = Duration::from_millis(20);
/// Every so many visits one takes long, so that a switch finds requests under way.
const SLOW_EVERY: u32 = 10;
/// How long it takes then.
const SLOW_MS: u32 = 1500;
/// A visit that failed sooner was never heard.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Visitors of one preview, fifty a second until they are called off. Every other one comes over a connection of its own.
pub(crate) struct Load {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Seen>,
}

/// What the visitors saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many came.
    pub(crate) visits: usize,
    /// The different texts that they were answered with.
    pub(crate) texts: BTreeSet<String>,
    /// What happened to those who were not answered with 200.
    pub(crate) failures: Vec<String>,
}

impl Load {
    /// Sends the first visitors now.
    pub(crate) fn start(url: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, running: tokio::spawn(visit_until(url.to_owned(), stopped)) }
    }

    /// Sends no more, waits for those under way, and gives what all of them saw.
    pub(crate) async fn stop(self) -> Seen {
        self.stop.send(()).unwrap();
        self.running.await.unwrap()
    }
}

async fn visit_until(url: String, mut stopped: oneshot::Receiver<()>) -> Seen {
    let builder = || reqwest::Client::builder().timeout(Duration::from_secs(20));
    let staying = builder().build().unwrap();
    let new = builder().pool_max_idle_per_host(0).build().unwrap();
    let (mut visits, mut seen, begun) = (JoinSet::new(), Seen::default(), Instant::now());
    let mut ticks = interval(PACE);
    for number in 1_u32.. {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        let reuses = number.is_multiple_of(2);
        let client = if reuses { staying.clone() } else { new.clone() };
        // Of both kinds of connection.
        let slow = number.is_multiple_of(SLOW_EVERY) || number.is_multiple_of(SLOW_EVERY + 1);
        let url = if slow { format!("{url}slow?ms={SLOW_MS}") } else { url.clone() };
        visits.spawn(async move { (begun.elapsed(), visit(&client, &url, reuses).await) });
    }
    while let Some(visit) = visits.join_next().await {
        seen.visits += 1;
        match visit.unwrap() {
            (_, Ok(text)) => drop(seen.texts.insert(text)),
            (at, Err(failure)) => seen.failures.push(format!("after {at:?}: {failure}")),
        }
    }
    seen
}

/// As browsers do, a visit is sent once more if its connection, used before, was closed just when it was sent: nginx that
/// reloads closes idle connections, and neither side can know better. A connection that is refused is no such thing.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1>
async fn visit(client: &reqwest::Client, url: &str, reuses: bool) -> Result<String, String> {
    let begun = Instant::now();
    let answer = match client.get(url).send().await {
        Err(error) if reuses && error.is_request() && !error.is_connect() && begun.elapsed() < AT_ONCE => {
            client.get(url).send().await
        }
        answer => answer,
    };
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    if status == 200 { Ok(text) } else { Err(format!("{status}: {text}")) }
}
