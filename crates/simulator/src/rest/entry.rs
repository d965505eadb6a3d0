//! What every API request passes: a user agent, the token, the rate limit; and on the way out the entity tag.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::ApiError;
use crate::encoding::basic_password;
use crate::server::Shared;
use crate::state::Quota;

/// Lets a request in, or says why not.
pub(crate) async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(USER_AGENT) {
        // Source: https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent
        let words =
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.\n";
        return (StatusCode::FORBIDDEN, words).into_response();
    }
    if let Err(error) = admitted(&shared, request.uri().path(), headers.get(AUTHORIZATION).map(token)) {
        return error.into_response();
    }
    let counted = request.uri().path() != "/rate_limit";
    let admitted = !counted || shared.write_quietly(|state| state.quota.take(Timestamp::now()));
    let mut response = if admitted {
        let conditional = (request.method() == Method::GET).then(|| headers.get(IF_NONE_MATCH).cloned());
        tagged(next.run(request).await, conditional).await
    } else {
        ApiError::rate_limit(&shared).into_response()
    };
    if response.status() == StatusCode::NOT_MODIFIED && counted {
        shared.write_quietly(|state| state.quota.give_back());
    }
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let quota = shared.read(|state| state.quota.clone());
    write_quota(response.headers_mut(), &quota);
    response
}

/// Whether a token lets its bearer in there: the App's own signed one at what concerns the App, another one elsewhere.
fn admitted(shared: &Shared, path: &str, token: Option<Option<String>>) -> Result<(), ApiError> {
    let token = token.ok_or_else(ApiError::no_credentials)?.ok_or_else(ApiError::bad_credentials)?;
    let concerns_app = path == "/app" || path.starts_with("/app/") || path.ends_with("/installation");
    match &shared.options.app {
        Some(app) if concerns_app => {
            app.signed(&token, Timestamp::now()).map_err(|words| ApiError::unauthorized(words.to_owned()))
        }
        app if shared.accepts(&token) => match app {
            // It was not given that right: see `Permissions`.
            Some(_) if is_of_hooks(path) == Some(true) => {
                Err(ApiError::forbidden("Resource not accessible by integration"))
            }
            _ => Ok(()),
        },
        _ if shared.options.hooks_token.as_ref() == Some(&token) => match is_of_hooks(path) {
            Some(_) => Ok(()),
            None => Err(ApiError::forbidden("Resource not accessible by personal access token")),
        },
        _ => Err(ApiError::bad_credentials()),
    }
}

/// Whether what is asked for are a repository's webhooks, or (`false`) the repository itself.
fn is_of_hooks(path: &str) -> Option<bool> {
    let mut parts = path.strip_prefix("/repos/")?.split('/').skip(2);
    match parts.next() {
        None => Some(false),
        Some("hooks") => Some(true),
        Some(_) => None,
    }
}

/// The token of `Bearer`, `token` or Basic credentials.
fn token(value: &HeaderValue) -> Option<String> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let plain = ["bearer", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if plain { Some(rest.trim().to_owned()) } else { basic_password(value) }
}

/// Gives a read its `ETag`, and 304 without a body to a client that has the same.
///
/// Source: <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>
async fn tagged(response: Response, conditional: Option<Option<HeaderValue>>) -> Response {
    let Some(wanted) = conditional.filter(|_| response.status() == StatusCode::OK) else { return response };
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let tag = format!("W/\"{}\"", hex::encode(Sha256::digest(&bytes)));
    let same = wanted.is_some_and(|wanted| wanted.to_str().is_ok_and(|list| list.split(',').any(|t| t.trim() == tag)));
    parts.headers.extend(HeaderValue::from_str(&tag).map(|tag| (ETAG, tag)));
    if same {
        parts.status = StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Source: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#checking-the-status-of-your-rate-limit>
pub(crate) fn write_quota(headers: &mut HeaderMap, quota: &Quota) {
    let mut set = |name, value: i64| {
        // What a fault wrote already stays.
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from(value));
    };
    set("x-ratelimit-limit", quota.limit.into());
    set("x-ratelimit-remaining", quota.remaining().into());
    set("x-ratelimit-used", quota.used.into());
    set("x-ratelimit-reset", quota.reset.as_second());
    headers.insert("x-ratelimit-resource", HeaderValue::from_static("core"));
}
