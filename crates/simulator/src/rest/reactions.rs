//! Reactions to comments.
//!
//! Source: <https://docs.github.com/en/rest/reactions/reactions>

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use preview_core::ids::CommentId;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::paging::{Query, page};
use super::parse;
use super::target::Target;
use crate::shapes::{self, stamp};
use crate::state::{Reaction, State};

const KNOWN: [&str; 8] = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

#[derive(Deserialize)]
struct Body {
    content: String,
}

#[derive(Serialize)]
struct Shape {
    id: u64,
    user: shapes::User,
    content: String,
    created_at: String,
}

fn show(state: &State, reaction: &Reaction) -> Shape {
    Shape {
        id: reaction.id,
        user: state.show_user(&reaction.user),
        content: reaction.content.clone(),
        created_at: stamp(reaction.created_at),
    }
}

fn comment(target: &Target) -> Result<CommentId, ApiError> {
    let id = CommentId(target.param("id")?);
    target.read(|_, repo| repo.comments.contains_key(&id).then_some(id))
}

pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let id = comment(&target)?;
    let wanted = query.get("content");
    let shown = target.read(|state, repo| {
        let of = |reaction: &&Reaction| reaction.comment == id && wanted.is_none_or(|kind| *kind == reaction.content);
        Some(repo.reactions.iter().filter(of).map(|reaction| show(state, reaction)).collect())
    })?;
    Ok(page::<Shape>(&target.url(), &query, shown))
}

/// 201 for a new one, 200 for one that was there.
pub(super) async fn create(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let id = comment(&target)?;
    let content = parse::<Body>(&body)?.content;
    if !KNOWN.contains(&content.as_str()) {
        return Err(ApiError::validation("Reaction", "content", "invalid", None));
    }
    target.write(|state| {
        let same = |r: &&Reaction| r.comment == id && r.user == state.bot && r.content == content;
        if let Some(there) = state.repository(target.id)?.reactions.iter().find(same) {
            return Some((StatusCode::OK, Json(show(state, there))).into_response());
        }
        let (user, created_at) = (state.bot.clone(), Timestamp::now());
        let reaction = Reaction { id: state.fresh_id(), comment: id, user, content, created_at };
        let answer = (StatusCode::CREATED, Json(show(state, &reaction))).into_response();
        state.repositories.get_mut(&target.id)?.reactions.push(reaction);
        Some(answer)
    })
}
