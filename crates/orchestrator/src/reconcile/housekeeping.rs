//! Keeping the disk from filling: what our things take stays under a budget, and what is free above a floor.
//!
//! What a deployment had goes with it, so all that can pile up are caches: layers of builds, and copies of repositories. They
//! are looked at now and then, and at once when a build waits because the disk is almost full. Caches alone are made smaller, by
//! age of last use, so the worst that this can do is a slower build.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use preview_core::capacity::{DiskUse, disk_budget, to_free};
use preview_core::ids::RepoId;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Reconciler;
use crate::needs::Fault;

/// Adding up what is on the disk costs the engine seconds, so it is not done at once after a start, nor more often than this.
const PAUSE: Duration = Duration::from_secs(60);

/// The build cache shrinks by this many bytes at a time: while the engine deletes parts of it, builds stand still.
const STEP: u64 = 2 << 30;
/// How long builds may go on between two such steps.
const BREATH: Duration = Duration::from_secs(5);

/// How housekeeping is called for, and what it found last.
#[derive(Debug, Default)]
pub(super) struct Housekeeper {
    bell: Notify,
    found: Mutex<Option<DiskShare>>,
}

/// What our things take on the disk, and what they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskShare {
    /// What they take.
    pub used: DiskUse,
    /// What they may take together, in bytes.
    pub budget: u64,
}

impl Housekeeper {
    /// Somebody waits for room on the disk.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// What was found last.
    pub(super) fn found(&self) -> Option<DiskShare> {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, share: DiskShare) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(share);
    }
}

impl Reconciler {
    /// Keeps house now and then, and at once when the bell is rung, for ever.
    pub(super) async fn keep_house(self) {
        let interval = self.inner.config.cleanup_interval;
        let pause = PAUSE.min(interval);
        let mut rest = pause;
        loop {
            // Whether the bell or the clock ends it makes no difference.
            _ = timeout(rest, self.inner.housekeeper.bell.notified()).await;
            if let Err(fault) = self.tidy_disk().await {
                tracing::warn!(cause = %fault, "could not keep the disk's use within its bounds");
            }
            sleep(pause).await;
            rest = interval - pause;
        }
    }

    async fn tidy_disk(&self) -> Result<(), Fault> {
        let mirrors = self.tidy_mirrors().await;
        let engine = &self.inner.out.engine;
        let (room, used) = (engine.room().await?, engine.disk_use().await?);
        let used = DiskUse { mirrors, ..used };
        let budget = disk_budget(self.inner.config.disk_budget, room.disk_total);
        self.inner.housekeeper.note(DiskShare { used, budget });
        let too_much = to_free(room.disk(), used, budget);
        tracing::debug!(?used, budget, free = room.disk_free, too_much, "added up the disk's use");
        if too_much > used.build_cache {
            let bytes = too_much - used.build_cache;
            tracing::warn!(bytes, "the disk is too full, and no cache is left that could make room: see GET /health");
        }
        if too_much == 0 {
            return engine.tidy(None).await;
        }
        for (step, keep) in steps(used.build_cache, used.build_cache.saturating_sub(too_much)).enumerate() {
            if step > 0 {
                sleep(BREATH).await;
            }
            engine.tidy(Some(keep)).await?;
        }
        Ok(())
    }

    /// Gives the bytes that they take.
    async fn tidy_mirrors(&self) -> u64 {
        let served = self.all_allowed();
        let tidied = self.inner.out.source.tidy(served.as_ref()).await;
        tidied.unwrap_or_else(|fault| {
            tracing::warn!(cause = %fault, "could not tidy the copies of repositories");
            0
        })
    }

    /// All allowed repositories, once GitHub has told which these are: one that it has not told of yet is not one that is no longer
    /// allowed.
    fn all_allowed(&self) -> Option<BTreeSet<RepoId>> {
        self.knows_all_allowed().then(|| self.allowed().known.values().copied().collect())
    }
}

/// The sizes that the build cache is brought down to, one after the other; there is at least one.
fn steps(from: u64, to: u64) -> impl Iterator<Item = u64> {
    let mut now = Some(from);
    std::iter::from_fn(move || {
        let next = now?.saturating_sub(STEP).max(to);
        now = (next > to).then_some(next);
        Some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_shrinks_step_by_step_to_the_very_size() {
        let down = |from, to| steps(from, to).collect::<Vec<u64>>();
        assert_eq!(down(5 * STEP / 2, 7), [3 * STEP / 2, STEP / 2, 7]);
        assert_eq!(down(STEP, 0), [0]);
        assert_eq!(down(100, 60), [60]);
        assert_eq!(down(0, 0), [0]);
    }
}
