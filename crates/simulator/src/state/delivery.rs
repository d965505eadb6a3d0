//! Deliveries of webhooks: which hook gets which event, signed how, in which order and whether at all.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use preview_core::ids::RepoId;
use rand::RngExt;
use tokio::time::Instant;

use super::signature::{sha1_signature, sha256_signature};
use super::{Event, Hook, State, User};
use crate::payload;

/// What happens to deliveries from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deliveries {
    /// One after the other, in order.
    #[default]
    Normal,
    /// Never sent; they can still be redelivered.
    Lost,
    /// Each is sent twice, with the same GUID.
    Twice,
    /// Each is sent so much later.
    Delayed(Duration),
    /// This many are collected and then sent, the newest first.
    Reordered(usize),
    /// Collected until [`crate::GitHub::release`].
    Held,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not sent yet.
    Waiting,
    /// Never sent, because deliveries were being lost.
    Lost,
    /// The receiver answered.
    Answered {
        /// With this status.
        status: u16,
        /// And these headers.
        headers: Vec<(String, String)>,
        /// And this body, cut to 64 KiB.
        body: String,
        /// After so long.
        took: Duration,
    },
    /// It could not be reached, hung up, or took longer than GitHub waits.
    Failed {
        /// What happened.
        reason: String,
        /// After so long.
        took: Duration,
    },
}

/// One attempt to deliver an event to a hook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The attempt's number.
    pub id: u64,
    /// `X-GitHub-Delivery`: the same for all attempts of one event.
    pub guid: String,
    /// The hook.
    pub hook: u64,
    /// The repository.
    pub repo: RepoId,
    /// `pull_request`, `issue_comment` …
    pub event: String,
    /// `opened`, `created` …
    pub action: Option<String>,
    /// Whether somebody asked for it again.
    pub redelivery: bool,
    /// Where it goes.
    pub url: String,
    /// What it carries besides the body, signatures included.
    pub headers: Vec<(String, String)>,
    /// The bytes that are signed.
    pub body: Bytes,
    /// When it was made; when it was sent, once it was.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

impl Delivery {
    /// The status that the receiver answered with.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered { status, .. } => Some(status),
            _ => None,
        }
    }
}

/// What the postman does next.
pub(crate) enum Next {
    Send(Box<Delivery>),
    WaitUntil(Instant),
    Nothing,
}

/// All deliveries, and those that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Post {
    pub(crate) all: BTreeMap<u64, Delivery>,
    pub(crate) mode: Deliveries,
    /// By the moment when they are due, and then in the order in which they came.
    outbox: BTreeMap<(Instant, u64), u64>,
    held: Vec<u64>,
    queued: u64,
}

/// GitHub keeps them for three days; this is more than any test makes.
const KEPT: usize = 10_000;

impl Post {
    fn add(&mut self, delivery: Delivery) -> u64 {
        let id = delivery.id;
        self.all.insert(id, delivery);
        if self.all.len() > KEPT {
            self.all.pop_first();
        }
        id
    }

    fn queue(&mut self, id: u64, after: Duration) {
        self.queued += 1;
        self.outbox.insert((Instant::now() + after, self.queued), id);
    }

    pub(crate) fn release(&mut self) {
        for id in std::mem::take(&mut self.held) {
            self.queue(id, Duration::ZERO);
        }
    }

    pub(crate) fn next(&mut self) -> Next {
        let Some(entry) = self.outbox.first_entry() else { return Next::Nothing };
        let (due, _) = *entry.key();
        if due > Instant::now() {
            return Next::WaitUntil(due);
        }
        let id = entry.remove();
        self.all.get(&id).cloned().map_or(Next::WaitUntil(due), |delivery| Next::Send(Box::new(delivery)))
    }

    pub(crate) fn ended(&mut self, id: u64, at: Timestamp, outcome: Outcome) {
        if let Some(delivery) = self.all.get_mut(&id) {
            (delivery.at, delivery.outcome) = (at, outcome);
        }
    }

    /// The newest attempt of an event.
    pub(crate) fn by_guid(&self, guid: &str) -> Option<u64> {
        self.all.values().rev().find(|delivery| delivery.guid == guid).map(|delivery| delivery.id)
    }
}

impl State {
    /// Tells every hook of the repository that wants to know.
    pub(crate) fn announce(&mut self, repo: RepoId, sender: &User, event: Event<'_>) {
        let Some(told) = payload::write(self, repo, sender, &event) else { return };
        let hooks: Vec<Hook> =
            self.repositories.get(&repo).into_iter().flat_map(|r| r.hooks.values().cloned()).collect();
        for hook in hooks.iter().filter(|hook| hook.wants(told.event)) {
            self.deliver(repo, hook, told.event, told.action.clone(), told.body.clone());
        }
    }

    /// GitHub says hello to a new hook.
    pub(crate) fn ping(&mut self, repo: RepoId, hook: &Hook) {
        if let Some(body) = payload::ping(self, repo, hook) {
            self.deliver(repo, hook, "ping", None, body);
        }
    }

    fn deliver(&mut self, repo: RepoId, hook: &Hook, event: &str, action: Option<String>, json: Vec<u8>) {
        let body = if hook.json { json.into() } else { payload::as_form(&json) };
        let headers = self.headers(repo, hook, event, &body);
        self.post_delivery(repo, hook, event, action, headers, body);
    }

    /// Makes a delivery with exactly these headers and this body, and hands it to the post as the mode says.
    pub(crate) fn post_delivery(
        &mut self,
        repo: RepoId,
        hook: &Hook,
        event: &str,
        action: Option<String>,
        mut headers: Vec<(String, String)>,
        body: Bytes,
    ) -> String {
        let guid = fresh_guid();
        headers.push(("X-GitHub-Delivery".to_owned(), guid.clone()));
        let delivery = Delivery {
            id: self.fresh_id(),
            guid: guid.clone(),
            hook: hook.id,
            repo,
            event: event.to_owned(),
            action,
            redelivery: false,
            url: hook.url.clone(),
            headers,
            body,
            at: Timestamp::now(),
            outcome: Outcome::Waiting,
        };
        self.dispatch(delivery);
        guid
    }

    fn dispatch(&mut self, delivery: Delivery) {
        let again = (self.post.mode == Deliveries::Twice).then(|| Delivery { id: self.fresh_id(), ..delivery.clone() });
        let post = &mut self.post;
        let id = post.add(delivery);
        match post.mode {
            Deliveries::Normal | Deliveries::Twice => post.queue(id, Duration::ZERO),
            Deliveries::Delayed(by) => post.queue(id, by),
            Deliveries::Lost => post.ended(id, Timestamp::now(), Outcome::Lost),
            Deliveries::Held => post.held.push(id),
            Deliveries::Reordered(together) => {
                post.held.push(id);
                if post.held.len() >= together {
                    post.held.reverse();
                    post.release();
                }
            }
        }
        if let Some(again) = again {
            let id = post.add(again);
            post.queue(id, Duration::ZERO);
        }
    }

    /// Sends a delivery once more under its GUID, whatever the mode; `None` if there is none of this number.
    pub(crate) fn redeliver(&mut self, id: u64) -> Option<()> {
        let old = self.post.all.get(&id)?.clone();
        let again =
            Delivery { id: self.fresh_id(), redelivery: true, at: Timestamp::now(), outcome: Outcome::Waiting, ..old };
        let id = self.post.add(again);
        self.post.queue(id, Duration::ZERO);
        Some(())
    }

    /// Source: <https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers>
    fn headers(&self, repo: RepoId, hook: &Hook, event: &str, body: &[u8]) -> Vec<(String, String)> {
        let kind = if hook.json { "application/json" } else { "application/x-www-form-urlencoded" };
        let mut headers = vec![
            ("Accept", "*/*".to_owned()),
            ("Content-Type", kind.to_owned()),
            ("User-Agent", "GitHub-Hookshot/5e11a7e".to_owned()),
            ("X-GitHub-Event", event.to_owned()),
            ("X-GitHub-Hook-ID", hook.id.to_string()),
            ("X-GitHub-Hook-Installation-Target-ID", repo.to_string()),
            ("X-GitHub-Hook-Installation-Target-Type", "repository".to_owned()),
        ];
        if let Some(secret) = &hook.secret {
            headers.push(("X-Hub-Signature", sha1_signature(secret, body)));
            headers.push(("X-Hub-Signature-256", sha256_signature(secret, body)));
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn fresh_guid() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill(&mut bytes);
    let digits = hex::encode(bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
