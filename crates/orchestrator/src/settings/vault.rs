//! Where the operator's secrets are, for commands on the service's machine.

use std::path::PathBuf;

use super::reader::{Mistakes, Reader, Variables};
use super::variables::{DEPLOYMENTS_DB, SECRETS_KEY_FILE};
use super::{paths, values};

/// Where the operator's secrets are, and the ledger that knows the repositories' numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultPaths {
    /// The file of sealed values.
    pub secrets: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The ledger.
    pub ledger: PathBuf,
}

impl VaultPaths {
    /// Reads what is needed and no more.
    pub fn read(variables: &Variables) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(variables);
        let ledger = reader.value(&DEPLOYMENTS_DB, values::absolute_path);
        let key = reader.option(&SECRETS_KEY_FILE, values::absolute_path);
        let found = ledger.zip(key).map(|(ledger, key)| Self {
            secrets: paths::secrets(&ledger),
            key: key.unwrap_or_else(|| paths::secrets_key(&ledger)),
            ledger,
        });
        reader.finish(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_key_stand_beside_the_ledger_unless_the_key_is_kept_elsewhere() {
        let read = |pairs: &[(&str, &str)]| {
            VaultPaths::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let plain = read(&[("DEPLOYMENTS_DB", "/srv/ledger.json")]).unwrap();
        assert_eq!(plain.secrets.to_str(), Some("/srv/secrets.json"));
        assert_eq!(plain.key.to_str(), Some("/srv/secrets.key"));
        let elsewhere = read(&[("SECRETS_KEY_FILE", "/etc/preview/key")]).unwrap();
        assert_eq!(elsewhere.key.to_str(), Some("/etc/preview/key"));
        assert_eq!(elsewhere.secrets.to_str(), Some("/opt/preview-deployer/secrets.json"));
        assert!(read(&[("SECRETS_KEY_FILE", "key")]).unwrap_err().to_string().contains("SECRETS_KEY_FILE"));
    }
}
