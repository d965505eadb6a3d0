//! `preview destroy`: webhooks first, then the server; and what is kept.

use axum::http::Method;
use preview_simulator::{Fault, Matching};

use crate::rig::Rig;

const DROPLET: [&str; 2] = ["--region", "fra1"];
const HOST: [&str; 2] = ["--host", "root@203.0.113.7"];
const DESTROY: [&str; 2] = ["destroy", "--yes"];

async fn set_up(server: &[&str]) -> Rig {
    let rig = Rig::new().await;
    rig.repo.add_hook("https://ci.example.com/hook");
    rig.init(server).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!((code, rig.hooks_of_ours()), (0, 1), "{text}");
    rig
}

impl Rig {
    fn hooks_of_ours(&self) -> usize {
        self.hooks().iter().filter(|(url, ..)| url.starts_with("SERVER")).count()
    }

    /// Nothing of it is left, and nothing of others is gone.
    fn all_is_gone(&self) {
        assert_eq!((self.made(), self.hooks_of_ours(), self.hooks().len()), (vec![], 0, 1));
        let left: Vec<String> = std::fs::read_dir(self.path("home"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("id_ed25519") && !name.starts_with("kept-"))
            .collect();
        assert_eq!(left, ["config.yml"]);
    }
}

#[tokio::test]
async fn a_server_that_was_made_is_unmade_and_can_be_made_again() {
    let rig = set_up(&DROPLET).await;
    let (code, text) = rig.run(&["destroy", "--dry-run"]).await;
    assert_eq!(code, 0);
    insta::assert_snapshot!("destroy_plan", text);
    assert_eq!((rig.hooks_of_ours(), rig.made().len()), (1, 6));
    let (code, text) = rig.run(&["destroy"]).await;
    assert!(code == 2 && text.contains("hint: answer with --yes") && rig.made().len() == 6, "{text}");
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("destroy_droplet", text);
    rig.all_is_gone();
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "what is gone is gone: {text}");
    let (code, text) = rig.run_with_tokens(&["init", "--yes", "--no-input"]).await;
    assert_eq!(code, 2, "{text}");
    rig.init(&["--region", "fra1", "--yes"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!((code, rig.made().len()), (0, 6), "{text}");
}

#[tokio::test]
async fn a_machine_that_was_there_stays() {
    let rig = set_up(&HOST).await;
    let (code, text) = rig.run(&["destroy", "--yes", "--keep-data", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
    assert_eq!(code, 0, "{text}");
    let saved = std::fs::read_dir(rig.path("home")).unwrap().map(|entry| entry.unwrap().path());
    let saved: Vec<_> = saved.filter(|path| path.extension().is_some_and(|ending| ending == "gz")).collect();
    assert_eq!(std::fs::read(&saved[0]).unwrap(), b"\x1f\x8bpacked");
    assert!(told["saved"].as_str().unwrap().contains("kept-"), "{told}");
    let scripts = std::fs::read_to_string(rig.path("scripts")).unwrap();
    let (packed, cleared) = (scripts.find("tar -czf").unwrap(), scripts.find("docker rm").unwrap());
    assert!(packed < cleared && rig.count("terraform") == 0);
    rig.all_is_gone();
}

#[tokio::test]
async fn what_cannot_be_saved_is_not_taken_down() {
    let rig = set_up(&HOST).await;
    rig.also(
        "ssh",
        "case $(cat \"$here/script\") in *tar*) echo 'tar: deployments.json: No such file' >&2; exit 2 ;; esac",
    );
    let (code, text) = rig.run(&["destroy", "--yes", "--keep-data"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("destroy_nothing_saved", text);
    assert_eq!(rig.hooks_of_ours(), 1);
    assert!(!std::fs::read_to_string(rig.path("scripts")).unwrap().contains("docker rm"));
}

#[tokio::test]
async fn cut_off_anywhere_it_goes_on_from_there() {
    for (step, shell, code) in [
        ("terraform-init", "kill -INT $PPID; sleep 1", 130),
        ("terraform-destroy", "kill -KILL $PPID; sleep 30", -1),
        ("terraform-destroy", "printf '│ Error: deleting firewall: 500\\n' >&2; exit 1", 1),
    ] {
        let rig = set_up(&DROPLET).await;
        rig.also(step, shell);
        let (ended, text) = rig.run(&DESTROY).await;
        assert_eq!(ended, code, "{step}: {text}");
        assert_eq!(rig.hooks_of_ours(), 0, "the webhook goes first");
        rig.no_more(step);
        let (ended, text) = rig.run(&DESTROY).await;
        assert_eq!(ended, 0, "{step}: {text}");
        rig.all_is_gone();
    }
}

#[tokio::test]
async fn as_long_as_a_webhook_stays_so_does_the_server() {
    let rig = set_up(&DROPLET).await;
    let faults =
        rig.github.fail_while(Matching::path(Method::DELETE, "/hooks/"), Fault::NotPermitted("repository_hooks=write"));
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!((code, rig.made().len()), (1, 6));
    insta::assert_snapshot!("destroy_webhook_stays", text);
    drop(faults);
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "{text}");
    rig.all_is_gone();
}

#[tokio::test]
async fn what_terraform_has_lost_sight_of_is_unmade_too() {
    let rig = set_up(&DROPLET).await;
    std::fs::remove_dir_all(rig.home("terraform")).unwrap();
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "{text}");
    rig.all_is_gone();
    assert_eq!(rig.count("terraform import"), 6);
}

#[tokio::test]
async fn what_was_never_made_is_no_trouble() {
    let rig = Rig::new().await;
    rig.repo.add_hook("https://ci.example.com/hook");
    rig.init(&DROPLET).await;
    let (code, text) = rig.run(&DESTROY).await;
    assert_eq!(code, 0, "{text}");
    rig.all_is_gone();
    let empty = Rig::new().await;
    let (code, text) = empty.run(&DESTROY).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("destroy_no_config", text);
    for command in ["init", "setup", "upgrade", "destroy"] {
        let (code, text) = empty.run(&[command, "--json", "--yes", "--no-input"]).await;
        let told: serde_json::Value = serde_json::from_str(text.split("---\n").next().unwrap()).unwrap();
        let message = told["error"]["message"].as_str().unwrap();
        assert!(code == 2 && text.contains(&format!("---\nerror: {message}\nhint: ")), "{text}");
    }
}
