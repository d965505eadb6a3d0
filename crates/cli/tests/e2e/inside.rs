//! Going into a preview's containers: a command in its app, statements in its database, its address.

use preview_simulator::{Change, Mimic};

use crate::rig::{Rig, Setup, command_lines, runs};

/// What a command printed, errors too, and its exit code.
async fn preview(rig: &Rig, args: &[&str], input: &str) -> (i32, String) {
    let output = rig.preview(args).stdin(input).status().await.unwrap();
    (output.status.code().unwrap(), output.text() + &output.stderr)
}

/// A mimic in an image that has a shell.
fn with_a_shell(version: &str) -> Vec<Change> {
    let config = "framework: docker\nhealth_check_path: /health\ndatabase: postgres\nextra_services: [redis]\n";
    let dockerfile = "FROM debian:bookworm-slim\nCOPY mimic VERSION /\nENTRYPOINT [\"/mimic\"]\n";
    let mimic = Mimic::new(version).config(config);
    [mimic.files(), vec![Change::write("Dockerfile", dockerfile)]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gets_into_the_app_and_into_the_database() {
    let rig = Setup::new().set("HEALTH_TIMEOUT_SECONDS", 60).start().await;
    let pull = rig.open_with(with_a_shell("with a shell")).await;
    let (url, id) = (rig.url(&pull), rig.id(&pull));
    rig.until_answers(&url, "with a shell").await;
    rig.until_record(&id, "settled", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;

    assert_eq!(preview(&rig, &["open", &id], "").await, (0, format!("{url}\n")));

    // The shell reads what it is given, within the app's container; and a command's exit code is ours.
    let (code, said) = preview(&rig, &["exec", &id], "cat /VERSION; echo $PREVIEW_PR_NUMBER; exit 7\n").await;
    assert_eq!((code, said), (7, format!("with a shell{}\n", pull.number())));
    let words = ["exec", &id, "--", "printf", "<%s>", "a b", "$HOME", "--server"];
    assert_eq!(preview(&rig, &words, "").await, (0, "<a b><$HOME><--server>".to_owned()));

    let table = "create table notes (text text); insert into notes values ('it''s kept');\n";
    let (code, said) = preview(&rig, &["db", &id], table).await;
    assert!(code == 0 && said.contains("INSERT 0 1"), "{said}");
    let select = ["db", &id, "--", "--tuples-only", "--no-align", "-c", "select text, current_user from notes"];
    assert_eq!(preview(&rig, &select, "").await, (0, "it's kept|preview\n".to_owned()));
    let (code, said) = preview(&rig, &["db", &id, "--service", "redis"], "set key value\nget key\n").await;
    assert!(code == 0 && said.contains("value"), "{said}");

    // While a shell of the database is open, no process on this machine has the password among its arguments.
    let database = rig.container(&id, "db").await;
    let variables = database["Config"]["Env"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let password = variables.filter_map(|line| line.strip_prefix("POSTGRES_PASSWORD=")).next().unwrap().to_owned();
    let sleep = rig.preview(&["db", &id, "--", "-c", "select pg_sleep(60)"]);
    let number = pull.number();
    let open = format!("psql --username preview --dbname pr_{number} -c select pg_sleep(60)");
    let shell = tokio::spawn(async move { sleep.status().await });
    rig.until("the shell is open", async || runs(&open).then_some(())).await;
    assert!(!command_lines().any(|line| line.contains(&password)));
    shell.abort();

    for (wrong, says) in [
        (&["exec", id.as_str(), "--service", "mysql"][..], "has no service `mysql`"),
        (&["db", id.as_str(), "--service", "mysql"], "has no mysql"),
        (&["exec", "nobody-knows-7"], "there is no preview `nobody-knows-7`"),
    ] {
        let (code, said) = preview(&rig, wrong, "").await;
        assert!(code == 1 && said.contains(says) && said.contains("hint: "), "{said}");
    }
    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}
