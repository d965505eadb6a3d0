//! Asking an app whether it is up.
//!
//! One GET over a connection of its own. Docker's proxy accepts connections for an app that doesn't listen yet and closes them
//! again, so "closed without an answer" is the same as "refused": not yet.

use std::net::Ipv4Addr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT};
use http::request::Builder;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use preview_core::ids::HostPort;
use tokio::net::TcpStream;

use crate::needs::{Probe, Prober, Visitor};

/// A head longer than this is no answer. The body is never read.
const HEAD_BYTES: usize = 64 << 10;

/// Asks over HTTP on the loopback address.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProber;

#[async_trait]
impl Prober for HttpProber {
    async fn probe(&self, port: HostPort, path: &str, limit: Duration) -> Probe {
        judge(limit, ask(port, Request::get(path).header(HOST, "localhost"))).await
    }

    async fn probe_for(&self, visitor: &Visitor, port: HostPort, path: &str, limit: Duration) -> Probe {
        let Visitor { host, scheme } = visitor;
        let headers = [("host", host.as_str()), ("x-forwarded-host", host), ("x-forwarded-proto", scheme)];
        let request = headers.into_iter().fold(Request::get(path), |all, (name, value)| all.header(name, value));
        judge(limit, ask(port, request)).await
    }
}

async fn judge<T>(limit: Duration, answer: impl Future<Output = Option<Response<T>>>) -> Probe {
    match tokio::time::timeout(limit, answer).await {
        Ok(Some(answer)) => verdict(&answer),
        Ok(None) => Probe::NoAnswer,
        Err(_) => Probe::Slow,
    }
}

/// The head of the answer; `None` when there was none.
async fn ask(port: HostPort, request: Builder) -> Option<Response<hyper::body::Incoming>> {
    let request = request
        .header(USER_AGENT, "preview-deployer-health")
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.get())).await.ok()?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await.ok()?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    tokio::select! {
        // The answer first: a connection that ends with it has delivered it.
        biased;
        answer = &mut answer => answer.ok(),
        _ = &mut connection => answer.await.ok(),
    }
}

fn verdict<T>(answer: &Response<T>) -> Probe {
    let status = answer.status();
    let stays = || answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).is_some_and(stays_with_the_app);
    if status.is_success() || status.is_redirection() && stays() {
        Probe::Healthy
    } else {
        Probe::Status(status.as_u16())
    }
}

/// Whether a redirection leads to a path, or back to the host that was asked.
fn stays_with_the_app(location: &str) -> bool {
    let is_scheme = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match location.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => {
            let target = location.parse::<Uri>().ok();
            target.and_then(|uri| uri.host().map(|host| host == "localhost" || host == "127.0.0.1")).unwrap_or(false)
        }
        _ => !location.starts_with("//"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use preview_simulator::free_port;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A server that reads one request and answers with these bytes, then closes or, with none, waits.
    async fn server(answer: Option<Vec<u8>>) -> (HostPort, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = HostPort::new(listener.local_addr().unwrap().port()).unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            match answer {
                // Too long an answer may be cut off by the other side.
                Some(bytes) => _ = stream.write_all(&bytes).await,
                None => std::future::pending().await,
            }
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (port, heard)
    }

    async fn answered(answer: &str) -> Probe {
        let (port, _) = server(Some(answer.as_bytes().to_vec())).await;
        HttpProber.probe(port, "/health?deep=1", LIMIT).await
    }

    #[tokio::test]
    async fn a_good_answer_is_healthy_and_the_question_is_plain() {
        let (port, heard) = server(Some(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).await;
        assert_eq!(HttpProber.probe(port, "/health?deep=1", LIMIT).await, Probe::Healthy);
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains("host: localhost\r\n") && heard.contains("connection: close\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn a_visitor_is_told_of_as_the_router_does() {
        let (port, heard) = server(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
        let visitor = Visitor { host: "pr-1-app.example.org:8443".to_owned(), scheme: "https" };
        assert_eq!(HttpProber.probe_for(&visitor, port, "/", LIMIT).await, Probe::Status(400));
        let heard = heard.await.unwrap();
        for line in [
            "host: pr-1-app.example.org:8443",
            "x-forwarded-host: pr-1-app.example.org:8443",
            "x-forwarded-proto: https",
        ] {
            assert!(heard.contains(&format!("\r\n{line}\r\n")), "no {line} in {heard}");
        }
        assert!(!heard.contains("localhost"), "{heard}");
    }

    #[tokio::test]
    async fn a_redirection_counts_when_it_stays_with_the_app() {
        let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {to}\r\n\r\n");
        for stays in ["/login", "login", "http://localhost/login", "http://127.0.0.1:3000/x", "/a path?to=http://x"] {
            assert_eq!(answered(&redirect(stays)).await, Probe::Healthy, "{stays}");
        }
        for leaves in ["https://login.example.com/", "//example.com/x", "http://localhost.example.com/"] {
            assert_eq!(answered(&redirect(leaves)).await, Probe::Status(302), "{leaves}");
        }
        assert_eq!(answered("HTTP/1.1 304 Not Modified\r\n\r\n").await, Probe::Status(304));
    }

    #[tokio::test]
    async fn other_answers_say_their_status() {
        assert_eq!(
            answered("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nwait!").await,
            Probe::Status(503)
        );
        assert_eq!(answered("HTTP/1.0 404 Not Found\r\n\r\n").await, Probe::Status(404));
    }

    #[tokio::test]
    async fn the_body_is_not_waited_for() {
        assert_eq!(answered("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await, Probe::Healthy);
    }

    #[tokio::test]
    async fn no_answer_is_not_yet() {
        assert_eq!(answered("").await, Probe::NoAnswer);
        assert_eq!(answered("SSH-2.0-OpenSSH_9.2\r\n").await, Probe::NoAnswer);
        assert_eq!(answered(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20))).await, Probe::NoAnswer);
        assert_eq!(HttpProber.probe(HostPort::new(free_port()).unwrap(), "/", LIMIT).await, Probe::NoAnswer);
    }

    #[tokio::test]
    async fn an_app_that_does_not_answer_in_time_is_slow() {
        let (port, _) = server(None).await;
        assert_eq!(HttpProber.probe(port, "/", Duration::from_millis(50)).await, Probe::Slow);
    }
}
