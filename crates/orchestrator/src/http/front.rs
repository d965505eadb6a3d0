//! What every request passes and every answer gets: an id, an end, a line in the log, headers, problems written out.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use tracing::Instrument;

use super::problem::Problem;

/// The longest that a request may take until its answer begins. What is followed after that is not counted.
const LONGEST: Duration = Duration::from_secs(30);
/// Characters of a path that the log shows.
const SHOWN: usize = 200;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every answer is data for whoever asked: it is kept by nobody, runs nothing, and is part of no page.
const GUARDS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Answers one request. An id that the asker sends is not taken over: ids in our log are ours.
pub(super) async fn front(request: Request, next: Next) -> Response {
    let id = format!("{:016x}", rand::random::<u64>());
    let path: String = request.uri().path().chars().take(SHOWN).collect();
    let span = tracing::info_span!("request", id, method = %request.method(), path);
    let changes_something = !request.method().is_safe();
    let began = Instant::now();
    let mut answer = bounded(next.run(request)).instrument(span.clone()).await;
    let _within = span.enter();
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        problem.write(&mut answer, &id);
        log_cause(&problem);
    }
    let (status, ms) = (answer.status().as_u16(), began.elapsed().as_millis());
    if changes_something {
        tracing::info!(status, ms, "answered");
    } else {
        tracing::debug!(status, ms, "answered");
    }
    secure(answer.headers_mut(), &id);
    answer
}

/// A panic of ours and a request without end are problems like others.
async fn bounded(answer: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(tokio::time::timeout(LONGEST, answer)).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Problem::ours(StatusCode::SERVICE_UNAVAILABLE, "it took too long").into_response(),
        Err(_) => {
            tracing::error!("a handler panicked; this is a bug, please report it with the message before this one");
            Problem::ours(StatusCode::INTERNAL_SERVER_ERROR, "a panic").into_response()
        }
    }
}

fn log_cause(problem: &Problem) {
    match problem.cause() {
        Some(cause) => tracing::warn!(cause, "a request failed on our side"),
        None => tracing::debug!(detail = problem.detail(), "a request was refused"),
    }
}

fn secure(headers: &mut HeaderMap, id: &str) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn panics() {
        panic!("canary");
    }

    #[tokio::test]
    async fn a_panic_is_a_bare_500() {
        let app = Router::new().route("/", get(panics)).layer(from_fn(front));
        let answer = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.headers().contains_key(REQUEST_ID));
        let body = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(body.contains("Internal Server Error") && !body.contains("canary"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_never_end_is_ended() {
        let answer = bounded(std::future::pending()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
