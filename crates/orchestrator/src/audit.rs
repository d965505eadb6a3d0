//! Whether all sides agree: GitHub, the ledger, the engine, the router and the disk.
//!
//! [`compare`] is a function of what each side says and nothing else. It mends nothing: whatever it finds that no worker
//! is busy with is a bug of ours or somebody else's hand, and either way worth a person's look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use preview_core::backing::Backing;
use preview_core::compose::own::OwnName;
use preview_core::compose::{KeptBy, Task, kept_by};
use preview_core::deployment::{Deployment, RemovalReason, Serving, Stage, Step};
use preview_core::desired::Desired;
use preview_core::ids::{CommitSha, DeploymentId, HostPort, Slot};
use preview_core::route::RouteTable;
use serde::{Deserialize, Serialize};

use crate::ledger::State;
use crate::needs::{EngineView, Part};

/// What each side says at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// What should be of every pull request that is open or that the ledger has a line of: GitHub's word, through the rules.
    pub desired: BTreeMap<DeploymentId, Desired>,
    /// The ledger.
    pub ledger: State,
    /// The engine.
    pub engine: BTreeMap<DeploymentId, EngineView>,
    /// The router.
    pub routes: RouteTable,
    /// The disk.
    pub folders: BTreeSet<DeploymentId>,
    /// Deployments that a worker is busy with: what is found of them is on its way to being right.
    pub under_way: BTreeSet<DeploymentId>,
}

/// A thing that a deployment has on one of the sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Thing {
    /// A slot's container.
    App(Slot),
    /// The database's container.
    Database,
    /// The container of a backing service beside the database.
    Extra(Backing),
    /// The container of a service beside the app.
    Service(OwnName),
    /// A container that has no role.
    OtherContainer,
    /// A one-off container.
    Task(Task),
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A commit's image.
    Image(CommitSha),
    /// The folder.
    Folder,
    /// The route, and where it leads.
    Route(HostPort),
    /// A host port that the ledger holds for it.
    Port(HostPort),
    /// A line in the ledger of what is set aside.
    Line,
}

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Problem {
    /// There although nothing should be.
    Leftover {
        /// What.
        what: Thing,
    },
    /// Not there although it should be.
    Missing {
        /// What.
        what: Thing,
    },
    /// Visitors are sent elsewhere than to the version that serves.
    StaleRoute {
        /// Where the router sends them.
        leads_to: HostPort,
        /// Where it should.
        should: HostPort,
    },
    /// Another commit than it should be.
    WrongCommit {
        /// What there is.
        has: CommitSha,
        /// What should be.
        wanted: CommitSha,
    },
    /// Open, to be deployed, and the ledger knows nothing of it.
    NotDeployed {
        /// The commit.
        wanted: CommitSha,
    },
    /// Should have been removed.
    NotRemoved {
        /// For this reason; `None` when it should never have been made.
        reason: Option<RemovalReason>,
    },
    /// Should be on its way, and nobody is busy with it.
    Stuck {
        /// The step at which it stopped; `None` while it waits or is being removed.
        step: Option<Step>,
    },
    /// A host port that another deployment holds too.
    SharedPort {
        /// The port.
        port: HostPort,
        /// The other.
        with: DeploymentId,
    },
}

/// Something that is not as it should be, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Of what.
    pub deployment: DeploymentId,
    /// What.
    #[serde(flatten)]
    pub problem: Problem,
    /// The same in one line for people.
    pub line: String,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// Deployments that are being worked on, and of which nothing can be said yet.
    pub in_progress: Vec<DeploymentId>,
    /// Previews in the ledger.
    pub deployments: usize,
    /// How often something has been put right that should not have been wrong.
    pub repairs: u64,
}

impl Report {
    /// Whether all sides agree.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One line each; `0 leftovers` when all agrees.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.len() {
            0 => write!(f, "0 leftovers")?,
            1 => write!(f, "1 thing is not as it should be")?,
            many => write!(f, "{many} things are not as they should be")?,
        }
        for finding in &self.findings {
            write!(f, "\n  {}", finding.line)?;
        }
        Ok(())
    }
}

/// Compares what the sides say.
pub fn compare(sides: &Sides) -> Report {
    let ledger = &sides.ledger;
    let routed = sides.routes.iter().map(|route| route.deployment);
    let known = ledger.deployments.keys().chain(ledger.set_aside.keys()).chain(sides.desired.keys());
    let seen = sides.engine.keys().chain(&sides.folders);
    let all: BTreeSet<DeploymentId> = known.chain(seen).cloned().chain(routed).collect();
    let mut findings = Vec::new();
    for id in all.iter().filter(|id| !sides.under_way.contains(*id)) {
        let mut problems = match ledger.deployments.get(id) {
            Some(record) => of_record(record, sides),
            None => without_record(id, sides),
        };
        problems.extend(lines(id, sides));
        findings.extend(problems.into_iter().map(|problem| Finding::new(id, problem)));
    }
    Report {
        findings,
        in_progress: sides.under_way.iter().cloned().collect(),
        deployments: ledger.deployments.len(),
        repairs: ledger.repairs,
    }
}

fn without_record(id: &DeploymentId, sides: &Sides) -> Vec<Problem> {
    let mut problems = leftovers(id, sides, &Kept { folder: false, ..Kept::default() });
    if let Some(Desired::Commit(wanted)) = sides.desired.get(id) {
        problems.push(Problem::NotDeployed { wanted: wanted.clone() });
    }
    problems
}

/// A line of what is set aside stands for a pull request that is open and is to have no preview.
fn lines(id: &DeploymentId, sides: &Sides) -> Option<Problem> {
    let line = sides.ledger.set_aside.contains_key(id);
    let wanted = sides.desired.get(id).and_then(Desired::set_aside).is_some();
    (line && !wanted).then_some(Problem::Leftover { what: Thing::Line })
}

fn of_record(record: &Deployment, sides: &Sides) -> Vec<Problem> {
    let mut problems = shared_ports(record, &sides.ledger);
    let wanted = match sides.desired.get(&record.id) {
        Some(Desired::Commit(wanted)) => wanted,
        other => {
            let reason = record.removing.or(other.and_then(Desired::removal));
            problems.push(Problem::NotRemoved { reason });
            return problems;
        }
    };
    if let Some(step) = stuck(record) {
        problems.push(Problem::Stuck { step });
        return problems;
    }
    let served = record.serving.as_ref().map(|serving| &serving.commit_sha);
    let tried = record.attempt.as_ref().map(|attempt| &attempt.commit);
    match tried.or(served) {
        Some(has) if has != wanted => {
            problems.push(Problem::WrongCommit { has: has.clone(), wanted: wanted.clone() });
        }
        Some(_) => {}
        None => problems.push(Problem::NotDeployed { wanted: wanted.clone() }),
    }
    let kept = Kept::of(record);
    problems.extend(missing(record, sides));
    problems.extend(leftovers(&record.id, sides, &kept));
    let held = record.ports().filter(|port| !kept.ports.contains(port));
    problems.extend(held.map(|port| Problem::Leftover { what: Thing::Port(port) }));
    problems
}

/// Whether a record that nobody is busy with says that it is on its way.
fn stuck(record: &Deployment) -> Option<Option<Step>> {
    match record.attempt.as_ref().map(|attempt| &attempt.stage) {
        _ if record.removing.is_some() => Some(None),
        Some(Stage::Queued(_)) => Some(None),
        Some(Stage::Running(step)) => Some(Some(*step)),
        Some(Stage::Failed(_) | Stage::Done) | None => None,
    }
}

/// What a record may have while nothing is under way.
#[derive(Default)]
struct Kept<'a> {
    serving: Option<&'a Serving>,
    /// Which database, as the ledger calls it.
    database: Option<&'a str>,
    extras: BTreeSet<Backing>,
    services: BTreeSet<OwnName>,
    folder: bool,
    ports: BTreeSet<HostPort>,
}

impl<'a> Kept<'a> {
    fn of(record: &'a Deployment) -> Self {
        let serving = record.serving.as_ref();
        let ports = serving.map(|serving| serving.app_port).into_iter();
        let database = serving.and(record.db_type.as_deref());
        let ports = ports.chain(record.db_port.filter(|_| database.is_some())).collect();
        let extras = serving.map(|_| record.extras.clone()).unwrap_or_default();
        let services = serving.map(|_| record.services.clone()).unwrap_or_default();
        Self { serving, database, extras, services, folder: true, ports }
    }
}

fn missing(record: &Deployment, sides: &Sides) -> Vec<Problem> {
    let id = &record.id;
    let mut missing = Vec::new();
    // A folder that is missing is made anew by the next attempt; a database's password, which lay in it, its container knows.
    let nothing = EngineView::default();
    let view = sides.engine.get(id).unwrap_or(&nothing);
    if let Some(serving) = &record.serving {
        if view.part(Part::App(serving.slot)).is_none() {
            missing.push(Thing::App(serving.slot));
        }
        if record.db_type.is_some() && view.part(Part::Database).is_none() {
            missing.push(Thing::Database);
        }
        let extras = record.extras.iter().filter(|extra| view.part(Part::Extra(**extra)).is_none());
        missing.extend(extras.map(|extra| Thing::Extra(*extra)));
        let services = record.services.iter().filter(|name| view.part(Part::Own(**name)).is_none());
        missing.extend(services.map(|name| Thing::Service(*name)));
        if sides.routes.get(id).is_none() {
            missing.push(Thing::Route(serving.app_port));
        }
    }
    missing.into_iter().map(|what| Problem::Missing { what }).collect()
}

fn leftovers(id: &DeploymentId, sides: &Sides, kept: &Kept<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut left = |what| problems.push(Problem::Leftover { what });
    let nothing = EngineView::default();
    let view = sides.engine.get(id).unwrap_or(&nothing);
    let (up, slot) = (kept.serving.is_some(), kept.serving.map(|serving| serving.slot));
    for container in &view.containers {
        match container.part {
            Part::App(part) if Some(part) != slot => left(Thing::App(part)),
            Part::Database if kept.database.is_none() => left(Thing::Database),
            Part::Extra(extra) if !kept.extras.contains(&extra) => left(Thing::Extra(extra)),
            Part::Own(name) if !kept.services.contains(&name) => left(Thing::Service(name)),
            Part::Other => left(Thing::OtherContainer),
            Part::Task(task) => left(Thing::Task(task)),
            Part::App(_) | Part::Database | Part::Extra(_) | Part::Own(_) => {}
        }
    }
    let stays = |volume: &String| match kept_by(id, volume) {
        KeptBy::Database(database) => kept.database == Some(database.as_str()),
        KeptBy::Extra(extra) => kept.extras.contains(&extra),
        // As long as the preview.
        KeptBy::Own => up,
        KeptBy::Nobody => false,
    };
    if !view.volumes.iter().all(stays) {
        left(Thing::Volume);
    }
    if !view.networks.is_empty() && !up {
        left(Thing::Network);
    }
    let commit = kept.serving.map(|serving| &serving.commit_sha);
    view.images.iter().filter(|image| Some(*image) != commit).for_each(|image| left(Thing::Image(image.clone())));
    if sides.folders.contains(id) && !kept.folder {
        left(Thing::Folder);
    }
    match (sides.routes.get(id), kept.serving) {
        (Some(leads_to), None) => left(Thing::Route(leads_to)),
        (Some(leads_to), Some(serving)) if leads_to != serving.app_port => {
            problems.push(Problem::StaleRoute { leads_to, should: serving.app_port });
        }
        _ => {}
    }
    problems.extend(kept.serving.and_then(|serving| runs_another(serving, view)));
    problems
}

fn runs_another(serving: &Serving, view: &EngineView) -> Option<Problem> {
    let has = view.part(Part::App(serving.slot))?.commit.clone()?;
    let wanted = serving.commit_sha.clone();
    (has != wanted).then_some(Problem::WrongCommit { has, wanted })
}

fn shared_ports(record: &Deployment, ledger: &State) -> Vec<Problem> {
    let mine: BTreeSet<HostPort> = record.ports().collect();
    let others = ledger.deployments.values().filter(|other| other.id != record.id);
    let shared = others.flat_map(|other| other.ports().map(|port| (port, other.id.clone())));
    let shared = shared.filter(|(port, _)| mine.contains(port));
    shared.map(|(port, with)| Problem::SharedPort { port, with }).collect()
}

// ---------------------------------------------------------------------------------------------------------------- words

impl Finding {
    fn new(deployment: &DeploymentId, problem: Problem) -> Self {
        let line = format!("{deployment}: {problem}");
        Self { deployment: deployment.clone(), problem, line }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leftover { what } => write!(f, "{what} is left over"),
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::StaleRoute { leads_to, should } => {
                write!(f, "visitors are sent to port {leads_to}, and port {should} serves")
            }
            Self::WrongCommit { has, wanted } => {
                write!(f, "it has commit {}, and {} should be there", has.short(), wanted.short())
            }
            Self::NotDeployed { wanted } => write!(f, "commit {} should have a preview", wanted.short()),
            Self::NotRemoved { reason } => {
                write!(f, "it should have been removed: {}", reason.map_or("it should never have been made", because))
            }
            Self::Stuck { step: Some(step) } => write!(f, "it stands still at `{}`", step.name()),
            Self::Stuck { step: None } => write!(f, "it waits or is being removed, and nobody is busy with it"),
            Self::SharedPort { port, with } => write!(f, "{with} holds port {port} too"),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(slot) => write!(f, "the app's container in slot {slot}"),
            Self::Database => f.write_str("the database's container"),
            Self::Extra(extra) => write!(f, "the container of `{extra}`"),
            Self::Service(name) => write!(f, "the container of the service `{name}`"),
            Self::OtherContainer => f.write_str("a container without a role"),
            Self::Task(task) => write!(f, "the one-off container `{}`", task.as_str()),
            Self::Volume => f.write_str("a volume"),
            Self::Network => f.write_str("a network"),
            Self::Image(commit) => write!(f, "the image of commit {}", commit.short()),
            Self::Folder => f.write_str("the folder"),
            Self::Route(port) => write!(f, "the route to port {port}"),
            Self::Port(port) => write!(f, "host port {port}"),
            Self::Line => f.write_str("a line in the ledger's `setAside`"),
        }
    }
}

fn because(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Closed => "the pull request is closed",
        RemovalReason::Vanished => "GitHub no longer knows the pull request",
        RemovalReason::NotAllowed => "its repository is not one of ALLOWED_REPOS",
        RemovalReason::Expired => "its time is over",
        RemovalReason::Stopped => "a person stopped it",
        RemovalReason::Waiting => "settings say that it waits",
        RemovalReason::Unapproved => "nobody has approved its newest commit, a fork's",
    }
}

#[cfg(test)]
mod tests;
