//! Whose turn it is to write: one at a time, with a pause between two.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until, timeout};

use crate::needs::Fault;

/// Longest wait for a turn. With a second between two writes some sixty others are ahead by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Turns {
    /// When the last write ended.
    last: Mutex<Option<Instant>>,
    interval: Duration,
}

impl Turns {
    pub(super) fn new(interval: Duration) -> Self {
        Self { last: Mutex::new(None), interval }
    }

    /// Waits for the turn; it lasts until the value is dropped.
    pub(super) async fn take(&self) -> Result<Turn<'_>, Fault> {
        let turn = timeout(PATIENCE, async {
            let last = self.last.lock().await;
            if let Some(ended) = *last {
                sleep_until(ended + self.interval).await;
            }
            Turn(last)
        });
        turn.await.map_err(|_| Fault::passing("too much is waiting to be written to GitHub").after(PATIENCE))
    }
}

/// The right to write, once.
pub(super) struct Turn<'a>(MutexGuard<'a, Option<Instant>>);

impl Drop for Turn<'_> {
    /// A write that was given up counts too: GitHub may have seen it.
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}
