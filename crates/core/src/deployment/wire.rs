//! The record's JSON form: the ledger's contract with `jq`, with the older system's readers, and with later versions.
//!
//! Fields that only repeat others (`status`, `commitSha`, `appPort`, `prNumber` …) are written for readers and derived when
//! read. Unknown fields are an error of the version check, not of this module: a newer ledger is refused before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::data::Data;
use super::{Attempt, Deployment, Failure, Notice, QueueReason, RemovalReason, Serving, Stage, Status, Step, Told};
use crate::backing::Backing;
use crate::compose::own::OwnName;
use crate::ids::{BranchName, CommentId, CommitSha, DeploymentId, HostPort, ProjectSlug, RepoId, RepoName, Slot};
use crate::trust::Trust;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(skip_deserializing)]
    pr_number: u64,
    repo_name: String,
    repo_owner: String,
    repository_id: RepoId,
    #[serde(skip_deserializing)]
    project_slug: Option<ProjectSlug>,
    deployment_id: DeploymentId,
    branch: BranchName,
    #[serde(default = "of_older")]
    trust: Trust,
    #[serde(skip_deserializing)]
    commit_sha: Option<CommitSha>,
    framework: Option<String>,
    db_type: Option<String>,
    #[serde(default, rename = "extraServices", skip_serializing_if = "BTreeSet::is_empty")]
    extras: BTreeSet<Backing>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    services: BTreeSet<OwnName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    base_images: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Data::is_unknown")]
    data: Data,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    notices: BTreeSet<Notice>,
    #[serde(skip_deserializing)]
    app_port: Option<HostPort>,
    db_port: Option<HostPort>,
    subnet: Option<u32>,
    #[serde(skip_deserializing)]
    status: Option<Status>,
    created_at: Timestamp,
    updated_at: Timestamp,
    head: CommitSha,
    active_at: Timestamp,
    url: Option<String>,
    comment_id: Option<CommentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    serving: Option<Serving>,
    attempt: Option<WireAttempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removing: Option<RemovalReason>,
}

/// Before trust was written down, nothing but members' code was deployed.
fn of_older() -> Trust {
    Trust::Member
}

/// `step` says how far it is in one word; what belongs to `queued` and `failed` stands beside it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAttempt {
    commit_sha: CommitSha,
    step: WireStep,
    slot: Slot,
    app_port: Option<HostPort>,
    started_at: Timestamp,
    #[serde(default)]
    in_place: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued_for: Option<QueueReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireStep {
    Queued,
    Failed,
    Done,
    #[serde(untagged)]
    At(Step),
}

/// What a record can say that no deployment can mean.
#[derive(Debug, thiserror::Error)]
pub(super) enum Inconsistent {
    #[error("the repository's name is not valid")]
    Repo(#[from] crate::ids::InvalidId),
    #[error("an attempt is queued without a reason")]
    QueuedWithoutReason,
    #[error("an attempt failed without a failure")]
    FailedWithoutFailure,
}

impl From<Deployment> for Record {
    fn from(d: Deployment) -> Self {
        let status = d.status();
        let serving = d.serving.as_ref();
        let commit_sha = serving.map(|s| &s.commit_sha).or(d.attempt.as_ref().map(|a| &a.commit)).cloned();
        let app_port = serving.map(|s| s.app_port).or(d.attempt.as_ref().and_then(|a| a.app_port));
        Self {
            pr_number: d.number().get(),
            repo_name: d.repo.name().to_owned(),
            repo_owner: d.repo.owner().to_owned(),
            repository_id: d.repository_id,
            project_slug: Some(d.id.slug().clone()),
            deployment_id: d.id,
            branch: d.branch,
            trust: d.trust,
            commit_sha,
            framework: d.framework,
            db_type: d.db_type,
            extras: d.extras,
            services: d.services,
            base_images: d.base_images,
            data: d.data,
            notices: d.notices,
            app_port,
            db_port: d.db_port,
            subnet: d.subnet,
            status: Some(status),
            created_at: d.created_at,
            updated_at: d.updated_at,
            head: d.head,
            active_at: d.active_at,
            url: d.url,
            comment_id: d.comment_id,
            told: d.told,
            serving: d.serving,
            attempt: d.attempt.map(WireAttempt::from),
            removing: d.removing,
        }
    }
}

impl TryFrom<Record> for Deployment {
    type Error = Inconsistent;

    fn try_from(r: Record) -> Result<Self, Inconsistent> {
        let repo: RepoName = format!("{}/{}", r.repo_owner, r.repo_name).parse()?;
        Ok(Self {
            id: r.deployment_id,
            repository_id: r.repository_id,
            repo,
            branch: r.branch,
            trust: r.trust,
            framework: r.framework,
            db_type: r.db_type,
            extras: r.extras,
            services: r.services,
            base_images: r.base_images,
            data: r.data,
            notices: r.notices,
            db_port: r.db_port,
            subnet: r.subnet,
            created_at: r.created_at,
            updated_at: r.updated_at,
            head: r.head,
            active_at: r.active_at,
            url: r.url,
            comment_id: r.comment_id,
            told: r.told,
            serving: r.serving,
            attempt: r.attempt.map(Attempt::try_from).transpose()?,
            removing: r.removing,
        })
    }
}

impl From<Attempt> for WireAttempt {
    fn from(a: Attempt) -> Self {
        let (step, queued_for, failure) = match a.stage {
            Stage::Queued(reason) => (WireStep::Queued, Some(reason), None),
            Stage::Running(step) => (WireStep::At(step), None, None),
            Stage::Failed(failure) => (WireStep::Failed, None, Some(failure)),
            Stage::Done => (WireStep::Done, None, None),
        };
        Self {
            commit_sha: a.commit,
            step,
            slot: a.slot,
            app_port: a.app_port,
            started_at: a.started_at,
            in_place: a.in_place,
            queued_for,
            failure,
        }
    }
}

impl TryFrom<WireAttempt> for Attempt {
    type Error = Inconsistent;

    fn try_from(a: WireAttempt) -> Result<Self, Inconsistent> {
        let stage = match a.step {
            WireStep::Queued => Stage::Queued(a.queued_for.ok_or(Inconsistent::QueuedWithoutReason)?),
            WireStep::At(step) => Stage::Running(step),
            WireStep::Failed => Stage::Failed(a.failure.ok_or(Inconsistent::FailedWithoutFailure)?),
            WireStep::Done => Stage::Done,
        };
        Ok(Self {
            commit: a.commit_sha,
            slot: a.slot,
            app_port: a.app_port,
            started_at: a.started_at,
            stage,
            in_place: a.in_place,
        })
    }
}
