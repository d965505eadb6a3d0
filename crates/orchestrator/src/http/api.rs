//! The API of previews: what there is, and what a person asks for. Output of a preview is in `logs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use preview_core::command::Hours;
use preview_core::deployment::Deployment;
use preview_core::ids::DeploymentId;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::deliveries::{Deliveries, Entry};
use super::problem::Problem;
use super::webhook::not_accepted;
use crate::audit::Report;
use crate::folders::Folders;
use crate::ledger::{Ledger, Reason};
use crate::needs::ContainerEngine;
use crate::reconcile::{Accepted, Puzzled, Reconciler};
use crate::why::{Subject, Why};

/// Deliveries that an explanation shows.
const SHOWN: usize = 10;

/// What the API needs.
pub(super) struct Api {
    pub(super) reconciler: Reconciler,
    pub(super) ledger: Ledger,
    pub(super) engine: Arc<dyn ContainerEngine>,
    pub(super) folders: Folders,
    pub(super) deliveries: Arc<Deliveries>,
    /// Places for those who follow a log.
    pub(super) followers: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
}

impl Api {
    /// The record of a preview.
    pub(super) fn record(&self, id: &DeploymentId) -> Result<Deployment, Problem> {
        self.ledger.read(|state| state.deployments.get(id).cloned()).ok_or_else(|| no_such_preview(id))
    }

    async fn command(&self, id: &DeploymentId, reason: Reason) -> Result<Response, Problem> {
        match self.reconciler.command(id, reason).await {
            Ok(Accepted::WrittenDown) => Ok((StatusCode::ACCEPTED, Json(Told { status: "accepted" })).into_response()),
            Ok(Accepted::Unknown) => Err(no_such_preview(id)),
            Err(why) => Err(not_accepted(&why)),
        }
    }
}

fn no_such_preview(id: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no preview `{id}`"))
}

/// The preview that a path names.
pub(super) struct Named(pub(super) DeploymentId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(StatusCode::NOT_FOUND, "there is no such preview"))?;
        // What can't be an id can't be a preview's.
        id.parse().map(Self).map_err(|_| Problem::new(StatusCode::NOT_FOUND, "there is no such preview"))
    }
}

#[derive(Serialize)]
pub(super) struct Previews {
    deployments: Vec<Deployment>,
}

#[derive(Serialize)]
struct Told {
    status: &'static str,
}

#[derive(Serialize)]
pub(super) struct Delivered {
    deliveries: Vec<Entry>,
}

/// `GET /api/previews`
pub(super) async fn list(State(api): State<Arc<Api>>) -> Json<Previews> {
    Json(Previews { deployments: api.ledger.read(|state| state.deployments.values().cloned().collect()) })
}

/// `GET /api/previews/{id}`
pub(super) async fn show(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Json<Deployment>, Problem> {
    api.record(&id).map(Json)
}

/// `DELETE /api/previews/{id}`
pub(super) async fn stop(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Response, Problem> {
    api.command(&id, Reason::Stop).await
}

/// `POST /api/previews/{id}/redeploy`
pub(super) async fn redeploy(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Response, Problem> {
    api.command(&id, Reason::Redeploy).await
}

/// `POST /api/previews/{id}/reset-db`
pub(super) async fn reset_database(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Response, Problem> {
    api.command(&id, Reason::ResetDatabase).await
}

/// For how long a preview is to be kept.
#[derive(Deserialize)]
pub(super) struct KeepFor {
    #[serde(rename = "for")]
    time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    kept_until: Timestamp,
}

/// `POST /api/previews/{id}/keep?for=3d`; without a time, for one more time to live.
pub(super) async fn keep(
    State(api): State<Arc<Api>>,
    Named(id): Named,
    keep: Result<Query<KeepFor>, QueryRejection>,
) -> Result<Json<Kept>, Problem> {
    let bad = |why: String| Problem::new(StatusCode::BAD_REQUEST, why);
    let Query(KeepFor { time }) = keep.map_err(|why| bad(why.body_text()))?;
    let time = time.map(|time| time.parse::<Hours>()).transpose().map_err(|why| bad(format!("for: {why}")))?;
    let kept = api.reconciler.keep(&id, time).await.map_err(|why| not_accepted(&why))?;
    kept.map(|kept_until| Json(Kept { kept_until })).ok_or_else(|| no_such_preview(&id))
}

/// `GET /api/deliveries`
pub(super) async fn deliveries(State(api): State<Arc<Api>>) -> Json<Delivered> {
    Json(Delivered { deliveries: api.deliveries.newest_first() })
}

/// Which pull request an explanation is wanted of.
#[derive(Deserialize)]
pub(super) struct Of {
    pull: String,
}

#[derive(Serialize)]
pub(super) struct Explained {
    #[serde(flatten)]
    why: Why,
    /// What arrived of it since the service started, the newest first.
    deliveries: Vec<Entry>,
}

/// `GET /api/why?pull=owner/name%2312`
pub(super) async fn why(
    State(api): State<Arc<Api>>,
    of: Result<Query<Of>, QueryRejection>,
) -> Result<Json<Explained>, Problem> {
    let Query(of) = of.map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    let subject: Subject = of
        .pull
        .parse()
        .map_err(|error: crate::why::UnknownForm| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let (key, why) = api.reconciler.why(&subject).await.map_err(|puzzled| {
        let status = match puzzled {
            Puzzled::Unknown => StatusCode::NOT_FOUND,
            Puzzled::Several(_) => StatusCode::CONFLICT,
        };
        Problem::new(status, puzzled.to_string())
    })?;
    Ok(Json(Explained { why, deliveries: api.deliveries.about(key, SHOWN) }))
}

/// `GET /api/audit`
pub(super) async fn audit(State(api): State<Arc<Api>>) -> Result<Json<Report>, Problem> {
    api.reconciler.audit().await.map(Json).map_err(|fault| {
        tracing::warn!(cause = %fault, "an audit could not be made");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "GitHub, Docker or the router can't be asked right now")
    })
}
