//! The commands that ask a running service, and how the service ends when it is told to.

use std::time::{Duration, Instant};

use preview_simulator::Mimic;
use rustix::process::{Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{PATIENCE, Rig, Setup};

/// What a command printed, and its exit code.
async fn preview(rig: &Rig, args: &[&str]) -> (i32, String) {
    let output = rig.preview(args).status().await.unwrap();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    (output.status.code().unwrap(), output.text())
}

/// What a command printed that did its work.
async fn done(rig: &Rig, args: &[&str]) -> String {
    let (code, text) = preview(rig, args).await;
    assert_eq!(code, 0, "{args:?}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_listed_read_and_built_again_and_removed() {
    let rig = Setup::new().start().await;
    let pull = rig.open(Mimic::new("version one").logging(50)).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "version one").await;
    rig.until_comment(&pull, &url).await;

    let table = done(&rig, &["list"]).await;
    let row = table.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("{table}"));
    for cell in ["running", &pull.head().as_str()[..7], url.as_str()] {
        assert!(row.contains(cell), "{cell} in {row}");
    }
    let records: serde_json::Value = serde_json::from_str(&done(&rig, &["list", "--json"]).await).unwrap();
    assert_eq!(records[0]["deploymentId"], id.as_str());

    let why = rig.until("nothing is waited for", async || {
        let text = done(&rig, &["why", &format!("{}#{}", rig.repos[0], pull.number())]).await;
        text.contains("nothing: all is as it should be").then_some(text)
    });
    let why = why.await;
    for said in ["open, newest commit", "no rule speaks against it", &url] {
        assert!(why.contains(said), "{said} in {why}");
    }
    let taken = |line: &str| line.contains("pull_request.opened ") && line.contains(" accepted ");
    assert!(why.lines().any(taken), "{why}");

    assert_eq!(done(&rig, &["logs", &id, "--lines", "3"]).await.lines().count(), 3);
    let build = done(&rig, &["logs", &id, "--build", "--follow"]).await;
    assert!(build.contains("COPY mimic /mimic"), "the whole build, and its end: {build}");

    let begun = rig.record(&id)["attempt"]["startedAt"].clone();
    done(&rig, &["redeploy", &id]).await;
    rig.until_record(&id, "built again", |record| {
        let attempt = &record.unwrap()["attempt"];
        attempt["startedAt"] != begun && attempt["step"] == "done"
    })
    .await;
    let kept: serde_json::Value = serde_json::from_str(&done(&rig, &["keep", &id, "12d", "--json"]).await).unwrap();
    let until: jiff::Timestamp = kept["keptUntil"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.duration_since(jiff::Timestamp::now()).as_hours(), 12 * 24 - 1, "{until}");
    assert_eq!(preview(&rig, &["keep", &id, "31d"]).await.0, 2);
    let container = rig.containers(&id).await;
    done(&rig, &["reset-db", &id, "--yes"]).await;
    rig.until_record(&id, "begun anew", |record| record.unwrap()["serving"].is_null()).await;
    rig.until_answers(&url, "version one").await;
    assert_ne!(rig.containers(&id).await, container, "in the other slot");
    rig.until_record(&id, "settled", |record| record.unwrap()["attempt"]["step"] == "done").await;
    assert_eq!(done(&rig, &["audit"]).await, "0 leftovers\n");

    let going = done(&rig, &["rm", &id, "--dry-run"]).await;
    assert_eq!(going, format!("the preview {id}, at {url}; the next push brings a new one\n"));
    assert_eq!(preview(&rig, &["rm", &id]).await.0, 2, "nobody can be asked");
    done(&rig, &["rm", &id, "--yes"]).await;
    rig.until_gone(&url).await;
    rig.until_record(&id, "gone", |record| record.is_none()).await;
    assert_eq!(preview(&rig, &["logs", &id]).await.0, 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_goes_on_until_nobody_reads_it() {
    let rig = Setup::new().start().await;
    let pull = rig.open(Mimic::new("talkative").logging(50)).await;
    rig.until_answers(&rig.url(&pull), "talkative").await;
    let mut lines = 0;
    let follow = rig.preview(&["logs", &rig.id(&pull), "--follow", "--lines", "1"]);
    let read = follow.run_with(|_, _| lines += 1);
    // It never ends by itself: the app goes on talking.
    assert!(tokio::time::timeout(Duration::from_secs(2), read).await.is_err());
    assert!(lines > 10, "{lines} lines in two seconds");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_what_does_not_belong_and_the_next_sweep_removes_and_counts_it() {
    // Nothing sweeps it away before the audit looks.
    let mut rig = Setup::new().set("RESYNC_INTERVAL_SECONDS", 3600).start().await;
    assert_eq!(done(&rig, &["audit"]).await, "0 leftovers\n");
    leave_behind(&rig).await;
    let (code, text) = preview(&rig, &["audit"]).await;
    assert_eq!(code, 3, "{text}");
    for kind in ["container", "network", "volume", "image", "folder"] {
        let told = |line: &str| line.contains(kind) && line.contains("nobody-knows-7");
        assert!(text.lines().any(told), "no {kind} in:\n{text}");
    }
    let repairs = rig.ledger()["repairs"].as_u64().unwrap_or_default();
    rig.stop_service().await;
    rig.set("RESYNC_INTERVAL_SECONDS", 1);
    rig.set("CLEANUP_INTERVAL_MINUTES", 1.0 / 60.0);
    rig.start_service().await;
    rig.until("all of it is gone", async || rig.engine_leftovers().await.is_empty().then_some(())).await;
    rig.until("the audit agrees", async || (preview(&rig, &["audit"]).await.0 == 0).then_some(())).await;
    assert!(rig.ledger()["repairs"].as_u64().unwrap() > repairs, "what should not have happened is counted");
    rig.finish().await;
}

/// One of each kind, of a preview that nobody knows.
async fn leave_behind(rig: &Rig) {
    let id = "nobody-knows-7";
    let labels = [format!("preview-deployer.deployment={id}"), format!("preview-deployer.instance={}", rig.instance())];
    let labelled = labels.each_ref().map(|label| ["--label", label.as_str()]).concat();
    let make = async |what: &[&str], named: &[&str]| rig.docker(&[what, &labelled, named].concat()).await;
    make(&["network", "create"], &[id]).await;
    make(&["volume", "create"], &[&format!("{id}_db-data")]).await;
    let container = format!("{id}-app-a-1");
    let app = ["--label", "preview-deployer.service=app-a", "--name", &container, "debian:bookworm-slim", "true"];
    make(&["container", "create"], &app).await;
    let changes = labels.map(|label| format!("LABEL {label}"));
    let image = format!("preview-deployer/{id}:{}", "7".repeat(40));
    rig.docker(&["commit", "--change", &changes[0], "--change", &changes[1], &container, &image]).await;
    std::fs::create_dir(rig.dir.path().join("deployments").join(id)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_to_stop_stops_in_time() {
    let mut rig = Setup::new().start().await;
    let pull = rig.open(Mimic::new("stays up").logging(50)).await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "stays up").await;
    let follow = rig.preview(&["logs", &rig.id(&pull), "--follow"]);
    let (told, mut reads) = tokio::sync::mpsc::channel(1);
    let tell = move |_, _: &str| {
        let _ = told.try_send(());
    };
    let following = tokio::spawn(async move { follow.run_with(tell).await.unwrap_err() });
    tokio::time::timeout(PATIENCE, reads.recv()).await.expect("a first line").unwrap();

    let begun = Instant::now();
    rig.stop_service().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let log = rig.log();
    assert!(log.contains("the service has stopped") && log.contains("--- the service ended: exit status: 0"), "{log}");
    let followed = following.await.unwrap();
    assert!(followed.stderr().contains("the service has stopped"), "{followed}");

    rig.start_service().await;
    rig.until_answers(&url, "stays up").await;
    rig.finish().await;
}

/// A delivery whose body never comes; the service has begun to read it.
async fn endless_delivery(rig: &Rig) -> TcpStream {
    let address = rig.api.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /webhook/github HTTP/1.1\r\nhost: {address}\r\nx-github-event: ping\r\nx-github-delivery: endless\r\n\
         x-hub-signature-256: sha256={}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
         expect: 100-continue\r\n\r\n",
        "0".repeat(64)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Source: RFC 9110, section 10.1.1: whoever answers this has read the head and wants the body.
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_told_twice_stops_at_once() {
    let mut rig = Setup::new().start().await;
    let waited_for = endless_delivery(&rig).await;
    kill_process(rig.service_pid(), Signal::TERM).unwrap();
    rig.until("it is stopping", async || rig.log().contains("once more to stop at once").then_some(())).await;
    rig.stop_service().await;
    let log = rig.log();
    assert!(log.contains("--- the service ended: `preview` failed (exit status: 130)"), "{log}");
    drop(waited_for);
    rig.start_service().await;
    rig.finish().await;
}
