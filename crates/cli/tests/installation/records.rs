//! `ACME_CHALLENGE=dns-01`: the token for the zone is on the laptop, in a file or kept with the others, and reaches the server among the
//! variables that nobody else reads. What the role does with it is tried where Ansible is (`tests/droplet`).

use std::os::unix::fs::PermissionsExt;

use preview_exec::Program;
use preview_orchestrator::tls::{Overview, Stage, Standing};

use crate::door::DOMAIN;
use crate::rig::{DO_TOKEN, Rig};

const TOKEN: &str = "dop_v1_records0c4f1de3b94f0aa7b2e6d4c9135780";
const NEWER: &str = "dop_v1_newer0c4f1de3b94f0aa7b2e6d4c913578012";

/// A laptop whose server has a name, and certificates already.
async fn rig() -> Rig {
    let rig = Rig::by_name().await;
    rig.cloud.take_for_zones(&[TOKEN, NEWER]);
    let valid = Standing {
        name: DOMAIN.to_owned(),
        state: Stage::Valid,
        until: Some("2026-04-29T10:00:00Z".parse().unwrap()),
        cause: None,
        problem: None,
        tried: None,
        next: None,
    };
    let now = jiff::Timestamp::now();
    let told = Overview { certificates: vec![valid], served: true, by_record: true, address: None, now };
    std::fs::write(rig.path("certificates/00"), serde_json::to_vec(&told).unwrap()).unwrap();
    rig
}

fn init(rig: &Rig, more: &[&str]) -> Program {
    let setting = |name: &str, value: &str| ["--set".to_owned(), format!("{name}={value}")];
    let settings = [
        setting("GITHUB_API_URL", &rig.github.api_url()),
        setting("GITHUB_SERVER_URL", &rig.github.server_url()),
        setting("TLS", "acme"),
        setting("ACME_CHALLENGE", "dns-01"),
    ];
    let said = ["init", "--host", "root@203.0.113.7", "--repo", "my-org/my-app", "--no-input", "--domain", DOMAIN];
    rig.program(&said).args(more).args(settings.concat()).env("GITHUB_TOKEN", rig.github.token())
}

fn write(rig: &Rig, token: &str, mode: u32) {
    let file = rig.path("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs it, and gives the token that the server gets. It is nowhere else.
async fn brought(rig: &Rig, args: &[&str], token: &str) -> serde_json::Value {
    let (code, text) = rig.run(args).await;
    assert_eq!(code, 0, "{text}");
    rig.left_no_variables();
    let calls = rig.calls();
    let scripts = std::fs::read_to_string(rig.path("scripts")).unwrap();
    for shown in [text, calls, scripts] {
        assert!(!shown.contains(token), "{shown}");
    }
    let vars = rig.json("vars.json");
    assert!(vars["preview_settings"]["DIGITALOCEAN_TOKEN_FILE"].is_null(), "where it is over there, the role knows");
    assert_eq!(std::fs::read_to_string(rig.path("vars-mode")).unwrap(), "600\n");
    vars["preview_secrets"]["DIGITALOCEAN_TOKEN"].clone()
}

#[tokio::test]
async fn a_file_s_token_is_brought_and_another_one_by_an_upgrade() {
    let rig = rig().await;
    write(&rig, TOKEN, 0o600);
    // By its name here; `setup` may be run elsewhere.
    let (code, text) = rig.ended(init(&rig, &["--set", "DIGITALOCEAN_TOKEN_FILE=token"])).await;
    assert_eq!(code, 0, "{text}");
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    let file = rig.path("token").display().to_string();
    assert!(config.contains(&format!("DIGITALOCEAN_TOKEN_FILE: \"{file}\"")) && !config.contains(TOKEN), "{config}");
    assert!(!std::fs::read_to_string(rig.home("secrets.yml")).unwrap().contains(TOKEN));
    assert_eq!(brought(&rig, &["setup", "--yes"], TOKEN).await, TOKEN);
    write(&rig, NEWER, 0o600);
    assert_eq!(brought(&rig, &["upgrade", "--yes"], NEWER).await, NEWER);
    // As people write it into the file.
    std::fs::copy(rig.path("token"), rig.path("person/token")).unwrap();
    std::fs::write(rig.home("config.yml"), config.replace(&file, "~/token")).unwrap();
    assert_eq!(brought(&rig, &["upgrade", "--yes"], NEWER).await, NEWER);
}

#[tokio::test]
async fn a_kept_token_is_brought_and_another_one_is_kept_by_init() {
    let rig = rig().await;
    // The one that makes servers is another, and stays here.
    let droplets = |program: Program| program.env("DIGITALOCEAN_TOKEN", DO_TOKEN);
    let (code, text) = rig.ended(droplets(init(&rig, &[]))).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("init_no_records_token", text);
    let with = |token: &'static str| init(&rig, &["--yes"]).env("DIGITALOCEAN_DNS_TOKEN", token);
    for (token, command) in [(TOKEN, "setup"), (NEWER, "upgrade")] {
        let (code, text) = rig.ended(droplets(with(token))).await;
        assert!(code == 0 && !text.contains(token), "{text}");
        assert_eq!(brought(&rig, &[command, "--yes"], token).await, token);
        assert!(!rig.json("vars.json").to_string().contains(DO_TOKEN));
    }
    let kept = std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    assert!(kept.contains(&format!("digitalocean_dns_token: \"{NEWER}\"")), "{kept}");
    // Without dns-01 nobody needs it over there.
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), config.replace("dns-01", "http-01")).unwrap();
    assert!(brought(&rig, &["upgrade", "--yes"], NEWER).await.is_null());
}

#[tokio::test]
async fn a_token_is_shown_to_digitalocean_whether_it_is_given_or_kept() {
    let rig = rig().await;
    let init = || init(&rig, &["--yes"]);
    let with = |token: &'static str| init().env("DIGITALOCEAN_DNS_TOKEN", token);
    let (code, text) = rig.ended(with("dop_v1_nobody_s_token")).await;
    assert!(code == 1 && !text.contains("that is kept"), "it is known where it comes from: {text}");
    assert!(!rig.home("config.yml").exists() && !rig.home("secrets.yml").exists(), "nothing is written: {text}");
    assert_eq!(rig.ended(with(TOKEN)).await.0, 0);
    // It has expired since.
    rig.cloud.take_for_zones(&[NEWER]);
    let (code, text) = rig.ended(init()).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("init_records_token_expired", text);
    let kept = || std::fs::read_to_string(rig.home("secrets.yml")).unwrap();
    assert!(kept().contains(TOKEN));
    assert_eq!(rig.ended(with(NEWER)).await.0, 0);
    assert!(kept().contains(NEWER) && !kept().contains(TOKEN));
    // The zone has moved to somebody else.
    rig.cloud.has_zone("xample.com");
    let (code, text) = rig.ended(init()).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("init_records_no_zone", text);
}

#[tokio::test]
async fn a_token_that_is_missing_unreadable_or_not_ones_own_is_told_before_anything_is_changed() {
    let rig = rig().await;
    write(&rig, TOKEN, 0o600);
    assert_eq!(rig.ended(init(&rig, &["--set", "DIGITALOCEAN_TOKEN_FILE=token"])).await.0, 0);
    write(&rig, TOKEN, 0o644);
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 2 && text.contains("others than its owner may read it: `chmod 600 DIR/token`"), "{text}");
    write(&rig, "", 0o600);
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert!(code == 2 && text.contains("hint: it was read from DIR/token"), "{text}");
    std::fs::remove_file(rig.path("token")).unwrap();
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("setup_no_records_file", text);
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    let without: String =
        config.lines().filter(|line| !line.contains("TOKEN_FILE")).map(|line| format!("{line}\n")).collect();
    std::fs::write(rig.home("config.yml"), without).unwrap();
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert_eq!(code, 2);
    insta::assert_snapshot!("upgrade_no_records_token", text);
    assert_eq!(rig.calls(), "");
}
