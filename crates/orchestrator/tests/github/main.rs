//! The client of GitHub: against a server that misbehaves as GitHub, proxies and networks do (`server`), and against the
//! model of GitHub that knows its rules (`simulated`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use preview_core::comment::marker;
use preview_core::desired::Pull;
use preview_core::ids::{CommentId, CommitSha, PrNumber, PullKey, RepoId};
use preview_orchestrator::github::{BadSettings, Budget, Credentials, ForgeHealth, GitHub, GitHubSettings, Pace};
use preview_orchestrator::ledger::Mark;
use preview_orchestrator::needs::{
    CommitStatus, Fault, Forge, Person, PullAnswer, Remark, Repository, StatusState, Written,
};
use serde_json::{Value, json as value};

mod app;
mod comments;
mod limits;
mod lists;
mod people;
mod pulls;
mod requests;
mod rights;
mod server;
mod simulated;
mod statuses;

use server::{Seen, Server, json, text};

const TOKEN: &str = "github_pat_11AAAA0000canary";
const SHA: &str = "a5e1d0c2b3f4958677889900aabbccddeeff0011";
const REPO: RepoId = RepoId(7);
/// Without a pause of our own.
const AT_ONCE: Pace = Pace { between_writes: Duration::ZERO, ..Pace::ENTERPRISE };

fn settings(api_url: &str) -> GitHubSettings {
    GitHubSettings { api_url: api_url.to_owned(), credentials: Credentials::Token(TOKEN.into()), pace: AT_ONCE }
}

fn client(server: &Server) -> GitHub {
    GitHub::new(settings(&server.url)).unwrap()
}

fn key(number: u64) -> PullKey {
    PullKey { repo: REPO, number: PrNumber::new(number).unwrap() }
}

fn pull(number: u64) -> Value {
    value!({
        "number": number, "state": "open", "draft": false, "title": "ignored", "body": null,
        "user": {"login": "octocat", "id": 1, "type": "User"}, "labels": [],
        "created_at": "2026-01-29T10:00:00Z",
        "head": {"sha": SHA, "ref": "feature", "repo": {"id": 7, "full_name": "org/app"}},
        "base": {"sha": SHA, "ref": "main", "repo": {"id": 7, "full_name": "org/app"}},
    })
}
