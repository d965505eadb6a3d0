//! A failed attempt says in the comment's first line why, and below it what helps: facts of the kernel and the engine, through the
//! whole service. The rules one by one are core's to test.

use std::time::Duration;

use futures_util::future::join_all;
use preview_simulator::{Change, Mimic};

use crate::rig::{Rig, Setup};

/// The usual `preview-config.yml` of a mimic, with another port or path, and a variable that leaves its own port alone.
fn config(port: u16, path: &str) -> String {
    format!(
        "framework: docker\ndatabase: none\napp_port: {port}\napp_port_env: VISITORS_PORT\nhealth_check_path: {path}\n"
    )
}

/// Opens a pull request, and looks for these words in the first line of its comment and for these below.
async fn is_told(rig: &Rig, changes: Vec<Change>, cause: &str, advice: &str) {
    let pull = rig.open_with(changes).await;
    let body = rig.until_comment(&pull, "Preview failed while").await.body;
    let first = body.lines().next().unwrap();
    assert!(first.contains(cause), "no {cause:?} in {body}");
    let tried = body.lines().find(|line| line.starts_with("**What to try:**")).unwrap();
    assert!(tried.contains(advice), "no {advice:?} in {body}");
    pull.close().unwrap();
    rig.until_comment(&pull, "removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_app_is_told_in_the_first_line() {
    let rig = Setup::new().set("HEALTH_TIMEOUT_SECONDS", 4).set("CONTAINER_MEMORY_MB", 96).start().await;
    let mimic = || Mimic::new("never up");
    let quits = mimic().exiting_after(Duration::ZERO, 1, "Error: Cannot find module 'express'");
    let wrong_processor = "FROM scratch\nCOPY app /mimic\nENTRYPOINT [\"/mimic\"]\n";
    let cases = [
        (
            mimic().config(config(4000, "/health")).files(),
            "the app listens on port 3000, and visitors are sent to port 4000",
            "`VISITORS_PORT`, or write `app_port: 3000`",
        ),
        (
            mimic().listening_on("127.0.0.1").files(),
            "the app listens on 127.0.0.1 alone (port 3000)",
            "Let it listen on 0.0.0.0",
        ),
        (
            mimic().starting_after(Duration::from_secs(600)).files(),
            "the app runs, and listens on no port",
            "`health_check_timeout`",
        ),
        // Not every engine tells who killed it.
        (mimic().eating_mb(300).files(), " 96 MB", "`CONTAINER_MEMORY_MB`"),
        (
            mimic().config(config(3000, "/nowhere")).files(),
            "the app answers `/nowhere` with status 404",
            "`health_check_path: /health`",
        ),
        (
            mimic().allowing_host("localhost").files(),
            "the app refuses the host name of its visitors: it answers `/health` with status 400",
            "`ALLOWED_HOSTS`",
        ),
        (
            quits.starting_after(Duration::from_secs(5)).files(),
            "the app ended with exit code 1: the module `express` is needed",
            "Add it to the dependencies",
        ),
        (
            [
                mimic().files(),
                vec![
                    Change::write("Dockerfile", wrong_processor),
                    Change::executable("app", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec()),
                ],
            ]
            .concat(),
            "built for another processor",
            "no `--platform`",
        ),
    ];
    join_all(cases.map(|(changes, cause, advice)| is_told(&rig, changes, cause, advice))).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_nothing_at_its_root_is_up_without_a_file_of_ours() {
    let rig = Setup::new().start().await;
    // It says nothing of a path for its health.
    let without_path = "framework: docker\ndatabase: none\napp_port: 3000\n";
    let app = || Mimic::new("an API").answering_root_with(404).config(without_path);
    for (app, by_what) in [
        (app(), "because `/health` answers well"),
        // Of the usual paths none answers, and none is an error of the server's.
        (app().without_health(), "because it answers at all"),
    ] {
        let pull = rig.open_with(app.files()).await;
        let body = rig.until_comment(&pull, "Preview is ready").await.body;
        assert!(body.contains("It answers `/` with status 404") && body.contains(by_what), "{body}");
        pull.close().unwrap();
        rig.until_comment(&pull, "removed").await;
    }
    rig.finish().await;
}
