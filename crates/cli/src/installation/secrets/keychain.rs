//! The system's keychain: the Secret Service of a Linux desktop, the keychain of macOS, Windows' credentials.
//!
//! Its calls block, and may wait for a person who unlocks it, so they run beside and have an end.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::SecretName;
use crate::error::Failure;
use crate::installation::Home;

/// What our secrets are filed under.
const SERVICE: &str = "preview-deployer";
/// How long somebody may take to unlock it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether there is one; else why not, in a few words.
pub(super) async fn is_there() -> Result<(), String> {
    let asked = beside(|| match keyring::Entry::store_status() {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "no keychain");
            Err("this machine has no keychain".to_owned())
        }
    });
    asked.await.unwrap_or_else(|_| Err("the keychain does not answer".to_owned()))
}

pub(super) async fn get(home: &Home, name: SecretName) -> Result<Option<SecretString>, Failure> {
    let entry = entry(home, name);
    let got = beside(move || match entry()?.get_password() {
        Ok(text) => Ok(Some(text.into())),
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    });
    got.await?.map_err(|error| failed("read", name, &error))
}

pub(super) async fn set(home: &Home, name: SecretName, value: &SecretString) -> Result<(), Failure> {
    let (entry, value) = (entry(home, name), value.clone());
    let set = beside(move || entry()?.set_password(value.expose_secret()));
    set.await?.map_err(|error| failed("kept", name, &error))
}

pub(super) async fn remove(home: &Home, name: SecretName) -> Result<(), Failure> {
    let entry = entry(home, name);
    let removed = beside(move || match entry()?.delete_credential() {
        Err(keyring::Error::NoEntry) => Ok(()),
        removed => removed,
    });
    removed.await?.map_err(|error| failed("removed", name, &error))
}

/// The keychain's entry. Installations are told apart by their folders.
fn entry(home: &Home, name: SecretName) -> impl FnOnce() -> keyring::Result<keyring::Entry> + Send + 'static {
    let user = format!("{} of {}", name.key(), home.folder().display());
    move || keyring::Entry::new(SERVICE, &user)
}

/// The keychain's own words may hold what is in it: only their kind is told.
fn failed(done: &str, name: SecretName, error: &keyring::Error) -> Failure {
    let why = match error {
        keyring::Error::NoStorageAccess(_) => "it is locked, or may not be used from here",
        keyring::Error::NoDefaultStore => "it is not there any more",
        _ => "it refused",
    };
    Failure::new(format!("{} could not be {done} in the system's keychain: {why}", name.what()))
        .hint("unlock it and try again, or set PREVIEW_KEYCHAIN=off to use a file that only you may read")
}

async fn beside<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let silent = || {
        Failure::new("the system's keychain does not answer")
            .hint("unlock it and try again, or set PREVIEW_KEYCHAIN=off to use a file that only you may read")
    };
    let called = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(call)).await;
    called.map_err(|_| silent())?.map_err(|_| silent())
}
