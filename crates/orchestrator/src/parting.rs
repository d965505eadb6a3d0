//! How a connection ends when the service stops: without losing the request that is just on its way.
//!
//! A client that keeps a connection may send its next request in the very moment in which we close it, and then cannot know
//! whether anything was done (RFC 9112, section 9.5). So whoever is idle gets a last call: what they ask within it is answered, and
//! told to be the connection's last with `Connection: close`. nginx has the same in `keepalive_min_timeout`.

use std::pin::{Pin, pin};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};

/// So long after the service was told to stop an idle connection may still begin a request.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Resolves when the last call is over that begins with `stop`.
pub(crate) async fn last_call(stop: impl Future<Output = ()>) {
    stop.await;
    tokio::time::sleep(LAST_CALL).await;
}

/// Serves a connection to its end. After the last call that begins with `stop` it is to `end` with the request that is under way.
/// Somebody who goes away in the middle is nobody's error.
pub(crate) async fn converse<C: Future>(connection: C, end: impl FnOnce(Pin<&mut C>), stop: impl Future<Output = ()>) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = last_call(stop) => {
            end(connection.as_mut());
            let _ = connection.await;
        }
    }
}

/// Makes this answer the last one of its connection, unless the connection becomes something else with it.
pub(crate) fn closed_behind<B>(mut answer: Response<B>) -> Response<B> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A client that was answered once and keeps its connection, and what serves it.
    async fn idle(stop: &CancellationToken) -> (DuplexStream, JoinHandle<()>) {
        let (mut client, ours) = duplex(4096);
        let (told, stop) = (stop.clone(), stop.clone());
        let service = service_fn(move |_| {
            let answer = Response::new("hello".to_owned());
            let answer = if told.is_cancelled() { closed_behind(answer) } else { answer };
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(ours), service);
        let served = tokio::spawn(async move {
            converse(connection, http1::Connection::graceful_shutdown, stop.cancelled()).await;
        });
        client.write_all(ASKED).await.unwrap();
        let mut first = [0; 512];
        let read = client.read(&mut first).await.unwrap();
        let first = String::from_utf8_lossy(&first[..read]);
        assert!(first.ends_with("hello") && !first.contains("connection: close"), "{first}");
        (client, served)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_while_the_service_stops_is_answered() {
        let stop = CancellationToken::new();
        let (mut client, served) = idle(&stop).await;
        stop.cancel();
        tokio::time::sleep(LAST_CALL / 2).await;
        client.write_all(ASKED).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("connection: close") && answer.ends_with("hello"), "{answer}");
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_who_asks_nothing() {
        let stop = CancellationToken::new();
        let (mut client, served) = idle(&stop).await;
        let told = Instant::now();
        stop.cancel();
        served.await.unwrap();
        assert_eq!(told.elapsed(), LAST_CALL);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[test]
    fn a_tunnel_stays_one() {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        assert!(closed_behind(answer).headers().is_empty());
    }
}
