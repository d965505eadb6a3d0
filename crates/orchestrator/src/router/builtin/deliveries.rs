//! GitHub's deliveries, which come encrypted to the origin's host and are the service's own to answer.

use std::net::SocketAddr;

use http::header::CONNECTION;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;

use super::Peer;
use super::body::{self, Download, Upload};
use super::headers::{self, Visitor};

/// Where GitHub delivers.
pub(super) const PATH: &str = "/webhook/github";
/// Bytes of the service's answer: a few words.
const ANSWER: usize = 64 << 10;

/// Passes a delivery on to the service, and its answer back; `None` when it does not answer.
pub(super) async fn pass_on(
    client: &Client<HttpConnector, Upload>,
    to: SocketAddr,
    (peer, host): (&Peer, &HeaderValue),
    request: Request<Incoming>,
) -> Option<Response<Download>> {
    let (mut head, body) = request.into_parts();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Authority::try_from(to.to_string()).ok();
    uri.path_and_query = head.uri.path_and_query().cloned();
    headers::strip_hop_by_hop(&mut head.headers);
    headers::introduce(&mut head.headers, &Visitor { address: peer.address, scheme: "https", host, prefix: "" });
    let mut outgoing = Request::new(body::bounded(body));
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = Uri::from_parts(uri).ok()?;
    *outgoing.headers_mut() = head.headers;
    let (mut head, body) = client.request(outgoing).await.ok()?.into_parts();
    let body = Limited::new(body, ANSWER).collect().await.ok()?.to_bytes();
    headers::strip_hop_by_hop(&mut head.headers);
    // As the service does where it is asked itself.
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Some(Response::from_parts(head, Either::Left(Full::new(body))))
}
