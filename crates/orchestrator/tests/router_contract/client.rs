//! A visitor.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) type Upload = UnsyncBoxBody<Bytes, std::io::Error>;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's only value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// What the app says of a header that reached it.
    pub(crate) fn told(&self, name: &str) -> Option<&str> {
        self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The app's name and the request line that reached it.
    pub(crate) fn reached(&self) -> (&str, &str) {
        let mut lines = self.body.lines();
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{:?}\n{}", self.status, self.headers, self.body)
    }
}

/// Sends a request over a connection of its own; the answer's body is still to come.
pub(crate) async fn send(router: SocketAddr, mut request: Request<Upload>) -> Result<Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(router).await.expect("the router accepts connections");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection's own error is the request's, too.
    tokio::spawn(connection.with_upgrades());
    request.headers_mut().entry(header::HOST).or_insert(router.to_string().parse().unwrap());
    sender.send_request(request).await
}

/// GET with headers.
pub(crate) fn request(path: &str, headers: &[(&str, &str)]) -> Request<Upload> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn ask(router: SocketAddr, request: Request<Upload>) -> Result<Answer, hyper::Error> {
    let (head, body) = send(router, request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Ok(Answer { status: head.status, headers: head.headers, body })
}

/// GET.
pub(crate) async fn get(router: SocketAddr, path: &str) -> Answer {
    get_with(router, path, &[]).await
}

/// GET with headers.
pub(crate) async fn get_with(router: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(router, request(path, headers)).await.unwrap()
}

/// Sends these bytes and reads until the router closes the connection.
pub(crate) async fn raw(router: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(router).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the router's right.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
