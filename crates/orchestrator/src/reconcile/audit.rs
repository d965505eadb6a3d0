//! Comparing everything with everything: GitHub, ledger, Docker, router and disk. Looks only; the sweeps put right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use preview_core::deployment::{Deployment, Stage};
use preview_core::desired::{Desired, Pull};
use preview_core::ids::{CommitSha, DeploymentId, HostPort, PullKey, Slot};
use serde::{Serialize, Serializer};

use super::Reconciler;
use super::perform::routes;
use crate::needs::{EngineView, Fault, Part};

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// What doesn't belong, or is missing.
    pub findings: Vec<Finding>,
    /// Deployments that are being worked on: what is found of them may be gone in a moment, so it is not told.
    pub in_progress: Vec<DeploymentId>,
    /// Deployments looked at.
    pub deployments: usize,
    /// How often a sweep had to put something right, ever.
    pub repairs: u64,
}

/// Something that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub deployment: DeploymentId,
    /// What.
    pub what: What,
}

impl Serialize for Finding {
    /// For scripts the parts, and for people beside them the sentence.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            deployment: &'a DeploymentId,
            #[serde(flatten)]
            what: &'a What,
            message: String,
        }
        Wire { deployment: &self.deployment, what: &self.what, message: self.to_string() }.serialize(serializer)
    }
}

/// What isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "of", rename_all = "camelCase")]
pub enum What {
    /// There, although nothing needs it.
    Leftover(Thing),
    /// Not there, although it is needed.
    Missing(Thing),
    /// Visitors are sent somewhere else than the ledger says.
    WrongRoute,
    /// GitHub wants this commit, and neither is it up nor did it fail.
    NotUp(CommitSha),
    /// There is a preview, although GitHub wants none.
    NotWanted,
}

/// A thing that previews are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Thing {
    /// A container of the app, in this slot.
    App(Slot),
    /// The database's container.
    Database,
    /// Another container.
    Container,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// An image.
    Image,
    /// A folder on the disk.
    Folder,
    /// A route.
    Route,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(slot) => write!(f, "the app's container in slot {slot}"),
            Self::Database => f.write_str("the database's container"),
            Self::Container => f.write_str("a container"),
            Self::Volume => f.write_str("a volume"),
            Self::Network => f.write_str("a network"),
            Self::Image => f.write_str("an image"),
            Self::Folder => f.write_str("a folder"),
            Self::Route => f.write_str("a route"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.deployment;
        match &self.what {
            What::Leftover(thing) => write!(f, "{id}: {thing} is left over"),
            What::Missing(thing) => write!(f, "{id}: {thing} is missing"),
            What::WrongRoute => write!(f, "{id}: visitors are sent to another port than the ledger says"),
            What::NotUp(commit) => write!(f, "{id}: commit {} should be up", commit.short()),
            What::NotWanted => write!(f, "{id}: there is a preview, but GitHub wants none"),
        }
    }
}

/// Everything that there is of one deployment.
#[derive(Default)]
struct Seen {
    engine: EngineView,
    route: Option<HostPort>,
    folder: bool,
}

impl Reconciler {
    /// Compares GitHub, ledger, Docker, router and disk.
    pub async fn audit(&self) -> Result<Audit, Fault> {
        let mut seen: BTreeMap<DeploymentId, Seen> = BTreeMap::new();
        for (id, view) in self.inner.out.engine.observe_all().await? {
            seen.entry(id).or_default().engine = view;
        }
        for route in &self.inner.out.router.observe().await? {
            seen.entry(route.deployment).or_default().route = Some(route.port);
        }
        let folders = self.inner.folders.list();
        let folders =
            folders.map_err(|error| Fault::passing(format!("the previews' folders can't be listed: {error}")))?;
        folders.into_iter().for_each(|id| seen.entry(id).or_default().folder = true);

        let wanted = self.wanted().await?;
        let (records, table, repairs) = self.inner.ledger.read(|state| {
            state.deployments.keys().for_each(|id| _ = seen.entry(id.clone()).or_default());
            (state.deployments.clone(), routes(state), state.repairs)
        });
        wanted.keys().for_each(|id| _ = seen.entry(id.clone()).or_default());
        let busy = self.busy(seen.keys());
        let mut findings = Vec::new();
        for (id, seen) in seen.iter().filter(|(id, _)| !busy.contains(*id)) {
            let record = records.get(id);
            let mut found = match record {
                None => leftovers(seen),
                Some(record) => compared(record, seen, table.get(id)),
            };
            found.extend(against_github(record, wanted.get(id)));
            findings.extend(found.into_iter().map(|what| Finding { deployment: id.clone(), what }));
        }
        Ok(Audit { findings, in_progress: busy.into_iter().collect(), deployments: records.len(), repairs })
    }

    /// What GitHub wants of every open pull request of the allowed repositories.
    async fn wanted(&self) -> Result<BTreeMap<DeploymentId, Desired>, Fault> {
        let repos: Vec<_> = self.allowed().values().copied().collect();
        let mut wanted = BTreeMap::new();
        for repo in repos {
            let pulls = self.inner.out.forge.open_pulls(repo).await?;
            let keyed = pulls.iter().map(|pull| (PullKey { repo, number: pull.number }, pull));
            wanted.extend(keyed.filter_map(|(key, pull)| self.desired_now(key, pull)));
        }
        Ok(wanted)
    }

    fn desired_now(&self, key: PullKey, pull: &Pull) -> Option<(DeploymentId, Desired)> {
        let too_old = self.too_old(key);
        self.inner.ledger.read(|state| {
            let id = state.id_of(key)?;
            let desired = self.apply_rules(state, &id, key, pull, too_old);
            Some((id, desired))
        })
    }

    /// Those whose worker lives, or who wait to be looked at.
    fn busy<'a>(&self, ids: impl Iterator<Item = &'a DeploymentId>) -> BTreeSet<DeploymentId> {
        self.inner.ledger.read(|state| {
            let busy = ids.filter(|id| {
                let key = state.key_of(id);
                key.is_some_and(|key| self.inner.workers.works_for(key) || state.pending.contains_key(&key))
            });
            busy.cloned().collect()
        })
    }
}

/// Without a record, everything is left over.
fn leftovers(seen: &Seen) -> Vec<What> {
    let mut found: Vec<Thing> = seen.engine.containers.iter().map(|container| thing(container.part)).collect();
    found.extend(seen.engine.volumes.iter().map(|_| Thing::Volume));
    found.extend(seen.engine.networks.iter().map(|_| Thing::Network));
    found.extend(seen.engine.images.iter().map(|_| Thing::Image));
    found.extend(seen.folder.then_some(Thing::Folder));
    found.extend(seen.route.map(|_| Thing::Route));
    found.into_iter().map(What::Leftover).collect()
}

fn thing(part: Part) -> Thing {
    match part {
        Part::App(slot) => Thing::App(slot),
        Part::Database => Thing::Database,
        Part::Other => Thing::Container,
    }
}

fn compared(record: &Deployment, seen: &Seen, route: Option<HostPort>) -> Vec<What> {
    let Some(serving) = &record.serving else {
        // A failed or queued attempt holds nothing but its folder.
        return leftovers(&Seen { engine: seen.engine.clone(), route: seen.route, folder: false });
    };
    let mut found = Vec::new();
    let mut needed = vec![Part::App(serving.slot)];
    needed.extend(record.db_type.as_ref().map(|_| Part::Database));
    let missing = needed.iter().filter(|part| seen.engine.part(**part).is_none());
    found.extend(missing.map(|part| What::Missing(thing(*part))));
    let extra = seen.engine.containers.iter().filter(|container| !needed.contains(&container.part));
    found.extend(extra.map(|container| What::Leftover(thing(container.part))));
    let images = seen.engine.images.iter().filter(|commit| **commit != serving.commit_sha);
    found.extend(images.map(|_| What::Leftover(Thing::Image)));
    found.extend((!seen.folder).then_some(What::Missing(Thing::Folder)));
    match seen.route {
        None => found.push(What::Missing(Thing::Route)),
        Some(_) if seen.route != route => found.push(What::WrongRoute),
        Some(_) => {}
    }
    found
}

fn against_github(record: Option<&Deployment>, wanted: Option<&Desired>) -> Option<What> {
    match (record, wanted) {
        (record, Some(Desired::Commit(commit))) => {
            let serves = record.and_then(|r| r.serving.as_ref()).is_some_and(|serving| serving.commit_sha == *commit);
            let attempt = record.and_then(|r| r.attempt.as_ref()).filter(|attempt| attempt.commit == *commit);
            let told = attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Failed(_) | Stage::Queued(_)));
            (!serves && !told).then(|| What::NotUp(commit.clone()))
        }
        (Some(_), _) => Some(What::NotWanted),
        (None, _) => None,
    }
}
