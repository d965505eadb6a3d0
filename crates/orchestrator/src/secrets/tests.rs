use std::os::unix::fs::PermissionsExt;

use super::*;

const REPO: RepoId = RepoId(7);
const OTHER: RepoId = RepoId(8);
const VALUE: &str = "s3cr3t-value";

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-01-29T10:00:00Z".parse().unwrap()
}

/// The service's vault, and the one that the command makes of the same files.
fn vaults() -> (tempfile::TempDir, Vault, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let make = || Vault::new(dir.path().join("secrets.json"), dir.path().join("secrets.key"), Known::default());
    let (service, command) = (make(), make());
    (dir, service, command)
}

fn value(vault: &Vault, repo: RepoId, wanted: &str) -> Option<String> {
    vault.of(repo).unwrap().get(&name(wanted)).map(|value| value.expose_secret().to_owned())
}

#[test]
fn what_the_command_sets_the_service_sees_at_once() {
    let (_dir, service, command) = vaults();
    assert!(service.of(REPO).unwrap().is_empty());
    command.set(REPO, name("A"), &VALUE.into(), now()).unwrap();
    assert_eq!(value(&service, REPO, "A").as_deref(), Some(VALUE));
    assert_eq!(value(&service, OTHER, "A"), None);
    command.set(REPO, name("A"), &"another-value".into(), now()).unwrap();
    command.set(OTHER, name("A"), &"others-value".into(), now()).unwrap();
    assert_eq!(value(&service, REPO, "A").as_deref(), Some("another-value"));
    assert_eq!(value(&service, OTHER, "A").as_deref(), Some("others-value"));
    let all = service.known().mask_of_all().over(&format!("{VALUE} another-value others-value"));
    assert_eq!(all, "[secret] [secret] [secret]", "a former value is still hidden");
    let listed: Vec<(RepoId, String)> =
        command.list().unwrap().into_iter().map(|l| (l.repo, l.name.to_string())).collect();
    assert_eq!(listed, [(REPO, "A".to_owned()), (OTHER, "A".to_owned())]);
    assert!(command.remove(REPO, &name("A")).unwrap());
    assert!(!command.remove(REPO, &name("A")).unwrap());
    assert_eq!((value(&service, REPO, "A"), value(&service, OTHER, "A").is_some()), (None, true));
}

#[test]
fn nothing_on_the_disk_says_a_value_and_nobody_else_may_read_it() {
    let (dir, _, command) = vaults();
    command.set(REPO, name("A"), &VALUE.into(), now()).unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains(VALUE), "{:?}", entry.path());
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    assert!(!format!("{command:?}{:?}", command.of(REPO).unwrap()).contains(VALUE));
}

/// What stands behind an error of the vault.
fn told(error: VaultError) -> String {
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn trouble_says_which_file_and_what_to_do_and_no_value() {
    let (dir, service, command) = vaults();
    command.set(REPO, name("A"), &VALUE.into(), now()).unwrap();
    let (file, key) = (dir.path().join("secrets.json"), dir.path().join("secrets.key"));
    let text = std::fs::read_to_string(&file).unwrap();
    let kept_key = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let missing = told(service.of(REPO).unwrap_err());
    assert!(missing.contains("secrets.key") && missing.contains("missing"), "{missing}");
    assert!(
        matches!(command.set(REPO, name("B"), &VALUE.into(), now()), Err(VaultError::Key { .. })),
        "no second key is made"
    );
    std::fs::write(&key, kept_key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told(service.of(REPO).unwrap_err()).contains("chmod 600"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(value(&service, REPO, "A").as_deref(), Some(VALUE));
    // A line that was given to another repository by hand.
    std::fs::write(&file, text.replace("\"repositoryId\": 7", "\"repositoryId\": 8")).unwrap();
    assert!(matches!(service.of(OTHER), Err(VaultError::Sealed(_))));
    for bad in ["", "{}", "{\"version\": 2, \"secrets\": []}", "[]"] {
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, bad).unwrap();
        assert!(matches!(service.of(REPO), Err(VaultError::Unreadable(_))), "{bad}");
    }
}
