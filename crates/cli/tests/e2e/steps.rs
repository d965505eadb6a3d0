//! What happens between a build and a start: migrations, seeds, empty databases, and what else `preview-config.yml` says of it.

use preview_simulator::{Change, Pull};

use crate::isolation::WITH_POSTGRES;
use crate::rig::{Rig, Setup, TOKEN};

/// A mimic beside the programs of PostgreSQL: it has a shell, and something that migrates.
const DOCKERFILE: &str = "FROM postgres:16-bookworm\nCOPY mimic /mimic\nCOPY VERSION /VERSION\nENV PORT=3000\nENTRYPOINT [\"/mimic\"]\nCMD []\n";
/// What each migration of these tests does: a table, and a line of its own in it.
const MIGRATE: &str =
    "psql --quiet --set=ON_ERROR_STOP=1 \"$DATABASE_URL\" --command='create table if not exists lines (line text)'";

fn app(version: &str, config: &str) -> Vec<Change> {
    vec![
        Change::write("Dockerfile", DOCKERFILE),
        Change::write("VERSION", version),
        Change::write("preview-config.yml", format!("{WITH_POSTGRES}{config}")),
        Change::write(
            "seed.sql",
            "create table if not exists lines (line text);\ninsert into lines values ('seed');\n",
        ),
    ]
}

fn migrating(version: &str) -> Vec<Change> {
    app(
        version,
        &format!("seed: seed.sql\nmigrate: |\n  {MIGRATE} --command=\"insert into lines values ('{version}')\"\n"),
    )
}

/// The lines in a preview's database, sorted.
async fn lines(rig: &Rig, pull: &Pull) -> Vec<String> {
    sql(rig, pull, "select line from lines order by line").await.lines().map(str::to_owned).collect()
}

async fn sql(rig: &Rig, pull: &Pull, query: &str) -> String {
    let (container, database) = (format!("{}-db-1", rig.id(pull)), format!("pr_{}", pull.number()));
    let psql = ["exec", &container, "psql", "--username=preview", "--dbname", &database, "-Atc", query];
    rig.docker(&psql).await
}

async fn push(rig: &Rig, pull: &Pull, version: &str, changes: Vec<Change>) {
    drop(pull.push(changes).await.unwrap());
    rig.until_answers(&rig.url(pull), version).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_migrates_before_it_has_visitors_a_seed_is_loaded_once_and_what_fails_leaves_the_old_version() {
    let rig = Setup::new().start().await;
    let pull = rig.open_with(migrating("one")).await;
    rig.until_answers(&rig.url(&pull), "one").await;
    assert_eq!(lines(&rig, &pull).await, ["one", "seed"]);

    push(&rig, &pull, "two", migrating("two")).await;
    assert_eq!(lines(&rig, &pull).await, ["one", "seed", "two"]);

    let broken = app("three", "migrate: psql \"$DATABASE_URL\" --command='alter table tea add milk int' || exit 3\n");
    drop(pull.push(broken).await.unwrap());
    let comment = rig.until_comment(&pull, "Preview update failed while migrating the database").await.body;
    for said in ["ended with exit code 3", "relation \"tea\" does not exist", "**The database may be changed:**"] {
        assert!(comment.contains(said), "{said}: {comment}");
    }
    rig.until_answers(&rig.url(&pull), "two").await;
    let id = rig.id(&pull);
    assert!(rig.containers(&id).await.iter().all(|name| !name.contains("-migrate-")));
    let log = rig.http.get(format!("{}/api/previews/{id}/logs?stream=migrate", rig.api)).bearer_auth(TOKEN);
    assert!(log.send().await.unwrap().text().await.unwrap().contains("relation \"tea\" does not exist"));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_with_a_mistake_fails_and_the_next_commit_begins_with_a_new_database() {
    let rig = Setup::new().start().await;
    let with_seed = |version: &str, seed: &str| {
        let mut changes = app(version, "seed: data/seed.sql\n");
        changes.push(Change::write("data/seed.sql", format!("create table lines (line text);\n{seed}\n")));
        changes
    };
    let pull = rig.open_with(with_seed("one", "insert into tea values (1);")).await;
    let comment = rig.until_comment(&pull, "Preview failed while filling the new database").await.body;
    assert!(comment.contains("relation \"tea\" does not exist"), "{comment}");
    push(&rig, &pull, "two", with_seed("two", "insert into lines values ('milk');")).await;
    assert_eq!(lines(&rig, &pull).await, ["milk"]);
    rig.finish().await;
}

/// What the older system's documentation shows: files that are made before the build, one of them of variables.
#[tokio::test(flavor = "multi_thread")]
async fn build_commands_make_files_of_the_image_and_the_variables_that_are_in_one() {
    let rig = Setup::new().start().await;
    let server = "const { existsSync, readFileSync } = require('fs');\n\
                  const made = `${process.env.QUEUE}, ${existsSync('uploads')}, ${readFileSync('.env')}`;\n\
                  require('http').createServer((_, answer) => answer.end(made)).listen(process.env.PORT, '0.0.0.0');\n";
    let config = "build_commands:\n  - cp .env.example .env\n  - mkdir -p uploads\nenv_file: .env\n";
    let old = ["mimic", "VERSION", "Dockerfile"].map(Change::delete);
    let new = [
        Change::write("package.json", r#"{"name": "older", "scripts": {"start": "node server.js"}}"#),
        Change::write("server.js", server),
        Change::write(".env.example", "QUEUE=mails\n"),
        Change::write("preview-config.yml", config),
    ];
    let pull = rig.open_with([&old[..], &new].concat()).await;
    rig.until_answers(&rig.url(&pull), "mails, true, QUEUE=mails").await;
    rig.finish().await;
}

/// What would end a literal, in whatever a database takes for one.
const HOSTILE: &str = r#"O'Brien \' ü \"); drop table people; -- "#;
const PEOPLE: &str =
    r#"{"people": [{"id": 7, "name": "O'Brien \\' ü \\\"); drop table people; -- ", "tags": ["a"]}, {"name": ""}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_in_json_becomes_rows_and_counters_go_on_behind_them() {
    let rig = Setup::new().start().await;
    let table = "create table people (id bigint generated by default as identity primary key, name text, tags jsonb)";
    let config = format!("seed: people.json\nmigrate: psql --quiet \"$DATABASE_URL\" --command='{table}'\n");
    let mut changes = app("one", &config);
    // Without its number, a row takes the counter's first.
    changes.push(Change::write("people.json", PEOPLE));
    let pull = rig.open_with(changes).await;
    rig.until_answers(&rig.url(&pull), "one").await;
    let named = format!("select id, tags->>0 from people where name = '{}'", HOSTILE.replace('\'', "''"));
    assert_eq!(sql(&rig, &pull, &named).await, "7|a");
    assert_eq!(
        sql(&rig, &pull, "insert into people (name) values ('next') returning id").await.lines().next(),
        Some("8")
    );
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_in_json_is_taken_by_mariadb_too() {
    let rig = Setup::new().start().await;
    let client = "mariadb --skip-ssl --host=db --user=preview --password=\"$DB_PASSWORD\" \"$DB_NAME\"";
    let table = "create table people (id int auto_increment primary key, name varchar(100), tags json)";
    let config = format!(
        "framework: docker\ndatabase: mariadb\napp_port: 3000\nhealth_check_path: /health\nseed: people.json\n\
         migrate: |\n  {client} --execute='{table}'\n"
    );
    let changes = vec![
        Change::write("Dockerfile", DOCKERFILE.replace("postgres:16-bookworm", "mariadb:11")),
        Change::write("VERSION", "one"),
        Change::write("preview-config.yml", config),
        Change::write("people.json", PEOPLE),
    ];
    let pull = rig.open_with(changes).await;
    rig.until_answers(&rig.url(&pull), "one").await;
    let query = "select concat(id, '|', hex(name), '|', json_value(tags, '$[0]')) from people where id = 7";
    let script = format!(
        "MYSQL_PWD=\"$MARIADB_PASSWORD\" mariadb --skip-ssl --user=preview --database=pr_{} -N --execute=\"$0\"",
        pull.number()
    );
    let row = rig.docker(&["exec", &format!("{}-db-1", rig.id(&pull)), "sh", "-c", &script, query]).await;
    assert_eq!(row, format!("7|{}|a", hex(HOSTILE)));
    rig.finish().await;
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_push_reset_begins_with_an_empty_database() {
    let rig = Setup::new().start().await;
    let config = "on_push: reset\nseed: seed.sql\n";
    let pull = rig.open_with(app("one", config)).await;
    rig.until_answers(&rig.url(&pull), "one").await;
    sql(&rig, &pull, "insert into lines values ('of a visitor')").await;
    push(&rig, &pull, "two", app("two", config)).await;
    assert_eq!(lines(&rig, &pull).await, ["seed"]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_before_the_start_variables_and_smaller_limits() {
    let rig = Setup::new().start().await;
    let config = "startup_commands:\n  - export MADE=\"$WHO\"\n  - echo \"$MADE and $LITERAL\" > /tmp/made\n\
                  env: {WHO: 'jdbc:postgresql://${DB_HOST}:${DB_PORT}/${DB_NAME}'}\nenv_file: preview.env\n\
                  resources: {memory: 96m, cpus: 4}\n";
    let mut changes = app("one", config);
    changes.push(Change::write("preview.env", "LITERAL='${DB_HOST}'\nWHO=overridden\n"));
    let pull = rig.open_with(changes).await;
    rig.until_answers(&rig.url(&pull), "one").await;
    let id = rig.id(&pull);
    let made = rig.docker(&["exec", &format!("{id}-app-a-1"), "cat", "/tmp/made"]).await;
    assert_eq!(made, format!("jdbc:postgresql://db:5432/pr_{} and ${{DB_HOST}}", pull.number()));
    let container = rig.container(&id, "app-a").await;
    assert_eq!(container["HostConfig"]["Memory"], 96 << 20);
    let comment = rig.until_comment(&pull, "Preview is ready").await.body;
    assert!(comment.contains("asks for more memory or CPU"), "{comment}");
    rig.finish().await;
}
