//! One service takes another's place: nobody who visits notices, nothing that was told is lost, and never are there two.

use std::time::{Duration, Instant};

use preview_simulator::{Mimic, free_port};

use crate::load::Load;
use crate::rig::{Rig, RouterKind, Setup, assert_all_served};

/// Replaces the service while visitors come and one of them is being served for long, and a push arrives while there is none.
async fn is_replaced_unnoticed(mut rig: Rig) {
    let (pull, url) = rig.up("version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    let load = Load::start(&url);
    for version in ["version two", "version three"] {
        let (http, slow) = (rig.http.clone(), format!("{url}slow?ms=5000"));
        let long = tokio::spawn(async move { http.get(slow).send().await.unwrap().status() });
        // It is under way by then, and slow ones of the load are.
        rig.until_listed(2).await;
        rig.stop_service().await;
        pull.push(Mimic::new(version).files()).await.unwrap();
        rig.start_service().await;
        assert_eq!(long.await.unwrap(), 200);
        rig.until_answers(&url, version).await;
    }
    assert_all_served(&load.stop().await);
    rig.until_comment(&pull, &format!("`{}`", &pull.head().as_str()[..7])).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sockets_that_are_passed_on_nobody_notices() {
    let mut rig = Setup::new().prepare().await;
    rig.hold_sockets();
    rig.start_service().await;
    is_replaced_unnoticed(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nginx_nobody_notices() {
    is_replaced_unnoticed(Setup::new().router(RouterKind::Nginx).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_less_than_ten_seconds_is_finished() {
    // More than the stop takes, lest the health check give up first.
    let mut rig = Setup::new().set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let pull = rig.open(Mimic::new("in time").healthy_after(Duration::from_secs(3))).await;
    let id = rig.id(&pull);
    rig.until_record(&id, "at its health", |record| record.is_some_and(|record| record["attempt"]["step"] == "health"))
        .await;
    rig.stop_service().await;
    assert_eq!(rig.record(&id)["status"], "running");
    rig.start_service().await;
    rig.until_answers(&rig.url(&pull), "in time").await;
    rig.until_comment(&pull, "Preview is ready").await;

    // What takes longer is cut off, and done by the next.
    let pull = rig.open(Mimic::new("late").healthy_after(Duration::from_secs(16))).await;
    let id = rig.id(&pull);
    rig.until_record(&id, "at its health", |record| record.is_some_and(|record| record["attempt"]["step"] == "health"))
        .await;
    let begun = Instant::now();
    rig.stop_service().await;
    assert!((10..16).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    rig.start_service().await;
    rig.until_answers(&rig.url(&pull), "late").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_never_a_second_one_on_a_ledger() {
    let mut rig = Setup::new().start().await;
    let first = rig.service_pid();
    for ports in [[rig.setting("ORCHESTRATOR_PORT").to_owned(), rig.setting("ROUTER_PORT").to_owned()], {
        [free_port().to_string(), free_port().to_string()]
    }] {
        let [api, router] = ports;
        let second = rig.preview(&["serve"]).env("ORCHESTRATOR_PORT", api).env("ROUTER_PORT", router);
        let refused = second.status().await.unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
        let told = format!("another orchestrator (process {}) already uses the ledger", first.as_raw_nonzero());
        assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    }
    rig.up("still served by the first").await;
    // Nor does the lock outlive its holder.
    rig.kill_service().await;
    rig.start_service().await;
    assert_ne!(rig.service_pid(), first);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_one_leaves_a_newer_ledger_alone() {
    let mut rig = Setup::new().start().await;
    let path = rig.dir.path().join("state/deployments.json");
    rig.until("the ledger is on the disk", async || path.exists().then_some(())).await;
    rig.stop_service().await;
    let ours = std::fs::read_to_string(&path).unwrap();
    let newer = ours.replace("\"version\": 1", "\"version\": 2");
    assert_ne!(newer, ours);
    std::fs::write(&path, &newer).unwrap();
    let refused = rig.preview(&["serve"]).status().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("was written by a newer version"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
    std::fs::write(&path, ours).unwrap();
    rig.start_service().await;
    rig.finish().await;
}
