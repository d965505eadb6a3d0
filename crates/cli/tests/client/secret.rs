//! `preview secret`, beside a ledger that knows one repository.

use preview_exec::{Limits, Program};

const VALUE: &str = "sk_live_51H8f0c4f1de3b94";

struct Vault(tempfile::TempDir);

impl Vault {
    fn new() -> Self {
        let vault = Self(tempfile::tempdir().unwrap());
        let project = r#"{"slug": "my-org-my-app", "name": "my-org/my-app", "since": "2026-01-29T10:00:00Z"}"#;
        let ledger = format!(
            r#"{{"version": 1, "deployments": {{}}, "portAllocations": {{}}, "projects": {{"7": {project}}}, "setAside": {{}}}}"#
        );
        std::fs::write(vault.0.path().join("deployments.json"), ledger).unwrap();
        vault
    }

    /// What is typed, what is seen and how it ends; the value is never among it.
    async fn screen(&self, args: &[&str], input: &str) -> String {
        let ledger = self.0.path().join("deployments.json");
        let program = Program::new(env!("CARGO_BIN_EXE_preview")).arg("secret").args(args).dir(self.0.path());
        let program = program.env("DEPLOYMENTS_DB", ledger).stdin(input.to_owned()).limits(Limits::seconds(60));
        let output = program.status().await.unwrap();
        let code = output.status.code().unwrap();
        let text = format!("$ preview secret {}\n{}{}=> {code}\n\n", args.join(" "), output.text(), output.stderr);
        assert!(!text.contains(VALUE) && !text.contains("s3cr3t"), "{text}");
        text.replace(&*self.0.path().to_string_lossy(), "FOLDER")
    }
}

#[tokio::test]
async fn a_secret_is_set_listed_and_removed() {
    let vault = Vault::new();
    let set = ["set", "my-org/my-app", "STRIPE_KEY"];
    let mut told = vault.screen(&["list"], "").await + &vault.screen(&["list", "--json"], "").await;
    told += &vault.screen(&[&set[..], &["--dry-run"]].concat(), VALUE).await;
    told += &vault.screen(&set, VALUE).await;
    told += &vault.screen(&[&set[..], &["--dry-run"]].concat(), VALUE).await;
    told += &vault.screen(&[&set[..], &["--dry-run", "--json"]].concat(), VALUE).await;
    told += &vault.screen(&["list"], "").await;
    let listed = vault.screen(&["list", "--json"], "").await;
    let json = listed.split_once('\n').unwrap().1.split("=>").next().unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json[0]["repository"], &json[0]["secret"]), (&"my-org/my-app".into(), &"STRIPE_KEY".into()));
    let rm = ["rm", "my-org/my-app", "STRIPE_KEY"];
    for flags in [&["--dry-run"][..], &["--dry-run", "--json"], &[], &["--no-input"], &["--yes"]] {
        told += &vault.screen(&[&rm[..], flags].concat(), "").await;
    }
    told += &vault.screen(&[&set[..], &["--json"]].concat(), VALUE).await;
    told += &vault.screen(&[&rm[..], &["--yes", "--json"]].concat(), "").await;
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_secret_that_cannot_be_set_or_removed_is_told_with_what_to_do() {
    let vault = Vault::new();
    let mut told = vault.screen(&["rm", "my-org/my-app", "STRIPE_KEY"], "").await;
    told += &vault.screen(&["set", "my-org/other", "STRIPE_KEY"], VALUE).await;
    told += &vault.screen(&["set", "my-org/my-app", "STRIPE_KEY"], "s3cr3t").await;
    told += &vault.screen(&["set", "my-org/my-app", "not a name"], VALUE).await;
    std::fs::remove_file(vault.0.path().join("deployments.json")).unwrap();
    told += &vault.screen(&["list", "--json"], "").await;
    insta::assert_snapshot!(told);
}
