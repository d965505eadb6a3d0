//! What holds for both routers.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use preview_orchestrator::settings::{BaseUrl, Challenge, DigitalOcean};
use preview_orchestrator::tls::{Overview, Stage, Standing};
use preview_simulator::sha256_signature;

use crate::cloud::{Cloud, TOKEN};
use crate::eventually;
use crate::house::SECRET;
use crate::rig::{DOMAIN, Kind, LONG, Rig, Running, Visitor};

/// The host of a preview's own.
fn host(number: u64) -> String {
    format!("pr-{number}-my-org-my-app.{DOMAIN}")
}

/// For so long nginx's old workers may still accept connections after a reload.
const SETTLED: Duration = Duration::from_millis(250);

/// Waits until the host is served encrypted, by everybody who answers.
pub(crate) async fn secured(visitor: &Visitor, host: &str) {
    let mut since: Option<Instant> = None;
    while since.is_none_or(|since| since.elapsed() < SETTLED) {
        eventually(&format!("{host} has a certificate"), || async { visitor.secure(host, "/").await.is_ok() }).await;
        let still = visitor.secure(host, "/").await.is_ok();
        since = still.then(|| since.unwrap_or_else(Instant::now));
    }
}

pub(crate) async fn each_known_host_gets_a_certificate_and_visitors_are_sent_there(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    let _running = rig.start(1).await;
    let visitor = rig.visitor().await;
    let (own, port) = (host(12), rig.secure.port());
    secured(&visitor, DOMAIN).await;
    secured(&visitor, &own).await;

    let path = visitor.secure(DOMAIN, "/my-org-my-app/pr-12/a?b=c").await.unwrap();
    assert_eq!((path.status, path.body), (200, format!("https {DOMAIN}:{port} /a?b=c")));
    let by_host = visitor.secure(&own, "/a").await.unwrap();
    assert_eq!((by_host.status, by_host.body), (200, format!("https {own}:{port} /a")));
    assert_ne!(path.certificate, by_host.certificate, "each has its own");

    for (host, path) in [(DOMAIN, "/my-org-my-app/pr-12/a?b=c"), (own.as_str(), "/a?b=c")] {
        sent_on(&visitor, host, path, port).await;
    }
    for host in [DOMAIN, own.as_str()] {
        let asked = visitor.plain(host, "/.well-known/acme-challenge/made-up").await;
        assert_eq!(
            (asked.status, asked.location.as_str()),
            (404, ""),
            "no app answers for its host there, nor is sent to"
        );
    }
    let gone = visitor.secure(DOMAIN, "/my-org-my-app/pr-99/").await.unwrap();
    assert_eq!(gone.status, 404);
    assert_eq!((rig.pebble.orders(), rig.pebble.accounts()), (2, 1));
}

/// Waits until who asks unencrypted is sent to TLS: for a moment nginx's old workers may still answer.
pub(crate) async fn sent_on(visitor: &Visitor, host: &str, path: &str, port: u16) {
    let wanted = (308, format!("https://{host}:{port}{path}"));
    eventually(&format!("{host}{path} leads to TLS"), || async {
        let sent = visitor.plain(host, path).await;
        (sent.status, sent.location) == wanted
    })
    .await;
}

/// Delivers a ping as GitHub does, and tells the status of the answer.
pub(crate) async fn deliver(client: &reqwest::Client, origin: &str, body: &'static str, signature: String) -> u16 {
    let delivery = client.post(format!("{origin}/webhook/github"));
    let delivery = delivery.header("X-GitHub-Event", "ping").header("X-GitHub-Delivery", "72d3162e-cc78-11e3");
    let delivery = delivery.header("X-Hub-Signature-256", signature).header("Content-Type", "application/json");
    delivery.body(body).send().await.unwrap().status().as_u16()
}

pub(crate) async fn deliveries_come_either_way(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    let _running = rig.start(0).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    let body = r#"{"zen": "Design for failure."}"#;
    let secure = (format!("https://{DOMAIN}:{}", rig.secure.port()), rig.secure);
    // The built-in router takes none unencrypted: there it is a web server in front that does.
    let plain = (format!("http://{DOMAIN}:{}", rig.plain.port()), rig.plain);
    for (origin, address) in [secure, plain].into_iter().take(if kind == Kind::Nginx { 2 } else { 1 }) {
        let deliver = |signature: String| {
            let delivery = visitor.finding(DOMAIN, address).post(format!("{origin}/webhook/github"));
            let delivery = delivery.header("X-GitHub-Event", "ping").header("X-GitHub-Delivery", "72d3162e-cc78-11e3");
            delivery
                .header("X-Hub-Signature-256", signature)
                .header("Content-Type", "application/json")
                .body(body)
                .send()
        };
        let answer = deliver(sha256_signature(SECRET.as_bytes(), body.as_bytes())).await.unwrap();
        assert_eq!(answer.status(), 200, "{origin}");
        // A connection that stays could be closed at the moment in which the next delivery is sent over it.
        assert_eq!(answer.headers()["connection"], "close", "{origin}");
        assert_eq!(deliver(sha256_signature(b"another", body.as_bytes())).await.unwrap().status(), 401, "{origin}");
    }
}

pub(crate) async fn an_unknown_name_starts_no_order(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    let running = rig.start(1).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    secured(&visitor, &host(12)).await;
    let unknown = [host(99), format!("www.{DOMAIN}"), format!("a.b.{DOMAIN}"), "evil.test".to_owned()];
    for name in &unknown {
        assert!(visitor.secure(name, "/").await.is_err(), "{name} has no certificate");
        let plain = visitor.plain(name, "/.well-known/acme-challenge/made-up").await;
        assert_eq!(plain.status, 404, "{name}");
        visitor.plain(name, "/").await;
    }
    // One that comes to be known gets its order, and by then those would have got theirs.
    rig.add_preview(&running, 13).await;
    secured(&visitor, &host(13)).await;
    assert_eq!(rig.pebble.orders(), 3);
}

pub(crate) async fn certificates_are_renewed_before_they_end_and_no_visitor_notices(kind: Kind) {
    const GOOD_FOR: Duration = Duration::from_secs(15);
    let mut rig = Rig::new(kind, GOOD_FOR).await;
    let _running = rig.start(0).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    let (mut seen, began) = (Vec::new(), Instant::now());
    // Longer than two of them are good for: each answer is checked against the clock by the visitor.
    while began.elapsed() < GOOD_FOR * 2 {
        let got = visitor.secure(DOMAIN, "/my-org-my-app/pr-12/").await.unwrap();
        // For a moment after a reload nginx's old workers still show the one before.
        if !seen.contains(&got.certificate) {
            seen.push(got.certificate);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!((3..=5).contains(&seen.len()), "{} certificates in {:?}", seen.len(), began.elapsed());
    assert_eq!(rig.pebble.accounts(), 1);
}

/// What `/health` says of certificates.
async fn told(running: &Running) -> (bool, String) {
    let health = running.house.ask("GET /health").token().send().await;
    assert_eq!(health.status, 200, "it is a warning");
    let check = &health.json()["checks"]["certificates"];
    (check["ok"] == true, check["detail"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn a_renewal_that_fails_is_told_and_tried_again(kind: Kind) {
    let mut rig = Rig::new(kind, Duration::from_secs(45)).await;
    let running = rig.start(0).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    assert_eq!(told(&running).await, (true, String::new()));
    let first = visitor.secure(DOMAIN, "/").await.unwrap().certificate;

    rig.pebble.stop();
    eventually("the failure is told", || async { !told(&running).await.0 }).await;
    let (_, detail) = told(&running).await;
    assert!(detail.contains(&format!("the certificate of {DOMAIN} ends at ")), "{detail}");
    assert!(detail.contains("could not be renewed") && detail.contains("tried again at"), "{detail}");
    assert_eq!(visitor.secure(DOMAIN, "/").await.unwrap().certificate, first, "it is served as long as it is good");

    // A pebble that was started again knows neither our account nor its own root.
    rig.pebble.start_again().await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    eventually("all is well again", || async { told(&running).await.0 }).await;
    assert_eq!(rig.pebble.accounts(), 2);
}

/// What `/api/certificates` says of the origin's, and whether the router serves it.
async fn standing(running: &Running, line: &str) -> (Standing, bool) {
    let answer = running.house.ask(line).token().send().await;
    let mut told: Overview = serde_json::from_value(answer.json()).unwrap();
    (told.certificates.remove(0), told.served)
}

pub(crate) async fn what_failed_is_told_by_its_kind_and_tried_again_when_somebody_asks(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    rig.rests_long();
    let zone = rig.pebble.zone();
    // As a name that leads to another machine.
    zone.lead_to(DOMAIN, Ipv4Addr::new(127, 0, 0, 99)).await;
    let running = rig.start(0).await;
    let list = "GET /api/certificates";
    eventually("the failure is told", || async { standing(&running, list).await.0.state == Stage::Failed }).await;
    let (failed, _) = standing(&running, list).await;
    assert_eq!((failed.name.as_str(), failed.problem.as_deref()), (DOMAIN, Some("connection")), "{failed:?}");
    let cause = failed.cause.unwrap();
    assert!(
        cause.starts_with("the authority was not convinced (connection): ") && cause.contains("127.0.0.99"),
        "{cause}"
    );

    assert!(
        told(&running)
            .await
            .1
            .starts_with(&format!("there is no certificate for {DOMAIN}: {cause}; it is tried again at "))
    );
    let stranger = running.house.ask("GET /health").send().await;
    assert_eq!(stranger.json(), serde_json::json!({"status": "ok"}), "whoever has no token learns nothing of it");

    zone.lead_back(DOMAIN).await;
    assert_eq!(standing(&running, "POST /api/certificates/retry").await.0.state, Stage::Ordered);
    eventually("it is served", || async {
        let (told, served) = standing(&running, list).await;
        told.state == Stage::Valid && served
    })
    .await;
    // What is said to be served is.
    rig.visitor().await.secure(DOMAIN, "/").await.unwrap();
    eventually("all is well", || async { told(&running).await == (true, String::new()) }).await;
}

pub(crate) async fn certificates_survive_a_restart(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    let running = rig.start(1).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    secured(&visitor, &host(12)).await;
    let before = visitor.secure(DOMAIN, "/").await.unwrap().certificate;
    drop(running);

    eventually("its port is free", || async { kind == Kind::Nginx || std::net::TcpListener::bind(rig.secure).is_ok() })
        .await;
    let _running = rig.start(1).await;
    secured(&visitor, &host(12)).await;
    assert_eq!(visitor.secure(DOMAIN, "/").await.unwrap().certificate, before);
    assert_eq!((rig.pebble.orders(), rig.pebble.accounts()), (2, 1), "nothing was asked for again");
    assert_eq!(private_files(&rig), 3, "an account and two certificates");
}

/// How many files are kept; each must be its owner's alone.
fn private_files(rig: &Rig) -> usize {
    let (mut folders, mut files) = (vec![rig.kept()], 0);
    while let Some(folder) = folders.pop() {
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", folder.display());
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
                files += 1;
            }
        }
    }
    files
}

pub(crate) async fn one_record_in_the_zone_gets_one_certificate_for_all(kind: Kind) {
    let mut rig = Rig::new(kind, LONG).await;
    let cloud = Cloud::start(rig.pebble.zone()).await;
    let api = BaseUrl::of_server(&cloud.url).unwrap();
    rig.by_records(Challenge::Dns(DigitalOcean { token: TOKEN.into(), api }));
    let running = rig.start(1).await;
    let visitor = rig.visitor().await;
    secured(&visitor, DOMAIN).await;
    secured(&visitor, &host(12)).await;
    rig.add_preview(&running, 13).await;
    let [one, other] = [visitor.secure(&host(12), "/").await, visitor.secure(&host(13), "/").await].map(Result::unwrap);
    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(one.certificate, other.certificate, "one for all");
    assert_eq!(visitor.secure(&host(99), "/").await.unwrap().status, 404);
    sent_on(&visitor, &host(13), "/", rig.secure.port()).await;
    eventually("no record is left", || async { cloud.records().0 == 0 }).await;
    assert_eq!((rig.pebble.orders(), cloud.records().1), (2, 2), "for the origin, and for all below the domain");
    assert!(visitor.secure(&format!("a.b.{DOMAIN}"), "/").await.is_err());
}
