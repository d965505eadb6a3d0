//! `GET /health`: yes or no for everybody, more for the token.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use preview_core::capacity::{Files, Room};
use preview_orchestrator::ledger::State;
use serde_json::{Value, json};

use crate::house::{Full, House, until};
use crate::nobody::Mood;

#[tokio::test]
async fn everybody_learns_whether_it_works_and_no_more() {
    let house = House::open().await;
    let answer = house.ask("GET /health").host("anything.example").send().await;
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
    let answer = house.ask("GET /health").header("Authorization", "Bearer wrong").send().await;
    assert_eq!(answer.json(), json!({"status": "ok"}));
    let head = house.ask("HEAD /health").send().await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn the_token_learns_how_it_is() {
    let house = House::open().await;
    house.add_preview(12).await;
    let mut told = house.ask("GET /health").token().send().await.json();
    assert!(told["uptimeSeconds"].as_u64().unwrap() < 60);
    told["uptimeSeconds"] = "…".into();
    told["version"] = "…".into();
    insta::assert_json_snapshot!(told);
}

#[tokio::test]
async fn without_docker_it_does_not_work() {
    let house = House::open().await;
    *house.outside.docker() = Mood::Gone;
    let answer = house.ask("GET /health").send().await;
    assert_eq!((answer.status, answer.json()), (503, json!({"status": "unavailable"})));
    let told = house.ask("GET /health").token().send().await.json();
    assert_eq!(told["checks"]["docker"]["ok"], false);
    assert_eq!(told["checks"]["ledger"]["ok"], true);
}

#[tokio::test]
async fn a_docker_that_says_nothing_holds_up_nobody_for_long() {
    let house = House::open().await;
    *house.outside.docker() = Mood::Silent;
    let began = Instant::now();
    let answer = house.ask("GET /health").send().await;
    assert_eq!(answer.status, 503);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_told() {
    let house = House::on(State::default(), Full).await;
    assert!(house.ledger.change(|_| ()).await.is_err());
    let answer = house.ask("GET /health").send().await;
    assert_eq!((answer.status, answer.json()), (503, json!({"status": "unavailable"})));
}

#[tokio::test]
async fn a_disk_that_fills_is_a_warning_for_the_token() {
    let room =
        |disk_free| Some(Room { memory_available: 1 << 30, disk_free, disk_total: 100_000_000_000, files: None });
    for (free, ok) in [(21_000_000_000, true), (20_000_000_000, false)] {
        let house = House::open().await;
        *house.outside.room.lock().unwrap() = room(free);
        let answer = house.ask("GET /health").token().send().await;
        assert_eq!((answer.status, &answer.json()["checks"]["disk"]["ok"]), (200, &json!(ok)), "it works all the same");
        let told = answer.json()["checks"]["disk"]["detail"].clone();
        let words = "the disk with Docker's data is 80 % full, 20.0 GB are free; new builds wait below 10.0 GB";
        assert_eq!(told, if ok { Value::Null } else { json!(words) });
        assert_eq!(house.ask("GET /health").send().await.json(), json!({"status": "ok"}));
    }
}

#[tokio::test]
async fn a_disk_that_runs_out_of_files_is_told_as_that() {
    let house = House::open().await;
    let files = Some(Files { free: 100_000, total: 1_000_000 });
    *house.outside.room.lock().unwrap() =
        Some(Room { memory_available: 1 << 30, disk_free: 50_000_000_000, disk_total: 100_000_000_000, files });
    let answer = house.ask("GET /health").token().send().await;
    assert_eq!(answer.json()["checks"]["disk"]["ok"], json!(false));
    let words =
        "the disk with Docker's data has 90 % of its files, 100000 more can be made; new builds wait below 100000";
    assert_eq!(answer.json()["checks"]["disk"]["detail"], json!(words));
}

#[tokio::test]
async fn asking_us_often_does_not_ask_docker_often() {
    let house = House::open().await;
    let began = Instant::now();
    let asked = futures_util::future::join_all((0..50).map(|_| house.ask("GET /health").send())).await;
    assert!(asked.iter().all(|answer| answer.status == 200));
    let most = 1 + began.elapsed().as_secs() as usize;
    assert!(house.outside.pings.load(Ordering::SeqCst) <= most);
    // And yet it is not an answer for ever.
    *house.outside.docker() = Mood::Gone;
    let pings = house.outside.pings.load(Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(10), async {
        while house.ask("GET /health").token().send().await.status == 200 {}
    })
    .await
    .unwrap();
    until("it asked again", || house.outside.pings.load(Ordering::SeqCst) > pings).await;
}
