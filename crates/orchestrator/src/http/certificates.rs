//! `/api/certificates`: how certificates stand, and trying again what failed.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::tls::{Overview, Register};

/// `GET /api/certificates`; none where the service gets none.
pub(super) async fn list(State(register): State<Option<Register>>) -> Json<Overview> {
    Json(register.as_ref().map(Register::overview).unwrap_or_default())
}

/// `POST /api/certificates/retry`: what failed is tried again at once, but for what the authority asked to wait with.
pub(super) async fn retry(State(register): State<Option<Register>>) -> (StatusCode, Json<Overview>) {
    if let Some(register) = &register {
        register.retry();
    }
    (StatusCode::ACCEPTED, list(State(register)).await)
}
