//! GitHub's REST API as far as the product uses it, one file per resource.
//!
//! Every resource of a repository is there under its name and, as on GitHub, under `/repositories/{id}`; a former name redirects to
//! the latter. Sources are named where a rule is: <https://docs.github.com/en/rest>.

mod apps;
mod comments;
mod deliveries;
mod entry;
mod error;
mod hooks;
mod paging;
mod permissions;
mod pulls;
mod reactions;
mod repos;
mod statuses;
mod target;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use crate::server::Shared;

pub(crate) use entry::write_quota;
pub(crate) use error::ApiError;

/// All routes, behind the token and the rate limit.
pub(crate) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/user", get(users::me))
        .route("/users/{login}", get(apps::user))
        .route("/app", get(apps::me))
        .route("/app/installations/{installation}/access_tokens", post(apps::access_token))
        .route("/rate_limit", get(users::rate_limit))
        .nest("/repos/{owner}/{repo}", repository())
        .nest("/repositories/{repository_id}", repository())
        .fallback(async || ApiError::not_found())
        .layer(middleware::from_fn_with_state(shared.clone(), entry::check))
}

fn repository() -> Router<Arc<Shared>> {
    let hook = get(hooks::get).patch(hooks::update).delete(hooks::delete);
    let comment = get(comments::get).patch(comments::update).delete(comments::delete);
    Router::new()
        .route("/", get(repos::get))
        .route("/installation", get(apps::installation))
        .route("/pulls", get(pulls::list))
        .route("/pulls/{number}", get(pulls::get))
        .route("/issues/{number}/comments", get(comments::list).post(comments::create))
        .route("/issues/comments", get(comments::list_all))
        .route("/issues/comments/{id}", comment)
        .route("/issues/comments/{id}/reactions", get(reactions::list).post(reactions::create))
        .route("/statuses/{sha}", post(statuses::create))
        .route("/commits/{sha}/status", get(statuses::combined))
        .route("/commits/{sha}/statuses", get(statuses::list))
        .route("/collaborators/{login}/permission", get(permissions::get))
        .route("/hooks", get(hooks::list).post(hooks::create))
        .route("/hooks/{id}", hook)
        .route("/hooks/{id}/pings", post(hooks::ping))
        .route("/hooks/{id}/deliveries", get(deliveries::list))
        .route("/hooks/{id}/deliveries/{delivery}", get(deliveries::get))
        .route("/hooks/{id}/deliveries/{delivery}/attempts", post(deliveries::redeliver))
}

/// What a request's body says; GitHub tells text that isn't JSON from JSON that isn't what it should be.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::invalid_request(error.to_string()),
        _ => ApiError::not_json(),
    })
}
