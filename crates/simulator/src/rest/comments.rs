//! Comments on pull requests, which the API knows as issue comments.
//!
//! Source: <https://docs.github.com/en/rest/issues/comments>

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::LOCATION;
use jiff::Timestamp;
use preview_core::ids::CommentId;
use serde::Deserialize;

use super::ApiError;
use super::paging::{Query, page};
use super::parse;
use super::target::Target;
use crate::shapes;
use crate::state::{Comment, State};

/// GitHub's limit, in characters.
const LONGEST: usize = 65_536;

#[derive(Deserialize)]
struct Body {
    body: Option<String>,
}

/// The text that a request wants a comment to have.
fn text(request: &[u8]) -> Result<String, ApiError> {
    let body = parse::<Body>(request)?.body.unwrap_or_default();
    if body.trim().is_empty() {
        return Err(ApiError::validation("IssueComment", "body", "missing_field", None));
    }
    if body.chars().count() > LONGEST {
        let message = format!("body is too long (maximum is {LONGEST} characters)");
        return Err(ApiError::validation("IssueComment", "data", "unprocessable", Some(message)));
    }
    Ok(body)
}

fn show(state: &State, target: &Target, id: CommentId) -> Option<shapes::Comment> {
    let repo = state.repository(target.id)?;
    Some(state.show_comment(repo, repo.comments.get(&id)?))
}

/// Oldest first; `since` leaves out what was not touched since.
pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let number = target.pull()?;
    let since: Option<Timestamp> = query.get("since").and_then(|text| text.parse().ok());
    let shown = target.read(|state, repo| {
        let comments = state.comments(repo.id, number).into_iter();
        let recent = comments.filter(|comment| since.is_none_or(|since| comment.updated_at >= since));
        Some(recent.map(|comment| state.show_comment(repo, comment)).collect())
    })?;
    Ok(page::<shapes::Comment>(&target.url(), &query, shown))
}

/// Those of the whole repository; `sort` and `direction` count here alone.
pub(super) async fn list_all(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let since: Option<Timestamp> = query.get("since").and_then(|text| text.parse().ok());
    let by_update = query.get("sort").is_some_and(|by| by == "updated");
    let newest_first = query.get("direction").is_some_and(|way| way == "desc");
    let shown = target.read(|state, repo| {
        // GitHub knows whole seconds.
        let touched = |comment: &Comment| comment.updated_at.as_second();
        let recent = |comment: &&Comment| since.is_none_or(|since| touched(comment) >= since.as_second());
        let mut comments: Vec<&Comment> = repo.comments.values().filter(recent).collect();
        if by_update {
            comments.sort_by_key(|comment| touched(comment));
        }
        if newest_first {
            comments.reverse();
        }
        Some(comments.into_iter().map(|comment| state.show_comment(repo, comment)).collect())
    })?;
    Ok(page::<shapes::Comment>(&target.url(), &query, shown))
}

pub(super) async fn create(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let (number, text) = (target.pull()?, text(&body)?);
    let comment = target.write(|state| {
        let id = state.add_comment(target.id, number, state.bot.clone(), text, Timestamp::now())?;
        show(state, &target, id)
    })?;
    let location = format!("{}/{}", target.url(), comment.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(comment)).into_response())
}

pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    let id = CommentId(target.param("id")?);
    target.read(|state, _| Some(Json(show(state, &target, id)?).into_response()))
}

pub(super) async fn update(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let id = own_comment(&target)?;
    let text = text(&body)?;
    target.write(|state| {
        let sender = state.bot.clone();
        state.edit_comment(target.id, id, text, &sender)?;
        Some(Json(show(state, &target, id)?).into_response())
    })
}

pub(super) async fn delete(target: Target) -> Result<Response, ApiError> {
    let id = own_comment(&target)?;
    target.write(|state| {
        let sender = state.bot.clone();
        state.remove_comment(target.id, id, &sender)?;
        Some(StatusCode::NO_CONTENT.into_response())
    })
}

/// The comment in the path, if it is one that the token's account may change.
fn own_comment(target: &Target) -> Result<CommentId, ApiError> {
    let id = CommentId(target.param("id")?);
    let own = target.read(|state, repo| Some(repo.comments.get(&id)?.author == state.bot))?;
    if own { Ok(id) } else { Err(ApiError::forbidden("Must have admin rights to Repository.")) }
}
