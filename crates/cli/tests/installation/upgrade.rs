//! `preview upgrade`: to this version and these settings, and back where the server is not well afterwards.

use crate::rig::Rig;

const FATAL: &str = r#"echo 'fatal: [203.0.113.7]: FAILED! => {"msg": "Status code was -1 and not [200]"}'; exit 2"#;

async fn set_up() -> Rig {
    let rig = Rig::new().await;
    rig.init(&["--host", "root@203.0.113.7"]).await;
    let (code, text) = rig.run(&["setup", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    std::fs::remove_file(rig.path("scripts")).unwrap();
    rig
}

impl Rig {
    fn scripts(&self) -> String {
        std::fs::read_to_string(self.path("scripts")).unwrap_or_default()
    }
}

#[tokio::test]
async fn program_and_settings_reach_the_server() {
    let rig = set_up().await;
    let config = std::fs::read_to_string(rig.home("config.yml")).unwrap();
    std::fs::write(rig.home("config.yml"), format!("{config}  FORK_POLICY: deny\n")).unwrap();
    let (code, text) = rig.run(&["upgrade", "--dry-run"]).await;
    assert_eq!((code, rig.scripts()), (0, String::new()), "{text}");
    let (code, text) = rig.run(&["sync", "--yes"]).await;
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("upgrade", text);
    assert_eq!(rig.json("vars.json")["preview_settings"]["FORK_POLICY"], "deny");
    let scripts = rig.scripts();
    assert!(scripts.contains("cp -p /usr/local/bin/preview") && !scripts.contains("systemctl restart"), "{scripts}");
    assert!(scripts.ends_with("rm -rf /var/lib/preview-deployer/before\n"), "{scripts}");
    rig.left_no_variables();
}

#[tokio::test]
async fn a_version_that_is_not_well_goes_and_the_one_before_is_back() {
    let rig = set_up().await;
    rig.also("ansible-playbook", FATAL);
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("upgrade_and_back", text);
    assert!(rig.scripts().contains("systemctl restart preview-orchestrator.service"));
    rig.also(
        "ssh",
        "case $(cat \"$here/script\") in *restart*) echo 'the service does not answer' >&2; exit 1 ;; esac",
    );
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("upgrade_and_not_back", text);
}

#[tokio::test]
async fn stopped_it_leaves_the_server_as_it_is_and_begins_again() {
    let rig = set_up().await;
    rig.also("ansible-playbook", "kill -INT $PPID; sleep 30");
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert!(code == 130 && text.contains("`preview upgrade` begins again"), "{text}");
    assert!(!rig.scripts().contains("systemctl restart"));
    rig.left_no_variables();
    rig.no_more("ansible-playbook");
    assert_eq!(rig.run(&["upgrade", "--yes"]).await.0, 0);
}

#[tokio::test]
async fn without_a_server_there_is_nothing_to_upgrade() {
    let rig = Rig::new().await;
    rig.init(&["--region", "fra1"]).await;
    let (code, text) = rig.run(&["upgrade", "--yes"]).await;
    assert_eq!(code, 1);
    insta::assert_snapshot!("upgrade_no_server", text);
    let (code, text) = rig.run(&["upgrade", "--yes", "--binary", "config.yml"]).await;
    assert!(code == 2 && text.contains("could not be read"), "{text}");
}
