//! `preview init`: what is checked before anything is written, and what is written.

use std::os::unix::fs::PermissionsExt;

use axum::http::Method;
use preview_simulator::{Fault, Matching};

use crate::rig::{DO_TOKEN, Rig};

const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];

#[tokio::test]
async fn a_new_server_is_described_with_its_price_and_a_key_of_its_own() {
    let rig = Rig::new().await;
    rig.cloud.page(1);
    rig.init(&["--region", "fra1"]).await;
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    assert!(config.contains("size: s-1vcpu-2gb") && config.contains("region: fra1"), "{config}");
    assert!(!config.contains(DO_TOKEN) && !config.contains(rig.github.token()));
    for (file, mode) in [("config.yml", 0o600), ("secrets.yml", 0o600), ("id_ed25519", 0o600)] {
        assert_eq!(std::fs::metadata(rig.home(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    let public = std::fs::read_to_string(rig.home("id_ed25519.pub")).unwrap();
    assert!(public.starts_with("ssh-ed25519 "), "{public}");
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    assert!(kept.contains(DO_TOKEN) && kept.contains(rig.github.token()) && kept.contains("webhook_secret: "));
    let asked = rig.cloud.asked();
    assert!(asked.iter().any(|path| path.starts_with("/v2/sizes") && path.ends_with("page=3")), "{asked:?}");
    assert_eq!(rig.calls(), "", "nothing is made yet");
}

#[tokio::test]
async fn what_it_says_and_writes_is_plain() {
    let rig = Rig::new().await;
    let api = format!("GITHUB_API_URL={}", rig.github.api_url());
    let git = format!("GITHUB_SERVER_URL={}", rig.github.server_url());
    let args = ["init", "--region", "fra1", "--repo", "my-org/my-app", "--no-input", "--set", &api, "--set", &git];
    let (code, text) = rig.run_with_tokens(&args).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("init_droplet", text);
    let again = rig.run_with_tokens(&args).await;
    assert_eq!(again.0, 2, "a file that is there is not replaced unasked");
    insta::assert_snapshot!("init_is_there_already", again.1);
    let args: Vec<&str> = args.into_iter().chain(["--yes", "--json"]).collect();
    let (code, text) = rig.run_with_tokens(&args).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!((code, &told["monthlyPrice"], &told["secrets"]), (0, &12.0.into(), &"file".into()));
    let args: Vec<&str> = args.into_iter().chain(["--dry-run"]).collect();
    let (code, text) = rig.run_with_tokens(&args).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert!(code == 0 && told["text"].as_str().unwrap().contains("region: fra1"), "{told}");
}

#[tokio::test]
async fn a_machine_that_is_there_needs_no_account_elsewhere() {
    let rig = Rig::new().await;
    rig.init(&HOST).await;
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    assert!(config.contains("host: \"root@203.0.113.7\"") && config.contains("person/.ssh/id_ed25519"), "{config}");
    assert!(rig.cloud.asked().is_empty());
}

#[tokio::test]
async fn the_token_of_a_pipe_comes_first() {
    let rig = Rig::new().await;
    let api = format!("GITHUB_API_URL={}", rig.github.api_url());
    let git = format!("GITHUB_SERVER_URL={}", rig.github.server_url());
    let args = [
        "init",
        "--host",
        "root@203.0.113.7",
        "--repo",
        "my-org/my-app",
        "--set",
        &api,
        "--set",
        &git,
        "--token-stdin",
    ];
    let program = rig.program(&args).stdin(format!("{}\n", rig.github.token())).env("GITHUB_TOKEN", "ghp_wrong");
    let (code, text) = rig.ended(program).await;
    assert_eq!(code, 0, "{text}");
    let program = rig.program(&args).arg("--yes").stdin("two\nlines\n");
    let (code, text) = rig.ended(program).await;
    assert!(code == 2 && text.contains("is not usable") && !text.contains("lines\n"), "{text}");
}

/// What `init` says to these arguments, with the tokens at hand.
async fn refused(rig: &Rig, server: &[&str], more: &[&str]) -> String {
    let (api, git) =
        (format!("GITHUB_API_URL={}", rig.github.api_url()), format!("GITHUB_SERVER_URL={}", rig.github.server_url()));
    let fixed = ["--no-input", "--set", &api, "--set", &git];
    let args: Vec<&str> = ["init"].iter().chain(server).chain(&fixed).chain(more).copied().collect();
    let (code, text) = rig.run_with_tokens(&args).await;
    assert_ne!(code, 0, "{text}");
    assert!(!rig.home("config.yml").exists() && !rig.home("secrets.yml").exists(), "nothing is written: {text}");
    format!("exit code {code}\n{}", text.split_once("---\n").unwrap().1)
}

#[tokio::test]
async fn each_answer_is_held_against_reality() {
    let rig = Rig::new().await;
    let repo = ["--repo", "my-org/my-app"];
    let droplet = ["--region", "fra1"];
    insta::assert_snapshot!("init_no_region", refused(&rig, &["--region", "ams1"], &repo).await);
    insta::assert_snapshot!("init_no_size", refused(&rig, &["--region", "nyc1", "--size", "s-2vcpu-4gb"], &repo).await);
    insta::assert_snapshot!(
        "init_too_small",
        refused(&rig, &["--region", "fra1", "--size", "s-1vcpu-1gb"], &repo).await
    );
    insta::assert_snapshot!(
        "init_no_key",
        refused(&rig, &HOST, &["--repo", "my-org/my-app", "--ssh-key", "/no/such/key"]).await
    );
    let public = rig.path("person/.ssh/id_ed25519.pub");
    let public = ["--repo", "my-org/my-app", "--ssh-key", public.to_str().unwrap()];
    insta::assert_snapshot!("init_public_key", refused(&rig, &HOST, &public).await);
    insta::assert_snapshot!("init_no_repository", refused(&rig, &HOST, &["--repo", "my-org/nothing"]).await);
    insta::assert_snapshot!(
        "init_wrong_setting",
        refused(&rig, &HOST, &["--repo", "my-org/my-app", "--set", "FORK_POLIC=deny"]).await
    );
    insta::assert_snapshot!("init_nothing_said", refused(&rig, &[], &[]).await);

    let hooks =
        rig.github.fail_while(Matching::path(Method::GET, "/hooks"), Fault::NotPermitted("repository_hooks=write"));
    insta::assert_snapshot!("init_no_webhooks", refused(&rig, &HOST, &repo).await);
    drop(hooks);
    rig.repo.set_archived(true);
    insta::assert_snapshot!("init_archived", refused(&rig, &HOST, &repo).await);
    rig.repo.set_archived(false);
    let key = rig.path("person/.ssh/id_ed25519");
    rig.cloud.add_key("old laptop", "ssh-ed25519 AAAAmine another comment");
    let key = ["--repo", "my-org/my-app", "--ssh-key", key.to_str().unwrap()];
    insta::assert_snapshot!("init_key_is_taken", refused(&rig, &droplet, &key).await);
    rig.cloud.answer(1, 401, &[]);
    insta::assert_snapshot!("init_wrong_token", refused(&rig, &droplet, &repo).await);
    rig.cloud.lock_account();
    insta::assert_snapshot!("init_locked_account", refused(&rig, &droplet, &repo).await);
}

#[tokio::test]
async fn a_service_that_limits_us_is_waited_for_and_one_that_is_down_tried_again() {
    let rig = Rig::new().await;
    rig.cloud.answer(2, 429, &[("retry-after", "0")]);
    rig.init(&["--region", "fra1"]).await;
    rig.cloud.answer(2, 503, &[]);
    let begun = rig.cloud.asked().len();
    rig.init(&["--region", "fra1", "--yes"]).await;
    assert!(rig.cloud.asked().len() > begun + 2);
    std::fs::remove_dir_all(rig.path("home")).unwrap();
    rig.cloud.answer(1, 429, &[("retry-after", "3600")]);
    let text = refused(&rig, &["--region", "fra1"], &["--repo", "my-org/my-app"]).await;
    assert!(text.contains("a pause of 3600 s"), "{text}");
}
