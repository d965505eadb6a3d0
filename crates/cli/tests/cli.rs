//! What the command says: help, wrong settings, a service that isn't there. Full outputs, as snapshots.

use std::path::Path;

use preview_exec::{Limits, Output, Program};

fn preview(args: &[&str]) -> Program {
    let dir = std::env::temp_dir();
    Program::new(env!("CARGO_BIN_EXE_preview")).args(args).dir(dir).limits(Limits::seconds(60))
}

async fn ended(program: Program) -> (i32, Output) {
    let output = program.status().await.unwrap();
    (output.status.code().unwrap_or(-1), output)
}

/// Settings that are fine, with everything in this folder.
fn fine(program: Program, dir: &Path) -> Program {
    let path = |name: &str| dir.join(name);
    program
        .env("GITHUB_TOKEN", "github_pat_of_the_tests_1234567890")
        .env("GITHUB_WEBHOOK_SECRET", "b1946ac92492d2347c6235b4d2611184")
        .env("ALLOWED_REPOS", "my-org/my-app")
        .env("DEPLOYMENTS_DIR", path("deployments"))
        .env("DEPLOYMENTS_DB", path("state/deployments.json"))
        .env("LOG_DIR", path("logs"))
}

#[tokio::test]
async fn every_command_has_its_help() {
    let commands = [
        "", "serve", "list", "logs", "redeploy", "reset-db", "keep", "rm", "why", "audit", "demo", "secret",
        "firewall", "helper", "config",
    ];
    for command in commands {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (code, output) = ended(preview(&args)).await;
        assert_eq!(code, 0, "{command}");
        let name = if command.is_empty() { "preview" } else { command };
        insta::assert_snapshot!(format!("help_of_{name}"), output.text());
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = fine(preview(&["serve", "--check"]), dir.path())
        .env("GITHUB_WEBHOOK_SECRET", "changeme")
        .env("ALLOWED_REPOS", "not a repository")
        .env("CLEANUP_TTL_DAYS", "soon")
        .env("MAX_CONCURRENT_PREVIEWS", "-1");
    let (code, output) = ended(program).await;
    assert_eq!(code, 2);
    for variable in ["GITHUB_WEBHOOK_SECRET", "ALLOWED_REPOS", "CLEANUP_TTL_DAYS", "MAX_CONCURRENT_PREVIEWS"] {
        assert!(output.stderr.contains(variable), "{}", output.stderr);
    }
    for never in ["changeme", "panicked", "backtrace", "github_pat"] {
        assert!(!output.stderr.contains(never), "{}", output.stderr);
    }
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn missing_settings_are_told_apart_from_wrong_ones() {
    let (code, output) = ended(preview(&["serve"])).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!(output.stderr);
}

#[tokio::test]
async fn good_settings_are_called_fine() {
    let dir = tempfile::tempdir().unwrap();
    let (code, output) = ended(fine(preview(&["serve", "--check"]), dir.path())).await;
    assert_eq!((code, output.text().as_str()), (0, "the settings are fine\n"), "{}", output.stderr);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_with_what_to_do() {
    let program = preview(&["list", "--api", "http://127.0.0.1:9"]).env("API_TOKEN", "a-token-that-is-long-enough");
    let (code, output) = ended(program).await;
    assert_eq!(code, 1);
    assert!(
        output.stderr.starts_with("error: the service does not answer at http://127.0.0.1:9\n"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("hint: ") && !output.stderr.contains("a-token"), "{}", output.stderr);
}

#[tokio::test]
async fn what_is_no_preview_is_refused_before_anybody_is_asked() {
    let (code, output) = ended(preview(&["rm", "../../etc/passwd"])).await;
    assert_eq!(code, 2);
    assert!(output.stderr.contains("write it as project-slug-12"), "{}", output.stderr);
}

#[tokio::test]
async fn a_script_gets_no_escapes() {
    let (_, output) = ended(preview(&["serve"])).await;
    assert!(!output.stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn a_malformed_env_file_is_a_mistake_in_the_settings_and_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "ALLOWED_REPOS=my-org/my-app\nGITHUB_TOKEN='hidden\n").unwrap();
    let (code, output) = ended(preview(&["serve", "--check"]).dir(dir.path())).await;
    assert_eq!((code, output.text().as_str()), (2, ""));
    assert!(output.stderr.contains("after ALLOWED_REPOS"), "{}", output.stderr);
    assert!(!output.stderr.contains("hidden"), "{}", output.stderr);
}

#[tokio::test]
async fn what_is_nearly_a_setting_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let program = fine(preview(&["serve", "--check"]), dir.path()).env("CLEANUP_TTL_DAY", "3");
    let (code, output) = ended(program).await;
    assert_eq!((code, output.text().as_str()), (0, "the settings are fine\n"));
    assert_eq!(output.stderr, "warning: CLEANUP_TTL_DAY is no setting: did you mean CLEANUP_TTL_DAYS?\n");
}

#[tokio::test]
async fn a_kept_token_that_cannot_be_read_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (code, output) = ended(fine(preview(&["list"]), dir.path())).await;
    assert_eq!(code, 1);
    let file = dir.path().join("state/api-token");
    assert!(output.stderr.contains(file.to_str().unwrap()) && output.stderr.contains("hint: "), "{}", output.stderr);
}
