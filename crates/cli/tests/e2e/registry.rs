//! Images from a registry: the base images of a mirror, and those that a repository's own CI makes and pushes when it is done.

use std::path::Path;

use preview_exec::Program;
use preview_simulator::{Change, Mimic};
use serde_json::Value;

use crate::registry_server::Server;
use crate::rig::{Rig, Setup};

/// A server without a dependency, so that nothing but images is fetched.
const SERVER: &str = "require('http').createServer((_, answer) => answer.end(`from a mirror, ${process.env.REDIS_HOST}`))\
                      .listen(process.env.PORT, '0.0.0.0');\n";

/// A registry that mirrors others. It ends when this is dropped.
struct Registry {
    /// What the names of its images begin with.
    prefix: String,
    _server: Server,
}

impl Registry {
    async fn start() -> Self {
        let server = Server::start().await;
        Self { prefix: format!("{}/mirror", server.address), _server: server }
    }

    /// Pushes an image of the engine's under this name, and gives its digest. The engine knows it by that name no longer.
    async fn push(&self, rig: &Rig, image: &str, name: &str) -> String {
        let target = format!("{}/{name}", self.prefix);
        rig.docker(&["tag", image, &target]).await;
        let said = rig.docker(&["push", &target]).await;
        rig.docker(&["rmi", &target]).await;
        let digest = said.split_whitespace().skip_while(|word| *word != "digest:").nth(1);
        digest.unwrap_or_else(|| panic!("no digest in {said}")).to_owned()
    }

    /// The same for a base image, which is on every engine that has built or run something with it.
    async fn mirror(&self, rig: &Rig, image: &str) -> String {
        if Program::new("docker").args(["image", "inspect", image]).inherit_env("HOME").run().await.is_err() {
            rig.docker(&["pull", image]).await;
        }
        self.push(rig, image, image).await
    }
}

/// What a record says of the images that were built from.
fn base_images(rig: &Rig, id: &str) -> Value {
    rig.record(id)["baseImages"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn base_images_and_services_come_from_a_mirror_and_their_digests_are_kept() {
    let registry = Registry::start().await;
    let rig = Setup::new().set("IMAGE_REGISTRY_PREFIX", &registry.prefix).start().await;
    let node = registry.mirror(&rig, "node:22-bookworm-slim").await;
    registry.mirror(&rig, "redis:7-bookworm").await;
    let pull = rig
        .open_with(vec![
            Change::delete("mimic"),
            Change::delete("VERSION"),
            Change::delete("Dockerfile"),
            Change::write("server.js", SERVER),
            Change::write("package.json", r#"{"name": "mirrored", "scripts": {"start": "node server.js"}}"#),
            Change::write("preview-config.yml", "extra_services: [redis]\n"),
        ])
        .await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "from a mirror, redis").await;
    rig.until_record(&id, "settled", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;

    let image = format!("{}/redis:7-bookworm", registry.prefix);
    assert_eq!(rig.container(&id, "redis").await["Config"]["Image"], image);
    let base = format!("{}/node:22-bookworm-slim", registry.prefix);
    assert_eq!(base_images(&rig, &id), serde_json::json!({ &base: &node }));
    let why = rig.preview(&["why", &id]).run().await.unwrap();
    let short = format!("built from {base}@{}", &node[..19]);
    assert!(why.text().contains(&short), "{}", why.text());

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.docker(&["rmi", &image]).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_ones_own_ci_is_waited_for_until_it_is_pushed() {
    let registry = Registry::start().await;
    let rig = Setup::new().set("IMAGE_REGISTRY_PREFIX", &registry.prefix).start().await;
    let config = "image: my-org/app:{sha}\napp_port: 3000\nhealth_check_path: /health\n";
    let pull = rig.open_with(vec![Change::write("preview-config.yml", config)]).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_comment(&pull, "Its image is not in the registry yet").await;
    assert_eq!(rig.record(&id)["status"], "queued");

    let commit = pull.head();
    let made = format!("{}-ci:{commit}", crate::rig::unique_owner());
    make_image(&rig, &made, "made by CI").await;
    let name = format!("my-org/app:{commit}");
    let digest = registry.push(&rig, &made, &name).await;
    rig.docker(&["rmi", &made]).await;
    rig.until_answers(&url, "made by CI").await;
    rig.until_comment(&pull, "Preview is ready").await;
    let image = format!("{}/{name}", registry.prefix);
    assert_eq!(base_images(&rig, &id), serde_json::json!({ image: digest }));

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}

/// The app of a repository's own Compose file may be an image. Its tag moves, and each commit gets what it then stands for, not what
/// lies on the machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_the_app_of_an_own_compose_file_and_each_push_pulls_its_tag() {
    let registry = Registry::start().await;
    let rig = Setup::new().set("IMAGE_REGISTRY_PREFIX", &registry.prefix).start().await;
    let owner = crate::rig::unique_owner();
    let (older, newer) = (format!("{owner}-ci:older"), format!("{owner}-ci:newer"));
    make_image(&rig, &older, "main as it was").await;
    let first = registry.push(&rig, &older, "my-org/app:main").await;
    let compose =
        "services:\n  web:\n    image: my-org/app:main\n    ports: ['80:3000']\n    environment: {FROM_FILE: 'yes'}\n";
    let pull = rig
        .open_with(vec![
            Change::delete("Dockerfile"),
            Change::write("docker-compose.preview.yml", compose),
            Change::write("preview-config.yml", "health_check_path: /health\n"),
        ])
        .await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "main as it was").await;
    rig.until_record(&id, "settled", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;
    let image = format!("{}/my-org/app:main", registry.prefix);
    assert_eq!(base_images(&rig, &id), serde_json::json!({ &image: first }));
    let app = rig.container(&id, "app-a").await;
    assert_eq!(app["Config"]["User"], "10001:10001", "the image says root");
    assert!(app["Config"]["Env"].as_array().unwrap().contains(&"FROM_FILE=yes".into()), "{}", app["Config"]["Env"]);

    make_image(&rig, &newer, "main as it is").await;
    let second = registry.push(&rig, &newer, "my-org/app:main").await;
    rig.docker(&["tag", &older, &image]).await;
    pull.push(vec![Change::write("NOTES", "nothing that anybody builds")]).await.unwrap();
    rig.until_answers(&url, "main as it is").await;
    rig.until_record(&id, "it says so", |record| {
        record.is_some_and(|record| record["baseImages"] == serde_json::json!({ &image: second }))
    })
    .await;

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.docker(&["rmi", &image, &older, &newer]).await;
    rig.finish().await;
}

/// Builds a mimic under a name that isn't ours, as a repository's own CI would.
async fn make_image(rig: &Rig, name: &str, version: &str) {
    let folder = tempfile::tempdir().unwrap();
    for change in Mimic::new(version).repository().await.unwrap() {
        if let Change::Write { path, bytes, executable } = change {
            write(&folder.path().join(path), &bytes, executable);
        }
    }
    rig.docker(&["build", "--quiet", "--tag", name, &folder.path().display().to_string()]).await;
}

fn write(path: &Path, bytes: &[u8], executable: bool) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
