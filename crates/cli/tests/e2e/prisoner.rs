//! A preview that tries to get out, to take everything and to stay: contained, and its neighbour notices nothing.

use std::time::{Duration, Instant};

use preview_simulator::{Change, Mimic, Pull};
use serde_json::Value;

use crate::isolation::WITH_POSTGRES;
use crate::rig::{Rig, Setup};
use crate::walls::reached;

/// Files of the engine, of the kernel and of its own image that nobody's code may write.
const OUTSIDE: [&str; 8] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/etc/passwd",
    "/etc/hosts",
    "/mimic",
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
];

/// How long what ends by SIGKILL alone may take to be gone: ten seconds of grace, and what two busy cores add.
const BOUND: Duration = Duration::from_secs(25);

/// A mimic with a folder that it may write to.
fn prisoner(version: &str) -> Vec<Change> {
    let dockerfile =
        "FROM scratch\nCOPY mimic VERSION /\nCOPY --chown=10001:10001 data /data\nENTRYPOINT [\"/mimic\"]\n";
    let changes = [Change::write("Dockerfile", dockerfile), Change::write("data/file", "x")];
    Mimic::new(version).files().into_iter().chain(changes).collect()
}

/// What it answers to an order; nothing, where the order was the end of it.
async fn order(rig: &Rig, pull: &Pull, what: &str) -> String {
    let answer = rig.http.get(format!("{}{what}", rig.url(pull))).timeout(Duration::from_secs(10)).send().await;
    match answer {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Where the prisoner listens, so that it is known that it can reach at all.
const ITSELF: &str = "127.0.0.1:3000";

/// Where another preview's app and database are, by address, name and port of the host.
pub(crate) async fn places(rig: &Rig, other: &str) -> Vec<String> {
    let (app, database, record) =
        (rig.container(other, "app-a").await, rig.container(other, "db").await, rig.record(other));
    let network = |container: &Value, what: &str| {
        container["NetworkSettings"]["Networks"][other][what].as_str().unwrap().to_owned()
    };
    let hosts = [network(&database, "Gateway"), "127.0.0.1".to_owned()];
    let published = hosts.iter().flat_map(|host| ["appPort", "dbPort"].map(|port| format!("{host}:{}", record[port])));
    let inside = [
        format!("{}:5432", network(&database, "IPAddress")),
        format!("{other}-db-1:5432"),
        format!("{}:3000", network(&app, "IPAddress")),
        format!("{other}-app-a-1:3000"),
    ];
    inside.into_iter().chain(published).collect()
}

/// The time of a visit: the one in the middle of many.
async fn median(rig: &Rig, url: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..41 {
        let begun = Instant::now();
        assert_eq!(rig.http.get(url).send().await.unwrap().status(), 200);
        times.push(begun.elapsed());
    }
    times.sort();
    times[20]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_tries_everything_is_contained() {
    // Room enough for the neighbour's database.
    let rig = Setup::new().set("CONTAINER_DISK_MB", 160).start().await;
    let beside = rig.open(Mimic::new("neighbour").config(WITH_POSTGRES)).await;
    let neighbour = rig.url(&beside);
    rig.until_answers(&neighbour, "neighbour").await;
    let pull = rig.open_with(prisoner("prisoner one")).await;
    let (id, url) = (rig.id(&pull), rig.url(&pull));
    rig.until_answers(&url, "prisoner one").await;
    let places = [places(&rig, &rig.id(&beside)).await, vec![ITSELF.to_owned()]].concat();
    assert_eq!(reached(&rig, &pull, &places).await, [ITSELF]);
    for path in OUTSIDE {
        let said = order(&rig, &pull, &format!("write?path={path}")).await;
        assert!(said.starts_with("refused"), "{path}: {said}");
    }

    // Its log is cut, and what it eats beyond its limit is its own end.
    assert_eq!(order(&rig, &pull, "talk?mb=20").await, "talked");
    let log = rig.container(&id, "app-a").await["LogPath"].as_str().unwrap().to_owned();
    assert!(std::fs::metadata(log).unwrap().len() < 12_000_000);
    order(&rig, &pull, "eat?mb=600").await;
    rig.until("the engine has brought it back", async || {
        (rig.container(&id, "app-a").await["RestartCount"].as_u64() > Some(0)).then_some(())
    })
    .await;
    rig.until_answers(&url, "prisoner one").await;

    // What fills the disk is stopped, and stays so until the next push.
    order(&rig, &pull, "write?path=/data/fill&mb=400").await;
    rig.until_comment(&pull, "had written more to the disk than a preview may").await;
    rig.until("it is stopped", async || (rig.container(&id, "app-a").await["State"]["Running"] == false).then_some(()))
        .await;
    let why = rig.preview(&["why", &format!("{}#{}", rig.repos[0], pull.number())]).run().await.unwrap();
    assert!(why.text().contains("CONTAINER_DISK_MB"), "{}", why.text());

    pull.push(prisoner("prisoner two")).await.unwrap();
    rig.until_answers(&url, "prisoner two").await;
    let usual = median(&rig, &neighbour).await;
    order(&rig, &pull, "multiply").await;
    let beside = median(&rig, &neighbour).await;
    assert!(beside < usual * 2 + Duration::from_millis(20), "{usual:?} usually, {beside:?} beside a fork bomb");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_ignores_sigterm_is_replaced_stopped_and_removed_in_bounded_time() {
    let rig = Setup::new().start().await;
    let (_, neighbour) = rig.up("neighbour").await;
    let usual = median(&rig, &neighbour).await;
    let pull = rig.open(Mimic::new("stubborn one").ignoring_sigterm()).await;
    let (id, url) = (rig.id(&pull), rig.url(&pull));
    rig.until_answers(&url, "stubborn one").await;

    pull.push(Mimic::new("stubborn two").ignoring_sigterm().files()).await.unwrap();
    rig.until_answers(&url, "stubborn two").await;
    rig.until_within(BOUND, "the old version is gone", async || (rig.containers(&id).await.len() == 1).then_some(()))
        .await;
    // Its visitors noticed nothing: the new version answered before the old one was told to go.
    rig.until_answers(&url, "stubborn two").await;

    let begun = Instant::now();
    pull.close().unwrap();
    let beside = median(&rig, &neighbour).await;
    assert!(beside < usual * 2 + Duration::from_millis(20), "{usual:?} usually, {beside:?} beside its removal");
    rig.until_gone(&url).await;
    rig.until_within(BOUND, "all of it is gone", async || rig.containers(&id).await.is_empty().then_some(())).await;
    rig.until_record(&id, "none is left", |record| record.is_none()).await;
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    rig.finish().await;
}
