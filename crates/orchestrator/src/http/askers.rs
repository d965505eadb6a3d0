//! Who asks: where a request comes from and what its token opens, found out once; and how many requests strangers get answered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use super::auth::{Keys, Scope};
use super::problem::Problem;
use crate::crowd::{Allowance, Source};

/// The two ends of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// Whoever connected.
    pub(super) from: IpAddr,
    /// Where it arrived.
    pub(super) to: IpAddr,
}

/// Whoever sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// Where from.
    pub(super) source: Source,
    /// What they may; `None` for strangers.
    pub(super) scope: Option<Scope>,
}

/// What it takes to recognise who asks.
pub(super) struct Door {
    pub(super) keys: Keys,
    /// Whether a proxy on this machine tells where requests come from.
    pub(super) behind_proxy: bool,
}

/// Finds out who asks, for all that comes after.
pub(super) async fn recognise(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let peer = request.extensions().get::<Ends>().map_or(Ipv4Addr::UNSPECIFIED.into(), |ends| ends.from);
    let address =
        if door.behind_proxy && peer.to_canonical().is_loopback() { told(headers).unwrap_or(peer) } else { peer };
    let asker = Asker { source: address.into(), scope: door.keys.scope_in(headers) };
    request.extensions_mut().insert(asker);
    next.run(request).await
}

/// The address that the nearest proxy tells: the last one, since it adds what it saw behind whatever it was sent.
fn told(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// Lets through whom we know, and of strangers as many as are allowed.
pub(super) async fn strangers_in_turn(
    State(allowance): State<Arc<Allowance>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if let Some(Asker { source, scope: None }) = request.extensions().get() {
        allowance.spend(*source).map_err(too_often)?;
    }
    Ok(next.run(request).await)
}

/// What a stranger is told who asks too often.
pub(super) fn too_often(wait: Duration) -> Problem {
    let detail = "too many requests without a valid token or signature came from your address: try again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .header(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1))
        .header(CONNECTION, HeaderValue::from_static("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_nearest_proxy_added_counts() {
        let headers = |values: &[&str]| -> HeaderMap {
            values
                .iter()
                .map(|value| (http::HeaderName::from_static("x-forwarded-for"), value.parse().unwrap()))
                .collect()
        };
        for (values, address) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["6.6.6.6, 192.0.2.7"], Some("192.0.2.7")),
            (&["6.6.6.6", "192.0.2.7"], Some("192.0.2.7")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["unknown"], None),
            (&["192.0.2.7,"], None),
            (&[], None),
        ] {
            assert_eq!(told(&headers(values)), address.map(|text| text.parse().unwrap()), "{values:?}");
        }
    }
}
