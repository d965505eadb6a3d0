//! What a person may do in a repository.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ApiError;
use super::target::Target;
use crate::shapes;
use crate::state::Permission;

#[derive(Serialize)]
struct Shape {
    permission: &'static str,
    role_name: &'static str,
    user: shapes::User,
}

/// The legacy `permission` knows four words; `role_name` says it all.
///
/// Source: <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>
pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    let login: String = target.param("login")?;
    target.read(|state, repo| {
        let user = state.users.get(&login.to_ascii_lowercase())?;
        let (permission, role_name) = match repo.permission(user) {
            Permission::None => ("none", "none"),
            Permission::Read => ("read", "read"),
            Permission::Triage => ("read", "triage"),
            Permission::Write => ("write", "write"),
            Permission::Maintain => ("write", "maintain"),
            Permission::Admin => ("admin", "admin"),
        };
        Some(Json(Shape { permission, role_name, user: state.show_user(user) }).into_response())
    })
}
