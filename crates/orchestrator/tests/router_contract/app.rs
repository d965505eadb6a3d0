//! The app behind the routers: it tells what reached it, and answers as it is asked to.
//!
//! | request | answer |
//! | --- | --- |
//! | any | its name, then the request's first line and headers, one a line |
//! | header `answer-x: v` | a header `x: v` in the answer; `answer-status` sets the status |
//! | `/length` | how many bytes the body had |
//! | `/events` | a first event at once, the second when [`App::release`] is called |
//! | `/slow` | when [`App::release`] is called |
//! | `/hang-up` | closes the connection without an answer |
//! | `Upgrade: websocket` | switches, then sends back every byte; not at `/no-socket` |

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use preview_core::ids::HostPort;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::eventually;

/// A running app; gone when dropped.
pub(crate) struct App {
    pub(crate) port: HostPort,
    release: Arc<watch::Sender<bool>>,
    accepting: AbortHandle,
}

impl App {
    /// Listens on a free port.
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = HostPort::new(listener.local_addr().unwrap().port()).unwrap();
        let release = Arc::new(watch::Sender::new(false));
        let accepting = tokio::spawn(accept(listener, name, release.clone())).abort_handle();
        Self { port, release, accepting }
    }

    /// Lets `/events` and `/slow` end.
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }

    /// Waits until a request to `/events` or `/slow` has arrived.
    pub(crate) async fn is_asked(&self) {
        eventually("a request waits in the app", || async { self.release.receiver_count() > 0 }).await;
    }

    /// Closes its port and every connection.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, name: &'static str, release: Arc<watch::Sender<bool>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let release = release.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, name, release.clone()));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
            let _ = pin!(connection).await;
        });
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    mut request: Request<Incoming>,
    name: &'static str,
    release: Arc<watch::Sender<bool>>,
) -> Result<Response<Body>, std::io::Error> {
    let asks = request.headers().get(header::UPGRADE).is_some_and(|value| value == "websocket");
    if asks && request.uri().path() != "/no-socket" {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let answer = answer.header(header::UPGRADE, "websocket").header(header::CONNECTION, "upgrade");
        return Ok(answer.body(text(String::new())).unwrap());
    }
    let (head, upload) = request.into_parts();
    let body = match head.uri.path() {
        "/length" => text(length(upload).await?.to_string()),
        "/events" => {
            let mut wait = release.subscribe();
            let second = stream::once(async move {
                wait.wait_for(|released| *released).await.unwrap();
                "data: 2\n\n"
            });
            let events = stream::once(async { "data: 1\n\n" }).chain(second);
            BodyExt::boxed(StreamBody::new(events.map(|event| Ok(Frame::data(Bytes::from(event))))))
        }
        "/slow" => {
            release.subscribe().wait_for(|released| *released).await.unwrap();
            text(format!("{name} at last"))
        }
        "/hang-up" => return Err(std::io::Error::other("hung up")),
        _ => text(describe(&head, name)),
    };
    let mut answer = Response::new(body);
    for (key, value) in &head.headers {
        match key.as_str().strip_prefix("answer-") {
            Some("status") => *answer.status_mut() = StatusCode::from_bytes(value.as_bytes()).unwrap(),
            Some(name) => drop(answer.headers_mut().append(HeaderName::try_from(name).unwrap(), value.clone())),
            None => {}
        }
    }
    Ok(answer)
}

async fn length(mut upload: Incoming) -> Result<usize, std::io::Error> {
    let mut length = 0;
    while let Some(frame) = upload.frame().await {
        length += frame.map_err(std::io::Error::other)?.data_ref().map_or(0, Bytes::len);
    }
    Ok(length)
}

fn describe(head: &http::request::Parts, name: &str) -> String {
    let mut lines = vec![name.to_owned(), format!("{} {}", head.method, head.uri)];
    for (name, value) in &head.headers {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    lines.join("\n")
}

fn text(text: String) -> Body {
    Full::from(text).boxed()
}
