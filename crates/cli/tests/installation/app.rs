//! A GitHub App in the place of the server's token: its key goes to the server as a file, and is nowhere else.

use std::os::unix::fs::PermissionsExt;

use preview_exec::Program;
use preview_simulator::{APP_KEY, App, Options};

use crate::rig::Rig;

/// A laptop with an App's key, and GitHub, which accepts that App's tokens and no other.
async fn rig() -> Rig {
    let rig = Rig::with(Options { app: Some(App::default()), ..Options::default() }).await;
    std::fs::write(rig.path("app.pem"), APP_KEY).unwrap();
    may_read(&rig, 0o600);
    rig
}

fn may_read(rig: &Rig, mode: u32) {
    std::fs::set_permissions(rig.path("app.pem"), std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn init(rig: &Rig, app: &str) -> (i32, String) {
    let (api, git) =
        (format!("GITHUB_API_URL={}", rig.github.api_url()), format!("GITHUB_SERVER_URL={}", rig.github.server_url()));
    let said = ["init", "--host", "root@203.0.113.7", "--repo", "my-org/my-app", "--no-input", "--app", app];
    let more = ["--app-key", "app.pem", "--set", "WEBHOOKS=off", "--set", &api, "--set", &git];
    rig.run(&[&said[..], &more].concat()).await
}

#[tokio::test]
async fn it_takes_the_tokens_place_and_its_key_goes_by_a_file() {
    let rig = rig().await;
    let (code, text) = init(&rig, "4711").await;
    assert!(code == 0 && text.contains("GitHub: my-org/my-app (private)"), "{text}");
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    let key = rig.path("app.pem").display().to_string();
    assert!(config.contains("GITHUB_APP_ID: \"4711\"") && config.contains(&key), "{config}");
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    assert!(!kept.contains("token") && !kept.contains("PRIVATE KEY"), "{kept}");

    for command in ["setup", "upgrade"] {
        let (code, text) = rig.run(&[command, "--yes"]).await;
        assert_eq!(code, 0, "{text}");
        let vars = rig.json("vars.json");
        assert_eq!(vars["preview_github_app_key"], *key);
        assert_eq!(vars["preview_settings"]["GITHUB_APP_ID"], "4711");
        let text = vars.to_string();
        for name in ["GITHUB_TOKEN", "GITHUB_APP_PRIVATE_KEY_FILE", "PRIVATE KEY"] {
            assert!(!text.contains(name), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn number_and_key_are_held_against_github_and_the_key_is_nobody_elses() {
    let rig = rig().await;
    let (code, text) = init(&rig, "4712").await;
    assert!(code == 1 && text.contains("GitHub gives no token for the GitHub App"), "{text}");
    std::fs::write(rig.path("app.pem"), "no key").unwrap();
    let (code, text) = init(&rig, "4711").await;
    assert!(code == 2 && text.contains("it holds no RSA private key in PEM"), "{text}");
    assert!(!rig.home("config.yml").exists());

    std::fs::write(rig.path("app.pem"), APP_KEY).unwrap();
    assert_eq!(init(&rig, "4711").await.0, 0);
    may_read(&rig, 0o644);
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 2 && text.contains("others than its owner may read it"), "{text}");
    assert_eq!(rig.count("ansible-playbook"), 0);
}

/// What may manage webhooks and nothing else.
const HOOKS_TOKEN: &str = "github_pat_11HOOKSONLY0c4f1de3b94f0aa7b2e6d4c91357";

fn init_with_webhooks(rig: &Rig) -> Program {
    let setting = |name: &str, value: &str| ["--set".to_owned(), format!("{name}={value}")];
    let settings = [
        setting("GITHUB_API_URL", &rig.github.api_url()),
        setting("GITHUB_SERVER_URL", &rig.github.server_url()),
        setting("PREVIEW_BASE_URL", &rig.url),
    ];
    let said = ["init", "--host", "root@203.0.113.7", "--repo", "my-org/my-app", "--no-input", "--app", "4711"];
    rig.program(&said).args(["--app-key", "app.pem"]).args(settings.concat())
}

/// The right to manage webhooks stays on the laptop, from the first to the last: the server has the App's key and no token.
#[tokio::test]
async fn its_webhooks_are_managed_by_a_token_that_never_leaves_the_laptop() {
    let options =
        Options { hooks_token: Some(HOOKS_TOKEN.to_owned()), app: Some(App::default()), ..Options::default() };
    let rig = Rig::with(options).await;
    std::fs::write(rig.path("app.pem"), APP_KEY).unwrap();
    may_read(&rig, 0o600);

    // The App itself has no such right, and without a token that has it nothing is kept.
    let (code, text) = rig.ended(init_with_webhooks(&rig)).await;
    assert!(code == 2 && text.contains("GITHUB_HOOKS_TOKEN"), "{text}");
    let wrong = init_with_webhooks(&rig).env("GITHUB_HOOKS_TOKEN", "github_pat_11SOMEBODYELSES0c4f1de3b94f0aa7b2");
    let (code, text) = rig.ended(wrong).await;
    assert!(code != 0 && !rig.home("config.yml").exists() && !rig.home("secrets.yml").exists(), "{text}");
    let (code, text) = rig.ended(init_with_webhooks(&rig).env("GITHUB_HOOKS_TOKEN", HOOKS_TOKEN)).await;
    assert_eq!(code, 0, "{text}");
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    assert!(kept.contains(HOOKS_TOKEN) && !kept.contains("github_token"), "{kept}");

    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    rig.has_one_hook();
    let vars = rig.json("vars.json");
    assert_eq!(vars["preview_settings"]["GITHUB_APP_ID"], "4711");
    let brought: Vec<&String> = vars["preview_secrets"].as_object().unwrap().keys().collect();
    assert_eq!(brought, ["GITHUB_WEBHOOK_SECRET"], "the server's environment file holds no token");
    stayed_here(&rig);

    let (code, text) = rig.run(&["destroy", "--yes"]).await;
    assert_eq!((code, rig.hooks()), (0, vec![]), "{text}");
    stayed_here(&rig);
}

/// Nothing that goes to the server, or to a program that goes there, holds the token.
fn stayed_here(rig: &Rig) {
    rig.calls();
    for name in ["vars.json", "scripts", "calls", "environment"] {
        let text = std::fs::read_to_string(rig.path(name)).unwrap_or_default();
        assert!(!text.contains(HOOKS_TOKEN) && !text.contains("HOOKS_TOKEN"), "{name}: {text}");
    }
}
