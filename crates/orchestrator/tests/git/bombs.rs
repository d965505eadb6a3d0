//! Repositories that are thousands of times as large, or as deep as nothing is, once they are opened.

use std::time::{Duration, Instant};

use preview_core::deployment::Blame;
use preview_core::ids::RepoId;
use preview_orchestrator::git::CheckoutLimits;
use preview_orchestrator::needs::Source;
use preview_simulator::{Change, GitHub, NewPull, Options};

use crate::http::{source, want};
use crate::world::World;

/// As many folders as a few small trees can name, and not one file.
#[tokio::test]
async fn a_tree_of_nothing_but_folders_is_refused_quickly() {
    let world = World::new().await;
    let mut tree = world.tree(&[]).await;
    let names: Vec<_> = (0..10).map(|n| format!("f{n}")).collect();
    for _ in 0..9 {
        let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), tree.as_str())).collect();
        tree = world.tree(&entries).await;
    }
    let commit = world.commit(&tree).await;
    let start = Instant::now();
    let cause = world.refusal(&commit).await;
    assert!(cause.contains("more than 200000 folders"), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Folders are removed level by level, each open until those in it are gone, and a process may have a thousand files open, often.
#[tokio::test]
async fn a_tree_deeper_than_anybody_could_remove_is_refused() {
    let world = World::new().await;
    let mut tree = world.tree(&[("100644", "x", &world.blob("x").await)]).await;
    for _ in 0..1500 {
        tree = world.tree(&[("40000", "d", &tree)]).await;
    }
    let cause = world.refusal(&world.commit(&tree).await).await;
    assert!(cause.contains("more than 100 folders within each other"), "{cause}");
}

/// Files that are differences of one another: together as large as one in a pack, and each as large as that by itself.
#[tokio::test]
async fn a_small_pack_does_not_grow_on_the_disk() {
    let world = World::new().await;
    let mut blocks: Vec<Vec<u8>> = (0..64).map(|n| noise(n, 16 << 10)).collect();
    let mut blobs = Vec::new();
    for n in 0..40 {
        blocks.rotate_left(n);
        blocks.swap(n, 63 - n);
        blobs.push((format!("f{n:02}"), world.blob(blocks.concat()).await));
    }
    let entries: Vec<_> = blobs.iter().map(|(name, blob)| ("100644", name.as_str(), blob.as_str())).collect();
    let tree = world.tree(&entries).await;
    let commit = world.commit(&tree).await;
    let source = world.source().with_limits(CheckoutLimits { bytes: 10 << 20, ..CheckoutLimits::default() });
    let Err(fault) = world.checkout_by(&source, &commit).await else { panic!("40 MB are more than 10") };
    assert!(fault.cause.contains("larger than 10485760 bytes together"), "{fault}");
    let mirror = source.tidy(Some(&[RepoId(7)].into())).await.unwrap();
    assert!(mirror < 10 << 20, "{mirror} bytes");
}

/// What is nothing on the wire is as large as it says in the memory of whoever unpacks it.
#[tokio::test]
async fn an_object_that_fills_the_memory_is_refused() {
    let (world, github) = (World::new().await, GitHub::start(Options::default()).await.unwrap());
    let repo = github.create_repo("org/app", [Change::write("a", "1")]).await.unwrap();
    let large = Change::write("large", vec![b'x'; 100 << 20]);
    let pull = repo.open_pull(NewPull::new("large", [large])).await.unwrap();
    let limits = CheckoutLimits { memory: 64 << 20, ..CheckoutLimits::default() };
    let source = source(&world, &github).with_limits(limits);
    let Err(fault) = source.checkout(&want(&pull), world.src(), &world.hold).await else { panic!("it should not fit") };
    assert!(fault.blame == Blame::Author && fault.cause.ends_with("it is too large"), "{fault:?}");
    pull.push([Change::delete("large")]).await.unwrap();
    source.checkout(&want(&pull), world.src(), &world.hold).await.unwrap();
}

/// Bytes that don't pack (splitmix64).
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let number = |n: u64| {
        let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    (seed << 32..).flat_map(number).take(bytes).collect()
}
