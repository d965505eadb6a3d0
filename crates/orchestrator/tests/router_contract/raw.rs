//! Requests as nobody should send them, byte by byte: each is refused, and the connection closed, or it reaches exactly the preview
//! that its path names. None reaches another, whatever it carries behind itself.
//!
//! Where the two routers differ, the table says so: `both` is the rule, `each` the exception with its reason beside it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::App;
use crate::rig::{DOMAIN, Rig};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// 4xx or 5xx of the router's own, or the connection just ends. No app sees anything.
    Refused,
    /// The preview `one` answers, once, and nobody else.
    One,
    /// `one` answers each of two requests in a row.
    OneTwice,
    /// `one` may answer before what is wrong is read; if it doesn't, the request is refused.
    OneAtMost,
}

impl Fate {
    fn allows(self, seen: Option<Self>) -> bool {
        seen == Some(self) || self == OneAtMost && matches!(seen, Some(One | Refused))
    }
}

use Fate::{One, OneAtMost, OneTwice, Refused};

struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    builtin: Fate,
    nginx: Fate,
}

/// The second request, hidden in the first or sent right behind it. Whoever lets it through reaches `two`.
const SECOND: &str = "GET /my-app/pr-2/smuggled HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";

fn both(what: &'static str, fate: Fate, bytes: impl Into<Vec<u8>>) -> Case {
    Case { what, bytes: bytes.into(), builtin: fate, nginx: fate }
}

fn each(what: &'static str, builtin: Fate, nginx: Fate, bytes: impl Into<Vec<u8>>) -> Case {
    Case { what, bytes: bytes.into(), builtin, nginx }
}

/// GET with these header lines.
fn get(headers: &str) -> String {
    format!("GET /my-app/pr-1/x HTTP/1.1\r\nHost: p\r\nConnection: close\r\n{headers}\r\n")
}

/// GET of this target.
fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n")
}

/// POST with these header lines and this body, the connection kept.
fn post(headers: &str, body: &str) -> String {
    format!("POST /my-app/pr-1/x HTTP/1.1\r\nHost: p\r\n{headers}\r\n{body}")
}

/// A body whose length is told twice or oddly.
fn lengths() -> Vec<Case> {
    let hidden = |headers: &str| post(headers, &format!("0\r\n\r\n{SECOND}"));
    vec![
        // hyper drops a length beside chunks before we see it, and closes the connection after the answer, as RFC 9112, section
        // 6.3, has it; what is passed on is framed anew, by chunks alone.
        each("a length, then chunks", One, Refused, hidden("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        each(
            "chunks, then a length",
            One,
            Refused,
            post("Transfer-Encoding: chunked\r\nContent-Length: 60\r\nConnection: close\r\n", "0\r\n\r\n"),
        ),
        both("two lengths that differ", Refused, post("Content-Length: 0\r\nContent-Length: 70\r\n", SECOND)),
        both("two lengths in one", Refused, post("Content-Length: 0, 70\r\n", SECOND)),
        both("a length with a sign", Refused, post("Content-Length: +0\r\n", SECOND)),
        both("a negative length", Refused, post("Content-Length: -1\r\n", SECOND)),
        both("a hexadecimal length", Refused, post("Content-Length: 0x46\r\n", SECOND)),
        both("a length beyond all numbers", Refused, post("Content-Length: 99999999999999999999999\r\n", SECOND)),
        both("a length with a space in it", Refused, post("Content-Length: 1 0\r\n", SECOND)),
        both("an unknown coding", Refused, hidden("Transfer-Encoding: xchunked\r\n")),
        both("a coding below chunks", Refused, hidden("Transfer-Encoding: gzip, chunked\r\n")),
        both("chunks below a coding", Refused, hidden("Transfer-Encoding: chunked, identity\r\n")),
        both("chunks twice", Refused, hidden("Transfer-Encoding: chunked, chunked\r\n")),
        both(
            "chunks twice, in two lines",
            Refused,
            hidden("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ),
        both("chunks behind a vertical tab", Refused, hidden("Transfer-Encoding: \x0bchunked\r\n")),
        both("chunks in quotes", Refused, hidden("Transfer-Encoding: \"chunked\"\r\n")),
        both("chunks with a parameter", Refused, hidden("Transfer-Encoding: chunked;q=1\r\n")),
        both("chunks with a space before the colon", Refused, hidden("Transfer-Encoding : chunked\r\n")),
        both("chunks on a folded line", Refused, hidden("Transfer-Encoding:\r\n chunked\r\n")),
        both(
            "chunks of HTTP/1.0",
            Refused,
            hidden("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1\r\nHost: p\r\nT", "HTTP/1.0\r\nHost: p\r\nT"),
        ),
    ]
}

/// Chunks with something wrong in them, and a second request behind.
fn chunks() -> Vec<Case> {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\nConnection: close\r\n", body);
    vec![
        both("whole chunks", One, chunked("3\r\nabc\r\n0\r\n\r\n")),
        both("a chunk with an extension", One, chunked("3;a=b\r\nabc\r\n0\r\n\r\n")),
        both("a trailer that forges", One, chunked("3\r\nabc\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")),
        // The head was passed on already when the body turned out broken: the app sees a body that does not end, not a
        // second request.
        both("a size that is no number", Refused, chunked(&format!("zz\r\nabc\r\n0\r\n\r\n{SECOND}"))),
        both("a negative size", Refused, chunked(&format!("-3\r\nabc\r\n0\r\n\r\n{SECOND}"))),
        both("a size beyond all numbers", Refused, chunked(&format!("fffffffffffffffff\r\nabc\r\n0\r\n\r\n{SECOND}"))),
        both("a size with a prefix", Refused, chunked(&format!("0x3\r\nabc\r\n0\r\n\r\n{SECOND}"))),
        each("a chunk longer than its size", OneAtMost, Refused, chunked(&format!("3\r\nabcdef\r\n0\r\n\r\n{SECOND}"))),
    ]
}

/// Lines and characters that readers take for different things.
fn lines() -> Vec<Case> {
    vec![
        both("a folded header", Refused, get("X-A: b\r\n c\r\n")),
        // nginx passes it on as a header without a value.
        each("a header line without a colon", Refused, One, get("nonsense\r\n")),
        both("a header without a name", Refused, get(": x\r\n")),
        both("a space in a header's name", Refused, get("X A: b\r\n")),
        both("a NUL in a value", Refused, get("X-A: b\0c\r\n")),
        both("a bare CR in a value", Refused, get("X-A: b\rGET /my-app/pr-2/ HTTP/1.1\r\n")),
        both("a NUL in the path", Refused, target("/my-app/pr-1/\0")),
        both("a bare CR in the path", Refused, target("/my-app/pr-1/\rx")),
        both("a tab in the path", Refused, target("/my-app/pr-1/\tx")),
        // Both end a line at a bare LF, as RFC 9112, section 2.2, allows; what is passed on has CRLF.
        both("bare LFs", One, "GET /my-app/pr-1/x HTTP/1.1\nHost: p\nConnection: close\n\n"),
        both("no version", Refused, "GET /my-app/pr-1/x\r\nHost: p\r\n\r\n"),
        both("an unknown version", Refused, get("").replace("HTTP/1.1", "HTTP/9.9")),
        both("the preface of HTTP/2", Refused, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        both("a method in odd characters", Refused, get("").replace("GET", "G(T")),
        both("a header of 100 KB", Refused, get(&format!("X-A: {}\r\n", "x".repeat(100 << 10)))),
        both("a path of 100 KB", Refused, target(&format!("/my-app/pr-1/{}", "x".repeat(100 << 10)))),
        both("a thousand headers", Refused, get(&"X-A: b\r\n".repeat(1000))),
    ]
}

/// Hosts and targets that name more than one place.
fn places() -> Vec<Case> {
    let host = |line: &str| format!("GET /my-app/pr-1/x HTTP/1.1\r\n{line}Connection: close\r\n\r\n");
    vec![
        both("no host", Refused, host("")),
        both("an empty host", Refused, host("Host:\r\n")),
        both("two hosts", Refused, host("Host: p\r\nHost: q\r\n")),
        both("the same host twice", Refused, host("Host: p\r\nHost: p\r\n")),
        both("two hosts in one", Refused, host("Host: p, q\r\n")),
        both("a host with a login", Refused, host("Host: q@p\r\n")),
        both("a host with a path", Refused, host("Host: p/my-app/pr-2\r\n")),
        both("a host with a space", Refused, host("Host: p q\r\n")),
        both("a host with a port that is none", Refused, host("Host: p:x\r\n")),
        both("a host with two ports", Refused, host("Host: p:1:2\r\n")),
        both("another preview's host behind a colon", Refused, host(&format!("Host: p:@pr-2-my-app.{DOMAIN}\r\n"))),
        both("a host below the domain that is no preview's", Refused, host(&format!("Host: x.{DOMAIN}\r\n"))),
        both("a preview's host for another's path", Refused, host(&format!("Host: pr-3-my-app.{DOMAIN}\r\n"))),
        both("an absolute target of the same host", One, target("http://p/my-app/pr-1/x")),
        both("an absolute target of another host", Refused, target("http://q/my-app/pr-1/x")),
        both("an absolute target with a login", Refused, target("http://p@q/my-app/pr-1/x")),
        both("an absolute target of a preview's host", Refused, target(&format!("http://pr-2-my-app.{DOMAIN}/x"))),
        both("a tunnel", Refused, "CONNECT my-app:80 HTTP/1.1\r\nHost: p\r\n\r\n"),
        both("a tunnel to a path", Refused, "CONNECT /my-app/pr-1/ HTTP/1.1\r\nHost: p\r\n\r\n"),
        both("an asterisk", Refused, "OPTIONS * HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n"),
        both("a target without a slash", Refused, target("my-app/pr-1/x")),
    ]
}

/// Paths that lead elsewhere when somebody decodes or resolves them.
fn paths() -> Vec<Case> {
    vec![
        both("dots out", Refused, target("/my-app/pr-1/../pr-2/x")),
        both("encoded dots out", Refused, target("/my-app/pr-1/%2e%2e/pr-2/x")),
        both("an encoded slash out", Refused, target("/my-app/pr-1/..%2fpr-2/x")),
        // To nginx a backslash is a letter of the name, and stays below the prefix.
        each("a backslash out", Refused, One, target("/my-app/pr-1/..\\pr-2/x")),
        both("dots in front", Refused, target("/x/../my-app/pr-1/x")),
        both("doubled slashes in front", Refused, target("//my-app/pr-1/x")),
        both("another host in front", Refused, target("//evil.example/my-app/pr-1/x")),
        both("doubled slashes inside the prefix", Refused, target("/my-app//pr-1/x")),
        both("a parameter in the prefix", Refused, target("/my-app;a/pr-1/x")),
        both("a parameter behind the number", Refused, target("/my-app/pr-1;a/x")),
        both("an encoded prefix", Refused, target("/my-app/%70r-1/x")),
        both("a number with a zero in front", Refused, target("/my-app/pr-01/x")),
        both("an encoded NUL", Refused, target("/my-app/pr-1/%00")),
        both("the service's own API", Refused, target("/api/previews")),
        both("the service's own webhook", Refused, target("/webhook/github")),
        both("doubled slashes behind the prefix", One, target("/my-app/pr-1//x")),
        both("a parameter of the app's own", One, target("/my-app/pr-1/;a=b/x")),
        both("dots that stay inside", One, target("/my-app/pr-1/a/../x")),
        both("an address in the query", One, target("/my-app/pr-1/x?http://p/my-app/pr-2/")),
    ]
}

/// What a visitor tells the next hop, or two requests in a row.
fn hops() -> Vec<Case> {
    let upgrade = |protocol: &str| {
        format!("GET /my-app/pr-1/x HTTP/1.1\r\nHost: p\r\nConnection: close, upgrade\r\nUpgrade: {protocol}\r\n\r\n")
    };
    let kept = "GET /my-app/pr-1/x HTTP/1.1\r\nHost: p\r\n\r\n";
    vec![
        both(
            "a connection that names what we tell the app",
            One,
            get("Connection: X-Forwarded-For, X-Forwarded-Host\r\n"),
        ),
        both("a connection that names the host", One, get("Connection: Host\r\n")),
        both(
            "a connection that names the length",
            One,
            post("Connection: close, Content-Length\r\nContent-Length: 3\r\n", "abc"),
        ),
        both("an upgrade to clear-text HTTP/2", One, upgrade("h2c")),
        both("an upgrade to TLS", One, upgrade("TLS/1.0")),
        both("underscores in a name", One, get("X_Forwarded_For: 6.6.6.6\r\n")),
        both("dots in a name", One, get("X.Forwarded.For: 6.6.6.6\r\n")),
        both(
            "a forged chain",
            One,
            get("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"),
        ),
        both("two requests in a row", OneTwice, format!("{kept}{}", get(""))),
        both("an upload that is refused, and a request in its body", Refused, {
            let body = SECOND;
            format!(
                "POST /my-app/pr-9/x HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }),
        both("an upgrade that the app declines, and a request behind it", OneTwice, {
            let upgrade =
                "GET /my-app/pr-1/no-socket HTTP/1.1\r\nHost: p\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            format!("{upgrade}{}", get(""))
        }),
    ]
}

/// Sends the bytes and reads until the connection is closed, which is to happen soon.
async fn exchange(router: SocketAddr, bytes: &[u8], what: &str) -> String {
    let mut stream = TcpStream::connect(router).await.unwrap();
    let mut answer = Vec::new();
    let talk = async {
        // A router that has seen enough may close while we speak.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    tokio::time::timeout(Duration::from_secs(20), talk)
        .await
        .unwrap_or_else(|_| panic!("{what}: the connection stays open"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn fate_of(answer: &str) -> Option<Fate> {
    let statuses: Vec<&str> =
        answer.split("HTTP/1.").skip(1).filter_map(|rest| rest.split(' ').nth(1)).filter(|s| s.len() >= 3).collect();
    let reached = answer.matches("\none\n").count();
    let refused = statuses.iter().all(|status| status.starts_with(['4', '5']));
    match (reached, statuses.len()) {
        (0, _) if refused => Some(Refused),
        (1, 1) => Some(One),
        (2, 2) => Some(OneTwice),
        _ => None,
    }
}

/// Every case, sent to the router in hand.
pub(crate) async fn no_odd_request_reaches_what_it_does_not_name(rig: Rig) {
    let (one, two) = (App::start("one").await, App::start("two").await);
    rig.serve(&[("my-app-1", one.port), ("my-app-2", two.port)]).await;
    let cases: Vec<Case> = [lengths(), chunks(), lines(), places(), paths(), hops()].into_iter().flatten().collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for Case { what, bytes, builtin, nginx } in &cases {
        let expected = if rig.nginx.is_some() { nginx } else { builtin };
        let answer = exchange(rig.address, bytes, what).await;
        let named_alone = !answer.contains("\ntwo\n") && !answer.contains("/smuggled") && !answer.contains("6.6.6.6");
        let stays = !answer.to_ascii_lowercase().contains("\nlocation:");
        if !expected.allows(fate_of(&answer)) || !named_alone || !stays {
            let shown: String = answer.chars().take(600).collect();
            wrong.push(format!("{what}: expected {expected:?}, got {:?}\n{shown}", fate_of(&answer)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n---\n"));
}
