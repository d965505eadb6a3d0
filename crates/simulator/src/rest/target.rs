//! Which repository a request is about, and the numbers in its path.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri, RawPathParams};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{Method, StatusCode};
use preview_core::ids::{PrNumber, RepoId, RepoName};
use serde::Serialize;

use super::ApiError;
use crate::server::Shared;
use crate::state::{Repository, State};

/// A repository that exists and that the token sees.
pub(super) struct Target {
    pub(super) shared: Arc<Shared>,
    pub(super) id: RepoId,
    params: BTreeMap<String, String>,
    rest: String,
}

/// Why there is none.
pub(super) enum NoTarget {
    Missing,
    Moved {
        to: String,
        method: Method,
    },
    /// There is, and it can only be read.
    Archived,
}

#[derive(Serialize)]
struct MovedBody {
    message: &'static str,
    url: String,
    documentation_url: &'static str,
}

impl IntoResponse for NoTarget {
    fn into_response(self) -> Response {
        match self {
            Self::Missing => ApiError::not_found().into_response(),
            Self::Archived => ApiError::forbidden("Repository was archived so is read-only.").into_response(),
            Self::Moved { to, method } => {
                // Anything but a read must not turn into a GET on the way.
                let (status, message) = if method == Method::GET {
                    (StatusCode::MOVED_PERMANENTLY, "Moved Permanently")
                } else {
                    (StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect")
                };
                let documentation_url =
                    "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects";
                let body = MovedBody { message, url: to.clone(), documentation_url };
                (status, [(LOCATION, to)], Json(body)).into_response()
            }
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Target {
    type Rejection = NoTarget;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, NoTarget> {
        let raw = RawPathParams::from_request_parts(parts, shared).await.map_err(|_| NoTarget::Missing)?;
        let params: BTreeMap<_, _> = raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let path = OriginalUri::from_request_parts(parts, shared).await.unwrap_or_else(|never| match never {}).0;
        // /api/v3/repos/{owner}/{repo}/rest and /api/v3/repositories/{id}/rest
        let skipped = if params.contains_key("repository_id") { 5 } else { 6 };
        let rest = path.path().splitn(skipped + 1, '/').nth(skipped).map(|rest| format!("/{rest}")).unwrap_or_default();
        match find(shared, &params) {
            Some(Found::Here(id)) if parts.method != Method::GET && is_archived(shared, id) => Err(NoTarget::Archived),
            Some(Found::Here(id)) => Ok(Self { shared: shared.clone(), id, params, rest }),
            Some(Found::Renamed(id)) => {
                let query = path.query().map(|query| format!("?{query}")).unwrap_or_default();
                let to = shared.read(|state| format!("{}/repositories/{id}{rest}{query}", state.urls.api));
                Err(NoTarget::Moved { to, method: parts.method.clone() })
            }
            None => Err(NoTarget::Missing),
        }
    }
}

fn is_archived(shared: &Shared, id: RepoId) -> bool {
    shared.read(|state| state.repository(id).is_some_and(|repo| repo.archived))
}

enum Found {
    Here(RepoId),
    Renamed(RepoId),
}

fn find(shared: &Shared, params: &BTreeMap<String, String>) -> Option<Found> {
    shared.read(|state| {
        let visible = |id: &RepoId| state.repository(*id).is_some_and(|repo| repo.visible);
        if let Some(id) = params.get("repository_id") {
            return id.parse().ok().map(RepoId).filter(visible).map(Found::Here);
        }
        let name: RepoName = format!("{}/{}", params.get("owner")?, params.get("repo")?).parse().ok()?;
        let here = state.repo_by_name(&name).filter(visible).map(Found::Here);
        here.or_else(|| state.former_names.get(&name).copied().filter(visible).map(Found::Renamed))
    })
}

impl Target {
    /// A part of the path, as what it should be; GitHub knows nothing at any other path.
    pub(super) fn param<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        self.params.get(name).and_then(|text| text.parse().ok()).ok_or_else(ApiError::not_found)
    }

    /// The pull request's number in the path, if there is such a pull request.
    pub(super) fn pull(&self) -> Result<PrNumber, ApiError> {
        let number = self.param("number")?;
        let known = self.shared.read(|state| state.pull(self.id, number).is_some());
        if known { Ok(number) } else { Err(ApiError::not_found()) }
    }

    /// The address of this list by the repository's number, which is what GitHub links pages by.
    pub(super) fn url(&self) -> String {
        self.shared.read(|state| format!("{}/repositories/{}{}", state.urls.api, self.id, self.rest))
    }

    /// Looks at the repository.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State, &Repository) -> Option<T>) -> Result<T, ApiError> {
        let found = self.shared.read(|state| look(state, state.repository(self.id)?));
        found.ok_or_else(ApiError::not_found)
    }

    /// Changes the state; `None` is 404.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut State) -> Option<T>) -> Result<T, ApiError> {
        self.shared.write(change).ok_or_else(ApiError::not_found)
    }
}
