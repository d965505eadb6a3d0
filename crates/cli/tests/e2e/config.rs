//! Mistakes of people: each is told where it is, all at once, with what would be right.

use futures_util::future::join_all;
use preview_exec::{Output, Program};
use preview_simulator::state::StatusState;
use preview_simulator::{Change, Mimic, sha256_signature};
use tempfile::TempDir;

use crate::rig::{Rig, Setup};

// -------------------------------------------------------------------------------------------------- settings of the service

/// Runs `preview serve` with these settings only, in an empty folder.
async fn serve(dir: &TempDir, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let program = Program::new(env!("CARGO_BIN_EXE_preview")).arg("serve").args(arguments).dir(dir.path());
    let program = settings.iter().fold(program, |program, (name, value)| program.env(name, value));
    program.env("RUST_BACKTRACE", "1").status().await.unwrap()
}

/// Exit code 2, the mistakes and nothing else.
fn assert_told(output: &Output, mistakes: &[&str]) {
    let said = &output.stderr;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(output.text(), "");
    for mistake in mistakes {
        assert!(said.lines().any(|line| line.starts_with(&format!("  - {mistake}"))), "no {mistake:?} in {said}");
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("  - ")).count(), mistakes.len(), "{said}");
    for noise in ["panicked", "backtrace", "RUST_", ".rs:", "Error {"] {
        assert!(!said.contains(noise), "{noise} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_setting_is_named_at_once() {
    let dir = TempDir::new().unwrap();
    let (file, token) = (dir.path().join("a-file"), "ghp_9aZq3Lm0Xw7Rt2Vb5Ny8Kc1Jd4Hf6Gs");
    std::fs::write(&file, "").unwrap();
    // What stands in `.env` counts as well, behind the environment.
    std::fs::write(dir.path().join(".env"), "ROUTER=apache\nLOG_LEVEL=loud\nMAX_CONCURRENT_PREVIEWS=0\n").unwrap();
    let wrong = [
        ("GITHUB_TOKEN", token),
        ("GITHUB_WEBHOOK_SECRET", "hunter2"),
        ("ALLOWED_REPOS", "my-org/app,nonsense"),
        ("FORK_POLICY", "sometimes"),
        ("PREVIEW_BASE_URL", "previews.example.org"),
        ("ORCHESTRATOR_PORT", "70000"),
        ("CLEANUP_TTL_DAYS", "soon"),
        ("PREVIEW_SUBNET", "8.8.8.0/24"),
        ("LOG_LEVEL", "debug"),
    ];
    for arguments in [&[][..], &["--check"]] {
        let output = serve(&dir, arguments, &wrong).await;
        assert_told(
            &output,
            &[
                "GITHUB_WEBHOOK_SECRET is not usable",
                "ALLOWED_REPOS is `my-org/app,nonsense`",
                "FORK_POLICY is `sometimes`",
                "PREVIEW_BASE_URL is `previews.example.org`",
                "ORCHESTRATOR_PORT is `70000`",
                "CLEANUP_TTL_DAYS is `soon`",
                "PREVIEW_SUBNET is `8.8.8.0/24`",
                "ROUTER is `apache`",
                "MAX_CONCURRENT_PREVIEWS is `0`",
            ],
        );
        assert!(!output.stderr.contains("hunter2") && !output.stderr.contains(token), "{}", output.stderr);
    }
    assert_told(
        &serve(&dir, &[], &[("ROUTER", "builtin"), ("MAX_CONCURRENT_PREVIEWS", "1"), ("LOG_LEVEL", "info")]).await,
        &["GITHUB_TOKEN is not set", "GITHUB_WEBHOOK_SECRET is not set", "ALLOWED_REPOS is not set"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_cannot_be_used_are_named_at_once() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let at = |name: &str| file.join(name).display().to_string();
    let (deployments, ledger, logs) = (at("deployments"), at("deployments.json"), dir.path().join("logs"));
    let settings = [
        ("GITHUB_TOKEN", "ghp_9aZq3Lm0Xw7Rt2Vb5Ny8Kc1Jd4Hf6Gs"),
        ("GITHUB_WEBHOOK_SECRET", "5f0c1d2e3b4a59687706152433425160"),
        ("ALLOWED_REPOS", "my-org/app"),
        ("DEPLOYMENTS_DIR", deployments.as_str()),
        ("DEPLOYMENTS_DB", &ledger),
        ("LOG_DIR", logs.to_str().unwrap()),
    ];
    assert_told(&serve(&dir, &["--check"], &settings).await, &["DEPLOYMENTS_DIR needs", "DEPLOYMENTS_DB needs"]);
    let (deployments, ledger) = (dir.path().join("deployments"), dir.path().join("deployments.json"));
    let mut right = settings;
    right[3].1 = deployments.to_str().unwrap();
    right[4].1 = ledger.to_str().unwrap();
    let output = serve(&dir, &["--check"], &right).await;
    assert!(output.status.success(), "{}", output.stderr);
}

// ---------------------------------------------------------------------------------------------------- preview-config.yml

/// A commit with this in its `preview-config.yml` is refused with these words, and the next one comes up.
async fn a_bad_file(rig: &Rig, text: &str, says: &[&str]) {
    let pull = rig.open(Mimic::new("never up").config(text)).await;
    let body = rig.until_comment(&pull, "Preview failed while").await.body;
    let first = body.lines().next().unwrap();
    for words in says {
        assert!(first.contains(words), "no {words:?} in {body}");
    }
    rig.until_status(&pull, StatusState::Failure).await;
    pull.push(Mimic::new("right").files()).await.unwrap();
    rig.until_answers(&rig.url(&pull), "right").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_told_by_line_with_the_nearest_right_key() {
    let rig = Setup::new().start().await;
    let file = "`preview-config.yml` is not valid";
    let cases: [(&str, &[&str]); 5] = [
        (
            "framwork: docker\nhealth-check-path: /health\napp_port: 99999\n",
            &[
                file,
                "line 1, column 1: unknown key `framwork`; did you mean `framework`?",
                "line 2, column 1: unknown key `health-check-path`; did you mean `health_check_path`?",
                "line 3",
            ],
        ),
        ("framework: docker\n\nroot: ../api\n", &[file, "line 3", "`root` must"]),
        ("framework: cobol\n", &[file, "line 1", "`framework` must be one of nestjs, node, go, rust"]),
        ("database: postgrse\n", &[file, "line 1", "did you mean `postgres`?"]),
        ("framework: docker\nenv: [A=1\n", &[file, "line"]),
    ];
    join_all(cases.map(|(text, says)| a_bad_file(&rig, text, says))).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_framework_is_found_in_is_told_what_was_looked_for() {
    let rig = Setup::new().start().await;
    let pull = rig.open_with(["Dockerfile", "preview-config.yml"].map(Change::delete).to_vec()).await;
    let comment = rig.until_comment(&pull, "no framework was recognised").await;
    for evidence in ["`Dockerfile`", "`package.json`", "`go.mod`"] {
        assert!(comment.body.contains(evidence), "{}", comment.body);
    }
    pull.push([Change::write("preview-config.yml", "framework: go\n")]).await.unwrap();
    rig.until_comment(&pull, "there is no `go.mod`").await;
    rig.finish().await;
}

/// A server without dependencies that says what it is, and whether it was given what lies beside its folder.
const SERVER: &str = "const neighbours = require('fs').existsSync('../VERSION') || require('fs').existsSync('VERSION');
require('http').createServer((_, response) => response.end(`from the folder ${neighbours}`)).listen(process.env.PORT);
";

#[tokio::test(flavor = "multi_thread")]
async fn root_names_the_folder_that_is_built_and_no_link_out_of_the_repository() {
    let rig = Setup::new().start().await;
    let pull = rig
        .open_with(vec![
            Change::write("backend/package.json", r#"{"scripts": {"start": "node server.js"}}"#),
            Change::write("backend/server.js", SERVER),
            Change::write("preview-config.yml", "root: backend\n"),
        ])
        .await;
    let url = rig.url(&pull);
    rig.until_answers(&url, "from the folder false").await;
    let away = Change::Symlink { path: "away".into(), target: "/etc".into() };
    pull.push([away, Change::write("preview-config.yml", "root: away\n")]).await.unwrap();
    rig.until_comment(&pull, "`away` is a symbolic link or lies behind one; links are not followed").await;
    pull.push([Change::write("preview-config.yml", "root: backend/nothing\n")]).await.unwrap();
    rig.until_comment(&pull, "there is no folder `backend/nothing`").await;
    rig.until_answers(&url, "from the folder false").await;
    rig.finish().await;
}

// -------------------------------------------------------------------------------------------------------------- deliveries

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_not_github_s_is_refused_by_the_running_service() {
    let rig = Setup::new().start().await;
    let deliver = async |body: Vec<u8>, signature: String| {
        let url = format!("{}/webhook/github", rig.api);
        let request = rig.http.post(url).header("content-type", "application/json").body(body);
        let request = request.header("x-github-event", "pull_request").header("x-github-delivery", "1");
        request.header("x-hub-signature-256", signature).send().await.unwrap().status().as_u16()
    };
    let signed = |body: &[u8]| sha256_signature(rig.github.webhook_secret().as_bytes(), body);
    let too_large = vec![b' '; 27 << 20];
    let signature = signed(&too_large);
    assert_eq!(deliver(too_large, signature).await, 413);
    assert_eq!(deliver(b"{}".to_vec(), signed(b"{ }")).await, 401);
    assert_eq!(deliver(b"no JSON".to_vec(), signed(b"no JSON")).await, 400);
    rig.up("none the worse for it").await;
    rig.finish().await;
}
