//! Errors as people and programs get them: problem JSON.
//!
//! Which error goes where: what the asker can mend is a 4xx and says how. What only we can mend is a 5xx and says nothing
//! of its cause; the log does, under the same request id. A handler gives a [`Problem`], and `front`, which knows the id,
//! writes it out.
//!
//! Source: RFC 9457.

use std::fmt::Display;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    cause: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
}

impl Problem {
    /// One that the asker can mend; `detail` says what is wrong and what to do.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), cause: None, headers: Vec::new() }
    }

    /// One that only we can mend: the cause goes to the log alone.
    pub(super) fn ours(status: StatusCode, cause: impl Display) -> Self {
        let detail = "the service could not do this now; its log tells more under this request id";
        Self { cause: Some(cause.to_string()), ..Self::new(status, detail) }
    }

    /// Adds a header to the answer.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What is told to the asker.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What is told to the log.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Writes it out over an answer, whose headers stay.
    pub(super) fn write(&self, answer: &mut Response, request_id: &str) {
        let wire = Wire {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            request_id,
        };
        *answer.status_mut() = self.status;
        // A struct of text and a number always has a JSON form.
        *answer.body_mut() = Body::from(serde_json::to_vec(&wire).unwrap_or_default());
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.headers.clone());
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = self.status.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}
