//! The login in front of previews: one user and one password for all of them, asked for by whichever router there is.
//!
//! Source: RFC 7617 (Basic).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha1::{Digest, Sha1};

use crate::sealed::Sealed;

/// What browsers show, and by what they remember the password: one word, as nginx gets it too.
pub(super) const REALM: &str = "previews";
/// `WWW-Authenticate`, as nginx writes it.
pub(super) const CHALLENGE: &str = "Basic realm=\"previews\"";

/// User and password of all previews.
#[derive(Debug, Clone)]
pub struct Login {
    user: String,
    password: SecretString,
}

impl Login {
    /// A login. The user's name is of letters, digits and `._-`, as the settings check it: nothing else could stand in front of
    /// a colon.
    pub fn new(user: impl Into<String>, password: SecretString) -> Self {
        Self { user: user.into(), password }
    }

    /// `Authorization` as a visitor sends it who knows the password.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(self.joined()))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The line of a password file for nginx: hashed with the salt. SHA-1 is fast, and the strongest hash that nginx itself
    /// knows on every system; it protects a password that is long and random, which the settings see to.
    ///
    /// Source: <https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html#auth_basic_user_file>
    pub(super) fn hashed(&self, salt: &str) -> String {
        let sum = Sha1::new().chain_update(self.password.expose_secret()).chain_update(salt).finalize();
        format!("{}:{{SSHA}}{}", self.user, STANDARD.encode([sum.as_slice(), salt.as_bytes()].concat()))
    }

    fn joined(&self) -> String {
        format!("{}:{}", self.user, self.password.expose_secret())
    }
}

/// What recognises the login in a request, in constant time.
pub(super) struct Gate(Sealed);

impl Gate {
    /// A gate that this login opens.
    pub(super) fn new(login: &Login) -> Self {
        Self(Sealed::new(login.joined()))
    }

    /// Whether a request brings user and password.
    pub(super) fn opens(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let Some((scheme, code)) = given.split_at_checked(b"basic ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"basic ") && STANDARD.decode(code.trim_ascii()).is_ok_and(|login| self.0.is(login))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login::new("preview", "s3cret: password".into())
    }

    #[test]
    fn only_user_and_password_open() {
        let gate = Gate::new(&login());
        let opens = |value: &str| gate.opens(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]));
        let encoded = |text: &str| STANDARD.encode(text);
        assert!(opens(&format!("Basic {}", encoded("preview:s3cret: password"))));
        assert!(opens(&format!("bAsIc  {}", encoded("preview:s3cret: password"))));
        assert!(gate.opens(&HeaderMap::from_iter([(AUTHORIZATION, login().header().unwrap())])));
        for wrong in ["preview:s3cret", "preview:", "preview", ":s3cret: password", "", "preview:s3cret: password\n"] {
            assert!(!opens(&format!("Basic {}", encoded(wrong))), "{wrong}");
        }
        for wrong in ["Basic", "Basic !", "Bearer x", "preview:s3cret: password"] {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(!gate.opens(&HeaderMap::new()));
    }

    #[test]
    fn the_file_for_nginx_holds_no_password() {
        // printf '%s' 's3cret: password0123' | openssl sha1 -binary, then the salt behind it, in base64.
        let line = login().hashed("0123");
        let (user, hash) = line.split_once(":{SSHA}").unwrap();
        let bytes = STANDARD.decode(hash).unwrap();
        assert_eq!((user, bytes.len(), &bytes[20..]), ("preview", 24, b"0123".as_slice()));
        assert!(!line.contains("s3cret") && !format!("{:?}", login()).contains("s3cret"));
    }
}
