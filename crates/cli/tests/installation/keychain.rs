//! Secrets in a real Secret Service: GNOME's keyring on a bus of its own, without a desktop.

use preview_exec::Limits;

use crate::rig::{DO_TOKEN, Rig};

/// A bus, a keyring on it that is open, and then the command.
const SESSION: &str =
    r#"echo password | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@""#;

#[tokio::test]
async fn secrets_are_in_the_keychain_and_in_no_file() {
    let rig = Rig::new().await;
    let api = format!("GITHUB_API_URL={}", rig.github.api_url());
    let git = format!("GITHUB_SERVER_URL={}", rig.github.server_url());
    let set = ["--repo", "my-org/my-app", "--set", &api, "--set", &git];
    // One session for all of it: what one command keeps, the next one finds, and the last one removes.
    let script = r#"
set -e
"$0" init --region fra1 "$@" --no-input
unset GITHUB_TOKEN DIGITALOCEAN_TOKEN
"$0" setup --dry-run
"$0" destroy --yes
if "$0" setup --dry-run; then exit 1; fi
"#;
    let program = preview_exec::Program::new("dbus-run-session")
        .args(["--", "sh", "-c", SESSION, "sh", "sh", "-c", script, env!("CARGO_BIN_EXE_preview")])
        .args(set)
        .env("HOME", rig.path("person"))
        .env("XDG_RUNTIME_DIR", rig.path("person"))
        .env("PREVIEW_HOME", rig.path("home"))
        .env("DIGITALOCEAN_API_URL", &rig.cloud.url)
        .env("GITHUB_TOKEN", rig.github.token())
        .env("DIGITALOCEAN_TOKEN", DO_TOKEN)
        .env("PATH", format!("{}:{}", rig.path("bin").display(), std::env::var("PATH").unwrap()))
        .dir(rig.dir.path())
        .limits(Limits::seconds(120));
    let (code, text) = rig.ended(program).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("secrets are kept in the system's keychain"), "{text}");
    assert!(text.contains("is not known here"), "what was removed is not found any more: {text}");
    assert!(!rig.home("secrets.yml").exists());
}

#[tokio::test]
async fn where_there_is_no_keychain_a_file_is_used_and_that_is_said() {
    let rig = Rig::new().await;
    let api = format!("GITHUB_API_URL={}", rig.github.api_url());
    let git = format!("GITHUB_SERVER_URL={}", rig.github.server_url());
    let args =
        ["init", "--host", "root@203.0.113.7", "--repo", "my-org/my-app", "--no-input", "--set", &api, "--set", &git];
    let program =
        rig.program(&args).env("PREVIEW_KEYCHAIN", "").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/such/bus");
    let (code, text) = rig.ended(program.env("GITHUB_TOKEN", rig.github.token())).await;
    assert_eq!(code, 0, "{text}");
    let told = "secrets are kept in DIR/home/secrets.yml, which only you may read (this machine has no keychain)";
    assert!(text.contains(told) && rig.home("secrets.yml").exists(), "{text}");
}
