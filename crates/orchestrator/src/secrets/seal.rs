//! The key of the operator's secrets, and what it seals.
//!
//! XChaCha20-Poly1305: its nonces are long enough to be drawn at random for each value. What a value belongs to is sealed
//! with it, so that nobody who can write the file, but has no key, gives one repository the secret of another.
//!
//! Source: <https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha>

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};

/// Bytes of a nonce.
const NONCE: usize = 24;

/// Why the key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It isn't there, and there is something that it sealed.
    #[error("it is missing; bring it back from a backup, or remove the secrets' file and set all secrets again")]
    Missing,
    /// It isn't ours alone.
    #[error("others may read it (mode {0:o}): `chmod 600` it, and set all secrets anew if others may have read them")]
    Open(u32),
    /// It is no key.
    #[error("it does not hold 64 hexadecimal digits")]
    Garbled,
    /// The operating system refused.
    #[error("it could not be used")]
    Io(#[from] io::Error),
}

/// The key. `Debug` doesn't show it, because it has none.
pub(super) struct Key(XChaCha20Poly1305);

impl Key {
    /// The key in this file.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyError::Missing),
            Err(error) => return Err(error.into()),
        };
        let mode = file.metadata()?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open(mode));
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyError::Garbled)?;
        Ok(Self(XChaCha20Poly1305::new(&bytes.into())))
    }

    /// Draws a key and writes it where none is.
    pub(super) fn make(path: &Path) -> Result<Self, KeyError> {
        let bytes: [u8; 32] = rand::random();
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        writeln!(file, "{}", hex::encode(bytes))?;
        file.sync_all()?;
        Ok(Self(XChaCha20Poly1305::new(&bytes.into())))
    }

    /// The value as it may lie on a disk; `None` only for one too long for the cipher, of many gigabytes.
    pub(super) fn seal(&self, value: &SecretString, belongs_to: &str) -> Option<String> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: value.expose_secret().as_bytes(), aad: belongs_to.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The value again; `None` when it was sealed with another key, for something else, or changed.
    pub(super) fn open(&self, sealed: &str, belongs_to: &str) -> Option<SecretString> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg, aad: belongs_to.as_bytes() };
        let value = self.0.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(value).ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_sealed_opens_for_what_it_belongs_to_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("key"), dir.path().join("other"));
        let key = Key::make(&path).unwrap();
        let sealed = key.seal(&"s3cr3t-value".into(), "1/KEY").unwrap();
        assert_ne!(sealed, key.seal(&"s3cr3t-value".into(), "1/KEY").unwrap());
        let open = |key: &Key, text: &str, whose| key.open(text, whose).map(|value| value.expose_secret().to_owned());
        assert_eq!(open(&Key::read(&path).unwrap(), &sealed, "1/KEY").as_deref(), Some("s3cr3t-value"));
        assert_eq!(open(&key, &sealed, "2/KEY"), None);
        assert_eq!(open(&Key::make(&other).unwrap(), &sealed, "1/KEY"), None);
        let mut changed = STANDARD.decode(&sealed).unwrap();
        changed[NONCE] ^= 1;
        for bad in [STANDARD.encode(changed), String::new(), "AAAA".to_owned(), "!".to_owned()] {
            assert_eq!(open(&key, &bad, "1/KEY"), None, "{bad}");
        }
    }

    #[test]
    fn a_key_is_private_or_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(Key::read(&path), Err(KeyError::Missing)));
        Key::make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Key::make(&path), Err(KeyError::Io(_))), "a key is never replaced");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Key::read(&path), Err(KeyError::Open(0o640))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(Key::read(&path), Err(KeyError::Garbled)));
    }
}
