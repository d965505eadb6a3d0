//! Connections: accepted in bounded number, each with an end, and let go in peace when the service stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::auth::ArrivedAt;

/// The server's patience.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at one time; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// For a request's head to arrive, and for an idle connection to begin one.
    pub(super) head: Duration,
    /// For the other side to take what we sent.
    pub(super) taking: Duration,
    /// For what is under way when the service stops.
    pub(super) parting: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(10),
            taking: Duration::from_secs(60),
            parting: Duration::from_secs(10),
        }
    }
}

/// Bytes of a request's head, and how many headers.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_HEADERS: usize = 100;
/// After an error of `accept` (out of file descriptors, say) it is tried again so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until told to stop, then gives requests that are under way a little time to finish.
pub(super) async fn serve(listener: TcpListener, app: Router, limits: Limits, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = converse(stream, app.clone(), limits, shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted; trying again");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.parting, all_gone).await.is_err() {
        tracing::info!("requests that were still under way have been cut off");
    }
}

/// Serves one connection.
async fn converse(stream: TcpStream, app: Router, limits: Limits, shutdown: CancellationToken) {
    // Neither is needed to be right: without the first, small answers may wait for an acknowledgement; without the second,
    // the kernel takes longer to give up on somebody who reads nothing.
    let _ = stream.set_nodelay(true);
    let _ =
        rustix::net::sockopt::set_tcp_user_timeout(&stream, limits.taking.as_millis().try_into().unwrap_or(u32::MAX));
    let Ok(arrived_at) = stream.local_addr().map(|address| ArrivedAt(address.ip())) else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(arrived_at);
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(HEAD_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Somebody who goes away in the middle is nobody's error.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
