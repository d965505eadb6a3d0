//! Repositories that mean harm: each is refused, or harmless.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use preview_core::deployment::Blame;
use preview_orchestrator::git::CheckoutLimits;

use crate::world::{NOWHERE, World, names, text};

#[tokio::test]
async fn names_that_could_become_a_git_folder_or_leave_the_checkout_are_refused() {
    let world = World::new().await;
    let config = world.blob("[core]\n\tfsmonitor = touch owned\n").await;
    let inner = world.tree(&[("100644", "config", &config)]).await;
    for name in [".git", ".GIT", ".Git ", "git~1", ".g\u{200c}it", "..", ".", "a/b"] {
        let tree = world.tree(&[("40000", name, &inner)]).await;
        let cause = world.refusal(&world.commit(&tree).await).await;
        assert!(cause.contains("can't be checked out: git refuses"), "{cause}");
    }
}

#[tokio::test]
async fn a_link_and_a_folder_of_one_name_are_refused() {
    let world = World::new().await;
    let (file, link) = (world.blob("x").await, world.blob("/etc").await);
    let inner = world.tree(&[("100644", "passwd", &file)]).await;
    let tree = world.tree(&[("120000", "d", &link), ("40000", "d", &inner)]).await;
    let commit = world.commit(&tree).await;
    world.refusal(&commit).await;
}

#[tokio::test]
async fn a_path_that_no_disk_takes_is_refused() {
    let world = World::new().await;
    let commit = world.files(&[(&"n".repeat(300), "x")]).await;
    let cause = world.refusal(&commit).await;
    assert!(cause.contains("File name too long"), "{cause}");
    let mut tree = world.tree(&[("100644", "x", &world.blob("x").await)]).await;
    for _ in 0..50 {
        tree = world.tree(&[("40000", &"d".repeat(250), &tree)]).await;
    }
    let commit = world.commit(&tree).await;
    assert!(world.refusal(&commit).await.contains("path"));
}

#[tokio::test]
async fn attributes_change_nothing() {
    let world = World::new().await;
    let attributes = "* filter=evil ident text eol=crlf working-tree-encoding=UTF-16\n[attr]x filter=lfs\n";
    let content = "$Id$\nline\r\n$Id: old $\n";
    let commit = world.files(&[(".gitattributes", attributes), ("file", content)]).await;
    let checkout = world.checkout(&commit).await.unwrap();
    assert_eq!(text(&checkout.dir, "file"), content);
    assert_eq!(text(&checkout.dir, ".gitattributes"), attributes);
}

/// CVE-2025-48384: a submodule's path that ends with CR made git write a hook elsewhere.
#[tokio::test]
async fn submodules_are_never_followed() {
    let world = World::new().await;
    let modules = world.blob("[submodule \"s\"]\n\tpath = \"sub\r\"\n\turl = ./elsewhere\n").await;
    let link = world.blob(".git/modules/s/hooks").await;
    let entries = [("100644", ".gitmodules", modules.as_str()), ("120000", "sub", &link), ("160000", "sub\r", NOWHERE)];
    let tree = world.tree(&entries).await;
    let commit = world.commit(&tree).await;
    match world.checkout(&commit).await {
        Ok(checkout) => {
            assert_eq!(names(&checkout.dir), [".gitmodules", "sub", "sub\r"]);
            assert_eq!(names(&checkout.dir.join("sub\r")), [""; 0]);
        }
        // Newer versions of git refuse it themselves.
        Err(fault) => assert_eq!(fault.blame, Blame::Author, "{fault}"),
    }
    assert_eq!(names(world.dir.path()), ["deployments", "lock", "mirrors", "server"]);
}

#[tokio::test]
async fn a_hostile_branch_name_reaches_nothing() {
    let world = World::new().await;
    let commit = world.files(&[("a", "x")]).await;
    let heads = world.repo().join("refs/heads");
    fs::create_dir_all(&heads).unwrap();
    for branch in ["x${HOME}$(id);touch y", "--upload-pack=touch y", "-x"] {
        fs::write(heads.join(branch), format!("{commit}\n")).unwrap();
    }
    let checkout = world.checkout(&commit).await.unwrap();
    assert_eq!(names(&checkout.dir), ["a"]);
    assert_eq!(names(world.dir.path()), ["deployments", "lock", "mirrors", "server"]);
}

#[tokio::test]
async fn no_hook_runs() {
    let world = World::new().await;
    let source = world.source();
    world.checkout_by(&source, &world.files(&[("a", "1")]).await).await.unwrap();
    let (hooks, marker) = (world.mirror().join("hooks"), world.dir.path().join("ran"));
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"] {
        let file = hooks.join(hook);
        fs::write(&file, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    }
    world.checkout_by(&source, &world.files(&[("a", "2")]).await).await.unwrap();
    assert!(!marker.exists());
}

#[tokio::test]
async fn more_than_the_limits_is_refused_before_anything_is_written() {
    let world = World::new().await;
    let commit = world.files(&[("a", "12345"), ("b", "12345"), ("c", "1")]).await;
    let with = |limits| world.source().with_limits(limits);
    let limits = CheckoutLimits::default();
    for (limits, why) in [
        (CheckoutLimits { files: 2, ..limits }, "more than 2 files"),
        (CheckoutLimits { bytes: 10, ..limits }, "larger than 10 bytes together"),
        (CheckoutLimits { file_bytes: 4, ..limits }, "its file a is larger than 4 bytes"),
    ] {
        let Err(fault) = world.checkout_by(&with(limits), &commit).await else { panic!("{why}") };
        assert!(fault.cause.contains(why) && fault.blame == Blame::Author, "{fault}");
    }
    let limits = CheckoutLimits { files: 3, bytes: 11, file_bytes: 5, ..limits };
    world.checkout_by(&with(limits), &commit).await.unwrap();
}

#[tokio::test]
async fn a_pack_larger_than_the_limit_is_cut_off_while_it_arrives() {
    let world = World::new().await;
    let mut noise = Vec::new();
    fs::File::open("/dev/urandom").unwrap().take(17 << 20).read_to_end(&mut noise).unwrap();
    let blob = world.blob(noise).await;
    let tree = world.tree(&[("100644", "noise", &blob)]).await;
    let commit = world.commit(&tree).await;
    let limits = CheckoutLimits { bytes: 1000, ..CheckoutLimits::default() };
    let Err(fault) = world.checkout_by(&world.source().with_limits(limits), &commit).await else { panic!() };
    assert!(fault.blame == Blame::Author && fault.cause.ends_with("it is too large"), "{fault:?}");
}

/// Ten trees of a few hundred bytes that name ten thousand million files.
#[tokio::test]
async fn a_tree_that_names_billions_of_files_is_refused_quickly() {
    let world = World::new().await;
    let leaf = world.blob("x").await;
    let names: Vec<_> = (0..10).map(|n| format!("f{n}")).collect();
    let mut tree = leaf;
    for mode in std::iter::once("100644").chain(["40000"; 9]) {
        let entries: Vec<_> = names.iter().map(|name| (mode, name.as_str(), tree.as_str())).collect();
        tree = world.tree(&entries).await;
    }
    let commit = world.commit(&tree).await;
    let start = Instant::now();
    assert!(world.refusal(&commit).await.contains("more than 200000 files"));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
