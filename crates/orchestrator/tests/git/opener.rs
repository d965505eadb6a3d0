//! Reading single files of a checkout.

use std::fs;
use std::os::unix::net::UnixListener;

use preview_core::framework::{Files, ReadFileError, Refusal};
use preview_orchestrator::git::CheckoutFiles;
use rustix::fs::{CWD, FileType, mknodat};

use crate::world::World;

fn refused(read: Result<Option<String>, ReadFileError>) -> Refusal {
    read.unwrap_err().refusal
}

#[tokio::test]
async fn links_in_a_checkout_are_not_followed() {
    let world = World::new().await;
    let (passwd, etc, inside) = (world.blob("/etc/passwd").await, world.blob("/etc").await, world.blob("real").await);
    let tree = [
        ("120000", "dir", etc.as_str()),
        ("120000", "inside", &inside),
        ("120000", "preview-config.yml", &passwd),
        ("100644", "real", &inside),
    ];
    let tree = world.tree(&tree).await;
    let commit = world.commit(&tree).await;
    let files = world.checkout(&commit).await.unwrap().files;
    for path in ["preview-config.yml", "dir/passwd", "inside", "dir"] {
        let error = files.read(path).unwrap_err();
        assert_eq!((error.path.as_str(), error.refusal), (path, Refusal::Link));
    }
    assert_eq!(files.list("dir").unwrap_err().refusal, Refusal::Link);
    assert_eq!(files.read("real").unwrap().as_deref(), Some("real"));
    assert!(files.has("", "preview-config.yml").unwrap() && !files.has("", "passwd").unwrap());
}

#[test]
fn only_regular_text_files_of_the_checkout_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("src");
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(dir.path().join("outside"), "secret").unwrap();
    fs::write(root.join("folder/file"), "text").unwrap();
    fs::write(root.join("latin"), b"caf\xe9").unwrap();
    fs::write(root.join("wide"), b"\xff\xfet\0e\0x\0t\0").unwrap();
    fs::File::create(root.join("large")).unwrap().set_len((4 << 20) + 1).unwrap();
    mknodat(CWD, root.join("pipe"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let files = CheckoutFiles::open(&root).unwrap();
    for text in ["folder/file", "wide"] {
        assert_eq!(files.read(text).unwrap().as_deref(), Some("text"));
    }
    for missing in ["missing", "folder/missing", "folder/file/deeper", &"n".repeat(5000)] {
        assert_eq!(files.read(missing).unwrap(), None);
    }
    for special in ["folder", "pipe", "socket"] {
        assert_eq!(refused(files.read(special)), Refusal::NotAFile, "{special}");
    }
    assert_eq!(refused(files.read("latin")), Refusal::NotText);
    assert_eq!(refused(files.read("large")), Refusal::TooLarge { limit: 4 << 20 });
    for outside in ["../outside", "/etc/passwd", "folder/../../outside"] {
        assert_eq!(refused(files.read(outside)), Refusal::Outside, "{outside}");
    }
}

#[test]
fn folders_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("folder/file"), "text").unwrap();
    let files = CheckoutFiles::open(dir.path()).unwrap();
    assert_eq!(files.list("").unwrap(), ["folder"]);
    assert_eq!(files.list("folder").unwrap(), ["file"]);
    assert_eq!(files.list("missing").unwrap(), [""; 0]);
    assert_eq!(files.list("folder/file").unwrap(), [""; 0]);
    assert!(files.has("folder", "file").unwrap() && files.has("", "folder").unwrap());
    assert!(!files.has("folder", "missing").unwrap());
    assert_eq!(files.has("..", "x").unwrap_err().refusal, Refusal::Outside);
}
