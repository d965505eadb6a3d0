//! What takes how much of the engine's disk, and what goes when it is too much.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::query_parameters::ListImagesOptions;
use preview_core::compose::{AppUser, LABEL_DEPLOYMENT, LABEL_INSTANCE};
use preview_core::ids::Slot::A;
use preview_exec::Program;
use preview_orchestrator::needs::{ContainerEngine, Part};
use serde_json::json;

use crate::engine::Engine;
use crate::ground::{Deployment, Ground, commit, mimic, on_engine_at};
use crate::steps_run;

const MB: u64 = 1_000_000;

/// Builds an image of a deployment that takes ten megabytes, with one step of its own. Gives how many steps ran.
async fn built(ground: &Ground, app: &mut Deployment) -> usize {
    let name = app.id.to_string();
    app.put("mimic", mimic());
    app.put("payload", name.bytes().cycle().take(10_000_000).collect());
    let dockerfile = format!(
        "FROM scratch\nCOPY . /\nENV WHO={name}\nRUN [\"/mimic\", \"tree\", \"/\"]\nCMD [\"/mimic\", \"serve\"]\n"
    );
    steps_run(&ground.build(app, commit(1), &dockerfile).await.unwrap())
}

#[tokio::test]
async fn the_build_cache_shrinks_by_age_and_nothing_else_does() {
    let engine = Engine::start_on_disk(1000).await;
    on_engine_at(Some(engine.host()), async |ground: &Ground| {
        let mut apps: Vec<Deployment> = (1..=3).map(|number| Deployment::new(ground, "aged", number)).collect();
        for app in &mut apps {
            assert_eq!(built(ground, app).await, 1);
        }
        let free = ground.engine.room().await.unwrap().disk_free;
        std::fs::write(engine.disk().join("somebody"), vec![b'x'; 20_000_000]).unwrap();
        let room = ground.engine.room().await.unwrap();
        assert!(room.disk_free + 19 * MB < free && room.disk_total < 1100 * MB, "it is the engine's disk: {room:?}");

        // The third runs; the others are finished, and their images gone. What they were made of is cached.
        let [first, second, third] = &mut apps[..] else { unreachable!("there are three") };
        assert_eq!(built(ground, second).await, 0, "it was asked for twice");
        third.slot(A, commit(1), AppUser::Unprivileged);
        ground.start(third, &[Part::App(A)]).await.unwrap();
        for gone in [&*first, second] {
            ground.engine.remove_images(&gone.id, &[]).await.unwrap();
        }
        let before = ground.engine.disk_use().await.unwrap();
        assert!((11 * MB..15 * MB).contains(&before.previews), "{before:?}");
        assert!(before.build_cache > 22 * MB, "{before:?}");

        ground.engine.tidy(None).await.unwrap();
        assert_eq!(ground.engine.disk_use().await.unwrap(), before);
        ground.engine.tidy(Some(before.build_cache - 15 * MB)).await.unwrap();
        let after = ground.engine.disk_use().await.unwrap();
        assert!(after.build_cache < before.build_cache && after.build_cache > 11 * MB, "{after:?}");
        assert_eq!(after.previews, before.previews);

        assert_eq!(built(ground, second).await, 0, "what was used last and most is cached");
        assert_eq!(built(ground, first).await, 1, "the oldest is not");
        assert_eq!(ground.view(third).await.images, [commit(1)]);
        assert!(ground.view(third).await.part(Part::App(A)).is_some());

        // To nothing is to as little as can be: what images hold stays.
        ground.engine.tidy(Some(0)).await.unwrap();
        assert!(ground.engine.disk_use().await.unwrap().build_cache < MB);
        assert_eq!(ground.view(second).await.images, [commit(1)]);
    })
    .await;
}

/// Gives the engine an image that was made long ago and has no name. Gives its id.
async fn nameless(docker_host: &str, labels: BTreeMap<&str, String>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = |path: &std::path::Path| path.display().to_string();
    std::fs::write(path("file"), format!("{labels:?}")).unwrap();
    let tar = |args: &[&str]| Program::new("tar").args(args).dir(dir.path());
    tar(&["-cf", "layer.tar", "file"]).run().await.unwrap();
    let layer = sha256(&text(&path("layer.tar"))).await;
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z", "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created": "2020-01-01T00:00:00Z"}],
    });
    std::fs::write(path("config.json"), config.to_string()).unwrap();
    let manifest = json!([{"Config": "config.json", "RepoTags": null, "Layers": ["layer.tar"]}]);
    std::fs::write(path("manifest.json"), manifest.to_string()).unwrap();
    tar(&["-cf", "image.tar", "manifest.json", "config.json", "layer.tar"]).run().await.unwrap();
    let load = Program::new("docker").args(["--host", docker_host, "load", "--input", &text(&path("image.tar"))]);
    load.run().await.unwrap();
    format!("sha256:{}", sha256(&text(&path("config.json"))).await)
}

async fn sha256(path: &str) -> String {
    let said = Program::new("sha256sum").arg(path).run().await.unwrap();
    said.text().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn images_of_ours_that_lost_their_names_go_and_others_stay() {
    let engine = Engine::start().await;
    on_engine_at(Some(engine.host()), async |ground: &Ground| {
        let ours = ground.instance.to_string();
        let labelled = |instance: &str| {
            BTreeMap::from([(LABEL_INSTANCE, instance.to_owned()), (LABEL_DEPLOYMENT, "lost-1".to_owned())])
        };
        let mine = nameless(&engine.host(), labelled(&ours)).await;
        let half = nameless(&engine.host(), BTreeMap::from([(LABEL_INSTANCE, ours.clone())])).await;
        let other = nameless(&engine.host(), labelled("ffffffffffff")).await;
        let plain = nameless(&engine.host(), BTreeMap::new()).await;
        let there = async || images(&ground.docker).await;
        let all = there().await;
        assert!([&mine, &half, &other, &plain].iter().all(|image| all.contains(image)), "{all:?}");
        // One that was made this moment may be about to get its name.
        let mut app = Deployment::new(ground, "young", 1);
        built(ground, &mut app).await;
        Program::new("docker")
            .args(["--host", &engine.host(), "tag", &app.image(&commit(1)), "elsewhere"])
            .run()
            .await
            .unwrap();

        ground.engine.tidy(None).await.unwrap();
        let left = there().await;
        assert!(!left.contains(&mine));
        assert!([&half, &other, &plain].iter().all(|image| left.contains(image)), "{left:?}");
        assert_eq!(ground.view(&app).await.images, [commit(1)]);
        let remove = Program::new("docker").args(["--host", &engine.host(), "rmi", "--force", "elsewhere", &half]);
        remove.run().await.unwrap();
    })
    .await;
}

async fn images(docker: &Docker) -> Vec<String> {
    let options = ListImagesOptions { all: true, ..Default::default() };
    docker.list_images(Some(options)).await.unwrap().into_iter().map(|image| image.id).collect()
}
