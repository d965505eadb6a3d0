//! What goes on as long as the service: should one of its parts end all the same, that is noticed, and the service ends with it.
//! Half a service would answer that all is well.

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// Sets a part going. However it ends, `over` is cancelled then.
pub(super) fn part(over: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let over = over.clone().drop_guard();
    tokio::spawn(async move {
        let _over = over;
        work.await;
    })
}

/// Tells of a part that did not come to its end.
pub(super) fn tell_bad_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a part of the service ended badly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_service_is_over_when_one_of_its_parts_is_however_that_ended() {
        let works = CancellationToken::new();
        let (going, over) = (CancellationToken::new(), CancellationToken::new());
        let until = works.clone();
        let working = part(&over, async move { until.cancelled().await });
        let goes_on = part(&over, {
            let going = going.clone();
            async move { going.cancelled().await }
        });
        tokio::task::yield_now().await;
        assert!(!over.is_cancelled());
        works.cancel();
        over.cancelled().await;
        working.await.unwrap();
        going.cancel();
        goes_on.await.unwrap();

        let over = CancellationToken::new();
        let panicked = part(&over, async { std::panic::resume_unwind(Box::new("a mistake of ours")) });
        over.cancelled().await;
        assert!(panicked.await.is_err());
    }
}
