//! Whose turn it is to write: one at a time, with a pause between two, and not more than may be written in an hour.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until, timeout};

use super::pace::{Pace, Purse};
use crate::needs::Fault;

/// Longest wait for a turn. With a second between two writes some sixty others are ahead by then.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Turns {
    /// When the last write ended.
    last: Mutex<Option<Instant>>,
    interval: Duration,
    budget: Purse,
}

impl Turns {
    pub(super) fn new(pace: &Pace) -> Self {
        Self { last: Mutex::new(None), interval: pace.between_writes, budget: Purse::new(pace.writes) }
    }

    /// Waits for the turn; it lasts until the value is dropped.
    pub(super) async fn take(&self) -> Result<Turn<'_>, Fault> {
        let turn = timeout(PATIENCE, async {
            let last = self.last.lock().await;
            let from = self.budget.spend();
            sleep_until(self.rested(*last).max(from)).await;
            Turn(last)
        });
        turn.await.map_err(|_| Fault::passing("too much is waiting to be written to GitHub").after(PATIENCE))
    }

    /// Returns once a turn would be given at once. Whoever makes up his mind what to write only then writes no old news.
    pub(super) async fn free(&self) {
        loop {
            let from = {
                let last = self.last.lock().await;
                self.rested(*last).max(self.budget.next())
            };
            if from <= Instant::now() {
                return;
            }
            sleep_until(from).await;
        }
    }

    fn rested(&self, last: Option<Instant>) -> Instant {
        last.map_or_else(Instant::now, |ended| ended + self.interval)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::Budget;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_free_when_it_would_be_given_at_once() {
        let writes = Some(Budget { at_once: 2, each: Duration::from_secs(9) });
        let turns = Turns::new(&Pace { writes, ..Pace::ENTERPRISE });
        let begun = Instant::now();
        for second in [0, 1, 9, 18] {
            turns.free().await;
            assert_eq!(begun.elapsed().as_secs(), second);
            drop(turns.take().await.unwrap());
            assert_eq!(begun.elapsed().as_secs(), second);
        }
    }
}
