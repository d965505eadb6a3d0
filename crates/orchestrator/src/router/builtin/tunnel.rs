//! A connection that has become a WebSocket: bytes both ways, until one side or the service ends.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use super::traffic::UnderWay;
use super::{Peer, told};

/// Both sides have this long to switch after the answer that says so.
const SWITCH: Duration = Duration::from_secs(10);

/// Carries bytes between visitor and app. The request stays under way, and the visitor keeps their
/// place, meanwhile.
pub(super) async fn run(visitor: OnUpgrade, app: OnUpgrade, _held: (UnderWay, Peer), mut stop: watch::Receiver<bool>) {
    let switched = tokio::time::timeout(SWITCH, async { tokio::try_join!(visitor, app) }).await;
    let Ok(Ok((visitor, app))) = switched else { return };
    let (mut visitor, mut app) = (TokioIo::new(visitor), TokioIo::new(app));
    tokio::select! {
        // However it ends, both sides are closed, and each has been told what the other sent.
        _ = tokio::io::copy_bidirectional(&mut visitor, &mut app) => {}
        () = told(&mut stop) => {}
    }
}
