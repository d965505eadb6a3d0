//! The repository itself.

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use super::target::Target;

/// Source: <https://docs.github.com/en/rest/repos/repos#get-a-repository>
pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    target.read(|state, repo| Some(Json(state.show_repo(repo)).into_response()))
}
