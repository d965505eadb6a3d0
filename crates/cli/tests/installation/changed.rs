//! What has changed since it was set up: repositories that were renamed, deleted or archived, tokens that have expired, a machine that is
//! gone, another one in `config.yml`. All of it can be gone on with, and taken down.

use axum::http::Method;
use preview_simulator::{Fault, Matching};
use serde_json::json;

use crate::rig::{DO_TOKEN, Rig};

const DROPLET: [&str; 2] = ["--region", "fra1"];
const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];
const SETUP: [&str; 2] = ["setup", "--yes"];
const DESTROY: [&str; 2] = ["destroy", "--yes"];
const LEAVE: [&str; 3] = ["destroy", "--yes", "--leave-webhooks"];

async fn set_up(server: &[&str]) -> Rig {
    let rig = Rig::new().await;
    rig.init(server).await;
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.hooks().len()), (0, 1), "{text}");
    rig
}

impl Rig {
    fn edit(&self, from: &str, to: &str) {
        let config = std::fs::read_to_string(self.home("config.yml")).unwrap();
        assert!(config.contains(from), "{config}");
        std::fs::write(self.home("config.yml"), config.replace(from, to)).unwrap();
    }

    /// What there is in the installation's folder, without its key.
    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("home")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with("id_ed25519"));
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_repository_that_was_renamed_keeps_its_webhook_under_its_new_name() {
    let rig = set_up(&HOST).await;
    let known = rig.json("home/state.json")["webhooks"]["my-org/my-app"].clone();
    rig.repo.rename("my-org/renamed").unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 2, "{text}");
    insta::assert_snapshot!("setup_renamed", text);
    rig.edit("- my-org/my-app", "- my-org/renamed");
    for _ in 0..2 {
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!(code, 0, "{text}");
        rig.has_one_hook();
        assert_eq!(rig.json("home/state.json")["webhooks"], json!({"my-org/renamed": known}));
    }
}

#[tokio::test]
async fn a_repository_that_was_renamed_and_is_listed_no_more_loses_its_webhook() {
    let rig = set_up(&HOST).await;
    rig.repo.rename("my-org/renamed").unwrap();
    rig.github.create_repo("my-org/other", [preview_simulator::Change::write("README.md", "hello")]).await.unwrap();
    rig.edit("- my-org/my-app", "- my-org/other");
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.hooks()), (0, vec![]), "{text}");
    // And one that is gone has none.
    rig.edit("- my-org/other", "- my-org/renamed");
    rig.github.repo("my-org/other").unwrap().set_visible(false);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(rig.json("home/state.json")["webhooks"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn an_archived_repository_that_is_listed_is_told_before_anything_is_changed() {
    let rig = set_up(&HOST).await;
    let calls = rig.calls();
    rig.repo.set_archived(true);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.calls()), (2, calls), "{text}");
    insta::assert_snapshot!("setup_archived", text);
}

#[tokio::test]
async fn an_archived_repository_that_is_listed_no_more_is_in_nobodys_way() {
    let rig = set_up(&HOST).await;
    rig.github.create_repo("my-org/other", [preview_simulator::Change::write("README.md", "hello")]).await.unwrap();
    rig.edit("- my-org/my-app", "- my-org/other");
    rig.repo.set_archived(true);
    let known = || rig.json("home/state.json")["webhooks"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for _ in 0..2 {
        let (code, text) = rig.run(&SETUP).await;
        assert_eq!((code, rig.hooks().len()), (0, 1), "{text}");
        insta::assert_snapshot!("setup_archived_and_not_listed", text);
        assert_eq!((known().len(), &rig.json("home/state.json")["is_set_up"]), (2, &true.into()));
    }
    rig.repo.set_archived(false);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!((code, rig.hooks(), known()), (0, vec![], vec!["my-org/other".to_owned()]), "{text}");
}

#[tokio::test]
async fn whatever_became_of_the_repository_the_server_goes() {
    let rig = set_up(&DROPLET).await;
    rig.repo.rename("my-org/renamed").unwrap();
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!((code, rig.made(), rig.hooks()), (0, vec![], vec![]), "{text}");

    let rig = set_up(&DROPLET).await;
    rig.repo.set_visible(false);
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!((code, rig.made()), (0, vec![]), "{text}");
}

#[tokio::test]
async fn what_github_refuses_is_told_and_left_if_that_is_said() {
    let archived = json!({"message": "Repository was archived so is read-only."});
    let expired = json!({"message": "Bad credentials"});
    for (name, matching, fault) in [
        ("destroy_archived", Matching::path(Method::DELETE, "/hooks/"), Fault::Answer(403, archived)),
        ("destroy_expired", Matching::api(), Fault::Answer(401, expired)),
    ] {
        let rig = set_up(&DROPLET).await;
        let _fault = rig.github.fail_while(matching, fault);
        let (code, text) = rig.run(&DESTROY).await;
        assert_eq!((code, rig.made().len()), (1, 6), "{text}");
        insta::assert_snapshot!(name, text);
        let (code, text) = rig.run(&LEAVE).await;
        assert_eq!((code, rig.made()), (0, vec![]), "{text}");
        assert!(text.contains("\nor remove it by hand: GITHUB/my-org/my-app/settings/hooks/"), "{text}");
        assert_eq!(rig.left(), ["config.yml"]);
    }
}

#[tokio::test]
async fn a_machine_takes_no_servers_place_before_that_is_taken_down() {
    let rig = set_up(&DROPLET).await;
    let repo = ["--repo", "my-org/my-app", "--no-input", "--yes"];
    let (code, text) = rig.run_with_tokens(&[&["init"], &HOST[..], &repo].concat()).await;
    assert_eq!(code, 2, "{text}");
    insta::assert_snapshot!("init_over_a_server", text);
    assert!(std::fs::read_to_string(rig.home("config.yml")).unwrap().contains("region: fra1"));

    // Who writes it into the file all the same.
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    let (before, after) = config.split_once("  digitalocean:\n").unwrap();
    let (_, after) = after.split_once("# The private key").unwrap();
    let config = format!("{before}  host: root@203.0.113.9\n# The private key{after}");
    std::fs::write(rig.home("config.yml"), config).unwrap();
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
    assert!(rig.json("vars.json")["preview_settings"]["PUBLIC_ADDRESS"].is_null(), "it is another server's");
    let (code, text) = rig.run(&["destroy", "--dry-run"]).await;
    assert!(code == 0 && text.contains("the server (203.0.113.7) that was made at DigitalOcean"), "{text}");
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!((code, rig.made()), (0, vec![]), "{text}");
    assert!(std::fs::read_to_string(rig.path("scripts")).unwrap().contains("docker rm"));
    assert_eq!(rig.left(), ["config.yml"]);
    rig.init(&[&HOST[..], &["--yes"]].concat()).await;
}

#[tokio::test]
async fn a_machine_that_is_gone_is_forgotten() {
    let rig = set_up(&HOST).await;
    rig.also("ssh", "echo 'root@203.0.113.7: Permission denied (publickey).' >&2; exit 255");
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 1, "{text}");
    insta::assert_snapshot!("destroy_unreachable", text);
    assert!(rig.home("state.json").exists());
    let (code, text) = rig.run(&["destroy", "--yes", "--forget-host"]).await;
    assert!(code == 0 && text.contains("root@203.0.113.7 is forgotten: nothing was taken off it"), "{text}");
    assert_eq!((rig.left(), rig.hooks()), (vec!["config.yml".to_owned()], vec![]));
    let rig = set_up(&DROPLET).await;
    let (code, text) = rig.run(&["destroy", "--yes", "--forget-host"]).await;
    assert_eq!((code, rig.made().len()), (2, 6), "{text}");
}

#[tokio::test]
async fn a_kept_token_that_has_expired_is_replaced_by_one_that_is_given() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    let (api, git) =
        (format!("GITHUB_API_URL={}", rig.github.api_url()), format!("GITHUB_SERVER_URL={}", rig.github.server_url()));
    let init = ["init", "--region", "fra1", "--repo", "my-org/my-app", "--no-input", "--yes"];
    let init = [&init[..], &["--set", &api, "--set", &git]].concat();
    for (variable, token) in [("GITHUB_TOKEN", rig.github.token()), ("DIGITALOCEAN_TOKEN", DO_TOKEN)] {
        std::fs::write(rig.home("secrets.yml"), kept.replace(token, "of-last-year")).unwrap();
        let (code, text) = rig.run(&init).await;
        assert!(code == 1 && text.contains(&format!("hint: `{variable}=… preview init` takes it")), "{text}");
        let (code, text) = rig.ended(rig.program(&init).env(variable, token)).await;
        assert_eq!(code, 0, "{text}");
        assert_eq!(std::fs::read_to_string(rig.home("secrets.yml")).unwrap(), kept);
        // Of one that was given for this run, it is known where it comes from.
        let (code, text) = rig.ended(rig.program(&init).env(variable, "no-such-token")).await;
        assert!(code == 1 && !text.contains("that is kept"), "{text}");
    }
}

#[tokio::test]
async fn what_a_killed_run_left_of_its_secrets_goes_too() {
    let rig = set_up(&HOST).await;
    std::fs::write(rig.home("extra-vars-killed.json"), "{}").unwrap();
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(rig.left(), ["config.yml"]);
}

#[tokio::test]
async fn a_backend_of_the_persons_is_opened_with_their_variables_and_stays() {
    let rig = Rig::new().await;
    rig.init(&DROPLET).await;
    std::fs::create_dir(rig.home("terraform")).unwrap();
    std::fs::write(rig.home("terraform/backend.tf"), "terraform {}").unwrap();
    let variables = ["AWS_ACCESS_KEY_ID", "TF_HTTP_USERNAME"];
    for command in [SETUP, DESTROY] {
        let program = variables.iter().fold(rig.program(&command), |program, name| program.env(name, "mine"));
        let (code, text) = rig.ended(program).await;
        assert_eq!(code, 0, "{text}");
    }
    let environment = std::fs::read_to_string(rig.path("environment")).unwrap();
    for name in variables {
        let told: Vec<&str> = environment.lines().filter_map(|line| line.strip_suffix(&format!(" {name}"))).collect();
        assert!(!told.is_empty() && told.iter().all(|program| *program == "terraform"), "{told:?}");
    }
    let left: Vec<_> =
        std::fs::read_dir(rig.home("terraform")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backend.tf"]);
}

#[tokio::test]
async fn two_at_once_do_not_pull_the_files_from_under_each_other() {
    let rig = set_up(&HOST).await;
    let other = std::fs::File::open(rig.path("home")).unwrap();
    other.lock().unwrap();
    let calls = rig.calls();
    for command in ["setup", "upgrade", "destroy"] {
        let (code, text) = rig.run(&[command, "--yes"]).await;
        assert!(code == 1 && text.contains("another `preview` is at work on the installation in DIR/home"), "{text}");
    }
    assert_eq!(rig.calls(), calls);
    let (code, text) = rig.run(&["setup", "--dry-run"]).await;
    assert_eq!(code, 0, "who only looks is not in the way: {text}");
    drop(other);
    let (code, text) = rig.run(&SETUP).await;
    assert_eq!(code, 0, "{text}");
}
