//! Connections: accepted in bounded number, each with an end, and let go in peace when the service stops.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::askers::Ends;
use crate::crowd::Places;
use crate::parting;
use crate::platform::give_up_after;

/// The server's patience.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at one time, a quarter of them from one address; more wait in the kernel's queue.
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

/// Serves until told to stop, then gives requests that are under way a little time to finish.
pub(super) async fn serve(listener: TcpListener, app: Router, limits: Limits, shutdown: CancellationToken) {
    let places = Places::new(limits.connections);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, from, place) = places.next(&listener) => {
                let connection = converse(stream, from, app.clone(), limits, shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.parting, all_gone).await.is_err() {
        tracing::info!("requests that were still under way have been cut off");
    }
}

/// Serves one connection.
async fn converse(stream: TcpStream, from: IpAddr, app: Router, limits: Limits, shutdown: CancellationToken) {
    // Neither is needed to be right: without the first, small answers may wait for an acknowledgement; without the second,
    // the kernel takes longer to give up on somebody who reads nothing.
    let _ = stream.set_nodelay(true);
    give_up_after(&stream, limits.taking);
    let Ok(ends) = stream.local_addr().map(|to| Ends { from, to: to.ip() }) else { return };
    let stopping = shutdown.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ends);
        let (app, stopping) = (app.clone(), stopping.clone());
        async move {
            let answer = app.oneshot(request).await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(if stopping.is_cancelled() { parting::closed_behind(answer) } else { answer })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(HEAD_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    parting::converse(connection, http1::Connection::graceful_shutdown, shutdown.cancelled()).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(100);

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Running {
        async fn start(app: Router, limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = CancellationToken::new();
            let task = tokio::spawn(serve(listener, app, limits, shutdown.clone()));
            Self { address, shutdown, task }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut text = String::new();
        timeout(SOON, stream.read_to_string(&mut text)).await.expect("no end").unwrap();
        text
    }

    #[tokio::test]
    async fn whoever_dawdles_makes_room_for_the_next() {
        let limits = Limits { connections: 1, head: SHORT, ..Limits::default() };
        let running = Running::start(Router::new().route("/", get(|| async { "hello" })), limits).await;
        let dawdler = running.send("GET / HTTP/1.1\r\nHost: loc").await;
        let next = running.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(read_to_end(next).await.ends_with("hello"));
        assert!(!read_to_end(dawdler).await.contains("hello"));
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_let_go() {
        let (told, mut gone) = mpsc::channel::<()>(1);
        let endless = move || {
            let told = told.clone();
            let body = stream::repeat_with(|| Bytes::from_static(&[b'x'; 65536])).map(move |bytes| {
                let _held = &told;
                Ok::<_, Infallible>(bytes)
            });
            async { Body::from_stream(body) }
        };
        let limits = Limits { taking: SHORT, ..Limits::default() };
        let running = Running::start(Router::new().route("/", get(endless)), limits).await;
        let idle = running.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        // The route holds one sender for ever; the other goes with the answer.
        let let_go = async {
            while gone.sender_strong_count() > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, async {
            while gone.sender_strong_count() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let_go.await;
        })
        .await
        .expect("it was never let go");
        gone.close();
        drop(idle);
    }

    #[tokio::test]
    async fn a_stop_waits_for_nobody_for_long() {
        let limits = Limits { parting: SHORT, ..Limits::default() };
        let (came, mut coming) = mpsc::channel(1);
        let never = move || {
            let came = came.clone();
            async move {
                came.send(()).await.unwrap();
                std::future::pending::<()>().await
            }
        };
        let running = Running::start(Router::new().route("/", get(never)), limits).await;
        let waiting = running.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        timeout(SOON, coming.recv()).await.unwrap();
        running.shutdown.cancel();
        timeout(SOON, running.task).await.expect("it still serves").unwrap();
        assert_eq!(read_to_end(waiting).await, "");
    }
}
