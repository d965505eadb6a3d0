//! The commit status `preview`. It is welcome, not essential: a refusal is logged and no more, the want of a
//! right once.
//!
//! Source: <https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use preview_core::ids::{CommitSha, RepoId};
use reqwest::Method;

use super::rights::Right;
use super::{GitHub, wire};
use crate::needs::{CommitStatus, Fault};

/// The name under which it stands beside the commit.
const CONTEXT: &str = "preview";
/// Statuses remembered; beyond it all are forgotten, which costs one needless write each.
const REMEMBERED: usize = 1024;

/// What we wrote last for each commit, so that the same is not written again.
#[derive(Default)]
pub(super) struct Stated(Mutex<HashMap<(RepoId, CommitSha), CommitStatus>>);

impl Stated {
    fn has(&self, repo: RepoId, status: &CommitStatus) -> bool {
        let stated = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stated.get(&(repo, status.commit.clone())).is_some_and(|known| known == status)
    }

    fn remember(&self, repo: RepoId, status: &CommitStatus) {
        let mut stated = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stated.len() >= REMEMBERED {
            stated.clear();
        }
        stated.insert((repo, status.commit.clone()), status.clone());
    }
}

impl GitHub {
    pub(super) async fn write_status(&self, repo: RepoId, status: &CommitStatus) -> Result<(), Fault> {
        if self.stated.has(repo, status) {
            return Ok(());
        }
        let body = wire::NewStatus {
            context: CONTEXT,
            state: wire::status_word(status.state),
            description: &status.description,
            target_url: status.url.as_deref(),
        };
        let url = self.api.repo_url(repo, &format!("/statuses/{}", status.commit));
        let right = Right::Status(repo);
        let written = async {
            self.api.rights.pass(&right)?;
            let _turn = self.turn.take().await?;
            self.api.write(&right, Method::POST, url, &body).await
        };
        let answer = match written.await {
            Err(_) if self.api.rights.lacks(&right).is_some() => return Ok(()),
            answer => answer?,
        };
        match answer.status.as_u16() {
            201 => {}
            400..500 => {
                let commit = status.commit.as_str();
                tracing::warn!(repository = repo.0, commit, reason = answer.told(), "GitHub refused our commit status");
            }
            _ => return Err(answer.unexpected()),
        }
        // A refused one is remembered too: the same again would be refused again.
        self.stated.remember(repo, status);
        Ok(())
    }
}
