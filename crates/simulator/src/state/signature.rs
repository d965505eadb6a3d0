//! How GitHub signs what it delivers.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// `X-Hub-Signature-256` of a body: `sha256=` and the HMAC in hexadecimal digits.
///
/// Source: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
pub fn sha256_signature(secret: &[u8], body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(body).finalize().into_bytes());
    format!("sha256={}", mac.map(hex::encode).expect("HMAC takes keys of any length"))
}

/// `X-Hub-Signature` of a body, which GitHub still sends and nobody should trust.
pub fn sha1_signature(secret: &[u8], body: &[u8]) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(secret).map(|mac| mac.chain_update(body).finalize().into_bytes());
    format!("sha1={}", mac.map(hex::encode).expect("HMAC takes keys of any length"))
}
