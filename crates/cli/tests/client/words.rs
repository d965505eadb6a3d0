//! Every command that asks the service, as its user sees it: when it goes well, and when the service is not there, does not know the
//! token, does not know the preview, or is something else. Whole outputs; with `--json`, failures are JSON as well.

use axum::Router;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use crate::Service;

const PREVIEW: &str = "my-org-app-12";
/// Every such command, with what it takes; all but the last four are about one preview.
const COMMANDS: [&[&str]; 13] = [
    &["open", PREVIEW],
    &["logs", PREVIEW],
    &["redeploy", PREVIEW],
    &["reset-db", PREVIEW],
    &["keep", PREVIEW],
    &["rm", PREVIEW],
    &["exec", PREVIEW],
    &["db", PREVIEW],
    &["why", PREVIEW],
    &["list"],
    &["status"],
    &["audit"],
    &["certificates"],
];

/// A service that gives this answer to everything.
pub(crate) async fn always(status: StatusCode, body: Value) -> Service {
    let answer = (status, [(header::CONTENT_TYPE, "application/json")], body.to_string());
    serving(Router::new().fallback(move || std::future::ready(answer.clone()))).await
}

/// A service that answers so.
pub(crate) async fn serving(app: Router) -> Service {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Service { api, asked: tokio::spawn(async { String::new() }) }
}

/// What is typed, what is seen and how it ends. What differs from run to run is taken out.
pub(crate) async fn screen(service: &Service, args: &[&str]) -> String {
    let (code, output) = service.ask(args).await;
    let text = format!("$ preview {}\n{}{}=> {code}\n\n", args.join(" "), output.text(), output.stderr);
    assert!(!text.contains('\u{1b}') && !text.contains(crate::TOKEN), "{text}");
    text.replace(&service.api, "http://127.0.0.1:3000")
}

#[tokio::test]
async fn the_commonest_failures_of_each_command_say_what_to_do() {
    let problem = |status: u16, detail: &str| json!({"status": status, "detail": detail});
    let nobody = Service { api: "http://127.0.0.1:9".to_owned(), asked: tokio::spawn(async { String::new() }) };
    let wrong_token = problem(401, "the API's token is missing or wrong");
    let unknown = problem(404, &format!("there is no preview `{PREVIEW}`"));
    let refuses = always(StatusCode::UNAUTHORIZED, wrong_token).await;
    let knows_none = always(StatusCode::NOT_FOUND, unknown).await;
    let is_another = always(StatusCode::OK, json!("Welcome to nginx!")).await;
    for args in COMMANDS {
        let third = if args.contains(&PREVIEW) { &knows_none } else { &is_another };
        let mut told = String::new();
        for service in [&nobody, &refuses, third] {
            told += &screen(service, args).await;
        }
        insta::assert_snapshot!(format!("failures_of_{}", args[0]), told);
    }
}

#[tokio::test]
async fn with_json_a_failure_is_json_too() {
    let nobody = Service { api: "http://127.0.0.1:9".to_owned(), asked: tokio::spawn(async { String::new() }) };
    for args in COMMANDS {
        let (code, output) = nobody.ask(&[args, &["--json"][..]].concat()).await;
        let told: Value =
            serde_json::from_str(&output.text()).unwrap_or_else(|_| panic!("{args:?}: {}", output.text()));
        let message = told["error"]["message"].as_str().unwrap();
        assert!(code == 1 && message.starts_with("the service does not answer at"), "{args:?}: {told}");
        assert!(output.stderr.starts_with(&format!("error: {message}\n")), "{}", output.stderr);
        assert!(told["error"]["advice"][0].as_str().unwrap().contains("is it running?"), "{told}");
    }
}

#[tokio::test]
async fn what_is_asked_of_a_preview_is_confirmed() {
    let service = always(StatusCode::OK, json!({"keptUntil": "2026-02-05T10:00:00Z"})).await;
    let mut told = String::new();
    for args in [&["redeploy", PREVIEW][..], &["keep", PREVIEW, "3d"]] {
        told += &screen(&service, args).await;
        told += &screen(&service, &[args, &["--json"]].concat()).await;
    }
    insta::assert_snapshot!(told);
}
