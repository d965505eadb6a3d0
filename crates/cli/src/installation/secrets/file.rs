//! The file of secrets, where the system has no keychain: a flat YAML map that its owner alone may read.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use preview_core::yaml::{self, Budget, Value};
use secrecy::{ExposeSecret, SecretString};

use super::SecretName;
use crate::error::{Failure, Kind};
use crate::installation::Home;

const BUDGET: Budget = Budget { nodes: 100, depth: 2, aliases: 0 };

pub(super) fn get(home: &Home, name: SecretName) -> Result<Option<SecretString>, Failure> {
    Ok(all(home)?.remove(name.key()))
}

/// Writes a secret down, or takes it out. Without any the file goes.
pub(super) fn set(home: &Home, name: SecretName, value: Option<&SecretString>) -> Result<(), Failure> {
    let mut secrets = all(home)?;
    match value {
        Some(value) => drop(secrets.insert(name.key().to_owned(), value.clone())),
        None if secrets.remove(name.key()).is_none() => return Ok(()),
        None => {}
    }
    if secrets.is_empty() {
        return Ok(std::fs::remove_file(home.secrets())?);
    }
    let mut text =
        "# Secrets of this installation: this machine has no keychain. Nobody else may read this file.\n".to_owned();
    for (key, value) in &secrets {
        // JSON's strings are strings of YAML too.
        text += &format!("{key}: {}\n", serde_json::Value::from(value.expose_secret()));
    }
    home.write(&home.secrets(), text.as_bytes())
}

fn all(home: &Home) -> Result<BTreeMap<String, SecretString>, Failure> {
    let path = home.secrets();
    let Some(text) = Home::read(&path)? else { return Ok(BTreeMap::new()) };
    let shown = path.display();
    if std::fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
        let failure = Failure::new(format!("{shown} may be read by others on this machine")).kind(Kind::Settings);
        return Err(failure.hint(format!("chmod 600 {shown}, and think about new secrets")));
    }
    let wrong = |line: u64, what: &str| Failure::new(format!("{shown}, line {line}: {what}")).kind(Kind::Settings);
    let document =
        yaml::parse(&text, BUDGET).map_err(|problem| wrong(problem.place.line, &problem.kind.to_string()))?;
    let entries = match document.value {
        Value::Map(entries) => entries,
        Value::Null => Vec::new(),
        _ => return Err(wrong(document.place.line, "expected names with their values")),
    };
    let secret = |(key, node): (yaml::Key, yaml::Node)| match node.value {
        Value::Text(text) => Ok((key.text, text.into())),
        _ => Err(wrong(node.place.line, "expected one value")),
    };
    entries.into_iter().map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert!(get(&home, SecretName::GitHub).unwrap().is_none());
        let odd: SecretString = r#"a"b\c: #d"#.to_owned().into();
        set(&home, SecretName::GitHub, Some(&odd)).unwrap();
        set(&home, SecretName::Webhook, Some(&"other".to_owned().into())).unwrap();
        assert_eq!(std::fs::metadata(home.secrets()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(get(&home, SecretName::GitHub).unwrap().unwrap().expose_secret(), odd.expose_secret());
        set(&home, SecretName::GitHub, None).unwrap();
        assert!(get(&home, SecretName::GitHub).unwrap().is_none());
        assert_eq!(get(&home, SecretName::Webhook).unwrap().unwrap().expose_secret(), "other");
        set(&home, SecretName::Webhook, None).unwrap();
        set(&home, SecretName::Webhook, None).unwrap();
        assert!(!home.secrets().exists());
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_wrong_is_refused_and_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.write(&home.secrets(), b"github_token: hunter2").unwrap();
        std::fs::set_permissions(home.secrets(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let failure = get(&home, SecretName::GitHub).unwrap_err();
        assert!(failure.what.contains("may be read by others") && !format!("{failure:?}").contains("hunter2"));
        home.write(&home.secrets(), b"github_token: [hunter2]").unwrap();
        let failure = get(&home, SecretName::GitHub).unwrap_err();
        assert!(failure.what.contains("line 1") && !format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
}
