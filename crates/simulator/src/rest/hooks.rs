//! Webhooks of a repository.
//!
//! Source: <https://docs.github.com/en/rest/repos/webhooks>

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::LOCATION;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::ApiError;
use super::paging::{Query, page};
use super::parse;
use super::target::Target;
use crate::shapes::HookShape;
use crate::state::Hook;

#[derive(Deserialize)]
struct Config {
    url: Option<String>,
    content_type: Option<String>,
    secret: Option<String>,
    /// `"0"`, `"1"`, or the numbers.
    insecure_ssl: Option<Value>,
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    config: Option<Config>,
    events: Option<BTreeSet<String>>,
    active: Option<bool>,
}

#[derive(Deserialize)]
struct Update {
    config: Option<Config>,
    events: Option<BTreeSet<String>>,
    #[serde(default)]
    add_events: BTreeSet<String>,
    #[serde(default)]
    remove_events: BTreeSet<String>,
    active: Option<bool>,
}

impl Config {
    /// Replaces a hook's configuration whole: a secret that isn't given again is gone, as on GitHub.
    fn apply(self, hook: &mut Hook) -> Result<(), ApiError> {
        let url = self.url.filter(|url| !url.is_empty()).unwrap_or_else(|| hook.url.clone());
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ApiError::validation("Hook", "url", "custom", Some("url is not a valid URL".to_owned())));
        }
        hook.url = url;
        hook.json = self.content_type.as_deref() == Some("json");
        hook.secret = self.secret.filter(|secret| !secret.is_empty()).map(Bytes::from);
        hook.insecure_ssl = self.insecure_ssl.is_some_and(|value| value == "1" || value == 1);
        Ok(())
    }
}

pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let shown =
        target.read(|state, repo| Some(repo.hooks.values().map(|hook| state.show_hook(repo.id, hook)).collect()))?;
    Ok(page::<HookShape>(&target.url(), &query, shown))
}

pub(super) async fn create(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let create: Create = parse(&body)?;
    if create.name.is_some_and(|name| name != "web") {
        return Err(ApiError::validation("Hook", "name", "custom", Some("name must be 'web'".to_owned())));
    }
    let config = create.config.ok_or_else(|| ApiError::validation("Hook", "config", "missing_field", None))?;
    let now = Timestamp::now();
    let mut hook = Hook {
        id: target.shared.write_quietly(|state| state.fresh_id()),
        url: String::new(),
        secret: None,
        json: false,
        insecure_ssl: false,
        events: create.events.unwrap_or_else(|| BTreeSet::from(["push".to_owned()])),
        active: create.active.unwrap_or(true),
        created_at: now,
        updated_at: now,
    };
    config.apply(&mut hook)?;
    if target.read(|_, repo| Some(repo.hooks.values().any(|other| other.url == hook.url)))? {
        let message = "Hook already exists on this repository".to_owned();
        return Err(ApiError::validation("Hook", "base", "custom", Some(message)));
    }
    let location = format!("{}/{}", target.url(), hook.id);
    let shown = target.write(|state| state.add_hook(target.id, hook))?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown)).into_response())
}

pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    let id: u64 = target.param("id")?;
    target.read(|state, repo| Some(Json(state.show_hook(repo.id, repo.hooks.get(&id)?)).into_response()))
}

pub(super) async fn update(target: Target, body: Bytes) -> Result<Response, ApiError> {
    let id: u64 = target.param("id")?;
    let update: Update = parse(&body)?;
    let mut hook = target.read(|_, repo| repo.hooks.get(&id).cloned())?;
    if let Some(config) = update.config {
        config.apply(&mut hook)?;
    }
    hook.events = update.events.unwrap_or(hook.events);
    hook.events.extend(update.add_events);
    hook.events.retain(|event| !update.remove_events.contains(event));
    hook.active = update.active.unwrap_or(hook.active);
    hook.updated_at = Timestamp::now();
    target.write(|state| {
        let answer = Json(state.show_hook(target.id, &hook)).into_response();
        state.repositories.get_mut(&target.id)?.hooks.insert(id, hook);
        Some(answer)
    })
}

pub(super) async fn delete(target: Target) -> Result<Response, ApiError> {
    let id: u64 = target.param("id")?;
    target.write(|state| state.repositories.get_mut(&target.id)?.hooks.remove(&id))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn ping(target: Target) -> Result<Response, ApiError> {
    let id: u64 = target.param("id")?;
    target.write(|state| {
        let hook = state.repository(target.id)?.hooks.get(&id)?.clone();
        state.ping(target.id, &hook);
        Some(StatusCode::NO_CONTENT.into_response())
    })
}
