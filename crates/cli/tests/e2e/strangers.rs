//! What a stranger's files may have the engine fetch, once somebody has approved them: nothing on the server's own network.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use preview_exec::Program;
use preview_simulator::{Change, Mimic, NewPull, Permission, Pull};
use tokio::net::TcpListener;

use crate::rig::{Rig, Setup, unique_owner};

const COMPOSE: &str = "docker-compose.preview.yml";
const MEMBERS: &str = "only for people who can write to this repository";
const PUBLIC: &str = "the registry must be a public host name with a dot";

/// A listener on the server's own network, as a registry would be, and how often anybody came.
async fn registry() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, visits) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = visits.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, visits)
}

/// A mimic's files with these instead of or beside them.
fn files(changes: impl IntoIterator<Item = (&'static str, String)>) -> Vec<Change> {
    let mimic = Mimic::new("never up").config("health_check_path: /health\n");
    mimic.files().into_iter().chain(changes.into_iter().map(|(path, text)| Change::write(path, text))).collect()
}

/// A pull request from a fork, approved as it is.
async fn approved(rig: &Rig, branch: &str, files: Vec<Change>) -> Pull {
    let new = NewPull::new(branch, files).author("mallory").from_fork();
    let pull = rig.repo().open_pull(new).await.unwrap();
    let line = format!("/preview deploy {}", pull.head());
    rig.until_comment(&pull, &line).await;
    pull.comment("carol", &line);
    pull
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_of_a_stranger_is_asked_for_on_the_servers_own_network() {
    let rig = Setup::new().set("MAX_CONCURRENT_PREVIEWS", 20).start().await;
    rig.repo().set_permission("carol", Permission::Write);
    let (port, visits) = registry().await;
    let dockerfile = |text: String| files([("Dockerfile", text)]);
    let compose = |app: &str, beside: &str| files([(COMPOSE, format!("services:\n  app: {{{app}}}\n{beside}"))]);
    let ways = [
        (dockerfile(format!("FROM 127.0.0.1:{port}/x\n")), MEMBERS),
        (dockerfile(format!("FROM localhost:{port}/x:1\n")), MEMBERS),
        (dockerfile(format!("FROM scratch\nCOPY --from=127.0.0.1:{port}/x / /\n")), MEMBERS),
        (compose(&format!("image: 'localhost:{port}/x:1'"), ""), PUBLIC),
        (compose("build: .", &format!("  other: {{image: '127.0.0.1:{port}/x:1'}}\n")), PUBLIC),
        (files([("preview-config.yml", format!("image: localhost:{port}/x:{{sha}}\n"))]), "must name an image"),
    ];
    join_all(ways.into_iter().enumerate().map(async |(number, (files, says))| {
        let pull = approved(&rig, &format!("patch-{number}"), files).await;
        let comment = rig.until_comment(&pull, "Preview failed while").await;
        assert!(comment.body.contains(says), "{number}: {}", comment.body);
        assert_eq!(rig.containers(&rig.id(&pull)).await, [""; 0]);
    }))
    .await;
    assert_eq!(visits.load(Ordering::SeqCst), 0, "the engine asked on the server's own network");
    rig.finish().await;
}

/// What an image has put aside is obeyed like a line of the file that is built upon it, in a service beside the app too.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_has_put_aside_counts_in_a_compose_file_too() {
    let rig = Setup::new().start().await;
    rig.repo().set_permission("carol", Permission::Write);
    let (port, visits) = registry().await;
    let (image, layer) = (format!("{}/aside:1", unique_owner()), rig.dir.path().join("layer.tar"));
    std::fs::write(rig.dir.path().join("file"), "not empty").unwrap();
    Program::new("tar").args(["-cf", "layer.tar", "file"]).dir(rig.dir.path()).run().await.unwrap();
    // A name that may lead anywhere is for members alone.
    let change = format!("ONBUILD ADD http://files.example.com:{port}/x /x");
    rig.docker(&["import", "--change", &change, &layer.display().to_string(), &image]).await;
    let upon = format!("FROM {image}\n");
    let beside = "services:\n  app: {build: .}\n  other: {build: other}\n";
    let ways = [
        files([(COMPOSE, "services: {app: {build: .}}\n".to_owned()), ("Dockerfile", upon.clone())]),
        files([(COMPOSE, beside.to_owned()), ("other/Dockerfile", upon)]),
    ];
    for (number, files) in ways.into_iter().enumerate() {
        let pull = approved(&rig, &format!("patch-{number}"), files).await;
        let comment = rig.until_comment(&pull, "Preview failed while").await;
        assert!(comment.body.contains("ONBUILD") && comment.body.contains(MEMBERS), "{}", comment.body);
        let images = rig.docker(&["images", "--quiet", &format!("preview-deployer/{}", rig.id(&pull))]).await;
        assert_eq!(images.trim(), "", "nothing was built");
        pull.close().unwrap();
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
    rig.docker(&["rmi", &image]).await;
    rig.finish().await;
}
