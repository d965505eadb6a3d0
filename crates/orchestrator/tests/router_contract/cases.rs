//! The cases, each for any router.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use preview_core::route::rewrite::ORIGIN_WIDE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::App;
use crate::client::{Upload, ask, get, get_with, raw, request, send};
use crate::eventually;
use crate::rig::{DOMAIN, Rig, table};

/// The preview that most cases visit.
const ID: &str = "my-app-1";

async fn one(rig: &Rig) -> App {
    let app = App::start("one").await;
    rig.serve(&[(ID, app.port)]).await;
    app
}

pub(crate) async fn the_prefix_is_stripped_and_the_rest_arrives_as_it_was_sent(rig: Rig) {
    let _app = one(&rig).await;
    for rest in [
        "/",
        "/a/b?x=1&y=%20",
        "/?x",
        "/a%2Fb",
        "/a//b",
        "//a",
        "/a/../b",
        "/a/./b",
        "/%7Euser/%C3%BC",
        "/%25",
        "/a;b=c/d",
        "/a+b",
        "/a%20b",
        "/..;/a",
        "/?next=/../../etc",
    ] {
        let answer = get(rig.address, &format!("/my-app/pr-1{rest}")).await;
        assert_eq!(answer.reached(), ("one", format!("GET {rest}").as_str()), "{answer}");
    }
}

pub(crate) async fn a_missing_slash_is_redirected_with_its_query(rig: Rig) {
    let _app = one(&rig).await;
    for (from, to) in [("/my-app/pr-1", "/my-app/pr-1/"), ("/my-app/pr-1?a=b%2F", "/my-app/pr-1/?a=b%2F")] {
        let answer = get(rig.address, from).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, Some(to)));
    }
}

pub(crate) async fn what_is_not_there_answers_a_friendly_404(rig: Rig) {
    let _app = one(&rig).await;
    for path in ["/my-app/pr-2/", "/my-app/pr-2", "/my-app/pr-12/x", "/other/pr-1/x?y", "/my-app/pr-2/index.php"] {
        let answer = get(rig.address, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer}");
        assert!(answer.body.contains("There is no preview here"), "{path}: {answer}");
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
}

pub(crate) async fn no_encoded_path_reaches_another_preview(rig: Rig) {
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port)]).await;
    let up = ["..", "%2e%2e", ".%2E", "%2e.", "..;", "%252e%252e", "..%00"];
    let separators = ["/", "%2f", "%2F", "//", "\\", "%5c", "%255c", ";/", "/./", "%2f%2f", "/;x/"];
    for (up, separator) in up.iter().flat_map(|up| separators.map(|separator| (up, separator))) {
        for path in [
            format!("/my-app/pr-1/{up}{separator}pr-2/"),
            format!("/my-app/pr-1{separator}{up}{separator}pr-2{separator}x"),
            format!("/my-app/pr-1/x{separator}{up}{separator}{up}{separator}pr-2/"),
            format!("/my-app{separator}pr-2/"),
            format!("{separator}my-app/pr-2/"),
            format!("/x/{up}{separator}my-app/pr-2/"),
            format!("/my-app/pr-1/{up}{separator}{up}{separator}etc/passwd"),
        ] {
            let plain = ["/my-app/pr-2/", "/my-app/pr-2"].contains(&path.as_str());
            let answer =
                raw(rig.address, &format!("GET {path} HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")).await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            let from_one = status == "200" && answer.contains("\r\none\n") && path.starts_with("/my-app/pr-1/");
            assert!(plain || from_one || ["400", "404"].contains(&status), "{path}: {answer}");
        }
    }
    let answer = get(rig.address, "/my-app/pr%2d2/").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "a prefix is literal: {answer}");
}

pub(crate) async fn two_previews_do_not_see_each_other(rig: Rig) {
    let (one, two, twelve) = (App::start("one").await, App::start("two").await, App::start("twelve").await);
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port), ("my-app-12", twelve.port)]).await;
    for (path, name) in [("/my-app/pr-1/x", "one"), ("/my-app/pr-2/x", "two"), ("/my-app/pr-12/x", "twelve")] {
        assert_eq!(get(rig.address, path).await.reached(), (name, "GET /x"));
    }
    one.stop();
    eventually("the first is down", || async { get(rig.address, "/my-app/pr-1/").await.status == 502 }).await;
    assert_eq!(get(rig.address, "/my-app/pr-2/").await.status, StatusCode::OK, "the second stays up");
}

pub(crate) async fn a_preview_answers_at_its_own_host(rig: Rig) {
    let app = one(&rig).await;
    let host = format!("pr-1-my-app.{DOMAIN}");
    let location = format!("http://127.0.0.1:{}/y", app.port);
    let headers = [
        ("host", host.as_str()),
        ("answer-location", &location),
        ("answer-set-cookie", "a=b; Path=/x; Domain=example.org"),
        ("x-forwarded-prefix", "/forged"),
    ];
    let answer = get_with(rig.address, "/x%2Fy?z", &headers).await;
    assert_eq!(answer.reached(), ("one", "GET /x%2Fy?z"), "{answer}");
    assert_eq!(answer.told("host"), Some(host.as_str()));
    assert_eq!(answer.told("x-forwarded-prefix"), None);
    assert_eq!(answer.header("location"), Some("/y"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("a=b; Path=/x") && !cookie.contains("example.org"), "{cookie}");
    assert_eq!(answer.header("x-robots-tag"), Some("noindex"));

    let other = format!("pr-2-my-app.{DOMAIN}");
    for path in ["/", "/my-app/pr-1/"] {
        let answer = get_with(rig.address, path, &[("host", &other)]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path} of a host without preview: {answer}");
        assert!(answer.body.contains("There is no preview here"), "{answer}");
    }
}

pub(crate) async fn the_app_is_told_who_asks_and_forged_headers_are_replaced(rig: Rig) {
    let _app = one(&rig).await;
    let forged = [
        ("host", "previews.example:81"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-port", "666"),
        ("x-real-ip", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x_forwarded_for", "6.6.6.6"),
        ("authorization", "Bearer mine"),
    ];
    let answer = get_with(rig.address, "/my-app/pr-1/", &forged).await;
    for (name, value) in [
        ("host", Some("previews.example:81")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("previews.example:81")),
        ("x-forwarded-prefix", Some("/my-app/pr-1")),
        ("x-forwarded-port", None),
        ("x-real-ip", None),
        ("forwarded", None),
        ("x_forwarded_for", None),
        ("authorization", Some("Bearer mine")),
    ] {
        assert_eq!(answer.told(name), value, "{name}: {answer}");
    }
    let hop = [("connection", "close, x-mine"), ("keep-alive", "timeout=1"), ("te", "trailers")];
    let answer = get_with(rig.address, "/my-app/pr-1/", &hop).await;
    assert_eq!((answer.told("keep-alive"), answer.told("te")), (None, None), "{answer}");
}

pub(crate) async fn an_absolute_target_names_its_own_host(rig: Rig) {
    let _app = one(&rig).await;
    let target = "GET http://previews.example/my-app/pr-1/x HTTP/1.1\r\n";
    let answer = raw(rig.address, &format!("{target}Host: previews.example\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.contains("GET /x\n") && answer.contains("host: previews.example"), "{answer}");
}

pub(crate) async fn malformed_requests_are_refused(rig: Rig) {
    let _app = one(&rig).await;
    let get = "GET /my-app/pr-1/ HTTP/1.1\r\n";
    let post = "POST /my-app/pr-1/ HTTP/1.1\r\nHost: a\r\n";
    for (what, bytes) in [
        ("no host", format!("{get}Connection: close\r\n\r\n")),
        ("two lengths", format!("{post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")),
        ("a length that is no number", format!("{post}Content-Length: +3\r\nConnection: close\r\n\r\nabc")),
        ("an unknown transfer coding", format!("{post}Transfer-Encoding: x\r\n\r\nabc")),
        ("a space before the colon", format!("{get}Host : a\r\n\r\n")),
        ("a target without slash", "GET my-app/pr-1/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a tunnel", "CONNECT my-app:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a NUL in the path", "GET /my-app/pr-1/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()),
        ("a head that never ends", format!("{get}Host: a\r\nX: {}\r\n\r\n", "x".repeat(100 << 10))),
    ] {
        let answer = raw(rig.address, &bytes).await;
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        let refused = ["closed", "400", "405", "414", "431", "501"].contains(&status);
        assert!(refused && !answer.contains("\none\n"), "{what}: {answer}");
    }
    // A length beside chunks is the classic way to smuggle a second request: at most one may be answered.
    let smuggled = format!(
        "{post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /my-app/pr-1/second HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    let answer = raw(rig.address, &smuggled).await;
    assert!(!answer.contains("/second"), "{answer}");
}

pub(crate) async fn redirects_and_cookies_stay_with_the_preview(rig: Rig) {
    let app = one(&rig).await;
    let own = |path: &str| format!("http://127.0.0.1:{}{path}", app.port);
    for (location, expected) in [
        ("/login?next=/", "/my-app/pr-1/login?next=/".to_owned()),
        ("/my-app/pr-1/x", "/my-app/pr-1/x".to_owned()),
        ("/my-app/pr-12/x", "/my-app/pr-1/my-app/pr-12/x".to_owned()),
        ("next", "next".to_owned()),
        ("http://previews.example/x", "http://previews.example/my-app/pr-1/x".to_owned()),
        ("http://previews.example/my-app/pr-1/x", "http://previews.example/my-app/pr-1/x".to_owned()),
        (&own("/x"), "/my-app/pr-1/x".to_owned()),
        ("https://example.org/x", "https://example.org/x".to_owned()),
        ("//example.org/x", "//example.org/x".to_owned()),
        ("http://previews.example.evil/x", "http://previews.example.evil/x".to_owned()),
    ] {
        let headers = [("host", "previews.example"), ("answer-status", "302"), ("answer-location", location)];
        let answer = get_with(rig.address, "/my-app/pr-1/", &headers).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, Some(expected.as_str())), "{location}");
    }
    for (cookie, expected) in [
        ("a=b", "a=b"),
        ("a=b; Path=/", "a=b; Path=/my-app/pr-1/"),
        ("a=b; Path=/x; HttpOnly", "a=b; Path=/my-app/pr-1/x; HttpOnly"),
        ("a=b; Path=/my-app/pr-1/", "a=b; Path=/my-app/pr-1/"),
    ] {
        let answer = get_with(rig.address, "/my-app/pr-1/", &[("answer-set-cookie", cookie)]).await;
        assert_eq!(answer.header("set-cookie"), Some(expected));
    }
    let cookie = ("answer-set-cookie", "a=b; Domain=example.org; Path=/");
    let answer = get_with(rig.address, "/my-app/pr-1/", &[cookie, ("answer-set-cookie", "c=d; Path=/")]).await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies.iter().all(|cookie| !cookie.contains("example.org")), "{cookies:?}");
    assert!(cookies.iter().all(|cookie| cookie.contains("Path=/my-app/pr-1/")), "{cookies:?}");
}

pub(crate) async fn what_speaks_for_the_whole_origin_is_left_out(rig: Rig) {
    let _app = one(&rig).await;
    let headers = [
        ("answer-service-worker-allowed", "/"),
        ("answer-clear-site-data", "\"*\""),
        ("answer-strict-transport-security", "max-age=9"),
        ("answer-nel", r#"{"report_to": "x", "max_age": 9, "include_subdomains": true}"#),
        ("answer-report-to", r#"{"group": "x", "max_age": 9, "endpoints": [{"url": "https://example.org/"}]}"#),
        ("answer-reporting-endpoints", "default=\"https://example.org/\""),
        ("answer-alt-svc", "h2=\"example.org:443\"; ma=9"),
        ("answer-x-robots-tag", "all"),
        ("answer-x-own", "kept"),
    ];
    let answer = get_with(rig.address, "/my-app/pr-1/", &headers).await;
    for name in ORIGIN_WIDE {
        assert!(headers.iter().any(|(sent, _)| sent.strip_prefix("answer-") == Some(name)), "{name}");
        assert_eq!(answer.header(name), None, "{name}");
    }
    let robots: Vec<_> = answer.headers.get_all("x-robots-tag").iter().collect();
    assert_eq!(robots, ["noindex"]);
    assert_eq!(answer.header("x-own"), Some("kept"));
}

pub(crate) async fn a_websocket_passes(rig: Rig) {
    let _app = one(&rig).await;
    let headers = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
    let answer = send(rig.address, request("/my-app/pr-1/socket", &headers)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(answer.headers()["upgrade"], "websocket");
    let mut socket = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    for word in ["hello", "again"] {
        socket.write_all(word.as_bytes()).await.unwrap();
        let mut echo = [0; 5];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, word.as_bytes());
    }
}

pub(crate) async fn other_upgrades_do_not_pass(rig: Rig) {
    let _app = one(&rig).await;
    let headers = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")];
    let answer = get_with(rig.address, "/my-app/pr-1/x", &headers).await;
    assert_eq!((answer.reached(), answer.told("upgrade")), (("one", "GET /x"), None), "{answer}");
}

pub(crate) async fn a_stream_arrives_as_it_is_written(rig: Rig) {
    let app = one(&rig).await;
    let mut answer = send(rig.address, request("/my-app/pr-1/events", &[])).await.unwrap();
    let next = async || {
        let frame = answer.body_mut().frame().await;
        frame.map(|frame| frame.unwrap().into_data().unwrap())
    };
    let mut next = next;
    let first = tokio::time::timeout(Duration::from_secs(10), next()).await.expect("the first event arrives at once");
    assert_eq!(first.as_deref(), Some(b"data: 1\n\n".as_slice()));
    app.release();
    assert_eq!(next().await.as_deref(), Some(b"data: 2\n\n".as_slice()));
    assert_eq!(next().await, None);
}

/// So many megabytes, in chunks of one.
fn megabytes(count: u64) -> Upload {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let chunks = (0..count).map(move |_| Ok(Frame::data(chunk.clone())));
    StreamBody::new(stream::iter(chunks)).boxed_unsync()
}

pub(crate) async fn large_uploads_pass_and_larger_ones_are_refused(rig: Rig) {
    let _app = one(&rig).await;
    let upload = |declared: bool, count: u64| {
        let mut request = request("/my-app/pr-1/length", &[]);
        *request.method_mut() = Method::POST;
        if declared {
            request.headers_mut().insert(header::CONTENT_LENGTH, (count << 20).into());
        }
        *request.body_mut() = megabytes(count);
        request
    };
    for declared in [true, false] {
        let answer = ask(rig.address, upload(declared, 50)).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "52428800"), "declared: {declared}");
        let answer = ask(rig.address, upload(declared, 101)).await.unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "declared: {declared}");
    }
}

pub(crate) async fn an_app_that_does_not_answer_gives_a_friendly_502(rig: Rig) {
    let app = one(&rig).await;
    let hung_up = get(rig.address, "/my-app/pr-1/hang-up").await;
    app.stop();
    eventually("its port is closed", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", app.port.get())).await.is_err()
    })
    .await;
    let mut post = request("/my-app/pr-1/length", &[]);
    *post.method_mut() = Method::POST;
    *post.body_mut() = megabytes(1);
    for answer in [hung_up, get(rig.address, "/my-app/pr-1/x").await, ask(rig.address, post).await.unwrap()] {
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{answer}");
        assert!(answer.body.contains("This preview is not answering"), "{answer}");
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
    }
}

pub(crate) async fn an_apps_own_errors_pass(rig: Rig) {
    let _app = one(&rig).await;
    for status in ["404", "500", "502", "503"] {
        let answer = get_with(rig.address, "/my-app/pr-1/x", &[("answer-status", status)]).await;
        assert_eq!((answer.status.as_str(), answer.reached()), (status, ("one", "GET /x")));
    }
}

pub(crate) async fn an_app_cannot_send_its_visitors_elsewhere_inside_the_router(rig: Rig) {
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port)]).await;
    for inside in ["/my-app/pr-2/", "/.preview-deployer/generation", "@preview_gone"] {
        let headers = [("answer-x-accel-redirect", inside)];
        let answer = get_with(rig.address, "/my-app/pr-1/x", &headers).await;
        assert_eq!((answer.status.as_u16(), answer.reached()), (200, ("one", "GET /x")), "{answer}");
    }
}

pub(crate) async fn no_request_fails_while_the_app_moves(rig: Rig) {
    let mut serving = one(&rig).await;
    let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let visitors: Vec<_> =
        (0..4).map(|visitor| tokio::spawn(visit_often(rig.address, visitor, asked.clone(), stop.clone()))).collect();
    for _ in 0..5 {
        let before = asked.load(Ordering::Relaxed);
        eventually("visitors come", || async { asked.load(Ordering::Relaxed) > before + 20 }).await;
        let next = App::start("next").await;
        rig.serve(&[(ID, next.port)]).await;
        rig.router.drain(serving.port, Duration::from_secs(30)).await;
        serving = next;
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
}

/// Asks again and again, with and without a body; panics at the first request that fails.
async fn visit_often(router: std::net::SocketAddr, visitor: usize, asked: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let mut request = request("/my-app/pr-1/length", &[]);
        if visitor % 2 == 1 {
            *request.method_mut() = Method::POST;
            *request.body_mut() = megabytes(1);
        }
        let answer = ask(router, request).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) async fn draining_waits_for_requests_and_not_for_longer_than_asked(rig: Rig) {
    let old = one(&rig).await;
    let slow = tokio::spawn(ask(rig.address, request("/my-app/pr-1/slow", &[])));
    old.is_asked().await;
    let new = App::start("new").await;
    rig.serve(&[(ID, new.port)]).await;

    let began = Instant::now();
    rig.router.drain(old.port, Duration::from_millis(300)).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "the slow request is still under way");
    old.release();
    rig.router.drain(old.port, Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(20), "nothing is under way any more");
    assert_eq!(slow.await.unwrap().unwrap().body, "one at last");
}

pub(crate) async fn applying_twice_changes_nothing(rig: Rig) {
    let app = one(&rig).await;
    let reloads = || rig.nginx.as_ref().map(|nginx| nginx.reloads());
    let before = reloads();
    rig.serve(&[(ID, app.port)]).await;
    assert_eq!(reloads(), before);
    assert_eq!(rig.router.observe().await.unwrap(), table(&[(ID, app.port)]));
    assert_eq!(get(rig.address, "/my-app/pr-1/").await.status, StatusCode::OK);
}

pub(crate) async fn a_removed_preview_is_gone(rig: Rig) {
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port)]).await;
    rig.serve(&[("my-app-2", two.port)]).await;
    for path in ["/my-app/pr-1/", "/my-app/pr-1", "/my-app/pr-1/x"] {
        let answer = get(rig.address, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer}");
        assert!(answer.body.contains("There is no preview here"), "{answer}");
    }
    assert_eq!(get(rig.address, "/my-app/pr-2/").await.status, StatusCode::OK);
    rig.serve(&[]).await;
    assert_eq!(get(rig.address, "/my-app/pr-2/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(rig.router.observe().await.unwrap(), table(&[]));
}

pub(crate) async fn a_router_that_starts_again_finds_its_routes(rig: Rig) {
    let app = one(&rig).await;
    // The built-in one starts with the service, empty, and says so; nginx goes on without us.
    let (again, expected) = match &rig.nginx {
        Some(nginx) => {
            (Rig { router: Arc::new(nginx.router()), address: rig.address, nginx: None }, table(&[(ID, app.port)]))
        }
        None => (Rig::builtin().await, table(&[])),
    };
    assert_eq!(again.router.observe().await.unwrap(), expected);
    again.serve(&[(ID, app.port)]).await;
    assert_eq!(get(again.address, "/my-app/pr-1/").await.status, StatusCode::OK);
}

pub(crate) async fn many_changes_at_once_end_with_the_newest(rig: Rig) {
    let app = App::start("one").await;
    let ids: Vec<String> = (1..=20).map(|number| format!("my-app-{number}")).collect();
    let routes: Vec<(&str, _)> = ids.iter().map(|id| (id.as_str(), app.port)).collect();
    let tables: Vec<_> = (1..=routes.len()).map(|count| table(&routes[..count])).collect();
    let before = rig.nginx.as_ref().map(|nginx| nginx.reloads());
    let applied = stream::iter(&tables).map(|table| rig.router.apply(table)).buffered(tables.len());
    for result in applied.collect::<Vec<_>>().await {
        result.unwrap();
    }
    assert_eq!(rig.router.observe().await.unwrap(), tables[19]);
    assert_eq!(get(rig.address, "/my-app/pr-20/").await.status, StatusCode::OK);
    if let Some((nginx, before)) = rig.nginx.as_ref().zip(before) {
        assert!(nginx.reloads() - before <= 3, "changes that arrive together share a reload");
    }
}

pub(crate) async fn it_answers_for_itself(rig: Rig) {
    one(&rig).await;
    rig.router.ping().await.unwrap();
}
