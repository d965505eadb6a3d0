//! As many deliveries at once as a busy day brings, about many pull requests: all are taken, none is forgotten.

#![expect(clippy::print_stderr, reason = "a test's own output: how long it took")]

use std::time::Duration;

use preview_simulator::state::Deliveries;
use preview_simulator::{Mimic, NewPull, Pull};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rig::{Rig, Setup, unique_owner};

const PULLS: usize = 500;
const DELIVERIES: usize = 10_000;
/// Connections of one client.
const AT_ONCE: usize = 256;
/// The label without which there is no preview, and no comment.
const LABEL: &str = "preview";
/// Most questions for a pull request: while one is being looked at, all that is told of it is one more look.
const MOST_ASKED: usize = DELIVERIES / 2;
/// How long all but one in a hundred of the answers may take: half of what GitHub waits for one. With so many deliveries always under
/// way, each waits for all that came before it, and on two busy cores that took two seconds.
///
/// Source: <https://docs.github.com/en/webhooks/using-webhooks/handling-webhook-deliveries>
const P99: Duration = Duration::from_secs(5);
/// What the burst may cost: MB of resident memory beyond those at rest.
const MOST_MB: u64 = 64;

/// Opens pull requests that all have the same commit, and of which nobody is told.
async fn open_quietly(rig: &Rig) -> Vec<Pull> {
    rig.github.deliver(Deliveries::Lost);
    let mut pulls = Vec::new();
    for n in 0..PULLS {
        let repo = rig.github.repo(&rig.repos[n % rig.repos.len()]).unwrap();
        let changes = if n < rig.repos.len() { Mimic::new("the same").files() } else { Vec::new() };
        pulls.push(repo.open_pull(NewPull::new("feature", changes)).await.unwrap());
    }
    pulls
}

/// A line of `/proc/PID/status` in MB.
fn memory(rig: &Rig, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.service_pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// How often GitHub was asked for one pull request.
fn asked_for_pulls(rig: &Rig) -> usize {
    let one = |path: &str| path.rsplit_once("/pulls/").is_some_and(|(_, number)| number.parse::<u64>().is_ok());
    rig.github.look(|state| state.requests().filter(|asked| asked.method == "GET" && one(&asked.path)).count())
}

/// Sends them as fast as one client can, and gives how long each answer took. At the delivery of that number, `then` happens
/// before it is sent.
async fn send(rig: &Rig, pulls: &[Pull], mut then: impl FnMut(usize)) -> Vec<Duration> {
    let (mut sent, mut times) = (JoinSet::new(), Vec::new());
    for n in 0..DELIVERIES {
        then(n);
        let delivery = rig.delivery(&pulls[n % PULLS], if n < PULLS { "opened" } else { "labeled" });
        sent.spawn(async move {
            let begun = Instant::now();
            let status = delivery.send().await.unwrap().status();
            assert_eq!(status, 202);
            begun.elapsed()
        });
        while sent.len() >= AT_ONCE {
            times.push(sent.join_next().await.unwrap().unwrap());
        }
    }
    times.extend(sent.join_all().await);
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_deliveries_about_five_hundred_pull_requests() {
    let owner = unique_owner();
    let repos = ["app", "api", "web", "jobs"].map(|name| format!("{owner}/{name}"));
    let setup = Setup::new().repos(repos).set("REQUIRE_LABEL", LABEL).set("LOG_LEVEL", "info");
    // Nothing but the deliveries tells of anything.
    let rig = setup.set("RESYNC_INTERVAL_SECONDS", 3600).start().await;
    rig.until("every repository was listed", async || {
        let ledger = rig.ledger();
        let projects: Vec<&Value> = ledger["projects"].as_object()?.values().collect();
        (projects.len() == 4 && projects.iter().all(|project| project["baseline"].is_object())).then_some(())
    })
    .await;
    let pulls = open_quietly(&rig).await;
    let idle = memory(&rig, "VmRSS:");
    let begun = Instant::now();
    // Those that are to run get their label just before the last delivery about them, those that go are closed before theirs.
    let (last, wanted) = (DELIVERIES - PULLS, |n: usize| n % 99 == 7);
    let closed = |n: usize| n.is_multiple_of(5) && !wanted(n);
    let times = send(&rig, &pulls, |n| match n.checked_sub(last) {
        Some(pull) if wanted(pull) => pulls[pull].label(LABEL),
        Some(pull) if closed(pull) => pulls[pull].close().unwrap(),
        _ => {}
    });
    let times = times.await;
    let took = begun.elapsed();
    rig.until("all that was told is dealt with", async || {
        let health = rig.ask_api("/health").await;
        (health["queues"]["pending"] == 0 && health["queues"]["workers"] == 0).then_some(())
    })
    .await;
    let (peak, asked) = (memory(&rig, "VmHWM:"), asked_for_pulls(&rig));
    let p99 = times[times.len() * 99 / 100];
    eprintln!(
        "{} deliveries in {took:?}, answered within {:?} at p50 and {p99:?} at p99; {idle} MB at rest, {peak} MB at most; dealt with after {:?}, for {asked} questions",
        times.len(),
        times[times.len() / 2],
        begun.elapsed()
    );
    assert!(p99 <= P99, "{p99:?} at p99");
    let ledger = rig.ledger();
    for (n, pull) in pulls.iter().enumerate() {
        let (record, line) = (&ledger["deployments"][rig.id(pull)], &ledger["setAside"][rig.id(pull)]);
        let (status, aside) = if wanted(n) { ("running", false) } else { ("", !closed(n)) };
        assert_eq!(record["status"].as_str().unwrap_or_default(), status, "#{n}: {record}");
        assert_eq!(*line != Value::Null, aside, "#{n}: {line}");
    }
    assert!((PULLS..=MOST_ASKED).contains(&asked), "{asked} questions for {PULLS} pull requests");
    assert!(peak <= idle + MOST_MB, "{peak} MB, {idle} MB at rest");
    rig.github.deliver(Deliveries::Normal);
    rig.finish().await;
}
