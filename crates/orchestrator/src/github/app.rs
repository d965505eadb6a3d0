//! Signing in as a GitHub App: a token of minutes that its key signs, and for that one of an hour for the installation on our
//! repositories. The latter is what requests and git use; it is renewed before it ends, and known to the mask of secrets
//! as long as anything may still say it.
//!
//! Sources: <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>,
//! <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use preview_core::ids::RepoName;
use reqwest::Method;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::{Signer, SigningKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::api::{Answer, Api};
use crate::needs::Fault;
use crate::secrets::{Known, Whose};

/// Clocks differ: GitHub advises to date a token a minute back.
const BACK: SignedDuration = SignedDuration::from_secs(60);
/// GitHub accepts ten minutes at most.
const AHEAD: SignedDuration = SignedDuration::from_mins(9);
/// A token that ends sooner than this is renewed: longer than a fetch may take.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// An App's private key: RSA, in PEM as GitHub hands it out. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct AppKey(Arc<dyn SigningKey>);

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(…)")
    }
}

/// A text is no key of an App.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no RSA private key in PEM, as GitHub hands it out for an App")]
pub struct NotAKey;

impl AppKey {
    /// Reads `-----BEGIN RSA PRIVATE KEY-----` and what follows, or the same in PKCS#8.
    pub fn from_pem(text: &str) -> Result<Self, NotAKey> {
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| NotAKey)?;
        let key = Self(any_supported_type(&der).map_err(|_| NotAKey)?);
        key.signer().map(|_| key)
    }

    fn signer(&self) -> Result<Box<dyn Signer>, NotAKey> {
        self.0.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(NotAKey)
    }

    /// The token by which the App of this number proves itself.
    fn token(&self, app: u64, now: Timestamp) -> Option<SecretString> {
        let (issued, ends) = (now.checked_sub(BACK).ok()?, now.checked_add(AHEAD).ok()?);
        let claims = format!(r#"{{"iat":{},"exp":{},"iss":"{app}"}}"#, issued.as_second(), ends.as_second());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(br#"{"alg":"RS256","typ":"JWT"}"#), encode(claims.as_bytes()));
        let signature = self.signer().ok()?.sign(signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", encode(&signature)).into())
    }
}

/// Which App we are, and for whom.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    /// The App's number, or its client id's.
    pub id: u64,
    /// Its key.
    pub key: AppKey,
    /// One of the repositories that it is installed on: all of them belong to one installation.
    pub repository: RepoName,
    /// Learns each token.
    pub known: Known,
}

/// The App, signed in.
pub(super) struct App {
    credentials: AppCredentials,
    /// Held while a new one is asked for: whoever needs it meanwhile waits for the same.
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Token {
    token: SecretString,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Shape {
    slug: String,
}

impl App {
    pub(super) fn new(credentials: AppCredentials) -> Self {
        Self { credentials, token: Mutex::default() }
    }

    /// The installation's token.
    pub(super) async fn token(&self, api: &Api) -> Result<SecretString, Fault> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| token.expires_at > soon()) {
            return Ok(token.token.clone());
        }
        let fresh = self.renewed(api).await?;
        let former = token.replace(fresh.clone());
        self.tell(former.as_ref(), &fresh);
        Ok(fresh.token)
    }

    /// GitHub does not accept the token: the next request asks for another, unless somebody does just now.
    pub(super) fn forget(&self) {
        if let Ok(mut token) = self.token.try_lock() {
            *token = None;
        }
    }

    /// The name of the user as whom it writes.
    pub(super) async fn login(&self, api: &Api) -> Result<String, Fault> {
        let answer = self.ask(api, Method::GET, "/app").await?;
        match answer.status.as_u16() {
            200 => Ok(format!("{}[bot]", answer.json::<Shape>()?.slug)),
            _ => Err(answer.unexpected()),
        }
    }

    async fn renewed(&self, api: &Api) -> Result<Token, Fault> {
        let found = self.ask(api, Method::GET, &format!("/repos/{}/installation", self.credentials.repository)).await?;
        let installation = match found.status.as_u16() {
            200 => found.json::<Installation>()?.id,
            404 => return Err(self.not_installed()),
            _ => return Err(found.unexpected()),
        };
        let path = format!("/app/installations/{installation}/access_tokens");
        let answer = self.ask(api, Method::POST, &path).await?;
        match answer.status.as_u16() {
            201 => answer.json(),
            404 => Err(self.not_installed()),
            _ => Err(answer.unexpected()),
        }
    }

    async fn ask(&self, api: &Api, method: Method, path: &str) -> Result<Answer, Fault> {
        let AppCredentials { id, key, .. } = &self.credentials;
        let token = key.token(*id, Timestamp::now());
        let token = token.ok_or_else(|| Fault::passing("no token could be signed with the GitHub App's key"))?;
        api.ask_as_app(method, api.url(path), &token).await
    }

    fn not_installed(&self) -> Fault {
        let AppCredentials { id, repository, .. } = &self.credentials;
        Fault::passing(format!("the GitHub App {id} is not installed on {repository}"))
            .advise("Install it there: the App's settings, \"Install App\".")
    }

    /// What was given out before may still be in somebody's hands; what was before that is not.
    fn tell(&self, former: Option<&Token>, fresh: &Token) {
        let known = &self.credentials.known;
        known.forget(&Whose::GitHubApp);
        for token in former.into_iter().chain([fresh]) {
            known.learn(Whose::GitHubApp, token.token.expose_secret());
            known.learn(Whose::GitHubApp, crate::git::login(&token.token).expose_secret());
        }
    }
}

fn soon() -> Timestamp {
    Timestamp::now().saturating_add(MARGIN).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use preview_simulator::APP_KEY;

    use super::*;

    #[test]
    fn a_key_is_what_github_hands_out_and_nothing_else_and_is_never_shown() {
        let key = AppKey::from_pem(APP_KEY).unwrap();
        assert_eq!(format!("{key:?}"), "AppKey(…)");
        let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for text in ["", "ghp_token", public, &APP_KEY[..200]] {
            assert_eq!(AppKey::from_pem(text).unwrap_err(), NotAKey, "{text}");
        }
    }

    #[test]
    fn its_tokens_say_who_and_for_how_long() {
        let key = AppKey::from_pem(APP_KEY).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let token = key.token(4711, now).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.expose_secret().split('.').nth(1).unwrap()).unwrap();
        assert_eq!(claims, br#"{"iat":1799999940,"exp":1800000540,"iss":"4711"}"#);
    }
}
