//! Pull requests: listed and one by one.

use axum::Json;
use axum::extract::Query as Extract;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use super::paging::{Query, page};
use super::target::Target;
use crate::state::{PullRequest, State};

/// Source: <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests>
pub(super) async fn list(target: Target, Extract(query): Extract<Query>) -> Result<Response, ApiError> {
    let value = |name: &str| query.get(name).map(String::as_str);
    let state_wanted = value("state").unwrap_or("open");
    if !["open", "closed", "all"].contains(&state_wanted) {
        return Err(ApiError::validation("PullRequest", "state", "invalid", None));
    }
    let shown = target.read(|state, repo| {
        let wanted = |pull: &&PullRequest| {
            let in_state = state_wanted == "all" || (state_wanted == "open") == pull.is_open();
            let from_head = value("head").is_none_or(|head| head == head_label(state, pull));
            in_state && from_head && value("base").is_none_or(|base| base == pull.base_branch)
        };
        let mut pulls: Vec<&PullRequest> = repo.pulls.values().filter(wanted).collect();
        let by_update = value("sort") == Some("updated");
        pulls.sort_by_key(|pull| (if by_update { pull.updated_at } else { pull.created_at }, pull.number));
        // "desc when sort is created or sort is not specified, otherwise asc"
        let newest_first = value("direction").map_or(!by_update, |direction| direction == "desc");
        if newest_first {
            pulls.reverse();
        }
        Some(pulls.into_iter().map(|pull| state.show_listed_pull(repo, pull)).collect())
    })?;
    Ok(page::<crate::shapes::Pull>(&target.url(), &query, shown))
}

fn head_label(state: &State, pull: &PullRequest) -> String {
    let owner = state.repository(pull.head.repo).map_or("unknown", |repo| repo.name.owner());
    format!("{owner}:{}", pull.head.branch)
}

/// Source: <https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request>
pub(super) async fn get(target: Target) -> Result<Response, ApiError> {
    let number = target.pull()?;
    target.read(|state, repo| Some(Json(state.show_pull(repo, repo.pulls.get(&number)?)).into_response()))
}
