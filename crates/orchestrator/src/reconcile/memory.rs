//! Memory that was granted a moment ago.
//!
//! What starts takes a while until the memory that it uses shows as used. Whoever looks in between would be granted the same memory a
//! second time, so what others were granted until then is counted as used.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use preview_core::capacity::{Room, may_start};
use preview_core::deployment::QueueReason;
use preview_core::ids::DeploymentId;
use tokio::time::Instant;

/// Until what a database or an app takes at its start shows.
const SETTLES: Duration = Duration::from_secs(10);

/// What was granted, to whom and when.
#[derive(Debug, Default)]
pub(super) struct Granted(Mutex<Vec<(Instant, DeploymentId, u64)>>);

impl Granted {
    /// Whether so many bytes of memory may be used by what a deployment starts now. If so, they are its own from then on.
    pub(super) fn grant(&self, id: &DeploymentId, room: Room, memory: u64) -> Result<(), QueueReason> {
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|(at, ..)| at.elapsed() < SETTLES);
        let others: u64 = granted.iter().filter(|(_, to, _)| to != id).map(|(.., memory)| memory).sum();
        may_start(Room { memory_available: room.memory_available.saturating_sub(others), ..room }, memory)?;
        if memory > 0 {
            granted.push((Instant::now(), id.clone(), memory));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_a_moment_ago_is_used_already() {
        let granted = Granted::default();
        let room = Room { memory_available: 1000, disk_free: 1 << 40, disk_total: 1 << 40, files: None };
        let [one, other] = ["app-1", "app-2"].map(|id| id.parse::<DeploymentId>().unwrap());
        let mut memory = [(&one, 600, true), (&other, 600, false), (&other, 400, true), (&other, 0, true)].into_iter();
        assert!(memory.all(|(id, memory, fits)| granted.grant(id, room, memory).is_ok() == fits));
        assert_eq!(granted.grant(&one, room, 601), Err(QueueReason::Memory), "400 are the other's");
        assert_eq!(granted.grant(&one, room, 600), Ok(()), "its own start is what it waits for");
        tokio::time::advance(SETTLES).await;
        assert_eq!(granted.grant(&other, room, 1000), Ok(()));
    }
}
