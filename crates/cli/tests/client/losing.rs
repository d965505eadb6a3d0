//! What throws a preview's data away, `rm` and `reset-db`: it is shown before, asked about, and done only then.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use preview_simulator::programs::Tmux;
use serde_json::{Value, json};

use crate::words::{screen, serving};
use crate::{Service, TOKEN, whole_record};

const PREVIEW: &str = "my-org-app-12";
const COMMANDS: [(&str, &str); 2] =
    [("rm", "DELETE /api/previews/my-org-app-12"), ("reset-db", "POST /api/previews/my-org-app-12/reset-db")];

/// A service that takes every wish.
struct House {
    service: Service,
    wishes: Arc<Mutex<Vec<String>>>,
}

impl House {
    /// One that knows this record of the preview, or none.
    async fn with(record: Option<Value>) -> Self {
        let wishes: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = wishes.clone();
        let app = Router::new().fallback(move |method: Method, uri: Uri| {
            let answer = match (&record, &method) {
                (Some(record), &Method::GET) => (StatusCode::OK, record.to_string()),
                (None, &Method::GET) => {
                    (StatusCode::NOT_FOUND, json!({"detail": format!("there is no preview `{PREVIEW}`")}).to_string())
                }
                _ => (StatusCode::ACCEPTED, json!({"status": "accepted"}).to_string()),
            };
            if method != Method::GET {
                heard.lock().unwrap().push(format!("{method} {uri}"));
            }
            std::future::ready(answer)
        });
        Self { service: serving(app).await, wishes }
    }

    /// What was wished since the last time.
    fn wishes(&self) -> Vec<String> {
        std::mem::take(&mut *self.wishes.lock().unwrap())
    }
}

/// A preview with a database, Redis, and a service of its own Compose file.
fn with_data() -> Value {
    let mut record = whole_record(PREVIEW);
    record["url"] = "http://localhost:8080/my-org-app/pr-12/".into();
    record["dbType"] = "postgres".into();
    record["extraServices"] = json!(["redis"]);
    record["services"] = json!(["search"]);
    record
}

#[tokio::test]
async fn what_goes_is_shown_and_nothing_goes_before_somebody_agrees() {
    let house = House::with(Some(with_data())).await;
    for (command, wish) in COMMANDS {
        let mut told = String::new();
        for flags in [&["--dry-run"][..], &["--dry-run", "--json"], &[], &["--no-input"], &["--json"]] {
            told += &screen(&house.service, &[&[command, PREVIEW], flags].concat()).await;
        }
        assert_eq!(house.wishes(), [] as [&str; 0], "{told}");
        for flags in [&["--yes"][..], &["-y", "--json"]] {
            told += &screen(&house.service, &[&[command, PREVIEW], flags].concat()).await;
            assert_eq!(house.wishes(), [wish]);
        }
        insta::assert_snapshot!(format!("losing_by_{command}"), told);
    }
}

#[tokio::test]
async fn what_has_little_to_lose_says_so() {
    let house = House::with(Some(whole_record(PREVIEW))).await;
    let mut told = String::new();
    for (command, _) in COMMANDS {
        told += &screen(&house.service, &[command, PREVIEW, "--dry-run"]).await;
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn what_is_set_aside_has_nothing_to_lose_and_what_is_unknown_is_an_error() {
    let house = House::with(None).await;
    for (command, wish) in COMMANDS {
        let (code, output) = house.service.ask(&[command, PREVIEW, "--dry-run"]).await;
        assert_eq!((code, output.text().as_str()), (1, ""));
        assert!(output.stderr.starts_with("error: there is no preview `my-org-app-12`\nhint: "), "{}", output.stderr);
        assert_eq!(house.wishes(), [] as [&str; 0]);
        // Whether it is only set aside, which no record shows, the service knows.
        let (code, output) = house.service.ask(&[command, PREVIEW]).await;
        assert_eq!((code, house.wishes()), (0, vec![wish.to_owned()]), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_person_is_asked_and_no_is_no() {
    let house = House::with(Some(with_data())).await;
    let dir = tempfile::tempdir().unwrap();
    let prepare = |shell: preview_exec::Program| shell.env("API_TOKEN", TOKEN).env("PS1", "$ ");
    let terminal = Tmux::open(dir.path().join("tmux"), 150, prepare).await;
    let rm = format!("{} rm {PREVIEW} --api {}; echo code $?", env!("CARGO_BIN_EXE_preview"), house.service.api);
    terminal.types(&rm).await;
    terminal.shows("This goes, and cannot be brought back:\n  the preview my-org-app-12, at http://").await;
    terminal.shows("Remove it? [y/N]").await;
    terminal.types("n").await;
    terminal.shows("error: nothing was changed\ncode 1").await;
    assert_eq!(house.wishes(), [] as [&str; 0]);
    terminal.types("clear").await;
    terminal.types(&rm).await;
    terminal.shows("Remove it? [y/N]").await;
    terminal.types("y").await;
    terminal.shows("my-org-app-12 will be removed, and come back with the next push\ncode 0").await;
    assert_eq!(house.wishes(), [COMMANDS[0].1]);
}
