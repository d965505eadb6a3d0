//! What people say in comments, whether they may, and our marks beneath.
//!
//! Sources: <https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository>,
//! <https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user>,
//! <https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use preview_core::ids::{CommentId, RepoId};
use reqwest::Method;

use super::pages::{PER_PAGE, Page};
use super::rights::Right;
use super::{GitHub, wire};
use crate::ledger::Mark;
use crate::needs::{Fault, Person, Remarks};

/// Pages that are read at a time: what is newer is found by the next question.
const PAGES: usize = 10;

type Pages = Vec<Arc<Page<wire::Remark>>>;

/// The last answer for each repository: while nobody says anything, GitHub answers 304, which costs nothing.
#[derive(Default)]
pub(super) struct Said(Mutex<HashMap<RepoId, Pages>>);

impl Said {
    fn get(&self, repo: RepoId) -> Pages {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&repo).cloned().unwrap_or_default()
    }

    fn put(&self, repo: RepoId, pages: Pages) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(repo, pages);
    }
}

impl GitHub {
    pub(super) async fn list_remarks(&self, repo: RepoId, since: Option<Timestamp>) -> Result<Remarks, Fault> {
        let me = self.who_we_are().await?;
        let mut first = self.api.repo_url(repo, "/issues/comments");
        let (query, most) = match since {
            Some(since) => {
                let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
                (format!("sort=updated&direction=asc&since={since}&per_page={PER_PAGE}"), PAGES)
            }
            None => ("sort=updated&direction=desc&per_page=1".to_owned(), 1),
        };
        first.set_query(Some(&query));
        let pages = self.api.first_pages(&Right::Read(repo), first, &self.said.get(repo), most).await;
        let pages: Pages = pages.map_err(|unread| unread.into_fault())?;
        let all = pages.iter().flat_map(|page| &page.items);
        let newest = all.clone().map(wire::Remark::touched_at).max();
        let on_pulls = all.filter_map(|remark| remark.of(me)).collect();
        self.said.put(repo, pages);
        Ok(Remarks { on_pulls, newest })
    }

    /// Somebody whom the repository doesn't know may not; that GitHub can't be asked is a fault.
    pub(super) async fn ask_permission(&self, repo: RepoId, person: &Person) -> Result<bool, Fault> {
        let url = self.api.repo_url(repo, &format!("/collaborators/{}/permission", person.login));
        let answer = self.api.get(&Right::Permissions(repo), url).await?;
        match answer.status.as_u16() {
            200 => Ok(answer.json::<wire::Permission>()?.lets_push(person)),
            404 => Ok(false),
            _ => Err(answer.unexpected()),
        }
    }

    /// The same mark again is no second one.
    pub(super) async fn react(&self, repo: RepoId, comment: CommentId, mark: Mark) -> Result<(), Fault> {
        let url = self.api.repo_url(repo, &format!("/issues/comments/{comment}/reactions"));
        let right = Right::Comment(repo);
        self.api.rights.pass(&right)?;
        let _turn = self.turn.take().await?;
        let answer = self.api.write(&right, Method::POST, url, &wire::NewReaction { content: word(mark) }).await?;
        match answer.status.as_u16() {
            200 | 201 => Ok(()),
            400..500 => {
                tracing::debug!(%repo, %comment, reason = answer.told(), "GitHub refused our mark");
                Ok(())
            }
            _ => Err(answer.unexpected()),
        }
    }
}

fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Done => "+1",
        Mark::Look => "eyes",
        Mark::Refused => "-1",
        Mark::Puzzled => "confused",
    }
}
