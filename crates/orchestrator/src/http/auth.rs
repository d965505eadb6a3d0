//! Who may ask: the API's token, and the names under which the API answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::problem::Problem;

const V4_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6_LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// HMAC-SHA256 under a key.
pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The API's token, kept as its HMAC under a key that only this process knows. Comparing HMACs takes the same time whatever
/// was given, its length included.
pub(super) struct ApiToken {
    key: Hmac<Sha256>,
    tag: [u8; 32],
}

impl ApiToken {
    pub(super) fn new(token: &SecretString) -> Self {
        let key = keyed(&rand::random::<[u8; 32]>());
        let tag = key.clone().chain_update(token.expose_secret()).finalize().into_bytes().into();
        Self { key, tag }
    }

    /// Whether a request brings it: `Authorization: Bearer TOKEN`.
    ///
    /// Source: RFC 6750, section 2.1; the scheme's letter case does not matter (RFC 9110, section 11.1).
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        match given.split_at_checked(b"bearer ".len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                self.key.clone().chain_update(token).verify_slice(&self.tag).is_ok()
            }
            _ => false,
        }
    }
}

/// Lets through only requests with the token.
pub(super) async fn only_with_token(
    State(token): State<Arc<ApiToken>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if token.is_in(request.headers()) {
        return Ok(next.run(request).await);
    }
    let detail = "the API's token is missing or wrong: send it as `Authorization: Bearer TOKEN`";
    Err(Problem::new(StatusCode::UNAUTHORIZED, detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"preview\"")))
}

/// The address at which a request's connection arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrivedAt(pub(super) IpAddr);

/// Lets through only requests that mean this machine or the very address at which they arrived. A web page can make its own
/// name lead here (DNS rebinding), and then the request carries that name.
pub(super) async fn only_known_hosts(request: Request, next: Next) -> Result<Response, Problem> {
    let arrived_at = request.extensions().get::<ArrivedAt>().map(|at| at.0.to_canonical());
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
    fn only_the_token_itself_opens() {
        let token = ApiToken::new(&"s3cret-token".into());
        assert!(token.is_in(&bearer("Bearer s3cret-token")));
        assert!(token.is_in(&bearer("bearer s3cret-token")));
        for wrong in
            ["Bearer s3cret-toke", "Bearer s3cret-token ", "Basic s3cret-token", "s3cret-token", "Bearer ", "é"]
        {
            assert!(!token.is_in(&bearer(wrong)), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
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
