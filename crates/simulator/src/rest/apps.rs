//! What an App asks in its own name, and who a user is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::ApiError;
use super::target::Target;
use crate::app::{App, InstallationToken};
use crate::server::Shared;
use crate::shapes;

#[derive(Serialize)]
struct Shape {
    id: u64,
    slug: String,
    name: String,
}

/// What the App has been given: the least that previews need.
#[derive(Serialize)]
struct Permissions {
    contents: &'static str,
    metadata: &'static str,
    pull_requests: &'static str,
    statuses: &'static str,
}

const PERMISSIONS: Permissions =
    Permissions { contents: "read", metadata: "read", pull_requests: "write", statuses: "write" };

#[derive(Serialize)]
struct Installation {
    id: u64,
    app_id: u64,
    app_slug: String,
    repository_selection: &'static str,
    permissions: Permissions,
}

#[derive(Serialize)]
struct Token {
    token: String,
    expires_at: Timestamp,
    permissions: Permissions,
    repository_selection: &'static str,
}

fn app(shared: &Shared) -> Result<&App, ApiError> {
    shared.options.app.as_ref().ok_or_else(ApiError::not_found)
}

/// Source: <https://docs.github.com/en/rest/apps/apps#get-the-authenticated-app>
pub(super) async fn me(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let app = app(&shared)?;
    Ok(Json(Shape { id: app.id, slug: app.slug.clone(), name: app.slug.clone() }).into_response())
}

/// Source: <https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app>
pub(super) async fn installation(target: Target) -> Result<Response, ApiError> {
    let app = app(&target.shared)?;
    if !app.installed {
        return Err(ApiError::not_found());
    }
    let (app_id, app_slug) = (app.id, app.slug.clone());
    let permissions = PERMISSIONS;
    let shape = Installation { id: App::INSTALLATION, app_id, app_slug, repository_selection: "all", permissions };
    Ok(Json(shape).into_response())
}

/// Source: <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>
pub(super) async fn access_token(
    State(shared): State<Arc<Shared>>,
    Path(installation): Path<u64>,
) -> Result<Response, ApiError> {
    let app = app(&shared)?;
    if !app.installed || installation != App::INSTALLATION {
        return Err(ApiError::not_found());
    }
    let expires_at = app.end(Timestamp::now());
    let token = shared.write_quietly(|state| {
        let token = format!("ghs_{:036}", state.fresh_id());
        state.installation_tokens.push(InstallationToken { token: token.clone(), expires_at });
        token
    });
    // GitHub says it in whole seconds.
    let expires_at = Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at);
    let shape = Token { token, expires_at, permissions: PERMISSIONS, repository_selection: "all" };
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// Source: <https://docs.github.com/en/rest/users/users#get-a-user>
pub(super) async fn user(State(shared): State<Arc<Shared>>, Path(login): Path<String>) -> Result<Response, ApiError> {
    let found: Option<shapes::User> = shared.read(|state| {
        let user = state.users.get(&login.to_ascii_lowercase())?;
        Some(state.show_user(user))
    });
    found.map(|user| Json(user).into_response()).ok_or_else(ApiError::not_found)
}
