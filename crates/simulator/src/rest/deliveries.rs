//! What was delivered to a webhook, and delivering it again.
//!
//! Source: <https://docs.github.com/en/rest/repos/webhooks#list-deliveries-for-a-repository-webhook>

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::ApiError;
use super::paging::{Query, linked, per_page, with};
use super::target::Target;
use crate::shapes::stamp;
use crate::state::{Delivery, Outcome};

#[derive(Serialize)]
struct Item {
    id: u64,
    guid: String,
    delivered_at: String,
    redelivery: bool,
    /// Seconds.
    duration: f64,
    /// The reason phrase, in one word or two.
    status: String,
    /// 0 when nothing answered.
    status_code: u16,
    event: String,
    action: Option<String>,
    installation_id: Option<u64>,
    repository_id: u64,
}

#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    item: Item,
    url: String,
    request: Half,
    response: Half,
}

#[derive(Serialize)]
struct Half {
    headers: BTreeMap<String, String>,
    payload: Value,
}

/// Attempts that were made; what was lost on the way GitHub doesn't know of either.
fn item(delivery: &Delivery) -> Option<Item> {
    let (status, status_code, took) = match &delivery.outcome {
        Outcome::Waiting | Outcome::Lost => return None,
        Outcome::Failed { reason, took } => (reason.clone(), 0, *took),
        Outcome::Answered { status, took, .. } => {
            let words = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            (words.unwrap_or("Unknown").to_owned(), *status, *took)
        }
    };
    Some(Item {
        id: delivery.id,
        guid: delivery.guid.clone(),
        delivered_at: stamp(delivery.at),
        redelivery: delivery.redelivery,
        duration: rounded(took),
        status,
        status_code,
        event: delivery.event.clone(),
        action: delivery.action.clone(),
        installation_id: None,
        repository_id: delivery.repo.0,
    })
}

fn rounded(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}

/// The newest first; pages go by cursor, not by number.
pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let hook: u64 = target.param("id")?;
    let size = per_page(&query);
    let before = match query.get("cursor").map(|text| text.parse::<u64>()) {
        None => u64::MAX,
        Some(Ok(cursor)) => cursor,
        Some(Err(_)) => return Err(ApiError::bad_request("Invalid cursor")),
    };
    let mut items: Vec<Item> = target.read(|state, repo| {
        repo.hooks.get(&hook)?;
        let of = state.post.all.values().rev().filter(|delivery| delivery.hook == hook && delivery.id <= before);
        Some(of.filter_map(item).take(size + 1).collect())
    })?;
    let next = (items.len() > size).then(|| items.pop()).flatten();
    let links: Vec<_> = next.iter().map(|next| (with(&query, "cursor", &next.id.to_string()), "next")).collect();
    Ok(linked(Json(items).into_response(), &target.url(), &links))
}

pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    let (hook, id): (u64, u64) = (target.param("id")?, target.param("delivery")?);
    target.read(|state, _| {
        let delivery = state.post.all.get(&id).filter(|delivery| delivery.hook == hook)?;
        let response = match &delivery.outcome {
            Outcome::Answered { headers, body, .. } => {
                Half { headers: headers.iter().cloned().collect(), payload: json!(body) }
            }
            _ => Half { headers: BTreeMap::new(), payload: Value::Null },
        };
        let payload = serde_json::from_slice(&delivery.body).unwrap_or(Value::Null);
        let request = Half { headers: delivery.headers.iter().cloned().collect(), payload };
        let whole = Whole { item: item(delivery)?, url: delivery.url.clone(), request, response };
        Some(Json(whole).into_response())
    })
}

pub(super) async fn redeliver(target: Target) -> Result<Response, ApiError> {
    let (hook, id): (u64, u64) = (target.param("id")?, target.param("delivery")?);
    target.write(|state| {
        state.post.all.get(&id).filter(|delivery| delivery.hook == hook)?;
        state.redeliver(id)?;
        Some((StatusCode::ACCEPTED, Json(json!({}))).into_response())
    })
}
