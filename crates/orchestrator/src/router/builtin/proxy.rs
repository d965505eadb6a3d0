//! One request on its way: which preview it is for, to its app, and the answer back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use preview_core::causes::with_causes;
use preview_core::ids::DeploymentId;
use preview_core::route::{Named, Site, Target, is_authority, prefix};
use tokio::sync::watch;

use super::body::{self, Carried, Download, Upload};
use super::headers::{self, Visitor};
use super::traffic::{Traffic, UnderWay};
use super::{Peer, deliveries, secure, tunnel};
use crate::router::login::{CHALLENGE, Gate, Login};
use crate::router::pages::{self, Page};
use crate::tls::{CHALLENGE_PATH, Shown};

/// An app has this long to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// An app has this long from the request to the head of its answer.
const FIRST_BYTE: Duration = Duration::from_secs(300);
/// How long an unused connection to an app is kept: less than common servers keep theirs (Node 5 s).
const IDLE: Duration = Duration::from_secs(2);
/// How much of a refused upload is still read, and how long, so that its sender gets to reading the refusal.
const LINGER: Duration = Duration::from_secs(10);

/// Sends requests to apps and brings their answers back.
pub(super) struct Proxy {
    site: Site,
    /// What visitors have to open first.
    gate: Option<Gate>,
    /// Where we speak TLS ourselves: what is shown of certificates, and where deliveries go.
    ours: Option<(Shown, SocketAddr)>,
    /// Which app serves what.
    pub(super) traffic: Traffic,
    /// Keeps connections: for requests that can be repeated when the app closes one under our hands.
    kept: Client<HttpConnector, Upload>,
    /// A connection for each request: for all others.
    fresh: Client<HttpConnector, Upload>,
    /// Its end is the end of every tunnel.
    stop: watch::Receiver<bool>,
}

/// A request that has found its preview.
struct Visit {
    id: DeploymentId,
    under_way: UnderWay,
    /// What was stripped; empty in the host form.
    prefix: String,
    /// What the app is asked for.
    ask: PathAndQuery,
    /// The host that the visitor asked.
    host: HeaderValue,
    websocket: bool,
}

/// Where a request goes.
enum Way {
    App(Box<Visit>),
    Redirect(HeaderValue),
    Page(Page),
    /// What a certificate authority asked for.
    Answer(String),
    /// To the service itself.
    Delivery(SocketAddr, HeaderValue),
}

impl Proxy {
    /// A proxy without routes.
    pub(super) fn new(
        site: Site,
        login: Option<&Login>,
        ours: Option<(Shown, SocketAddr)>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let client = |kept_per_app| {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT));
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(kept_per_app)
                .set_host(false)
                .build(connector)
        };
        let gate = login.map(Gate::new);
        Self { site, gate, ours, traffic: Traffic::default(), kept: client(32), fresh: client(0), stop }
    }

    /// Answers a visitor's request.
    pub(super) async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Download> {
        match self.way(&peer, &request) {
            Way::Answer(text) => Response::new(Either::Left(Full::from(text))),
            Way::Delivery(to, host) => deliveries::pass_on(&self.fresh, to, (&peer, &host), request)
                .await
                .unwrap_or_else(|| page_answer(Page::unavailable(502))),
            Way::Redirect(location) => {
                let mut answer = Response::new(Either::Left(Full::default()));
                *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
                answer.headers_mut().insert(header::LOCATION, location);
                answer
            }
            Way::Page(page) => page_answer(page),
            Way::App(_) if declared_length(request.headers()).is_some_and(|length| length > body::LARGEST) => {
                linger(request.into_body());
                page_answer(Page::too_large())
            }
            Way::App(visit) => self.visit(*visit, peer, request).await,
        }
    }

    /// Finds the preview that a request is for.
    fn way(&self, peer: &Peer, request: &Request<Incoming>) -> Way {
        let host = host_of(request).filter(|_| headers::has_one_reading(request.headers()));
        let Some(host) = host else { return Way::Page(Page::refused()) };
        if let Some(way) = self.way_before_all(peer, request, &host) {
            return way;
        }
        let (target, mount): (_, fn(&DeploymentId) -> String) =
            match self.site.named_by(host.to_str().unwrap_or_default()) {
                Named::Preview(id) => (Target::of_host(id, request.uri().path()), |_| String::new()),
                Named::All => (Target::of_path(request.uri().path()), prefix),
                Named::Nothing => return Way::Page(Page::gone()),
            };
        match target {
            Target::Preview { id, rest } => self.way_in(mount(&id), id, rest, request, host),
            Target::MissingSlash(id) if self.traffic.enter(&id).is_some() => {
                let location = with_query(&format!("{}/", prefix(&id)), request.uri());
                HeaderValue::try_from(location).map_or_else(|_| Way::Page(Page::refused()), Way::Redirect)
            }
            Target::MissingSlash(_) | Target::Nothing => Way::Page(Page::gone()),
            Target::Refused => Way::Page(Page::refused()),
        }
    }

    /// What comes before all previews where we speak TLS: deliveries, the authority's questions, and visitors who come
    /// unencrypted.
    fn way_before_all(&self, peer: &Peer, request: &Request<Incoming>, host: &HeaderValue) -> Option<Way> {
        let (shown, deliveries) = self.ours.as_ref()?;
        if peer.secure {
            let is_delivery = request.uri().path() == deliveries::PATH;
            let to_all = || self.site.named_by(host.to_str().unwrap_or_default()) == Named::All;
            return (is_delivery && to_all()).then(|| Way::Delivery(*deliveries, host.clone()));
        }
        if request.uri().path().starts_with(CHALLENGE_PATH) {
            // Never an app: whoever answers there for a host may get certificates for it.
            let answer = shown.answers.to_path(request.uri().path());
            return Some(answer.map_or_else(|| Way::Page(Page::gone()), Way::Answer));
        }
        let path = request.uri().path_and_query()?;
        secure::elsewhere(shown, self.site.origin().port_suffix(), host.to_str().ok()?, path).map(Way::Redirect)
    }

    /// `http` or `https`, as the visitor came; where somebody in front of us speaks TLS, as the URL told to people says.
    fn scheme(&self, peer: &Peer) -> &'static str {
        match (&self.ours, peer.secure) {
            (None, _) => self.site.origin().scheme(),
            (Some(_), true) => "https",
            (Some(_), false) => "http",
        }
    }

    fn way_in(
        &self,
        prefix: String,
        id: DeploymentId,
        rest: &str,
        request: &Request<Incoming>,
        host: HeaderValue,
    ) -> Way {
        let Some(under_way) = self.traffic.enter(&id) else { return Way::Page(Page::gone()) };
        let Ok(ask) = PathAndQuery::try_from(with_query(rest, request.uri())) else {
            return Way::Page(Page::refused());
        };
        if self.gate.as_ref().is_some_and(|gate| !gate.opens(request.headers())) {
            return Way::Page(Page::locked());
        }
        let bare_get = request.method() == Method::GET && request.body().is_end_stream();
        let websocket =
            bare_get && request.version() == Version::HTTP_11 && headers::asks_for_websocket(request.headers());
        Way::App(Box::new(Visit { id, under_way, prefix, ask, host, websocket }))
    }

    /// Brings a request to its app and the answer back.
    async fn visit(&self, mut visit: Visit, peer: Peer, mut request: Request<Incoming>) -> Response<Download> {
        let visitors_side = visit.websocket.then(|| hyper::upgrade::on(&mut request));
        let (head, upload) = request.into_parts();
        let mut told = head.headers;
        headers::strip_hop_by_hop(&mut told);
        if visit.websocket {
            headers::mark_websocket(&mut told);
        }
        let visitor =
            Visitor { address: peer.address, scheme: self.scheme(&peer), host: &visit.host, prefix: &visit.prefix };
        headers::introduce(&mut told, &visitor);
        if self.gate.is_some() {
            // The login is ours, not the app's to know.
            told.remove(header::AUTHORIZATION);
        }

        let asked = tokio::time::timeout(FIRST_BYTE, self.ask(&mut visit, head.method, told, upload)).await;
        let mut answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if body::was_too_large(&error) => return page_answer(Page::too_large()),
            Ok(Err(error)) => return unavailable(&visit, 502, with_causes(&error)),
            Err(_) => return unavailable(&visit, 504, format!("no answer within {} s", FIRST_BYTE.as_secs())),
        };
        headers::confine(answer.headers_mut(), &visit.prefix, &visit.host, visit.under_way.port().get());
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return answer.map(|body| Either::Right(Carried::new(body, visit.under_way)));
        }
        let Some(visitors_side) = visitors_side else {
            return unavailable(&visit, 502, "it switched protocols unasked".to_owned());
        };
        let apps_side = hyper::upgrade::on(&mut answer);
        tokio::spawn(tunnel::run(visitors_side, apps_side, (visit.under_way, peer), self.stop.clone()));
        headers::mark_websocket(answer.headers_mut());
        answer.map(|_| Either::Left(Full::default()))
    }

    /// Sends the request. One that can be repeated is sent a second time when the first came to nothing: the app may have closed
    /// a kept connection just then, or the route may have moved.
    async fn ask(
        &self,
        visit: &mut Visit,
        method: Method,
        headers: HeaderMap,
        upload: Incoming,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let repeatable = method.is_idempotent() && upload.is_end_stream() && !visit.websocket;
        if !repeatable {
            let upload = if upload.is_end_stream() { body::nothing() } else { body::bounded(upload) };
            return self.fresh.request(outgoing(visit, method, headers, upload)).await;
        }
        match self.kept.request(outgoing(visit, method.clone(), headers.clone(), body::nothing())).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!(deployment = %visit.id, error = %with_causes(&error), "asking the app a second time");
                if let Some(now) = self.traffic.enter(&visit.id) {
                    visit.under_way = now;
                }
                self.fresh.request(outgoing(visit, method, headers, body::nothing())).await
            }
        }
    }
}

/// The request as the app gets it.
fn outgoing(visit: &Visit, method: Method, headers: HeaderMap, upload: Upload) -> Request<Upload> {
    let authority = Authority::try_from(format!("127.0.0.1:{}", visit.under_way.port()));
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.expect("an address and a port are an authority"));
    parts.path_and_query = Some(visit.ask.clone());
    let mut request = Request::new(upload);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(parts).expect("all three parts are there");
    *request.headers_mut() = headers;
    request
}

/// The host that a request is for: that of its one `Host` header, with which a target that names one has to agree (RFC 9112,
/// section 3.2.2).
fn host_of(request: &Request<Incoming>) -> Option<HeaderValue> {
    let mut named = request.headers().get_all(header::HOST).into_iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() || request.method() == Method::CONNECT {
        return None;
    }
    let host = first.filter(|host| host.to_str().is_ok_and(is_authority))?;
    let agrees = |authority: &Authority| authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes());
    request.uri().authority().is_none_or(agrees).then(|| host.clone())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn with_query(path: &str, uri: &Uri) -> String {
    match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Reads on for a while what nobody wants: closing a connection on unread bytes resets it, and the answer with it.
fn linger(mut upload: Incoming) {
    tokio::spawn(tokio::time::timeout(LINGER, async move {
        let mut left = 2 * body::LARGEST;
        while let Some(Ok(frame)) = upload.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

fn unavailable(visit: &Visit, status: u16, cause: String) -> Response<Download> {
    tracing::debug!(deployment = %visit.id, port = %visit.under_way.port(), cause, "a preview's app did not answer");
    page_answer(Page::unavailable(status))
}

fn page_answer(page: Page) -> Response<Download> {
    let mut answer = Response::new(Either::Left(Full::from(page.html)));
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in pages::HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if status == StatusCode::BAD_REQUEST {
        // Who sends such a request may have sent more behind it that means something else to us than to them.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    if let Some(seconds) = page.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}
