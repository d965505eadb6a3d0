//! Repositories and pull requests: what GitHub says of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use preview_core::desired::Pull;
use preview_core::ids::{PrNumber, PullKey, RepoId, RepoName};

use super::pages::{PER_PAGE, Page};
use super::rights::Right;
use super::{GitHub, wire};
use crate::needs::{Fault, PullAnswer, Repository};

type Pages = Vec<Arc<Page<wire::Pull>>>;

/// The last complete answer for each repository.
#[derive(Default)]
pub(super) struct Listed(Mutex<HashMap<RepoId, Pages>>);

impl Listed {
    fn get(&self, repo: RepoId) -> Option<Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&repo).cloned()
    }

    fn put(&self, repo: RepoId, pages: Pages) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(repo, pages);
    }
}

impl GitHub {
    pub(super) async fn find_repository(&self, name: &RepoName) -> Result<Option<Repository>, Fault> {
        let answer = self.api.get(&Right::Find(name.clone()), self.api.url(&format!("/repos/{name}"))).await?;
        match answer.status.as_u16() {
            200 => {
                let repository: wire::Repository = answer.json()?;
                Ok(Some(Repository { id: repository.id, name: repository.name()? }))
            }
            404 => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    pub(super) async fn read_pull(&self, key: PullKey) -> Result<PullAnswer, Fault> {
        let answer = self
            .api
            .get(&Right::Read(key.repo), self.api.repo_url(key.repo, &format!("/pulls/{}", key.number)))
            .await?;
        match answer.status.as_u16() {
            200 => {
                let pull = answer.json::<wire::Pull>()?.of(key.repo)?;
                if pull.number == key.number {
                    Ok(PullAnswer::Known(pull))
                } else {
                    Err(Fault::passing("GitHub answered with a pull request that was not asked for"))
                }
            }
            404 => self.confirm_absence(key.repo).await,
            _ => Err(answer.unexpected()),
        }
    }

    /// GitHub says 404 as well for what a token may not see any more; only a repository that itself answers makes it mean
    /// that the pull request is not there.
    async fn confirm_absence(&self, repo: RepoId) -> Result<PullAnswer, Fault> {
        let answer = self.api.get(&Right::Read(repo), self.api.repo_url(repo, "")).await?;
        match answer.status.as_u16() {
            200 if answer.json::<wire::Repository>()?.id == repo => Ok(PullAnswer::NotFound),
            _ => Err(answer.unexpected()),
        }
    }

    /// Oldest first: then a new pull request changes the last page alone, and the others answer 304.
    pub(super) async fn list_pulls(&self, repo: RepoId) -> Result<Vec<Pull>, Fault> {
        let before = self.listed.get(repo).unwrap_or_default();
        let mut first = self.api.repo_url(repo, "/pulls");
        first.set_query(Some(&format!("state=open&sort=created&direction=asc&per_page={PER_PAGE}")));
        let pages = self.api.list(&Right::Read(repo), first, &before).await.map_err(|unread| unread.into_fault())?;
        // One that moved up while we were reading stands on two pages; the later word counts.
        let mut pulls = BTreeMap::<PrNumber, _>::new();
        for pull in pages.iter().flat_map(|page| &page.items) {
            let pull = pull.of(repo)?;
            pulls.insert(pull.number, pull);
        }
        self.listed.put(repo, pages);
        Ok(pulls.into_values().collect())
    }
}
