//! What a panic of ours may cost: one try. What was being done has failed for a passing reason, and whoever did it goes on: a
//! pull request without its worker, or a service without one of its loops, would look well and do nothing until its next start.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::needs::Fault;

/// Before a loop that panicked begins anew.
const RECOVERY: Duration = Duration::from_secs(10);

/// Does something, and makes a failure of a panic in it. All that is shared is behind locks whose holders leave it whole at
/// every point, and what is not is begun anew, so nothing half-done is met again.
pub(crate) async fn contained<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("something in the service panicked; this is a bug, please report it with this log");
        Err(Fault::passing("something went wrong inside Preview Deployer").advise("the service's log says what"))
    })
}

/// Does for ever what should never end.
pub(crate) async fn for_ever<F: Future<Output = ()>>(work: impl Fn() -> F) {
    loop {
        if let Err(fault) = contained(work().map(Ok)).await {
            fault.log("one of the service's loops ended; it begins anew");
        }
        tokio::time::sleep(RECOVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_should_never_end_begins_anew_however_it_ended() {
        let begun = AtomicUsize::new(0);
        let work = || async {
            match begun.fetch_add(1, Ordering::SeqCst) {
                0 => std::panic::resume_unwind(Box::new("a mistake of ours")),
                1 => {}
                _ => std::future::pending().await,
            }
        };
        let never = tokio::time::timeout(Duration::from_secs(60), for_ever(work)).await;
        assert!(never.is_err());
        assert_eq!(begun.into_inner(), 3);
    }
}
