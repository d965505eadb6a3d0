//! The older system's ledger, which has no version: what of it is worth taking over.
//!
//! Its containers carry no labels of ours, so they are never touched; its comments are edited on, so that a pull request
//! keeps one comment.

use preview_core::ids::{CommentId, PrNumber, RepoName};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::state::{Imported, State};

#[derive(Deserialize)]
struct OlderFile {
    deployments: BTreeMap<String, OlderRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OlderRecord {
    pr_number: u64,
    repo_name: String,
    repo_owner: String,
    comment_id: Option<u64>,
}

/// Reads the older file. Records that name no valid repository or number are dropped with a warning.
pub(super) fn import(text: &[u8]) -> Result<State, serde_json::Error> {
    let file: OlderFile = serde_json::from_slice(text)?;
    let mut state = State::default();
    for (id, record) in file.deployments {
        match (
            format!("{}/{}", record.repo_owner, record.repo_name).parse::<RepoName>(),
            PrNumber::new(record.pr_number),
        ) {
            (Ok(repo), Some(number)) => {
                state.imported.push(Imported { repo, number, comment_id: record.comment_id.map(CommentId) });
            }
            _ => tracing::warn!(record = ?id, "left out a record of the older ledger: it names no pull request"),
        }
    }
    Ok(state)
}
