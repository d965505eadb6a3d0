//! The folder of certificates, keys and the account: what survives restarts. Nobody else may read it, each file appears whole or
//! not at all, and each authority has a folder of its own, so that nothing of a test's is taken for real.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::name::CertName;
use super::retries::Retries;

const ACCOUNT: &str = "account.json";
const RETRIES: &str = "retries.json";
const CERTIFICATES: &str = "certificates";
const ENDING: &str = ".pem";
/// What a writer begins with; one that was killed leaves it.
const UNFINISHED: &str = ".unfinished-";

/// What is kept of one authority.
#[derive(Debug, Clone)]
pub(super) struct Store(PathBuf);

impl Store {
    /// The folder of this authority, beneath that of all.
    pub(super) fn open(tls: &Path, directory: &str) -> io::Result<Self> {
        let own = hex::encode(&Sha256::digest(directory)[..8]);
        let folder = tls.join(own);
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(CERTIFICATES))?;
        for swept in [folder.clone(), folder.join(CERTIFICATES)] {
            for entry in fs::read_dir(swept)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(Self(folder))
    }

    /// The account; none before the first.
    pub(super) fn account(&self) -> io::Result<Option<AccountCredentials>> {
        self.json(ACCOUNT)
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> io::Result<()> {
        self.write(Path::new(ACCOUNT), serde_json::to_string(account)?.as_bytes())
    }

    pub(super) fn forget_account(&self) -> io::Result<()> {
        remove(&self.0.join(ACCOUNT))
    }

    /// What has failed so far: a service that is started again and again must not ask again and again.
    pub(super) fn retries(&self) -> io::Result<Retries> {
        Ok(self.json(RETRIES)?.unwrap_or_default())
    }

    pub(super) fn keep_retries(&self, retries: &Retries) -> io::Result<()> {
        self.write(Path::new(RETRIES), &serde_json::to_vec_pretty(retries)?)
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.0.join(name)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The certificate for a name; none before the first.
    pub(super) fn certificate(&self, name: &CertName) -> io::Result<Option<Certificate>> {
        let file = self.0.join(file(name));
        match fs::read_to_string(&file).map(SecretString::from) {
            Ok(pem) => Certificate::read(&file, pem.expose_secret()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps key and chain, in place of the former.
    pub(super) fn keep(&self, name: &CertName, pem: &SecretString) -> io::Result<Certificate> {
        // Nothing that can't be read again takes the place of what can.
        let certificate = Certificate::read(&self.0.join(file(name)), pem.expose_secret())?;
        self.write(&file(name), pem.expose_secret().as_bytes())?;
        Ok(certificate)
    }

    /// Deletes what has ended and is not wanted. What has not may be wanted again: authorities give few for the same name.
    pub(super) fn sweep(&self, wanted: &[CertName], now: Timestamp) -> io::Result<()> {
        for entry in fs::read_dir(self.0.join(CERTIFICATES))? {
            let entry = entry?;
            let Some(stem) = entry.file_name().to_str().and_then(|name| name.strip_suffix(ENDING)).map(str::to_owned)
            else {
                continue;
            };
            let name = CertName::of_file_stem(&stem);
            let ended = self.certificate(&name).is_ok_and(|found| found.is_some_and(|found| found.until() <= now));
            if ended && !wanted.contains(&name) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Temporary files are their owner's alone from the first byte.
    fn write(&self, name: &Path, text: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    }
}

fn file(name: &CertName) -> PathBuf {
    Path::new(CERTIFICATES).join(format!("{}{ENDING}", name.file_stem()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
