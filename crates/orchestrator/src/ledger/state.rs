//! What the ledger holds, and its JSON form.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use preview_core::deployment::Deployment;
use preview_core::desired::SetAside;
use preview_core::ids::{
    CommentId, CommitSha, DeploymentId, HostPort, PrNumber, ProjectSlug, PullKey, RepoId, RepoName,
};
use preview_core::talk::Talk;
use serde::{Deserialize, Serialize};

use super::heard::Heard;

/// Version of the JSON form that this code writes and reads.
pub(super) const VERSION: u32 = 1;

/// A repository that was once allowed: its slug is its own for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its part of names and URLs.
    pub slug: ProjectSlug,
    /// Its name as last seen.
    pub name: RepoName,
    /// Since when we know it.
    pub since: Timestamp,
    /// Heads of the pull requests that were open when it was first listed and to which nothing happened since. `None` until
    /// that listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BTreeMap<PrNumber, CommitSha>>,
    /// The name in our settings that GitHub last led to it by, which is another than its own once it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_as: Option<RepoName>,
    /// Which of its comments we have dealt with; `None` before we first listened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
}

/// Why a pull request is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// Something about it changed that may or may not matter (edited, labelled, closed …).
    Changed,
    /// A commit was pushed, or it was opened: it is alive.
    Pushed,
    /// It was reopened.
    Reopened,
    /// A person asked for its newest commit, if that doesn't serve yet.
    Deploy,
    /// A person asked for a new deployment.
    Redeploy,
    /// A person asked for a new deployment with an empty database.
    ResetDatabase,
    /// A person asked for its removal until the next push.
    Stop,
}

impl Reason {
    /// Whether somebody wants the preview, so that its time begins anew. A push does when its commit is seen.
    pub fn shows_interest(self) -> bool {
        (Self::Reopened..=Self::ResetDatabase).contains(&self)
    }
}

/// A pull request that somebody told us to look at, written down before the answer. Later tellings fold into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The repository.
    pub repository_id: RepoId,
    /// The pull request there.
    pub number: PrNumber,
    /// The strongest reason told; a push or a command after a `Stop` takes its place.
    pub reason: Reason,
    /// The serial by which that reason was told last.
    #[serde(default)]
    pub asked: u64,
    /// The strongest reason told since, which is what is left once the other is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<Reason>,
    /// When it was first told; for a stop, when that was told last.
    pub since: Timestamp,
    /// Grows with each telling, so that whoever has dealt with it can see whether there is news.
    pub serial: u64,
}

/// A preview that the older system of the same name had: its comment is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The repository.
    pub repo: RepoName,
    /// The pull request there.
    pub number: PrNumber,
    /// The comment that it wrote.
    pub comment_id: Option<CommentId>,
}

/// Everything the ledger holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, from = "Wire", into = "Wire")]
pub struct State {
    /// Every preview.
    pub deployments: BTreeMap<DeploymentId, Deployment>,
    /// Every repository ever allowed.
    pub projects: BTreeMap<RepoId, Project>,
    /// Pull requests without a preview, for a reason worth a line.
    pub set_aside: BTreeMap<DeploymentId, SetAside>,
    /// Pull requests to be looked at.
    pub pending: BTreeMap<PullKey, Pending>,
    /// What people told us of open pull requests.
    pub talks: BTreeMap<PullKey, Talk>,
    /// Previews of the older system, until their repository is first listed.
    pub imported: Vec<Imported>,
    /// How often something was found left over, or missing, outside a deployment.
    pub repairs: u64,
}

/// The JSON form. `portAllocations` repeats the records for readers of the older system's file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    version: u32,
    deployments: BTreeMap<DeploymentId, Deployment>,
    #[serde(skip_deserializing)]
    port_allocations: BTreeMap<DeploymentId, Ports>,
    projects: BTreeMap<RepoId, Project>,
    set_aside: BTreeMap<DeploymentId, SetAside>,
    #[serde(default)]
    pending: Vec<Pending>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    talks: Vec<WireTalk>,
    #[serde(default)]
    imported: Vec<Imported>,
    #[serde(default)]
    repairs: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTalk {
    repository_id: RepoId,
    number: PrNumber,
    #[serde(flatten)]
    talk: Talk,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ports {
    app_port: Option<HostPort>,
    db_port: Option<HostPort>,
}

impl WireTalk {
    fn of(key: PullKey, talk: Talk) -> Self {
        Self { repository_id: key.repo, number: key.number, talk }
    }
}

impl From<State> for Wire {
    fn from(state: State) -> Self {
        let ports = |d: &Deployment| {
            let app_port = d.serving.as_ref().map(|s| s.app_port);
            let app_port = app_port.or(d.attempt.as_ref().and_then(|a| a.app_port));
            Ports { app_port, db_port: d.db_port }
        };
        let holders = state.deployments.iter().filter(|(_, d)| d.ports().next().is_some());
        Self {
            version: VERSION,
            port_allocations: holders.map(|(id, d)| (id.clone(), ports(d))).collect(),
            deployments: state.deployments,
            projects: state.projects,
            set_aside: state.set_aside,
            pending: state.pending.into_values().collect(),
            talks: state.talks.into_iter().map(|(key, talk)| WireTalk::of(key, talk)).collect(),
            imported: state.imported,
            repairs: state.repairs,
        }
    }
}

impl From<Wire> for State {
    fn from(wire: Wire) -> Self {
        let key = |p: &Pending| PullKey { repo: p.repository_id, number: p.number };
        Self {
            deployments: wire.deployments,
            projects: wire.projects,
            set_aside: wire.set_aside,
            pending: wire.pending.into_iter().map(|p| (key(&p), p)).collect(),
            talks: wire
                .talks
                .into_iter()
                .map(|t| (PullKey { repo: t.repository_id, number: t.number }, t.talk))
                .collect(),
            imported: wire.imported,
            repairs: wire.repairs,
        }
    }
}

impl State {
    /// The state of an older copy: what people were told since then nobody knows, so they are told again.
    pub fn restored(mut self) -> Self {
        self.deployments.values_mut().for_each(|record| record.told = None);
        self.set_aside.values_mut().for_each(|line| line.told = None);
        self
    }

    /// The project of a repository, made when it is seen for the first time.
    pub fn project(&mut self, repo: RepoId, name: &RepoName, now: Timestamp) -> &mut Project {
        if !self.projects.contains_key(&repo) {
            let slug = ProjectSlug::for_repo(name, |slug| self.projects.values().any(|p| p.slug == *slug));
            let project =
                Project { slug, name: name.clone(), since: now, baseline: None, allowed_as: None, heard: None };
            self.projects.insert(repo, project);
        }
        let project = self.projects.entry(repo);
        let project = project.or_insert_with(|| unreachable!("inserted above"));
        project.name = name.clone();
        project
    }

    /// The id that a pull request's deployment has or would have; `None` for a repository never seen.
    pub fn id_of(&self, key: PullKey) -> Option<DeploymentId> {
        self.projects.get(&key.repo).map(|project| DeploymentId::new(project.slug.clone(), key.number))
    }

    /// The pull request that a deployment id stands for.
    pub fn key_of(&self, id: &DeploymentId) -> Option<PullKey> {
        let project = self.projects.iter().find(|(_, project)| project.slug == *id.slug());
        project.map(|(repo, _)| PullKey { repo: *repo, number: id.number() })
    }

    /// Every pull request of which there is a record or a line.
    pub fn pulls(&self) -> impl Iterator<Item = PullKey> + '_ {
        let records = self.deployments.values().map(Deployment::key);
        records.chain(self.set_aside.iter().map(|(id, aside)| aside.key(id)))
    }

    /// Which commit of it somebody approved last.
    pub fn approved(&self, key: PullKey) -> Option<&CommitSha> {
        self.talks.get(&key)?.approval.as_ref().map(|approval| &approval.commit)
    }

    /// Whether there is a preview of it that nothing takes down yet: none that is going, or told to go.
    pub fn stays(&self, key: PullKey) -> bool {
        let record = self.id_of(key).and_then(|id| self.deployments.get(&id));
        let told_to_go = self.pending.get(&key).is_some_and(|pending| pending.reason == Reason::Stop);
        record.is_some_and(|record| record.removing.is_none()) && !told_to_go
    }

    /// Keeps a preview until `until`, at least: its time to live counts from when it would have to have begun. Gives when it
    /// ends now; `None` where there is no preview that could stay.
    pub fn keep(&mut self, key: PullKey, until: Timestamp, ttl: SignedDuration) -> Option<Timestamp> {
        let id = self.id_of(key).filter(|_| self.stays(key))?;
        let record = self.deployments.get_mut(&id)?;
        let from = until.checked_sub(ttl).unwrap_or(record.active_at);
        record.active_at = record.active_at.max(from);
        Some(preview_core::ttl::expires_at(record.active_at, ttl))
    }

    /// Notes that a pull request is to be looked at.
    pub fn tell(&mut self, key: PullKey, reason: Reason, now: Timestamp) {
        let (repository_id, number) = (key.repo, key.number);
        let fresh = Pending { repository_id, number, reason, asked: 0, later: None, since: now, serial: 0 };
        let pending = self.pending.entry(key).or_insert(fresh);
        pending.serial += 1;
        let lifts_stop = pending.reason == Reason::Stop && reason >= Reason::Pushed;
        if reason == Reason::Stop {
            // What was pushed before it goes with it.
            pending.since = now;
        }
        if lifts_stop || reason >= pending.reason {
            // After a stop that nobody has looked at yet it comes back, whatever head that will be seen to have stopped.
            pending.reason = if lifts_stop { reason.max(Reason::Reopened) } else { reason };
            (pending.asked, pending.later) = (pending.serial, None);
        } else {
            pending.later = pending.later.max(Some(reason));
        }
    }

    /// A command to deploy again is spent once an attempt that answers it has come to an end. What was told meanwhile stays, for
    /// its own reason; the same command, told again meanwhile, is another.
    pub fn spend(&mut self, key: PullKey, told: u64) {
        if let Some(pending) = self.pending.get_mut(&key)
            && pending.asked <= told
        {
            pending.reason = pending.later.take().unwrap_or(Reason::Changed);
            pending.asked = pending.serial;
        }
    }

    /// Takes a telling out once it has been dealt with, unless there is news. Gives whether it is out.
    pub fn dealt_with(&mut self, key: PullKey, serial: u64) -> bool {
        let same = self.pending.get(&key).is_none_or(|pending| pending.serial == serial);
        if same {
            self.pending.remove(&key);
        }
        same
    }

    /// Nothing is a baseline any more to which something happened.
    pub fn touched(&mut self, key: PullKey) {
        if let Some(baseline) = self.projects.get_mut(&key.repo).and_then(|p| p.baseline.as_mut()) {
            baseline.remove(&key.number);
        }
    }
}
