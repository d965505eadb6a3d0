//! Databases other than PostgreSQL, and services beside them: used by a real app, kept over updates, gone with the commits that name
//! them.

use preview_simulator::{Change, Mimic};
use serde_json::{Value, json};

use crate::isolation::environment;
use crate::rig::{Rig, Setup};

const SERVER: &str = include_str!("../../../../examples/express-mysql/server.js");

/// The example without its use of Redis.
fn without_redis() -> Vec<Change> {
    let lines = SERVER.lines().filter(|line| !["ioredis", "new Redis", "redis.on"].iter().any(|of| line.contains(of)));
    let server: Vec<String> =
        lines.map(|line| line.replace("await redis.incr('visits')", "0").replace(", redis.ping()", "")).collect();
    vec![
        Change::write("server.js", server.join("\n") + "\n"),
        Change::write("preview-config.yml", "health_check_path: /health\nextra_services: []\n"),
        Change::write("greeting.js", "export const GREETING = 'Hello without Redis';\n"),
    ]
}

async fn notes(rig: &Rig, url: &str) -> Value {
    rig.http.get(format!("{url}api/notes")).send().await.unwrap().json().await.unwrap()
}

/// The services of a deployment that are there, and its volumes.
async fn kept(rig: &Rig, id: &str) -> (Vec<String>, Vec<String>) {
    let names = rig.containers(id).await;
    let short = |name: String| name.strip_prefix(&format!("{id}-")).unwrap().trim_end_matches("-1").to_owned();
    let mut services: Vec<String> = names.into_iter().map(short).filter(|name| !name.starts_with("app-")).collect();
    services.sort();
    let label = format!("label=preview-deployer.deployment={id}");
    let volumes = rig.docker(&["volume", "ls", "--quiet", "--filter", &label]).await;
    let mut volumes: Vec<String> = volumes.lines().map(|name| name.replace(&format!("{id}_"), "")).collect();
    volumes.sort();
    (services, volumes)
}

async fn settled(rig: &Rig, id: &str) {
    rig.until_record(id, "settled", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_uses_mysql_and_redis_and_an_update_drops_redis() {
    let rig = Setup::new().example("express-mysql").set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let greeting = Change::write("greeting.js", "export const GREETING = 'Hello with both';\n");
    let pull = rig.open_with(vec![greeting]).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "Hello with both").await;
    rig.until_answers(&url, "visit 2").await;
    let note = json!({"message": "kept"});
    rig.http.post(format!("{url}api/notes")).json(&note).send().await.unwrap().error_for_status().unwrap();
    settled(&rig, &id).await;
    let record = rig.record(&id);
    assert_eq!((&record["dbType"], &record["extraServices"]), (&json!("mysql"), &json!(["redis"])));
    rig.until_comment(&pull, "Node.js with MySQL and Redis").await;
    let database = rig.container(&id, "db").await["Id"].clone();
    assert_eq!(kept(&rig, &id).await, (vec!["db".into(), "redis".into()], vec!["db-mysql-data".into()]));

    // One password opens both, and nobody else is told.
    let redis = rig.container(&id, "redis").await;
    let variables = redis["Config"]["Env"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let password = variables.filter_map(|line| line.strip_prefix("REDISCLI_AUTH=")).next().unwrap();
    assert!(
        !redis["Args"].to_string().contains(password)
            && !rig.docker(&["top", &format!("{id}-redis-1")]).await.contains(password)
    );
    assert_eq!(redis["Mounts"], json!([]), "it keeps nothing on the disk");
    for shown in [rig.ledger(), rig.ask_api("/api/previews").await, rig.ask_api(&format!("/api/previews/{id}")).await] {
        assert!(!shown.to_string().contains(password));
    }
    let logs = rig.preview(&["logs", &id, "--service", "redis"]).run().await.unwrap();
    assert!(logs.text().contains("Ready to accept connections") && !logs.text().contains(password), "{}", logs.text());

    pull.push(without_redis()).await.unwrap();
    rig.until_answers(&url, "Hello without Redis").await;
    rig.until("Redis is gone", async || {
        (kept(&rig, &id).await == (vec!["db".into()], vec!["db-mysql-data".into()])).then_some(())
    })
    .await;
    assert_eq!(notes(&rig, &url).await, json!([{"id": 1, "message": "kept"}]));
    assert_eq!(rig.container(&id, "db").await["Id"], database);

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_takes_the_place_of_the_old_one() {
    let rig = Setup::new().start().await;
    let mimic =
        |version: &str, config: &str| Mimic::new(version).config(format!("health_check_path: /health\n{config}"));
    let pull = rig.open(mimic("with mariadb", "database: mariadb\nextra_services: [mysql]\n")).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "with mariadb").await;
    let told = environment(&rig, &pull).await;
    assert!(told["DATABASE_URL"].starts_with("mysql://") && told["DATABASE_URL"].contains("@db:3306/"), "{told:?}");
    assert!(told["MYSQL_URL"].contains("@mysql:3306/"), "{told:?}");
    settled(&rig, &id).await;
    let volumes = vec!["db-mariadb-data".into(), "mysql-data".into()];
    assert_eq!(kept(&rig, &id).await, (vec!["db".into(), "mysql".into()], volumes));

    pull.push(mimic("with postgres", "database: postgres\nextra_services: [redis]\n").files()).await.unwrap();
    rig.until_answers(&url, "with postgres").await;
    rig.until("only the new services are there", async || {
        (kept(&rig, &id).await == (vec!["db".into(), "redis".into()], vec!["db-data".into()])).then_some(())
    })
    .await;

    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}
