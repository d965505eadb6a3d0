//! What only the built-in router has to see to itself.

use std::net::TcpListener as StdListener;
use std::time::{Duration, Instant};

use http::StatusCode;
use preview_core::ids::HostPort;
use preview_core::route::{RouteTable, Site};
use preview_orchestrator::needs::Router;
use preview_orchestrator::router::builtin::Builtin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;
use crate::client::{ask, get, request, send};
use crate::rig::{Rig, table};

fn router() -> Builtin {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new("https://previews.example".parse().unwrap(), None);
    Builtin::start(listener, None, site, None, &RouteTable::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_a_request_finish_and_takes_no_new_ones() {
    let (router, app) = (router(), App::start("one").await);
    router.apply(&table(&[("my-app-1", app.port)])).await.unwrap();
    let address = router.address();
    let idle = TcpStream::connect(address).await.unwrap();
    let slow = tokio::spawn(ask(address, request("/my-app/pr-1/slow", &[])));
    app.is_asked().await;

    let stopping = tokio::spawn(async move { router.shutdown(Duration::from_secs(60)).await });
    crate::eventually("no new connections", || async { TcpStream::connect(address).await.is_err() }).await;
    assert!(!stopping.is_finished(), "a request is under way");
    app.release();
    stopping.await.unwrap();
    assert_eq!(slow.await.unwrap().unwrap().body, "one at last");
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_over_a_kept_connection_while_it_stops_is_answered() {
    let (router, app) = (router(), App::start("one").await);
    router.apply(&table(&[("my-app-1", app.port)])).await.unwrap();
    let address = router.address();
    let mut kept = TcpStream::connect(address).await.unwrap();

    let stopping = tokio::spawn(async move { router.shutdown(Duration::from_secs(60)).await });
    crate::eventually("no new connections", || async { TcpStream::connect(address).await.is_err() }).await;
    kept.write_all(b"GET /my-app/pr-1/ HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_what_does_not_finish_in_time() {
    let (router, app) = (router(), App::start("one").await);
    router.apply(&table(&[("my-app-1", app.port)])).await.unwrap();
    let slow = tokio::spawn(ask(router.address(), request("/my-app/pr-1/slow", &[])));
    let socket = request("/my-app/pr-1/", &[("connection", "upgrade"), ("upgrade", "websocket")]);
    let socket = hyper::upgrade::on(send(router.address(), socket).await.unwrap()).await.unwrap();
    app.is_asked().await;

    let began = Instant::now();
    router.shutdown(Duration::from_millis(200)).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    slow.await.unwrap().unwrap_err();
    let mut nothing = Vec::new();
    // Closed or reset: ended either way.
    let _ = hyper_util::rt::TokioIo::new(socket).read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_the_app_closes_fails_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = HostPort::new(listener.local_addr().unwrap().port()).unwrap();
    // It promises to keep each connection, and hangs up on the second request.
    let app = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                assert_ne!(stream.read(&mut buffer).await.unwrap(), 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    let rig = Rig::builtin().await;
    rig.serve(&[("my-app-1", port)]).await;
    for _ in 0..20 {
        assert_eq!(get(rig.address, "/my-app/pr-1/").await.body, "ok");
    }
    app.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_the_app_is_told_the_scheme_of_the_urls_that_people_see() {
    let (router, app) = (router(), App::start("one").await);
    router.apply(&table(&[("my-app-1", app.port)])).await.unwrap();
    let answer = get(router.address(), "/my-app/pr-1/").await;
    assert_eq!((answer.status, answer.told("x-forwarded-proto")), (StatusCode::OK, Some("https")));
}
