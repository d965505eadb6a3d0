//! A repository's own Compose file: deployed, updated and removed as its own model says, or refused before anything runs.

use preview_simulator::{Change, Mimic};

use crate::rig::{Rig, Setup};

/// Two services, of which the second keeps a volume.
const TWO: &str = "services:\n  app:\n    build: .\n    ports: ['80:3000']\n    environment: {MIMIC_BODY: 'told ${WHO:-by the file}'}\n    \
                   depends_on: [store]\n  store:\n    build: {context: ., dockerfile: Dockerfile}\n    container_name: fixed\n    \
                   volumes: ['data:/data']\nvolumes:\n  data:\n";

/// A mimic's repository with a Compose file, and `preview-config.yml` saying no more than where health is asked.
async fn repository(version: &str, compose: &str) -> Vec<Change> {
    let mimic = Mimic::new(version).config("health_check_path: /health\n");
    let file = Change::write("docker-compose.preview.yml", compose);
    mimic.repository().await.unwrap().into_iter().chain([file]).collect()
}

async fn volumes(rig: &Rig, id: &str) -> String {
    let label = format!("label=preview-deployer.deployment={id}");
    rig.docker(&["volume", "ls", "--quiet", "--filter", &label]).await.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_come_up_are_updated_and_go() {
    let rig = Setup::new().start().await;
    let pull = rig.open_with(repository("version one", TWO).await).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "told by the file").await;
    rig.until_record(&id, "it says what it is", |record| {
        record.is_some_and(|record| record["framework"] == "compose" && record["services"][0] == "store")
    })
    .await;
    let store = rig.container(&id, "own-store").await;
    let (kept, image) = (volumes(&rig, &id).await, store["Config"]["Image"].clone());
    assert_eq!(kept, format!("{id}_own-data"));
    assert_eq!(store["Mounts"][0]["Name"], *kept);
    assert_eq!(store["HostConfig"]["CapDrop"][0], "ALL");
    assert_ne!(store["Name"], "/fixed");

    let (two, file) =
        (Mimic::new("version two").config("health_check_path: /health\n"), TWO.replace("by the file", "again"));
    let update = two.files().into_iter().chain([Change::write("docker-compose.preview.yml", file)]).collect::<Vec<_>>();
    pull.push(update).await.unwrap();
    rig.until_answers(&url, "told again").await;
    rig.until("the second service is the new one", async || {
        let now = rig.container(&id, "own-store").await;
        (now["Config"]["Image"] != image && now["State"]["Running"] == true).then_some(())
    })
    .await;
    assert_eq!(volumes(&rig, &id).await, kept);

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_file_is_refused_before_anything_runs() {
    let rig = Setup::new().start().await;
    let file = "include: ['oci://registry.example.com/x:latest']\nservices:\n  app:\n    build: .\n    privileged: true\n    volumes: ['/:/host']\n";
    let pull = rig.open_with(repository("never up", file).await).await;
    let comment = rig.until_comment(&pull, "is refused").await;
    for said in [
        "docker-compose.preview.yml",
        "`include`",
        "line 5, `services.app.privileged`",
        "line 6, `services.app.volumes`",
    ] {
        assert!(comment.body.contains(said), "{said}\n{}", comment.body);
    }
    assert_eq!(rig.containers(&rig.id(&pull)).await, [""; 0]);
    // The step before anything is built or started.
    assert_eq!(rig.record(&rig.id(&pull))["attempt"]["failure"]["step"], "detect");
    rig.finish().await;
}
