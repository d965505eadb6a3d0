//! The commands that ask the service, against one that answers as it is told: what is printed, and what is not.

mod inside;
mod losing;
mod secret;
mod words;

use preview_exec::{Limits, Output, Program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TOKEN: &str = "9c1f7ab23de4506b8a77";

/// Something that gives one answer, whatever it is asked.
struct Service {
    api: String,
    /// What it was asked.
    asked: JoinHandle<String>,
}

impl Service {
    /// Gives this answer: the rest of a status line, headers and body.
    async fn answering(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {}", answer.into());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        Self { api, asked }
    }

    async fn json(status: &str, body: &str) -> Self {
        Self::answering(format!("{status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
    }

    /// Sends these server-sent events and goes away.
    async fn events(events: &str) -> Self {
        Self::answering(format!("200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")).await
    }

    /// Runs a command against it; gives exit code and output.
    async fn ask(&self, args: &[&str]) -> (i32, Output) {
        let program = Program::new(env!("CARGO_BIN_EXE_preview")).args(args).args(["--api", &self.api]);
        // A proxy of the environment must not get to see the token.
        let program = program.env("API_TOKEN", TOKEN).env("http_proxy", "http://127.0.0.1:9");
        let output = program.dir(std::env::temp_dir()).limits(Limits::seconds(60)).status().await.unwrap();
        (output.status.code().unwrap(), output)
    }
}

fn record(id: &str, status: &str, age_minutes: i64) -> serde_json::Value {
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(age_minutes);
    serde_json::json!({
        "deploymentId": id, "status": status, "commitSha": "0123456789abcdef0123456789abcdef01234567",
        "updatedAt": since.to_string(), "url": format!("http://localhost:8080/{id}/"),
    })
}

/// The record of a preview of which nothing exists yet, with every field.
fn whole_record(id: &str) -> serde_json::Value {
    serde_json::json!({
        "repoName": "app", "repoOwner": "my-org", "repositoryId": 7, "deploymentId": id, "branch": "x", "framework": "go",
        "dbType": null, "dbPort": null, "subnet": null, "createdAt": "2026-01-29T10:00:00Z", "updatedAt": "2026-01-29T10:00:00Z",
        "head": "0123456789abcdef0123456789abcdef01234567", "activeAt": "2026-01-29T10:00:00Z", "url": null, "commentId": null,
        "serving": null, "attempt": null,
    })
}

#[tokio::test]
async fn the_list_is_a_table() {
    let mut odd = record("my-org-app-7", "\u{1b}[31mfailed\u{7}", 60 * 24 * 3);
    odd["url"] = serde_json::Value::Null;
    let records = [record("my-org-app-12", "running", 0), record("my-org-longer-name-3", "building", 5), odd];
    let body = serde_json::json!({ "deployments": records });
    let service = Service::json("200 OK", &body.to_string()).await;
    let (code, output) = service.ask(&["list"]).await;
    assert_eq!((code, output.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(output.text());
    let asked = service.asked.await.unwrap();
    assert!(asked.starts_with("GET /api/previews HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{asked}");
}

#[tokio::test]
async fn certificates_are_a_table_and_what_failed_is_told_below() {
    let body = r#"{"certificates": [
        {"name": "previews.example.com", "state": "valid", "until": "2026-04-29T10:00:00Z"},
        {"name": "pr-1-app.previews.example.com", "state": "ordered"},
        {"name": "pr-2-app.previews.example.com", "state": "failed", "cause": "no \u001b[31mrecord", "problem": "dns",
         "tried": "2026-01-29T10:00:00Z", "next": "2026-01-29T10:05:00Z"}], "served": true, "address": "203.0.113.8",
        "now": "2026-01-29T10:01:00Z"}"#;
    let service = Service::json("200 OK", body).await;
    let (code, output) = service.ask(&["certificates"]).await;
    let told: Vec<&str> = output.stderr.lines().collect();
    assert_eq!((code, told.len(), told[0]), (0, 2, "pr-2-app.previews.example.com: no record"));
    assert!(told[1].starts_with("hint: ") && told[1].contains("`*.previews.example.com A 203.0.113.8`"), "{told:?}");
    assert!(told[1].contains("seen from here, the name has no address"), "{told:?}");
    insta::assert_snapshot!(output.text());
    assert!(service.asked.await.unwrap().starts_with("GET /api/certificates HTTP/1.1\r\n"));
    let service = Service::json("202 Accepted", body).await;
    let (code, output) = service.ask(&["certificates", "--retry", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, &told["certificates"][2]["problem"]), (0, &"dns".into()));
    assert!(service.asked.await.unwrap().starts_with("POST /api/certificates/retry HTTP/1.1\r\n"));
    let others = r#"{"certificates": [{"name": "previews.example.com", "state": "failed", "cause": "no", "problem": "caa"},
        {"name": "*.previews.example.com", "state": "failed", "cause": "no", "problem": "unauthorized"}], "served": true,
        "byRecord": true, "now": "2026-01-29T10:01:00Z"}"#;
    let (_, output) = Service::json("200 OK", others).await.ask(&["certificates"]).await;
    insta::assert_snapshot!("certificates_hints", output.stderr);
    let none = r#"{"certificates": [], "served": false, "now": "2026-01-29T10:01:00Z"}"#;
    let (code, output) = Service::json("200 OK", none).await.ask(&["certificates"]).await;
    assert_eq!((code, output.stderr.as_str()), (0, "the service gets no certificates: TLS is off\n"));
}

#[tokio::test]
async fn no_previews_are_no_lines_and_an_empty_list() {
    let empty = r#"{"deployments":[]}"#;
    let (code, output) = Service::json("200 OK", empty).await.ask(&["list"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "", "no previews\n"));
    let (code, output) = Service::json("200 OK", empty).await.ask(&["list", "--json"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "[]\n", ""));
}

#[tokio::test]
async fn what_an_app_wrote_does_nothing_to_the_terminal() {
    let service =
        Service::answering("200 OK\r\nconnection: close\r\n\r\n\u{1b}]0;owned\u{7}\u{1b}[2Jhello\r\n10 %\r100 %\n")
            .await;
    let (code, output) = service.ask(&["logs", "my-org-app-12", "--build", "-n", "5"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "hello\n100 %\n", ""));
    let asked = service.asked.await.unwrap();
    assert!(asked.starts_with("GET /api/previews/my-org-app-12/logs?stream=build&lines=5 HTTP/1.1\r\n"), "{asked}");
}

#[tokio::test]
async fn a_followed_log_ends_with_what_it_is_the_log_of() {
    let service = Service::events(": hello\n\ndata: one\n\ndata: \u{1b}[31mtwo\n\nevent: end\ndata: \n\n").await;
    let (code, output) = service.ask(&["logs", "my-org-app-12", "--follow"]).await;
    assert_eq!((code, output.text().as_str(), output.stderr.as_str()), (0, "one\ntwo\n", ""));
}

#[tokio::test]
async fn a_followed_log_that_was_cut_off_is_not_one_that_ended() {
    let service = Service::events("data: one\n\ndata: tw").await;
    let (code, output) = service.ask(&["logs", "my-org-app-12", "-f"]).await;
    assert_eq!((code, output.text().as_str()), (1, "one\n"));
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn a_log_for_a_script_is_an_object_a_line_and_so_is_why_there_is_no_more() {
    let kept = || Service::answering("200 OK\r\nconnection: close\r\n\r\none\n\u{1b}[31mtwo \"ü\"\n\n");
    let mut told = String::new();
    for args in [&["--json"][..], &["--build", "--json"], &["--service", "redis", "--json"]] {
        told += &words::screen(&kept().await, &[&["logs", "my-org-app-12"], args].concat()).await;
    }
    let whole = Service::events("data: one\n\ndata: two\n\nevent: end\ndata: \n\n").await;
    told += &words::screen(&whole, &["logs", "my-org-app-12", "-f", "--json"]).await;
    let cut = Service::events("data: one\n\ndata: tw").await;
    told += &words::screen(&cut, &["logs", "my-org-app-12", "--migrate", "-f", "--json"]).await;
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn what_the_service_refuses_is_told_in_its_words() {
    let problem = r#"{"title":"Not Found","status":404,"detail":"there is no preview `my-org-app-12`\u001b[2J"}"#;
    let service = Service::json("404 Not Found", problem).await;
    let (code, output) = service.ask(&["redeploy", "my-org-app-12"]).await;
    assert_eq!((code, output.text().as_str()), (1, ""));
    insta::assert_snapshot!(output.stderr);
    let asked = service.asked.await.unwrap();
    assert!(asked.starts_with("POST /api/previews/my-org-app-12/redeploy HTTP/1.1\r\n"), "{asked}");
}

#[tokio::test]
async fn a_wrong_token_is_told_with_what_to_do() {
    let service = Service::json("401 Unauthorized", r#"{"detail":"the API's token is missing or wrong"}"#).await;
    let (code, output) = service.ask(&["rm", "my-org-app-12"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn whoever_answers_otherwise_is_not_the_service() {
    let elsewhere = "302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n";
    let (code, output) = Service::answering(elsewhere).await.ask(&["list"]).await;
    let hint = "hint: --api, or ORCHESTRATOR_PORT, says where the service is\n";
    assert_eq!((code, output.stderr), (1, format!("error: the service answered 302 Found\n{hint}")));
    let broken = "500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    let (code, output) = Service::answering(broken).await.ask(&["list"]).await;
    let hint = "hint: `journalctl -u preview-orchestrator` says why\n";
    assert_eq!((code, output.stderr), (1, format!("error: the service answered 500 Internal Server Error\n{hint}")));
    let (code, output) = Service::json("200 OK", "<html>").await.ask(&["list"]).await;
    assert_eq!(code, 1);
    assert!(output.stderr.contains("is not the service, or of another version"), "{}", output.stderr);
}

#[tokio::test]
async fn an_audit_tells_by_its_exit_code() {
    let clean = r#"{"findings":[],"inProgress":["my-org-app-3"],"deployments":2,"repairs":0}"#;
    let (code, output) = Service::json("200 OK", clean).await.ask(&["audit"]).await;
    assert_eq!((code, output.text().as_str()), (0, "0 leftovers\n"), "{}", output.stderr);
    assert!(output.stderr.contains("my-org-app-3"), "{}", output.stderr);

    let line = "my-org-app-9: a folder is left over\\u001b[2J";
    let found = format!(
        r#"{{"findings":[{{"deployment":"my-org-app-9","kind":"leftover","what":"folder","line":"{line}"}}],
            "inProgress":[],"deployments":2,"repairs":1}}"#
    );
    let (code, output) = Service::json("200 OK", &found).await.ask(&["audit"]).await;
    assert_eq!(code, 3);
    insta::assert_snapshot!(format!("{}{}", output.text(), output.stderr));
    let (code, output) = Service::json("200 OK", &found).await.ask(&["audit", "--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((code, &report["findings"][0]["kind"]), (3, &"leftover".into()));
}

#[tokio::test]
async fn an_explanation_fits_on_a_screen() {
    let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5)).to_string();
    let delivery = serde_json::json!({
        "at": at, "guid": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "event": "pull_request", "action": "synchronize",
        "decision": "accepted", "reason": "written down; the pull request is looked at",
    });
    let mut answer = serde_json::json!({
        "repository": "my-org/app", "prNumber": 12, "deploymentId": "my-org-app-12",
        "github": "open, newest commit 0123456", "decided": "a preview of 0123456: it is open, and no rule speaks against it",
        "preview": "0123456 failed at `build`: \u{1b}[2Joops", "waitingFor": ["a new commit", "its comment"],
        "deliveries": [delivery],
    });
    let service = Service::json("200 OK", &answer.to_string()).await;
    let (code, output) = service.ask(&["why", "my-org/app#12"]).await;
    assert_eq!((code, output.stderr.as_str()), (0, ""));
    let asked = service.asked.await.unwrap();
    assert!(asked.starts_with("GET /api/why?pull=my-org/app%2312 HTTP/1.1\r\n"), "{asked}");
    (answer["waitingFor"], answer["deliveries"]) = (serde_json::json!([]), serde_json::json!([]));
    let (_, quiet) = Service::json("200 OK", &answer.to_string()).await.ask(&["why", "12"]).await;
    insta::assert_snapshot!(format!("{}---\n{}", output.text(), quiet.text()));
    let (_, json) = Service::json("200 OK", &answer.to_string()).await.ask(&["why", "12", "--json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.text()).unwrap(), answer);
    let (code, _) = Service::json("200 OK", "{}").await.ask(&["why", "nonsense"]).await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn a_token_goes_nowhere_in_the_clear() {
    let program = Program::new(env!("CARGO_BIN_EXE_preview")).env("API_TOKEN", TOKEN).dir(std::env::temp_dir());
    let output = program.args(["list", "--api", "http://previews.example.com"]).status().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.contains("expected https"), "{}", output.stderr);
}

/// A service that gives each path its own answer, three times at most.
async fn by_path(answers: [(&'static str, String); 3]) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = String::new();
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let body = &answers.iter().find(|(path, _)| head.starts_with(&format!("GET {path} "))).unwrap().1;
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked += &head;
        }
        asked
    });
    Service { api, asked }
}

/// A server, one of whose checks may not be fine.
async fn server(walls: &str) -> Service {
    let ok = r#"{"ok":true}"#;
    let health = format!(
        r#"{{"status":"ok","version":"0.1.0","uptimeSeconds":11000,"checks":{{"docker":{ok},"ledger":{ok},"walls":{walls}}},
            "queues":{{"pending":0,"waiting":2,"builds":1,"reports":0,"workers":3}},"repairs":1,"knownHoles":["git"],
            "disk":{{"budget":50000000000,"previews":1000000000,"buildCache":2000000000,"mirrors":500000000}}}}"#
    );
    let previews = serde_json::json!({"deployments": [record("my-org-app-12", "running", 5)]});
    let at = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5)).to_string();
    let deliveries = serde_json::json!({"deliveries": [
        {"at": at, "event": "pull_request", "action": "opened", "repository": "my-org/app", "prNumber": 12, "signed": true,
            "decision": "accepted", "reason": "written down\u{1b}[2J"},
    ]});
    let answers =
        [("/health", health), ("/api/previews", previews.to_string()), ("/api/deliveries", deliveries.to_string())];
    by_path(answers).await
}

#[tokio::test]
async fn a_server_fits_on_a_screen() {
    let (code, output) = server(r#"{"ok":true}"#).await.ask(&["status"]).await;
    assert_eq!((code, output.stderr.as_str()), (0, ""));
    // What is this machine's own differs from machine to machine.
    let own = |line: &str| {
        if line.starts_with("server ") { "server      (this machine)".to_owned() } else { line.to_owned() }
    };
    let disk = |line: String| match line.split_once(" free; ") {
        Some((_, ours)) if line.starts_with("disk ") => format!("disk        (this machine's); {ours}"),
        _ => line,
    };
    let screen: Vec<String> = output.text().lines().map(|line| disk(own(line))).collect();
    insta::assert_snapshot!(screen.join("\n"));
}

#[tokio::test]
async fn a_check_that_is_not_fine_is_told_by_the_exit_code() {
    let broken = r#"{"ok":false,"detail":"no rules are set"}"#;
    let (code, output) = server(broken).await.ask(&["status", "--json"]).await;
    assert_eq!(code, 3);
    insta::assert_snapshot!(output.stderr);
    let told: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
    assert_eq!((&told["health"]["version"], &told["deployments"][0]["status"]), (&"0.1.0".into(), &"running".into()));
    assert_eq!(told["deliveries"][0]["event"], "pull_request");
}

#[tokio::test]
async fn a_preview_without_an_address_cannot_be_opened_nor_one_entered_that_has_no_such_service() {
    let mut record = whole_record("my-org-app-12");
    let (code, output) = Service::json("200 OK", &record.to_string()).await.ask(&["open", "my-org-app-12"]).await;
    assert_eq!(code, 1);
    let open = output.stderr;
    let (_, db) = Service::json("200 OK", &record.to_string()).await.ask(&["db", "my-org-app-12"]).await;
    let (_, exec) =
        Service::json("200 OK", &record.to_string()).await.ask(&["exec", "my-org-app-12", "--service", "redis"]).await;
    let (_, down) = Service::json("200 OK", &record.to_string()).await.ask(&["exec", "my-org-app-12"]).await;
    insta::assert_snapshot!([open, db.stderr, exec.stderr, down.stderr].join("---\n"));
    record["url"] = "http://localhost:8080/x/".into();
    let (code, output) = Service::json("200 OK", &record.to_string()).await.ask(&["open", "my-org-app-12"]).await;
    assert_eq!((code, output.text().as_str()), (0, "http://localhost:8080/x/\n"));
}
