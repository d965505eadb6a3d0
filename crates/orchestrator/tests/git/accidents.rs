//! Killed programs, lost files, ragged mirrors: the next checkout works.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use preview_orchestrator::file_lock::lock_file;
use preview_orchestrator::needs::Source;
use rustix::fs::{FlockOperation, flock};

use crate::world::{TOKEN, World, names, text, want};

#[tokio::test]
async fn locks_of_a_killed_git_are_cleared() {
    let world = World::new().await;
    let source = world.source();
    world.checkout_by(&source, &world.files(&[("a", "1")]).await).await.unwrap();
    for stale in ["shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "refs/preview/1.lock"] {
        fs::write(world.mirror().join(stale), "").unwrap();
    }
    let next = world.files(&[("a", "2")]).await;
    assert_eq!(text(&world.checkout_by(&source, &next).await.unwrap().dir, "a"), "2");
    assert!(!world.mirror().join("HEAD.lock").exists());
}

fn each_file(dir: &Path, harm: &dyn Fn(&Path)) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() { each_file(&entry.path(), harm) } else { harm(&entry.path()) }
    }
}

fn emptied(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    fs::write(file, "").unwrap();
}

/// What an accident does to a mirror.
type Harm = fn(&Path);

#[tokio::test]
async fn a_broken_mirror_is_fetched_anew() {
    let world = World::new().await;
    let source = world.source();
    let commit = world.files(&[("a", "1")]).await;
    let harms: [(&str, Harm); 5] = [
        ("objects emptied, as by a power cut", |mirror| each_file(&mirror.join("objects"), &emptied)),
        ("objects gone", |mirror| each_file(&mirror.join("objects"), &|file| fs::remove_file(file).unwrap())),
        ("no HEAD", |mirror| fs::remove_file(mirror.join("HEAD")).unwrap()),
        ("everything emptied", |mirror| each_file(mirror, &emptied)),
        ("half made", |mirror| {
            fs::remove_dir_all(mirror).unwrap();
            fs::create_dir(mirror).unwrap();
        }),
    ];
    for (how, harm) in harms {
        world.checkout_by(&source, &commit).await.unwrap();
        harm(&world.mirror());
        let checkout = world.checkout_by(&source, &commit).await.unwrap_or_else(|fault| panic!("{how}: {fault:?}"));
        assert_eq!(text(&checkout.dir, "a"), "1", "{how}");
    }
}

#[tokio::test]
async fn giving_up_in_the_middle_leaves_nothing_in_the_way() {
    let world = World::new().await;
    let source = world.source();
    for n in 0..12 {
        let commit = world.files(&[("n", &n.to_string())]).await;
        // As the service does: each try takes the deployment's lock, which a call to the disk that can't be taken back keeps.
        let attempt = async || {
            let hold = lock_file(&world.dir.path().join("lock")).await.unwrap();
            source.checkout(&want(&commit, 1), world.src(), &hold).await
        };
        let early = tokio::time::timeout(Duration::from_millis(4 * n), attempt()).await;
        drop(early);
        let checkout = attempt().await.unwrap();
        assert_eq!(text(&checkout.dir, "n"), n.to_string());
        assert_eq!(names(world.src().parent().unwrap()), ["src"]);
    }
}

#[tokio::test]
async fn a_git_that_outlives_us_keeps_the_next_one_out() {
    let world = World::new().await;
    let commit = world.files(&[("a", "1")]).await;
    let source = world.source();
    world.checkout_by(&source, &commit).await.unwrap();
    let lock = fs::File::open(world.mirror().with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), world.checkout_by(&source, &commit)).await;
    assert!(waiting.is_err());
    drop(lock);
    world.checkout_by(&source, &commit).await.unwrap();
}

#[tokio::test]
async fn a_mirror_stays_small_and_keeps_no_token() {
    let world = World::new().await;
    let source = world.source();
    world.checkout_by(&source, &world.files(&[("a", "1")]).await).await.unwrap();
    let packs = world.mirror().join("objects/pack");
    for n in 0..150 {
        fs::write(packs.join(format!("tmp_pack_{n}")), "cut off").unwrap();
    }
    world.checkout_by(&source, &world.files(&[("a", "2")]).await).await.unwrap();
    assert!(names(&packs).len() < 10, "{:?}", names(&packs));
    each_file(&world.mirror(), &|file| {
        let content = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        assert!(!content.contains(TOKEN) && !content.contains("x-access-token"), "{}", file.display());
    });
}
