//! The service killed, and stopped, in the middle of its work.

use std::time::{Duration, Instant};

use preview_simulator::{Mimic, Pull};
use serde_json::Value;

use crate::rig::{Rig, Setup};

/// A build that takes its time, so that it can be caught at it. The base image is the one that everything has.
fn slow_build(version: &str) -> Vec<preview_simulator::Change> {
    let mut files = Mimic::new(version).files();
    let dockerfile = format!("FROM debian:bookworm-slim AS slow\nRUN sleep 3 && echo {version} > /slow\n");
    for change in &mut files {
        if let preview_simulator::Change::Write { path, bytes, .. } = change
            && path == "Dockerfile"
        {
            let own = String::from_utf8(std::mem::take(bytes)).unwrap();
            *bytes = format!("{dockerfile}{own}COPY --from=slow /slow /slow\n").into_bytes();
        }
    }
    files
}

/// Waits until a deployment's attempt is at this step.
async fn until_step(rig: &Rig, pull: &Pull, step: &str) {
    let id = rig.id(pull);
    rig.until(&format!("{id} is at {step}"), async || {
        let at = rig.record(&id)["attempt"]["step"].as_str().map(str::to_owned)?;
        (at == step).then_some(())
    })
    .await;
}

/// Kills the service when the pull request's attempt is at this step; a restart, without any new event, must bring the
/// preview up, with one comment, and leave nothing behind.
async fn killed_at(step: &str, mimic: Mimic, slow: bool) {
    let mut rig = Setup::new().start().await;
    let files = if slow { slow_build("version one") } else { mimic.files() };
    let pull = rig.open_with(files).await;
    until_step(&rig, &pull, step).await;
    rig.kill_service().await;
    rig.github.deliver(preview_simulator::Deliveries::Lost);
    rig.start_service().await;
    rig.until_answers(&rig.url(&pull), "version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.github.deliver(preview_simulator::Deliveries::Normal);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_fetching_it_goes_on() {
    killed_at("checkout", Mimic::new("version one"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_building_it_goes_on() {
    killed_at("build", Mimic::new("version one"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_starting_it_goes_on() {
    killed_at("start", Mimic::new("version one"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_asking_for_health_it_goes_on() {
    killed_at("health", Mimic::new("version one").healthy_after(Duration::from_secs(3)), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_an_update_the_old_version_serves_until_the_new_one_does() {
    let mut rig = Setup::new().start().await;
    let (pull, url) = rig.up("version one").await;
    pull.push(slow_build("version two")).await.unwrap();
    until_step(&rig, &pull, "build").await;
    rig.kill_service().await;
    rig.start_service().await;
    rig.until_answers(&url, "version one").await;
    rig.until_answers(&url, "version two").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_removing_nothing_is_left() {
    let mut rig = Setup::new().start().await;
    let (pull, _) = rig.up("version one").await;
    pull.close().unwrap();
    rig.until_record(&rig.id(&pull), "is going", |record| record.is_none_or(|r| r["removing"] != Value::Null)).await;
    rig.kill_service().await;
    rig.start_service().await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cuts_a_build_off_and_the_next_start_takes_it_up() {
    let mut rig = Setup::new().start().await;
    let pull = rig.open_with(slow_build("version one")).await;
    until_step(&rig, &pull, "build").await;
    let begun = Instant::now();
    rig.stop_service().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(rig.record(&rig.id(&pull))["status"], "building", "it is not a failure");
    rig.start_service().await;
    rig.until_answers(&rig.url(&pull), "version one").await;
    rig.until_comment(&pull, "Preview is ready").await;
    rig.finish().await;
}
