//! The token's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ApiError;
use crate::server::Shared;

/// Source: <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>
pub(super) async fn me(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    if shared.options.app.is_some() {
        // Source: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible
        return Err(ApiError::forbidden("Resource not accessible by integration"));
    }
    Ok(Json(shared.read(|state| state.show_user(&state.bot))).into_response())
}

#[derive(Serialize)]
struct Overview {
    resources: Resources,
    rate: Rate,
}

#[derive(Serialize)]
struct Resources {
    core: Rate,
}

#[derive(Serialize, Clone)]
struct Rate {
    limit: u32,
    remaining: u32,
    reset: i64,
    used: u32,
}

/// Asking costs nothing. Source: <https://docs.github.com/en/rest/rate-limit/rate-limit>
pub(super) async fn rate_limit(State(shared): State<Arc<Shared>>) -> Response {
    let quota = shared.read(|state| state.quota.clone());
    let (limit, remaining) = (quota.limit, quota.remaining());
    let rate = Rate { limit, remaining, reset: quota.reset.as_second(), used: quota.used };
    Json(Overview { resources: Resources { core: rate.clone() }, rate }).into_response()
}
