//! Answers that go wrong on demand: which requests, how many of them, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, ETAG, LINK, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::rest::{self, ApiError};
use crate::server::Shared;
use crate::state::{Request, Surface};

/// Source: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible>
const ACCEPTED_PERMISSIONS: HeaderName = HeaderName::from_static("x-accepted-github-permissions");

/// How an answer goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// This status with the body that GitHub gives for it.
    Status(u16),
    /// This status and this body.
    Answer(u16, Value),
    /// 404, as for what is gone or hidden.
    NotFound,
    /// The hourly limit is used up until so much later (403, `x-ratelimit-remaining: 0`).
    RateLimited {
        /// From now to `x-ratelimit-reset`.
        reset: Duration,
    },
    /// Too much at once (403 with `retry-after`).
    Secondary {
        /// What the header says, in whole seconds.
        retry_after: Duration,
    },
    /// The token may not do this: it would need this permission (403, `x-accepted-github-permissions`).
    NotPermitted(&'static str),
    /// 200 and `[]`, without a `Link`.
    EmptyList,
    /// A list's first so many items, without a `Link` to more.
    CutList(usize),
    /// Half of the right answer, then the connection ends.
    CutBody,
    /// The right answer, so much later.
    Hang(Duration),
    /// It is done at once, and the right answer comes so much later.
    LateAnswer(Duration),
    /// The connection ends without an answer.
    Disconnect,
}

type Predicate = dyn Fn(&Request) -> bool + Send + Sync;

/// Which requests are meant: by a fault, or by a question how many there were.
#[derive(Clone)]
pub struct Matching(Arc<Predicate>);

impl Matching {
    /// Those that this says yes to.
    pub fn new(predicate: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(predicate))
    }

    /// All.
    pub fn all() -> Self {
        Self::new(|_| true)
    }

    /// All that come to the REST API.
    pub fn api() -> Self {
        Self::new(|request| request.surface == Surface::Api)
    }

    /// All that Git makes.
    pub fn git() -> Self {
        Self::new(|request| request.surface == Surface::Git)
    }

    /// API requests of this method with this text in path and query.
    pub fn path(method: Method, part: impl Into<String>) -> Self {
        let part = part.into();
        Self::new(move |request| {
            request.surface == Surface::Api && request.method == method && request.path.contains(&part)
        })
    }

    /// API requests that read a path with this text in it.
    pub fn get(part: impl Into<String>) -> Self {
        Self::path(Method::GET, part)
    }

    /// API requests that write: POST, PATCH, PUT, DELETE.
    pub fn writes() -> Self {
        Self::new(|request| request.surface == Surface::Api && request.method != Method::GET)
    }

    /// Whether this request is one of them.
    pub fn matches(&self, request: &Request) -> bool {
        (self.0)(request)
    }
}

impl fmt::Debug for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Matching")
    }
}

/// A fault lasts until this is dropped.
#[must_use = "the fault ends when this is dropped"]
pub struct FaultGuard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        self.shared.write(|state| state.log.faults.rules.retain(|rule| rule.id != self.id));
    }
}

#[derive(Debug)]
struct Rule {
    id: u64,
    matching: Matching,
    /// How many more; `None` until it is taken back.
    left: Option<usize>,
    fault: Fault,
}

/// What is to go wrong, the oldest wish first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    last: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, matching: Matching, left: Option<usize>, fault: Fault) -> u64 {
        self.last += 1;
        self.rules.push(Rule { id: self.last, matching, left, fault });
        self.last
    }

    /// The fault for this request, which uses it up.
    pub(crate) fn take(&mut self, request: &Request) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| rule.matching.matches(request))?;
        let fault = rule.fault.clone();
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
        }
        self.rules.retain(|rule| rule.left != Some(0));
        Some(fault)
    }
}

/// Marks an answer whose connection is to be ended without sending it.
#[derive(Clone, Copy)]
pub(crate) struct HangUp;

impl Fault {
    /// Whether it changes the right answer, which then must not be "what you have is still true".
    pub(crate) fn needs_body(&self) -> bool {
        matches!(self, Self::EmptyList | Self::CutList(_) | Self::CutBody)
    }

    /// The answer that this fault gives, `right` being the one that would have been.
    pub(crate) async fn spoil(self, shared: &Shared, right: impl Future<Output = Response>) -> Response {
        match self {
            Self::Status(code) => ApiError::plain(status(code)).into_response(),
            Self::Answer(code, body) => (status(code), axum::Json(body)).into_response(),
            Self::NotFound => ApiError::not_found().into_response(),
            Self::RateLimited { reset } => rate_limited(shared, reset),
            Self::Secondary { retry_after } => {
                let mut response = ApiError::secondary_limit().into_response();
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
                response
            }
            Self::NotPermitted(needed) => {
                let mut response =
                    ApiError::forbidden("Resource not accessible by personal access token").into_response();
                response.headers_mut().insert(ACCEPTED_PERMISSIONS, HeaderValue::from_static(needed));
                response
            }
            Self::EmptyList => cut_list(right.await, 0).await,
            Self::CutList(items) => cut_list(right.await, items).await,
            Self::CutBody => cut_body(right.await).await,
            Self::Hang(duration) => {
                tokio::time::sleep(duration).await;
                right.await
            }
            Self::LateAnswer(duration) => {
                let answer = right.await;
                tokio::time::sleep(duration).await;
                answer
            }
            Self::Disconnect => {
                let mut response = Response::new(Body::empty());
                response.extensions_mut().insert(HangUp);
                response
            }
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn rate_limited(shared: &Shared, reset: Duration) -> Response {
    let mut quota = shared.read(|state| state.quota.clone());
    let reset = i64::try_from(reset.as_secs()).unwrap_or(i64::MAX);
    quota.used = quota.limit;
    quota.reset = Timestamp::from_second(Timestamp::now().as_second().saturating_add(reset)).unwrap_or(Timestamp::MAX);
    let mut response = ApiError::rate_limit(shared).into_response();
    rest::write_quota(response.headers_mut(), &quota);
    response
}

async fn cut_list(right: Response, items: usize) -> Response {
    let (mut parts, body) = right.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut list = serde_json::from_slice(&bytes).unwrap_or(json!([]));
    match &mut list {
        Value::Array(list) => list.truncate(items),
        other => *other = json!([]),
    }
    parts.headers.remove(LINK);
    parts.headers.remove(ETAG);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(list.to_string()))
}

/// A body whose stream ends in an error makes the server end the connection.
async fn cut_body(right: Response) -> Response {
    let (mut parts, body) = right.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let half: Bytes = bytes.slice(..bytes.len() / 2);
    let pieces = [Ok(half), Err(std::io::Error::other("cut on demand"))];
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
}
