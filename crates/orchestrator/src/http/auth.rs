//! Who may ask: the API's tokens, and the names under which the API answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::askers::{Asker, Ends};
use super::problem::Problem;
use crate::sealed::Sealed;

const V4_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6_LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Looking alone.
    Read,
    /// Everything.
    Full,
}

impl Scope {
    /// Whether it covers a request of this method.
    fn covers(self, method: &Method) -> bool {
        self == Self::Full || method.is_safe()
    }
}

/// The API's tokens.
pub(super) struct Keys {
    full: Sealed,
    read: Option<Sealed>,
}

impl Keys {
    pub(super) fn new(full: &SecretString, read: Option<&SecretString>) -> Self {
        let sealed = |token: &SecretString| Sealed::new(token.expose_secret());
        Self { full: sealed(full), read: read.map(sealed) }
    }

    /// What the token that a request brings opens: `Authorization: Bearer TOKEN`. How long looking takes tells nothing of it.
    ///
    /// Source: RFC 6750, section 2.1; the scheme's letter case does not matter (RFC 9110, section 11.1).
    pub(super) fn scope_in(&self, headers: &HeaderMap) -> Option<Scope> {
        let given = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let (scheme, token) = given.split_at_checked(b"bearer ".len())?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let (full, read) = (self.full.is(token), self.read.as_ref().is_some_and(|read| read.is(token)));
        if full { Some(Scope::Full) } else { read.then_some(Scope::Read) }
    }
}

/// Lets through only requests with a token that covers them.
pub(super) async fn only_with_token(request: Request, next: Next) -> Result<Response, Problem> {
    match request.extensions().get::<Asker>().and_then(|asker| asker.scope) {
        Some(scope) if scope.covers(request.method()) => Ok(next.run(request).await),
        Some(_) => {
            let detail = "this token may only look: to change something, send the one of API_TOKEN";
            Err(Problem::new(StatusCode::FORBIDDEN, detail).header(WWW_AUTHENTICATE, insufficient_scope()))
        }
        None => {
            let detail = "the API's token is missing or wrong: send it as `Authorization: Bearer TOKEN`";
            let realm = HeaderValue::from_static("Bearer realm=\"preview\"");
            Err(Problem::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, realm))
        }
    }
}

/// Source: RFC 6750, section 3.1.
fn insufficient_scope() -> HeaderValue {
    HeaderValue::from_static("Bearer realm=\"preview\", error=\"insufficient_scope\"")
}

/// Lets through only requests that mean this machine or the very address at which they arrived. A web page can make its own
/// name lead here (DNS rebinding), and then the request carries that name.
pub(super) async fn only_known_hosts(request: Request, next: Next) -> Result<Response, Problem> {
    let arrived_at = request.extensions().get::<Ends>().map(|ends| ends.to.to_canonical());
    match asked_host(&request) {
        Some(host) if is_known(host.host(), arrived_at) => Ok(next.run(request).await),
        _ => Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the API answers only under `localhost`, `127.0.0.1`, `[::1]` and the address that it listens on",
        )),
    }
}

/// A target in absolute form wins over the header (RFC 9112, section 3.2.2).
fn asked_host(request: &Request) -> Option<Authority> {
    let header = || request.headers().get(HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(header).filter(|host| !host.as_str().contains('@'))
}

fn is_known(host: &str, arrived_at: Option<IpAddr>) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => [V4_LOOPBACK, V6_LOOPBACK].contains(&address) || Some(address) == arrived_at,
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_tokens_themselves_open_and_each_its_own() {
        let keys = Keys::new(&"s3cret-token".into(), Some(&"s3cret-reader".into()));
        for full in ["Bearer s3cret-token", "bearer s3cret-token"] {
            assert_eq!(keys.scope_in(&bearer(full)), Some(Scope::Full));
        }
        assert_eq!(keys.scope_in(&bearer("Bearer s3cret-reader")), Some(Scope::Read));
        for wrong in [
            "Bearer s3cret-toke",
            "Bearer s3cret-token ",
            "Basic s3cret-token",
            "s3cret-token",
            "Bearer ",
            "é",
            "Bearer",
        ] {
            assert_eq!(keys.scope_in(&bearer(wrong)), None, "{wrong}");
        }
        assert_eq!(keys.scope_in(&HeaderMap::new()), None);
        assert_eq!(Keys::new(&"s3cret-token".into(), None).scope_in(&bearer("Bearer ")), None);
    }

    #[test]
    fn a_reader_changes_nothing() {
        for (method, covered) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::POST, false),
            (Method::DELETE, false),
            (Method::PUT, false),
            (Method::PATCH, false),
            (Method::from_bytes(b"PURGE").unwrap(), false),
        ] {
            assert_eq!(Scope::Read.covers(&method), covered, "{method}");
            assert!(Scope::Full.covers(&method));
        }
    }

    #[test]
    fn names_that_a_page_could_have_made_are_not_known() {
        let arrived_at = Some("10.0.0.5".parse().unwrap());
        for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]", "10.0.0.5"] {
            assert!(is_known(host, arrived_at), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.6", "127.0.0.2", "", "[::2]"]
        {
            assert!(!is_known(host, arrived_at), "{host}");
        }
    }
}
