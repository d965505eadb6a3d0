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

/// The verdict of each of the doctor's checks.
async fn verdicts(rig: &Rig) -> (i32, serde_json::Value) {
    let (code, said) = preview(rig, &["doctor", "--json"], "").await;
    let json = said.split_once("\nerror: ").map_or(said.as_str(), |(json, _)| json);
    let report: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{said}"));
    let findings = report["findings"].as_array().unwrap().iter();
    let by_name = findings.map(|finding| (finding["name"].as_str().unwrap().to_owned(), finding["verdict"].clone()));
    (code, serde_json::Value::Object(by_name.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_a_server_on_one_screen_and_a_doctor_finds_what_is_wrong() {
    let mut rig = Setup::new().start().await;
    let (pull, url) = rig.up("healthy").await;
    let id = rig.id(&pull);
    rig.until_record(&id, "settled", |record| record.is_some_and(|record| record["attempt"]["step"] == "done")).await;

    let screen = rig.until("nothing waits", async || {
        let (_, screen) = preview(&rig, &["status"], "").await;
        screen.contains("nothing waits").then_some(screen)
    });
    let screen = screen.await;
    for shown in ["version 0.1.0", "docker ok", "ledger ok", &url, "pull_request.opened"] {
        assert!(screen.contains(shown), "{shown} in {screen}");
    }
    let (_, json) = preview(&rig, &["status", "--json"], "").await;
    let json = json.split_once("\nerror: ").map_or(json.as_str(), |(json, _)| json);
    let status: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(status["deployments"][0]["deploymentId"], id.as_str());

    let (_, found) = verdicts(&rig).await;
    for fine in [
        "settings",
        "docker",
        "docker-version",
        "compose",
        "buildx",
        "service",
        "ports",
        "ledger",
        "token",
        "token-rights",
        "rate-limit",
        "repositories",
        "webhooks",
        "webhook-secret",
        "base-url",
        "clock",
    ] {
        assert_eq!(found[fine], "ok", "{fine} in {found}");
    }

    // Somebody removes the webhook and the repository, and the service stops.
    let hooks = format!("{}/repos/{}/hooks", rig.github.api_url(), rig.repos[0]);
    let token = rig.github.token();
    let agent = "the tests";
    let listed = rig.http.get(&hooks).bearer_auth(token).header("user-agent", agent).send().await.unwrap();
    let listed: serde_json::Value = listed.json().await.unwrap();
    let one = format!("{hooks}/{}", listed[0]["id"]);
    let removed = rig.http.delete(one).bearer_auth(token).header("user-agent", agent).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    rig.set("ALLOWED_REPOS", format!("{},my-org/nowhere", rig.repos[0]));
    rig.set("GITHUB_WEBHOOK_SECRET", "changeme");
    let (code, found) = verdicts(&rig).await;
    assert_eq!((code, &found["settings"], &found["webhooks"]), (3, &"problem".into(), &"unknown".into()), "{found}");
    rig.set("GITHUB_WEBHOOK_SECRET", rig.github.webhook_secret().to_owned());
    let (_, found) = verdicts(&rig).await;
    assert_eq!((&found["webhooks"], &found["repositories"]), (&"problem".into(), &"problem".into()), "{found}");
    rig.set("ALLOWED_REPOS", rig.repos[0].clone());
    rig.stop_service().await;
    let (code, found) = verdicts(&rig).await;
    assert_eq!((code, &found["service"], &found["firewall"]), (3, &"problem".into(), &"unknown".into()), "{found}");
    assert_eq!(preview(&rig, &["status"], "").await.0, 1);
    let taken = std::net::TcpListener::bind(("127.0.0.1", rig.setting("ORCHESTRATOR_PORT").parse().unwrap())).unwrap();
    assert_eq!(verdicts(&rig).await.1["ports"], "problem");
    drop(taken);
    rig.start_service().await;
    pull.close().unwrap();
    rig.until_gone(&url).await;
    rig.finish().await;
}
