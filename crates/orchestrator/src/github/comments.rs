//! The one comment on a pull request.
//!
//! Source: <https://docs.github.com/en/rest/issues/comments>

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use preview_core::comment::carries_marker;
use preview_core::ids::{CommentId, PullKey};
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::api::Answer;
use super::pages::{PER_PAGE, Unread};
use super::rights::Right;
use super::{GitHub, wire};
use crate::needs::{self, Fault};

/// Texts remembered; beyond it all are forgotten, which costs one needless edit each.
const REMEMBERED: usize = 4096;

type Fingerprint = [u8; 32];

/// What we wrote last, so that the same is not written again.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<CommentId, Fingerprint>>);

impl Written {
    fn has(&self, id: CommentId, body: &str) -> bool {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&id).is_some_and(|known| *known == fingerprint(body))
    }

    fn remember(&self, id: CommentId, body: &str) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.insert(id, fingerprint(body));
    }
}

fn fingerprint(body: &str) -> Fingerprint {
    Sha256::digest(body).into()
}

/// What became of an edit.
enum Edit {
    Done,
    /// Somebody deleted the comment.
    Gone,
    Refused(Answer),
}

/// What became of the search for our comment.
enum Search {
    Found(CommentId),
    Nothing,
    Refused(String),
}

impl GitHub {
    pub(super) async fn write_comment(
        &self,
        key: PullKey,
        known: Option<CommentId>,
        body: &str,
    ) -> Result<needs::Written, Fault> {
        let written = self.find_and_write(key, known, body).await;
        match self.api.rights.lacks(&Right::Comment(key.repo)) {
            Some(why) if written.is_err() => Ok(needs::Written::NotPermitted(why)),
            _ => written,
        }
    }

    async fn find_and_write(
        &self,
        key: PullKey,
        known: Option<CommentId>,
        body: &str,
    ) -> Result<needs::Written, Fault> {
        self.api.rights.pass(&Right::Comment(key.repo))?;
        if let Some(written) = self.edit_if_there(key, known, body).await? {
            return Ok(written);
        }
        let found = match self.search_comment(key).await? {
            Search::Found(id) => Some(id),
            Search::Nothing => None,
            Search::Refused(reason) => return Ok(refused(key, reason)),
        };
        match self.edit_if_there(key, found, body).await? {
            Some(written) => Ok(written),
            None => self.create(key, body).await,
        }
    }

    /// `None` where there is no such comment.
    async fn edit_if_there(
        &self,
        key: PullKey,
        id: Option<CommentId>,
        body: &str,
    ) -> Result<Option<needs::Written>, Fault> {
        let Some(id) = id else { return Ok(None) };
        if self.written.has(id, body) {
            return Ok(Some(needs::Written::Comment(id)));
        }
        Ok(match self.edit(key, id, body).await? {
            Edit::Done => {
                self.written.remember(id, body);
                Some(needs::Written::Comment(id))
            }
            Edit::Gone => None,
            Edit::Refused(answer) => Some(refused(key, answer.told())),
        })
    }

    async fn edit(&self, key: PullKey, id: CommentId, body: &str) -> Result<Edit, Fault> {
        let url = self.api.repo_url(key.repo, &format!("/issues/comments/{id}"));
        let _turn = self.turn.take().await?;
        let answer = self.api.write(&Right::Comment(key.repo), Method::PATCH, url, &wire::NewComment { body }).await?;
        match answer.status.as_u16() {
            200 => Ok(Edit::Done),
            404 | 410 => Ok(Edit::Gone),
            400..500 => Ok(Edit::Refused(answer)),
            _ => Err(answer.unexpected()),
        }
    }

    async fn create(&self, key: PullKey, body: &str) -> Result<needs::Written, Fault> {
        let url = self.api.repo_url(key.repo, &format!("/issues/{}/comments", key.number));
        let _turn = self.turn.take().await?;
        let answer = self.api.write(&Right::Comment(key.repo), Method::POST, url, &wire::NewComment { body }).await?;
        match answer.status.as_u16() {
            201 => {
                let id = CommentId(answer.json::<wire::Comment>()?.id);
                self.written.remember(id, body);
                Ok(needs::Written::Comment(id))
            }
            400..500 => Ok(refused(key, answer.told())),
            _ => Err(answer.unexpected()),
        }
    }

    /// Our comment among all of the pull request's: of our own user, with our marker. Anybody can write the marker; nobody
    /// else can write as us.
    async fn search_comment(&self, key: PullKey) -> Result<Search, Fault> {
        let me = self.who_we_are().await?;
        let mut first = self.api.repo_url(key.repo, &format!("/issues/{}/comments", key.number));
        first.set_query(Some(&format!("per_page={PER_PAGE}")));
        let pages = match self.api.list::<wire::Comment>(&Right::Comment(key.repo), first, &[]).await {
            Ok(pages) => pages,
            Err(Unread::Refused(answer)) if answer.status.is_client_error() => {
                return Ok(Search::Refused(answer.told()));
            }
            Err(Unread::Endless) => return Ok(Search::Refused("there are too many comments to find ours".into())),
            Err(unread) => return Err(unread.into_fault()),
        };
        let mut comments = pages.iter().flat_map(|page| &page.items);
        let ours = comments.find(|comment| {
            let by_us = comment.user.as_ref().is_some_and(|user| user.id == me);
            by_us && comment.body.as_deref().is_some_and(|body| carries_marker(body, key))
        });
        Ok(ours.map_or(Search::Nothing, |comment| Search::Found(CommentId(comment.id))))
    }

    /// The number of our own user.
    pub(super) async fn who_we_are(&self) -> Result<u64, Fault> {
        self.me.get_or_try_init(|| self.ask_who_we_are()).await.copied()
    }

    async fn ask_who_we_are(&self) -> Result<u64, Fault> {
        let path = match self.api.app_login().await? {
            None => "/user".to_owned(),
            // Source: https://docs.github.com/en/rest/users/users#get-a-user (an App's user is found by its name alone)
            Some(login) => format!("/users/{login}"),
        };
        let answer = self.api.get(&Right::Account, self.api.url(&path)).await?;
        match answer.status.as_u16() {
            200 => Ok(answer.json::<wire::User>()?.id),
            _ => Err(answer.unexpected()),
        }
    }
}

fn refused(key: PullKey, reason: String) -> needs::Written {
    tracing::warn!(repository = key.repo.0, pull = key.number.get(), reason, "GitHub refused our comment");
    needs::Written::Refused(reason)
}
