//! A secret that can be recognised and not told.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 under a key.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// A secret, kept as its HMAC under a key that only this process knows. Comparing HMACs takes the same time whatever was given,
/// its length included.
pub(crate) struct Sealed {
    key: Hmac<Sha256>,
    tag: [u8; 32],
}

impl Sealed {
    /// Seals a secret.
    pub(crate) fn new(secret: impl AsRef<[u8]>) -> Self {
        let key = keyed(&rand::random::<[u8; 32]>());
        let tag = key.clone().chain_update(secret).finalize().into_bytes().into();
        Self { key, tag }
    }

    /// Whether this is the secret, in constant time.
    pub(crate) fn is(&self, given: impl AsRef<[u8]>) -> bool {
        self.key.clone().chain_update(given).verify_slice(&self.tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_secret_is_recognised() {
        let sealed = Sealed::new("s3cret-token");
        assert!(sealed.is("s3cret-token"));
        for wrong in ["", "s3cret-toke", "s3cret-token ", "S3cret-token", "s3cret-token\0"] {
            assert!(!sealed.is(wrong), "{wrong}");
        }
    }
}
