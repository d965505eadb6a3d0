//! What previews stand on goes away for a while: the engine, nginx, GitHub, the disk; or somebody tidies up by hand. Afterwards the
//! server shows what GitHub asks for, without anybody's help.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use preview_core::deployment::Step;
use preview_simulator::{Fault, Matching, Mimic, Pull};
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::crash::until_step;
use crate::engine::Engine;
use crate::isolation::{WITH_POSTGRES, environment};
use crate::obstacles::mount_tmpfs;
use crate::rig::{Rig, RouterKind, Setup};
use crate::stories::one_preview;

/// A preview that serves, with nothing left to do.
async fn settled(rig: &Rig, version: &str) -> Pull {
    let pull = rig.open(Mimic::new(version)).await;
    one_preview(rig, &pull, version).await;
    pull
}

async fn removed(rig: &Rig, pull: &Pull) {
    rig.until_record(&rig.id(pull), "gone", |record| record.is_none()).await;
    rig.until_gone(&rig.url(pull)).await;
    rig.until_comment(pull, "removed").await;
    rig.until("its containers are gone", async || rig.containers(&rig.id(pull)).await.is_empty().then_some(())).await;
}

async fn until_health(rig: &Rig, status: u16) {
    let health = format!("{}/health", rig.api);
    let what = format!("/health answers {status}");
    rig.until(&what, async || {
        let answer = rig.http.get(&health).send().await.ok()?;
        (answer.status() == status).then_some(())
    })
    .await;
}

// ------------------------------------------------------------------------------------------------- engine, nginx, GitHub

#[tokio::test(flavor = "multi_thread")]
async fn docker_is_stopped_and_started_while_previews_serve_and_come_up() {
    let engine = Engine::start().await;
    let setup = engine.settings().into_iter().fold(Setup::new(), |setup, (name, value)| setup.set(name, value));
    let rig = setup.start().await;
    let (untouched, serving, leaving) =
        (settled(&rig, "untouched").await, settled(&rig, "version one").await, settled(&rig, "leaving").await);
    let coming = rig.open(Mimic::new("coming").starting_after(Duration::from_secs(2))).await;
    until_step(&rig, &coming, Step::Health).await;

    engine.stop();
    until_health(&rig, 503).await;
    serving.push(Mimic::new("version two").files()).await.unwrap();
    leaving.close().unwrap();
    // Long enough for tries in vain.
    rig.until_listed(3).await;
    engine.start_again().await;

    one_preview(&rig, &untouched, "untouched").await;
    one_preview(&rig, &serving, "version two").await;
    one_preview(&rig, &coming, "coming").await;
    removed(&rig, &leaving).await;
    until_health(&rig, 200).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_stopped_for_a_while() {
    let mut rig = Setup::new().router(RouterKind::Nginx).start().await;
    let (serving, leaving) = (settled(&rig, "version one").await, settled(&rig, "leaving").await);
    rig.nginx.as_mut().unwrap().stop().await;
    serving.push(Mimic::new("version two").files()).await.unwrap();
    leaving.close().unwrap();
    let coming = rig.open(Mimic::new("coming")).await;
    rig.until_listed(3).await;
    rig.nginx.as_mut().unwrap().start_again().await;

    one_preview(&rig, &serving, "version two").await;
    one_preview(&rig, &coming, "coming").await;
    removed(&rig, &leaving).await;
    rig.finish().await;
}

/// nginx would not start again with such a file, so nothing is reloaded until its owner has mended it; the comment says so.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_broken_file_keeps_nginx_from_reloading() {
    let rig = Setup::new().router(RouterKind::Nginx).start().await;
    let (serving, leaving) = (settled(&rig, "version one").await, settled(&rig, "leaving").await);
    let foreign = rig.nginx.as_ref().unwrap().foreign_file();
    fs::write(&foreign, "no_such_directive on;").unwrap();
    serving.push(Mimic::new("version two").files()).await.unwrap();
    let comment = rig.until_comment(&serving, "Preview update failed").await;
    assert!(comment.body.contains("in a place that isn't ours"), "{}", comment.body);
    assert!(comment.body.contains("no\\_such\\_directive"), "{}", comment.body);
    rig.until_answers(&rig.url(&serving), "version one").await;
    leaving.close().unwrap();
    rig.until_listed(2).await;
    fs::remove_file(&foreign).unwrap();

    one_preview(&rig, &serving, "version two").await;
    removed(&rig, &leaving).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_away_for_a_while() {
    let rig = Setup::new().start().await;
    let (serving, leaving) = (settled(&rig, "version one").await, settled(&rig, "leaving").await);
    let away = rig.github_fails(Matching::all(), Fault::Disconnect);
    serving.push(Mimic::new("version two").files()).await.unwrap();
    leaving.close().unwrap();
    let coming = rig.open(Mimic::new("coming")).await;
    let asked = || rig.github.look(|state| state.count(&Matching::all()));
    let enough = asked() + 10;
    rig.until("it was asked in vain", async || (asked() >= enough).then_some(())).await;
    rig.until_answers(&rig.url(&serving), "version one").await;
    rig.until_answers(&rig.url(&leaving), "leaving").await;
    drop(away);

    one_preview(&rig, &serving, "version two").await;
    one_preview(&rig, &coming, "coming").await;
    removed(&rig, &leaving).await;
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------------- a full disk

/// A small disk of its own for the ledger.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Takes the place of a rig's folder for the ledger.
    fn under(rig: &Rig) -> Self {
        let dir = tempfile::Builder::new().prefix("preview-disk-").tempdir().unwrap();
        mount_tmpfs(dir.path(), 8 << 20);
        std::os::unix::fs::symlink(dir.path(), rig.dir.path().join("state")).unwrap();
        Self(dir)
    }

    /// Leaves not a byte.
    fn fill(&self) -> PathBuf {
        let filler = self.0.path().join("filler");
        let full = fs::write(&filler, vec![0; 9 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_disk_is_full_for_a_while() {
    let mut rig = Setup::new().prepare().await;
    let disk = SmallDisk::under(&rig);
    rig.start_service().await;
    let (serving, leaving) = (settled(&rig, "version one").await, settled(&rig, "leaving").await);
    let filler = disk.fill();
    let last = || {
        let answers = |delivery: &preview_simulator::state::Delivery| {
            (delivery.event == "pull_request").then(|| delivery.status())
        };
        rig.github.look(|state| state.deliveries().filter_map(answers).last().flatten())
    };
    serving.push(Mimic::new("version two").files()).await.unwrap();
    rig.until("a delivery that can't be written down is not accepted", async || {
        last().is_some_and(|status| status >= 500).then_some(())
    })
    .await;
    leaving.close().unwrap();
    until_health(&rig, 503).await;
    rig.until_answers(&rig.url(&serving), "version").await;
    fs::remove_file(filler).unwrap();

    one_preview(&rig, &serving, "version two").await;
    removed(&rig, &leaving).await;
    until_health(&rig, 200).await;
    rig.finish().await;
}

// ------------------------------------------------------------------------------------------------------ tidied up by hand

#[tokio::test(flavor = "multi_thread")]
async fn an_image_pruned_by_hand_is_built_again_when_it_is_needed() {
    let rig = Setup::new().start().await;
    let pull = settled(&rig, "version one").await;
    let id = rig.id(&pull);
    let container = rig.containers(&id).await.remove(0);
    let image = rig.docker(&["inspect", "--format", "{{.Config.Image}}", &container]).await;
    rig.docker(&["image", "rm", "--force", &image]).await;
    rig.docker(&["rm", "--force", &container]).await;
    rig.until("another container runs", async || {
        let now = rig.containers(&id).await;
        (now.len() == 1).then_some(())
    })
    .await;
    one_preview(&rig, &pull, "version one").await;
    rig.finish().await;
}

/// The database's password lies in the folder, and nowhere else but in the containers.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_folder_is_made_again_and_the_database_keeps_its_password() {
    let rig = Setup::new().start().await;
    let app = |version: &str| Mimic::new(version).config(WITH_POSTGRES);
    let pull = rig.open(app("version one")).await;
    one_preview(&rig, &pull, "version one").await;
    let before = environment(&rig, &pull).await;
    fs::remove_dir_all(rig.dir.path().join("deployments").join(rig.id(&pull))).unwrap();
    pull.push(app("version two").files()).await.unwrap();
    one_preview(&rig, &pull, "version two").await;
    assert_eq!(environment(&rig, &pull).await["DATABASE_URL"], before["DATABASE_URL"]);

    fs::remove_dir_all(rig.dir.path().join("deployments").join(rig.id(&pull))).unwrap();
    pull.close().unwrap();
    removed(&rig, &pull).await;
    rig.finish().await;
}

// ----------------------------------------------------------------------------------------------------- a damaged ledger

/// One preview stays, one is pushed to and one closed while nobody looks, and the ledger is damaged then.
/// `damage` gets its path and that of the copy beside it.
async fn damaged(damage: impl FnOnce(&Path, &Path)) {
    let mut rig = Setup::new().set("RESYNC_INTERVAL_SECONDS", 1).start().await;
    let staying = settled(&rig, "staying").await;
    let ledger = rig.dir.path().join("state/deployments.json");
    fs::copy(&ledger, ledger.with_extension("older")).unwrap();
    let (pushed, closed) = (settled(&rig, "version one").await, settled(&rig, "closed").await);
    let comments = || [&staying, &pushed, &closed].map(|pull| pull.bot_comments()[0].id);
    let told = comments();
    rig.kill_service().await;
    pushed.push(Mimic::new("version two").files()).await.unwrap();
    closed.close().unwrap();
    damage(&ledger, &ledger.with_extension("json.bak"));
    rig.start_service().await;

    one_preview(&rig, &staying, "staying").await;
    one_preview(&rig, &pushed, "version two").await;
    removed(&rig, &closed).await;
    assert_eq!(comments(), told, "they are the same comments");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_ledger_loses_nothing() {
    damaged(|ledger, _| {
        let text = fs::read(ledger).unwrap();
        fs::write(ledger, &text[..text.len() / 2]).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_ledger_loses_nothing() {
    damaged(|ledger, _| fs::write(ledger, "").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_replaced_by_garbage_loses_nothing() {
    damaged(|ledger, _| fs::write(ledger, b"\x00\xff{{not json").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_lost_with_its_copy_loses_nothing() {
    damaged(|ledger, copy| {
        fs::write(ledger, "garbage").unwrap();
        fs::write(copy, "").unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_replaced_by_an_older_copy_loses_nothing() {
    damaged(|ledger, copy| {
        fs::copy(ledger.with_extension("older"), ledger).unwrap();
        fs::remove_file(copy).unwrap();
    })
    .await;
}
