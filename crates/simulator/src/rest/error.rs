//! Refusals, in GitHub's words and shape.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::server::Shared;

const DOCS: &str = "https://docs.github.com/rest";

/// One field that was wrong.
///
/// Source: <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed>
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FieldError {
    pub(crate) resource: &'static str,
    pub(crate) code: &'static str,
    pub(crate) field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// An answer of 4xx or 5xx.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    errors: Vec<FieldError>,
    docs: String,
}

#[derive(Serialize)]
struct Body {
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    documentation_url: String,
    /// Validation errors have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new(), docs: DOCS.to_owned() }
    }

    /// A status with the words that belong to it.
    pub(crate) fn plain(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or("Unknown"))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(crate) fn unauthorized(message: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn no_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_json() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Problems parsing JSON")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn invalid_request(why: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("Invalid request.\n\n{why}"))
    }

    /// 422 that is not about one field.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 422 for one field; a `message` makes its code `custom`-like, as GitHub does.
    pub(crate) fn validation(
        resource: &'static str,
        field: &'static str,
        code: &'static str,
        message: Option<String>,
    ) -> Self {
        let errors = vec![FieldError { resource, code, field, message }];
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed") }
    }

    /// Source: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
    pub(crate) fn rate_limit(shared: &Shared) -> Self {
        let id = shared.read(|state| state.bot.id);
        let message = format!("API rate limit exceeded for user ID {id}.");
        let docs = format!("{DOCS}/overview/rate-limits-for-the-rest-api");
        Self { docs, ..Self::new(StatusCode::FORBIDDEN, message) }
    }

    pub(crate) fn secondary_limit() -> Self {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let docs = format!("{DOCS}/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits");
        Self { docs, ..Self::new(StatusCode::FORBIDDEN, message) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.errors.is_empty().then(|| self.status.as_u16().to_string());
        let body = Body { message: self.message, errors: self.errors, documentation_url: self.docs, status };
        (self.status, Json(body)).into_response()
    }
}
