//! A disk that is small: what finished previews leave behind goes, what runs stays, and without room a build waits.

use preview_simulator::{Change, Mimic, Pull};
use rustix::fs::statvfs;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::rig::{Rig, Setup};

const MB: u64 = 1_000_000;

/// An app whose image takes four megabytes more than others.
async fn up(rig: &Rig, version: &str) -> Pull {
    let payload: Vec<u8> = version.bytes().cycle().take(4_000_000).collect();
    let dockerfile = "FROM scratch\nCOPY . /\nENV PORT=3000\nEXPOSE 3000\nENTRYPOINT [\"/mimic\"]\n";
    let more = vec![Change::write("Dockerfile", dockerfile), Change::write("payload", payload)];
    let pull = rig.open_with([Mimic::new(version).port(3000).files(), more].concat()).await;
    rig.until_answers(&rig.url(&pull), version).await;
    pull
}

async fn images(rig: &Rig) -> Vec<String> {
    let names = rig.docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]).await;
    names.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finished_previews_leave_behind_goes_when_it_is_over_the_budget() {
    let engine = Engine::start_on_disk(2300).await;
    let rig = Setup::new().set("DOCKER_HOST", engine.host()).set("DISK_BUDGET_GB", 0.02);
    let rig = rig.set("CLEANUP_INTERVAL_MINUTES", 0.02).start().await;
    let first = up(&rig, "first").await;
    let running = up(&rig, "running").await;
    let used = async || rig.ask_api("/health").await["disk"].clone();
    let sum =
        |used: &Value| ["previews", "buildCache", "mirrors"].iter().filter_map(|part| used[part].as_u64()).sum::<u64>();
    rig.until("it has added up two images", async || (used().await["previews"].as_u64()? > 10 * MB).then_some(()))
        .await;
    for version in ["second", "third", "fourth"] {
        up(&rig, version).await.close().unwrap();
    }
    first.close().unwrap();
    rig.until("the images of finished previews are gone", async || {
        let left = images(&rig).await;
        (left.len() == 1 && left[0].starts_with(&format!("preview-deployer/{}:", rig.id(&running)))).then_some(())
    })
    .await;
    // Three times four megabytes, and what was copied on the way to them, would be left of the others.
    rig.until("all that is left is within the budget", async || {
        let used = used().await;
        assert_eq!(used["budget"], 20 * MB);
        let one = used["previews"].as_u64()? < 8 * MB;
        (one && sum(&used) <= 20 * MB && rig.log().contains("removed the oldest parts of the build cache"))
            .then_some(())
    })
    .await;
    rig.until_answers(&rig.url(&running), "running").await;
    assert_eq!(rig.ask_api("/api/audit").await["findings"], json!([]));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_a_build_waits_says_so_and_goes_on_when_there_is_room() {
    let engine = Engine::start_on_disk(2300).await;
    let rig = Setup::new().set("DOCKER_HOST", engine.host()).start().await;
    let running = up(&rig, "running").await;
    // The disk that our own files are on is this machine's, and may be as full as it likes.
    let warning = async || {
        let told = rig.ask_api("/health").await["checks"]["disk"]["detail"].as_str().unwrap_or_default().to_owned();
        Some(told).filter(|told| told.contains("Docker's data"))
    };
    assert_eq!(warning().await, None);
    // Somebody else's data, until a sixth of the disk is free: less than the 2 GB that must be.
    let found = statvfs(engine.disk()).unwrap();
    let filler = engine.disk().join("filler");
    let fill = |bytes: u64| {
        let file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes).unwrap();
    };
    fill(found.f_bavail * found.f_frsize - 400 * MB);

    let waiting = rig.open(Mimic::new("waiting")).await;
    rig.until_comment(&waiting, "The server's disk is almost full. It starts as soon as there is room again.").await;
    assert_eq!(rig.record(&rig.id(&waiting))["status"], "queued");
    assert_eq!(images(&rig).await.len(), 1, "nothing is built");
    let told = rig.until("the warning is there", warning).await;
    assert!(told.starts_with("the disk with Docker's data is 83 % full, 0.4 GB are free"), "{told}");
    rig.until_answers(&rig.url(&running), "running").await;
    // A waiting build can be given up like any other.
    let other = rig.open(Mimic::new("other")).await;
    rig.until_comment(&other, "disk is almost full").await;
    other.close().unwrap();
    rig.until_record(&rig.id(&other), "gone", |record| record.is_none()).await;

    std::fs::remove_file(&filler).unwrap();
    rig.until_answers(&rig.url(&waiting), "waiting").await;
    rig.until_comment(&waiting, "Preview is ready").await;
    rig.until("the warning is gone", async || warning().await.is_none().then_some(())).await;
    rig.finish().await;
}
