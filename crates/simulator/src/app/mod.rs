//! Signing in as a GitHub App: the App proves itself by a signed token of minutes, and gets one of an hour for its installation.
//!
//! Sources: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>,
//! <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;

/// The key of every App in here, as GitHub hands it out: PKCS#1 in PEM. It is nobody's, and made for this.
pub const APP_KEY: &str = include_str!("key.pem");

/// An App that is installed on all repositories.
#[derive(Debug, Clone)]
pub struct App {
    /// Its number.
    pub id: u64,
    /// The name in its address; it writes as `{slug}[bot]`.
    pub slug: String,
    /// How long a token of its installation is accepted; on GitHub an hour.
    pub token_lifetime: Duration,
    /// Whether it is installed.
    pub installed: bool,
}

impl Default for App {
    fn default() -> Self {
        let token_lifetime = Duration::from_secs(3600);
        Self { id: 4711, slug: "previews".to_owned(), token_lifetime, installed: true }
    }
}

/// A token of the installation.
#[derive(Debug, Clone)]
pub(crate) struct InstallationToken {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
}

impl App {
    /// The number of its installation.
    pub(crate) const INSTALLATION: u64 = 987_654;

    /// Until when a token of this moment counts.
    pub(crate) fn end(&self, now: Timestamp) -> Timestamp {
        let lifetime = SignedDuration::try_from(self.token_lifetime).unwrap_or(SignedDuration::MAX);
        now.saturating_add(lifetime).unwrap_or(Timestamp::MAX)
    }

    /// Whether this is a token that the App itself has signed, and for now.
    pub(crate) fn signed(&self, token: &str, now: Timestamp) -> Result<(), &'static str> {
        const UNREADABLE: &str = "A JSON web token could not be decoded";
        let (signed, signature) = token.rsplit_once('.').ok_or(UNREADABLE)?;
        let (header, claims) = signed.split_once('.').ok_or(UNREADABLE)?;
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| UNREADABLE);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| UNREADABLE)?;
        let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| UNREADABLE)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key());
        if header.alg != "RS256" || key.verify(signed.as_bytes(), &decoded(signature)?).is_err() {
            return Err(UNREADABLE);
        }
        let now = now.as_second();
        if claims.iss != self.id.to_string() {
            Err("Integration not found")
        } else if claims.iat > now {
            Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
        } else if claims.exp <= now {
            Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            )
        } else if claims.exp > now + 600 {
            Err("'Expiration time' claim ('exp') is too far in the future")
        } else {
            Ok(())
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

fn public_key() -> Vec<u8> {
    let text: String = APP_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let key = STANDARD.decode(text).ok().and_then(|der| RsaKeyPair::from_der(&der).ok());
    key.map(|key| key.public_key().as_ref().to_vec()).unwrap_or_default()
}
