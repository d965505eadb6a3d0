//! Checkouts against real git repositories: what arrives, what is refused, and what is left after accidents.

mod accidents;
mod bombs;
mod hostile;
mod http;
mod opener;
mod trees;
mod world;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use preview_core::ids::{CommitSha, RepoId};
use preview_orchestrator::git::{CheckoutLimits, GitSource};
use preview_orchestrator::needs::Source;
use preview_simulator::free_port;

use world::{NOWHERE, TOKEN, World, names, text, want};

#[tokio::test]
async fn a_commit_s_files_arrive_as_they_are_and_nothing_else() {
    let world = World::new().await;
    let (plain, link) = (world.blob("hello\n").await, world.blob("../../outside").await);
    let inner = world.tree(&[("100755", "run.sh", &plain)]).await;
    let tree = world
        .tree(&[("100644", "a", &plain), ("120000", "link", &link), ("160000", "sub", NOWHERE), ("40000", "x", &inner)])
        .await;
    let commit = world.commit(&tree).await;
    let source = world.source();
    let checkout = world.checkout_by(&source, &commit).await.unwrap();
    assert_eq!(names(&checkout.dir), ["a", "link", "sub", "x"]);
    assert_eq!(text(&checkout.dir, "a"), "hello\n");
    assert_eq!(fs::read_link(checkout.dir.join("link")).unwrap(), Path::new("../../outside"));
    assert_eq!(names(&checkout.dir.join("sub")), [""; 0]);
    let mode = |name: &str| fs::metadata(checkout.dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a"), mode("x/run.sh"), mode("x")), (0o644, 0o755, 0o755));

    let next = world.files(&[("b", "next\n")]).await;
    let checkout = world.checkout_by(&source, &next).await.unwrap();
    assert_eq!(names(&checkout.dir), ["b"]);
    assert_eq!(checkout.files.read("b").unwrap().as_deref(), Some("next\n"));
    assert_eq!(names(checkout.dir.parent().unwrap()), ["src"]);
    // The first is still in the mirror: nothing is fetched.
    fs::remove_dir_all(world.repo()).unwrap();
    assert_eq!(names(&world.checkout_by(&source, &commit).await.unwrap().dir), ["a", "link", "sub", "x"]);
}

#[tokio::test]
async fn a_commit_that_a_forced_push_left_behind_is_found_by_its_name() {
    let world = World::new().await;
    let old = world.files(&[("a", "old")]).await;
    world.files(&[("a", "new")]).await;
    assert_eq!(text(&world.checkout(&old).await.unwrap().dir, "a"), "old");
}

#[tokio::test]
async fn a_commit_that_is_not_there_yet_is_worth_another_try_and_leaves_what_was() {
    let world = World::new().await;
    let commit = world.files(&[("a", "1")]).await;
    let source = world.source();
    world.checkout_by(&source, &commit).await.unwrap();
    let unknown: CommitSha = NOWHERE.parse().unwrap();
    assert_eq!(world.passing(&source, &unknown).await, "the git server does not have commit 1234567 (yet)");
    assert_eq!(names(world.src().parent().unwrap()), ["src"]);
    assert_eq!(text(&world.src(), "a"), "1");
}

#[tokio::test]
async fn a_repository_or_a_server_that_is_not_there_is_worth_another_try() {
    let world = World::new().await;
    let commit = world.files(&[("a", "1")]).await;
    fs::remove_dir_all(world.repo()).unwrap();
    assert_eq!(world.passing(&world.source(), &commit).await, "the git server shows us no repository org/app");
    let port = free_port();
    let source = GitSource::new(world.mirrors(), &format!("http://127.0.0.1:{port}"), world::token(TOKEN));
    assert_eq!(world.passing(&source, &commit).await, "the git server could not be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_checkouts_of_one_repository_at_once() {
    let world = World::new().await;
    let mut commits = Vec::new();
    for n in 1..=8 {
        commits.push((n, world.files(&[("n", &n.to_string())]).await));
    }
    let source = Arc::new(world.source());
    let all = commits.into_iter().map(|(n, commit)| {
        let (source, hold, into) = (source.clone(), world.hold.clone(), world.dir.path().join(format!("{n}/src")));
        tokio::spawn(async move { (n, source.checkout(&want(&commit, n), into, &hold).await.map(|c| c.dir)) })
    });
    for done in futures_util::future::join_all(all).await {
        let (n, dir) = done.unwrap();
        assert_eq!(text(&dir.unwrap(), "n"), n.to_string());
    }
}

#[tokio::test]
async fn mirrors_of_other_repositories_are_removed() {
    let world = World::new().await;
    let source = world.source();
    world.checkout_by(&source, &world.files(&[("a", "1")]).await).await.unwrap();
    for kept in [Some(&[RepoId(7)].into()), None] {
        assert!(source.tidy(kept).await.unwrap() > 0);
        assert!(world.mirror().exists());
    }
    assert_eq!(source.tidy(Some(&[RepoId(8)].into())).await.unwrap(), 0);
    assert_eq!(names(&world.mirrors()), [""; 0]);
}

#[tokio::test]
async fn what_pushes_by_force_left_behind_goes_from_a_mirror_but_not_every_hour() {
    let world = World::new().await;
    let source = world.source();
    let noise = |seed: u64| {
        // Of the kind that doesn't pack.
        let next = |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let numbers = std::iter::successors(Some(seed), next).map(|n| format!("{n:x}"));
        numbers.take(20_000).collect::<String>()
    };
    let old = world.files(&[("a", &noise(1))]).await;
    world.checkout_by(&source, &old).await.unwrap();
    let new = world.files(&[("a", &noise(2))]).await;
    world.checkout_by(&source, &new).await.unwrap();

    let both = source.tidy(Some(&[RepoId(7)].into())).await.unwrap();
    assert_eq!(source.tidy(Some(&[RepoId(7)].into())).await.unwrap(), both, "it was made this moment");
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    let made = File::options().write(true).open(world.mirror().join("info/attributes")).unwrap();
    made.set_modified(yesterday).unwrap();
    let one = source.tidy(Some(&[RepoId(7)].into())).await.unwrap();
    assert!(one < both * 2 / 3, "{one} of {both} bytes are left");

    // The newest is there still, and the other can be had again.
    let kept = world.dir.path().join("server.kept");
    fs::rename(world.repo(), &kept).unwrap();
    world.checkout_by(&source, &new).await.unwrap();
    assert_eq!(world.passing(&source, &old).await, "the git server shows us no repository org/app");
    fs::rename(&kept, world.repo()).unwrap();
    assert_eq!(text(&world.checkout_by(&source, &old).await.unwrap().dir, "a"), noise(1));
}

#[tokio::test]
async fn a_mirror_that_has_grown_too_large_starts_afresh() {
    let world = World::new().await;
    let source = world.source().with_limits(CheckoutLimits { mirror: 100_000, ..CheckoutLimits::default() });
    let commit = world.files(&[("a", "small\n")]).await;
    world.checkout_by(&source, &commit).await.unwrap();
    assert!(source.tidy(Some(&[RepoId(7)].into())).await.unwrap() < 100_000);
    let large = world.mirror().join("objects/pack/pack-of-somebody.keep");
    fs::write(&large, vec![b'x'; 100_000]).unwrap();
    assert!(source.tidy(Some(&[RepoId(7)].into())).await.unwrap() < 100_000);
    assert!(!large.exists());
    assert_eq!(text(&world.checkout_by(&source, &commit).await.unwrap().dir, "a"), "small\n");
    // A fetch looks too.
    fs::write(&large, vec![b'x'; 100_000]).unwrap();
    let next = world.files(&[("a", "next\n")]).await;
    assert_eq!(text(&world.checkout_by(&source, &next).await.unwrap().dir, "a"), "next\n");
    assert!(!large.exists());
}
