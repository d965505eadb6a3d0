//! What we know of one pull request's preview: the record that the ledger keeps.
//!
//! Two facts matter and are kept apart: *serving*, the commit that answers now, and *attempt*, the newest try to bring up
//! a commit. They differ during an update and after a failed one. What people call the status is derived from the two and
//! never stored beside them, so that no flag can disagree with the facts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::backing::Backing;
use crate::capacity::Measure;
use crate::compose::own::OwnName;
use crate::health::UsualPath;
use crate::ids::{BranchName, CommentId, CommitSha, DeploymentId, HostPort, PrNumber, PullKey, RepoId, RepoName, Slot};
use crate::trust::Trust;

pub mod data;
mod wire;

use data::Data;

/// A step of one attempt, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The commit's files are fetched.
    Checkout,
    /// `preview-config.yml` is read.
    Read,
    /// The framework is found out.
    Detect,
    /// The Compose file is written.
    Plan,
    /// The image is built, while backing services start.
    Build,
    /// The database is brought to the form that the commit expects.
    Migrate,
    /// A new database is filled.
    Seed,
    /// The idle slot's container is started.
    Start,
    /// The app is asked until it answers.
    Health,
    /// Visitors are sent to the new slot.
    Route,
    /// The old slot finishes what it has begun and goes.
    Drain,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 11] = [
        Self::Checkout,
        Self::Read,
        Self::Detect,
        Self::Plan,
        Self::Build,
        Self::Migrate,
        Self::Seed,
        Self::Start,
        Self::Health,
        Self::Route,
        Self::Drain,
    ];

    /// The step's name in the ledger and in comments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Read => "read",
            Self::Detect => "detect",
            Self::Plan => "plan",
            Self::Build => "build",
            Self::Migrate => "migrate",
            Self::Seed => "seed",
            Self::Start => "start",
            Self::Health => "health",
            Self::Route => "route",
            Self::Drain => "drain",
        }
    }
}

/// Why an attempt did not come up, in the words that its comment uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Where it stopped.
    pub step: Step,
    /// What happened, in one line.
    pub cause: String,
    /// What to try, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The last lines of the program that failed; unescaped, hostile text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
    /// Whose fault it is: decides whether it is tried again without a new commit.
    pub blame: Blame,
}

/// Whose side a failure is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The pull request's own: a failed build, an invalid file, an app that doesn't answer. Only a new commit helps.
    Author,
    /// Something unreachable or overloaded for now. The next resync tries again.
    Passing,
}

/// What people should know of the newest attempt although nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Notice {
    /// It asks for more memory or CPU than this server gives, and got what it gives.
    FewerResources,
    /// Its seed was not loaded, because the database is one that has been used.
    NotSeeded,
    /// It names no `health_check_path`, and says no at `/`.
    NothingAtRoot {
        /// With this status.
        status: u16,
        /// The usual path that answers well; without one it counts as up because it says no.
        well: Option<UsualPath>,
    },
}

/// Why an attempt waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QueueReason {
    /// As many previews as may be up are up.
    Places,
    /// As many builds as may run are running.
    Builds,
    /// The repository's own CI has not pushed its image yet.
    Image,
    /// The machine has less memory available than this preview may use.
    Memory,
    /// The disk's free space is below the floor.
    Disk,
    /// No free host port or subnet.
    Ports,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn.
    Queued(QueueReason),
    /// It is at this step.
    Running(Step),
    /// It came to an end that isn't a preview.
    Failed(Failure),
    /// It serves, or served.
    Done,
}

/// The newest try to bring up a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The commit.
    pub commit: CommitSha,
    /// Where it comes up.
    pub slot: Slot,
    /// The host port of that slot, while it holds one.
    pub app_port: Option<HostPort>,
    /// When it began, queueing included.
    pub started_at: Timestamp,
    /// How far it is.
    pub stage: Stage,
    /// Whether the old slot had to go before this one could start, for want of memory.
    pub in_place: bool,
}

/// The commit that answers now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// The commit.
    pub commit_sha: CommitSha,
    /// Where it runs.
    pub slot: Slot,
    /// The host port of that slot.
    pub app_port: HostPort,
    /// When it began to answer.
    pub since: Timestamp,
    /// Milliseconds from the attempt's beginning to its first routed answer.
    pub took_ms: u64,
    /// Whether it stopped answering by itself and Docker could not bring it back.
    #[serde(default)]
    pub down: bool,
    /// What it was stopped for, if it, or its database, had filled more of the disk by this measure than it may.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub filled: Option<Measure>,
}

/// Ledgers of before files were counted say `true`, of bytes.
fn filled<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Measure>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Whether(bool),
        By(Measure),
    }
    Ok(match Said::deserialize(value)? {
        Said::Whether(filled) => filled.then_some(Measure::Bytes),
        Said::By(measure) => Some(measure),
    })
}

/// Fingerprints of what people were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Of the comment's text.
    pub comment: String,
    /// Of the commit status.
    pub status: String,
}

/// Why a preview is being taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovalReason {
    /// The pull request was closed or merged.
    Closed,
    /// GitHub no longer knows the pull request or its repository.
    Vanished,
    /// The repository is no longer allowed.
    NotAllowed,
    /// No push within the time to live.
    Expired,
    /// A person asked for it.
    Stopped,
    /// It may not be deployed any more: it became a draft, lost its label.
    Waiting,
    /// Its newest commit is a fork's that nobody has approved.
    Unapproved,
}

/// The record of one pull request's preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "wire::Record", into = "wire::Record")]
pub struct Deployment {
    /// Key of the record.
    pub id: DeploymentId,
    /// The base repository's number: what identity hangs on.
    pub repository_id: RepoId,
    /// The base repository's name as last seen.
    pub repo: RepoName,
    /// The head branch's name, hostile text.
    pub branch: BranchName,
    /// How far its code is trusted.
    pub trust: Trust,
    /// The framework found, as people know it.
    pub framework: Option<String>,
    /// The database that runs beside it (`postgres`), if any.
    pub db_type: Option<String>,
    /// The backing services beside the database that the version which serves has.
    pub extras: BTreeSet<Backing>,
    /// The services beside the app that the version which serves has, of the repository's own Compose file.
    pub services: BTreeSet<OwnName>,
    /// What the images of the version which serves were built from: names, with the digest of each that could be told.
    pub base_images: BTreeMap<String, String>,
    /// What has been done to its database.
    pub data: Data,
    /// What people should know of the newest attempt.
    pub notices: BTreeSet<Notice>,
    /// The database's host port.
    pub db_port: Option<HostPort>,
    /// Number of the deployment's network within the configured range.
    pub subnet: Option<u32>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The newest head commit that we know of.
    pub head: CommitSha,
    /// When we first saw that head, or a reopening, or a `keep`: what the time to live counts from.
    pub active_at: Timestamp,
    /// The URL told to people.
    pub url: Option<String>,
    /// Our comment.
    pub comment_id: Option<CommentId>,
    /// What people were told last, so that a restart neither repeats it nor forgets to correct it.
    pub told: Option<Told>,
    /// What answers now.
    pub serving: Option<Serving>,
    /// The newest try.
    pub attempt: Option<Attempt>,
    /// Why it is being removed, once it is.
    pub removing: Option<RemovalReason>,
}

/// What people call the state of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for a place.
    Queued,
    /// It waits for a person, or has nothing to do yet.
    Waiting,
    /// A commit is being brought up (an older one may still answer).
    Building,
    /// It answers.
    Running,
    /// Its newest commit did not come up and nothing answers, or what answered has died.
    Failed,
    /// It is being taken down.
    Removing,
}

impl Deployment {
    /// A record for a pull request of which nothing exists yet.
    pub fn new(
        id: DeploymentId,
        repo: (RepoId, RepoName),
        branch: BranchName,
        head: CommitSha,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            repository_id: repo.0,
            repo: repo.1,
            branch,
            trust: Trust::Stranger,
            framework: None,
            db_type: None,
            extras: BTreeSet::new(),
            services: BTreeSet::new(),
            base_images: BTreeMap::new(),
            data: Data::default(),
            notices: BTreeSet::new(),
            db_port: None,
            subnet: None,
            created_at: now,
            updated_at: now,
            head,
            active_at: now,
            url: None,
            comment_id: None,
            told: None,
            serving: None,
            attempt: None,
            removing: None,
        }
    }

    /// The pull request.
    pub fn key(&self) -> PullKey {
        PullKey { repo: self.repository_id, number: self.number() }
    }

    /// The pull request's number.
    pub fn number(&self) -> PrNumber {
        self.id.number()
    }

    /// The status, derived.
    pub fn status(&self) -> Status {
        if self.removing.is_some() {
            return Status::Removing;
        }
        match (self.attempt.as_ref().map(|attempt| &attempt.stage), &self.serving) {
            (Some(Stage::Queued(_)), _) => Status::Queued,
            (Some(Stage::Running(_)), _) => Status::Building,
            (_, Some(serving)) if serving.down => Status::Failed,
            (_, Some(_)) => Status::Running,
            (Some(Stage::Failed(_)), None) => Status::Failed,
            (Some(Stage::Done) | None, None) => Status::Waiting,
        }
    }

    /// Whether it holds one of the places for previews: something of it is up, being built, or going. An attempt has its place
    /// together with its port, also while it waits for a build or for memory.
    pub fn holds_place(&self) -> bool {
        let admitted = self.attempt.as_ref().is_some_and(|attempt| attempt.app_port.is_some());
        admitted || self.serving.is_some() || self.removing.is_some()
    }

    /// Whether the newest commit answers and only an older one still has to go.
    pub fn is_draining(&self) -> bool {
        matches!(&self.attempt, Some(Attempt { stage: Stage::Running(Step::Drain), .. }))
    }

    /// Since when it stands in the queue for a place, if it does.
    pub fn queued_since(&self) -> Option<Timestamp> {
        let queued = |attempt: &&Attempt| attempt.app_port.is_none() && matches!(attempt.stage, Stage::Queued(_));
        self.attempt.as_ref().filter(queued).map(|attempt| attempt.started_at)
    }

    /// Every host port that it holds.
    pub fn ports(&self) -> impl Iterator<Item = HostPort> + '_ {
        let attempt = self.attempt.as_ref().and_then(|attempt| attempt.app_port);
        let serving = self.serving.as_ref().map(|serving| serving.app_port);
        [attempt, serving, self.db_port].into_iter().flatten()
    }

    /// The slot in which the next attempt comes up.
    pub fn idle_slot(&self) -> Slot {
        self.serving.as_ref().map_or(Slot::A, |serving| serving.slot.other())
    }
}
