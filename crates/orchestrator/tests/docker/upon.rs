//! Images that something is built upon: what they have put aside is known before, and what is built upon is what was looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use preview_exec::Program;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ground::{Deployment, Ground, SERVE, commit, eventually, mimic, on_engine};
use super::registry_server::Server;
use super::*;

/// A service of the host's own that nobody but the host may ask. Counts who does.
async fn secret() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut visitor, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _asked = visitor.read(&mut [0; 1024]).await;
            let _told =
                visitor.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret").await;
        }
    });
    (port, asked)
}

async fn docker(args: &[&str]) -> String {
    Program::new("docker").args(args).inherit_env("HOME").run().await.unwrap().text().to_string()
}

/// Gives the engine an image by this name, which has a program in it and puts this aside.
async fn image(ground: &Ground, name: &str, version: u8, put_aside: &str) {
    // Tests run side by side, and tags of images are the engine's.
    let own = format!("base-{}", ground.instance);
    let mut app = Deployment::new(ground, &own, u64::from(version));
    app.put("mimic", mimic());
    let dockerfile = format!("{SERVE}ENV VERSION={version}\n{put_aside}\n");
    ground.build(&app, commit(version), &dockerfile).await.unwrap();
    docker(&["tag", &app.image(&commit(version)), name]).await;
    ground.engine.remove_images(&app.id, &[]).await.unwrap();
}

async fn is_there(name: &str) -> bool {
    Program::new("docker").args(["image", "inspect", name]).inherit_env("HOME").run().await.is_ok()
}

/// The reason for all of it: the engine itself does as the image says, on the host's network.
#[tokio::test]
async fn what_an_image_has_put_aside_is_known_and_what_would_come_of_it() {
    on_engine(async |ground: &Ground| {
        let (port, asked) = secret().await;
        let name = format!("preview-test-{}/aside:1", ground.instance);
        let put_aside = format!("ADD http://127.0.0.1:{port}/secret /secret");
        image(ground, &name, 1, &format!("ONBUILD {put_aside}\nENV HOST=127.0.0.1")).await;
        let looked = ground.engine.look_at(&name, false, &mut |_| {}).await.unwrap();
        assert_eq!(looked.facts.put_aside, [put_aside]);
        assert!(looked.facts.variables.contains(&"HOST=127.0.0.1".to_owned()) && !looked.facts.is_empty);
        assert_eq!(asked.load(Ordering::SeqCst), 0, "looking is no building");
        drop(looked);

        let app = Deployment::new(ground, "upon", 2);
        ground.build(&app, commit(2), &format!("FROM {name}\n")).await.unwrap();
        assert!(asked.load(Ordering::SeqCst) > 0, "else nobody would have to look");
        assert!(is_there(&name).await, "it was there before, and is not ours to remove");
        docker(&["rmi", &name]).await;
    })
    .await;
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_meanwhile_is_built_upon_as_it_was_looked_at() {
    on_engine(async |ground: &Ground| {
        let registry = Server::start().await;
        let (port, asked) = secret().await;
        let name = format!("{}/org/base:1", registry.address);
        let push = async |version, put_aside: &str| {
            image(ground, &name, version, put_aside).await;
            docker(&["push", &name]).await;
            docker(&["rmi", &name]).await;
        };
        push(1, "ONBUILD ENV FINE=1").await;
        let looked = ground.engine.look_at(&name, false, &mut |_| {}).await.unwrap();
        let again = ground.engine.look_at(&name, false, &mut |_| {}).await.unwrap();
        assert_eq!((&looked.facts.put_aside, &again.facts), (&vec!["ENV FINE=1".to_owned()], &looked.facts));

        // The name moves in its registry.
        let held = docker(&["inspect", "--format", "{{.Id}}", &name]).await;
        let aside = format!("{}/aside", registry.address);
        docker(&["tag", &name, &aside]).await;
        push(2, &format!("ONBUILD ADD http://127.0.0.1:{port}/secret /secret")).await;
        docker(&["tag", &aside, &name]).await;
        docker(&["rmi", &aside]).await;
        assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &name]).await, held);
        // Whoever else built upon it is done; one still does.
        drop(looked);
        let app = Deployment::new(ground, "upon", 3);
        let log = ground.build(&app, commit(3), &format!("FROM {name}\nLABEL a=b\n")).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{log}");

        // With the last one that builds upon it goes what was pulled for that; the next one sees what the name means now.
        assert!(is_there(&name).await, "somebody still builds upon it");
        drop(again);
        eventually("what was pulled is removed", async || !is_there(&name).await).await;
        let looked = ground.engine.look_at(&name, false, &mut |_| {}).await.unwrap();
        assert_eq!(looked.facts.put_aside, [format!("ADD http://127.0.0.1:{port}/secret /secret")]);
        drop(looked);
        eventually("and again", async || !is_there(&name).await).await;
        assert_eq!(asked.load(Ordering::SeqCst), 0);

        let absent = format!("{}/org/other:1", registry.address);
        let fault = ground.engine.look_at(&absent, false, &mut |_| {}).await.err().unwrap();
        assert!(fault.image_absent && fault.cause.starts_with(&format!("`FROM {absent}` failed: ")), "{fault:?}");
    })
    .await;
}
