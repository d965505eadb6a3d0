//! Commit statuses.
//!
//! Source: <https://docs.github.com/en/rest/commits/statuses>

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use preview_core::ids::CommitSha;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::paging::{Query, page};
use super::parse;
use super::target::Target;
use crate::shapes::{self, stamp};
use crate::state::{State, Status, StatusState};

/// Characters of a description.
const LONGEST: usize = 140;
/// Statuses of one commit in one context.
const MOST: usize = 1000;

#[derive(Deserialize)]
struct Body {
    state: StatusState,
    target_url: Option<String>,
    description: Option<String>,
    #[serde(default = "default_context")]
    context: String,
}

fn default_context() -> String {
    "default".to_owned()
}

#[derive(Serialize)]
struct Shape {
    #[serde(flatten)]
    short: ShortShape,
    creator: shapes::User,
}

/// The same as the combined answer shows it.
#[derive(Serialize)]
struct ShortShape {
    url: String,
    id: u64,
    state: StatusState,
    description: Option<String>,
    target_url: Option<String>,
    context: String,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct Combined {
    state: StatusState,
    statuses: Vec<ShortShape>,
    sha: String,
    total_count: usize,
    repository: shapes::Repository,
    commit_url: String,
    url: String,
}

fn show(state: &State, target: &Target, status: &Status) -> Option<Shape> {
    Some(Shape { short: show_short(state, target, status)?, creator: state.show_user(&status.creator) })
}

fn show_short(state: &State, target: &Target, status: &Status) -> Option<ShortShape> {
    let name = &state.repository(target.id)?.name;
    Some(ShortShape {
        url: format!("{}/repos/{name}/statuses/{}", state.urls.api, status.sha),
        id: status.id,
        state: status.state,
        description: status.description.clone(),
        target_url: status.target_url.clone(),
        context: status.context.clone(),
        created_at: stamp(status.created_at),
        updated_at: stamp(status.created_at),
    })
}

/// The commit in the path, if the repository has it.
fn commit(target: &Target) -> Result<CommitSha, ApiError> {
    let text: String = target.param("sha")?;
    let known = target.read(|_, repo| Some(text.parse().ok().filter(|sha| repo.commits.contains(sha))))?;
    known.ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {text}")))
}

fn check(body: &Body) -> Result<(), ApiError> {
    let custom = |field, message: &str| ApiError::validation("Status", field, "custom", Some(message.to_owned()));
    if body.description.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
        return Err(custom("description", "description is too long (maximum is 140 characters)"));
    }
    let address = body.target_url.as_deref().unwrap_or("http://");
    if !address.is_empty() && !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(custom("target_url", "target_url must use http(s) scheme"));
    }
    Ok(())
}

pub(super) async fn create(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let sha = commit(&target)?;
    let body: Body = parse(&body)?;
    check(&body)?;
    let same = |status: &&Status| status.sha == sha && status.context.eq_ignore_ascii_case(&body.context);
    if target.read(|_, repo| Some(repo.statuses.iter().filter(same).count()))? >= MOST {
        let message = "This SHA and context has reached the maximum number of statuses.";
        return Err(ApiError::validation("Status", "base", "custom", Some(message.to_owned())));
    }
    target.write(|state| {
        let status = Status {
            id: state.fresh_id(),
            sha,
            state: body.state,
            target_url: body.target_url,
            description: body.description,
            context: body.context,
            creator: state.bot.clone(),
            created_at: Timestamp::now(),
        };
        let answer = (StatusCode::CREATED, Json(show(state, &target, &status)?)).into_response();
        state.repositories.get_mut(&target.id)?.statuses.push(status);
        Some(answer)
    })
}

/// The newest first.
pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let sha = commit(&target)?;
    let shown = target.read(|state, repo| {
        let of = repo.statuses.iter().rev().filter(|status| status.sha == sha);
        of.map(|status| show(state, &target, status)).collect()
    })?;
    Ok(page::<Shape>(&target.url(), &query, shown))
}

/// Each context's newest, and what they come to together.
pub(super) async fn combined(target: Target) -> Result<Response, ApiError> {
    let sha = commit(&target)?;
    target.read(|state, repo| {
        let of = repo.statuses.iter().filter(|status| status.sha == sha);
        let newest: BTreeMap<String, &Status> = of.map(|s| (s.context.to_ascii_lowercase(), s)).collect();
        let states: Vec<StatusState> = newest.values().map(|status| status.state).collect();
        let shapes = newest.values().map(|status| show_short(state, &target, status));
        let url = format!("{}/repos/{}/commits/{sha}", state.urls.api, repo.name);
        let combined = Combined {
            state: together(&states),
            statuses: shapes.collect::<Option<_>>()?,
            total_count: states.len(),
            repository: state.show_repo(repo),
            url: format!("{url}/status"),
            commit_url: url,
            sha: sha.to_string(),
        };
        Some(Json(combined).into_response())
    })
}

/// Failure if any context failed, pending if any is (or there is none), else success.
fn together(states: &[StatusState]) -> StatusState {
    let any = |wanted: &[StatusState]| states.iter().any(|state| wanted.contains(state));
    if any(&[StatusState::Error, StatusState::Failure]) {
        StatusState::Failure
    } else if states.is_empty() || any(&[StatusState::Pending]) {
        StatusState::Pending
    } else {
        StatusState::Success
    }
}
