//! Which actions bring one deployment from what is to what should be.
//!
//! A plan is an ordered list of small actions that leave no choice to whoever carries them out. Each can be repeated, each
//! may fail before or after its effect, and the whole can be cut off anywhere: the next plan is made from what is observed
//! then, so there is no separate way back. When everything is as it should be, the plan is empty.

use std::collections::BTreeSet;

use crate::backing::Backing;
use crate::compose::own::OwnName;
use crate::deployment::data::Content;
use crate::deployment::{Blame, Deployment, RemovalReason, Serving, Stage, Step};
use crate::ids::{CommitSha, HostPort, Slot};

/// What should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nothing, for this reason.
    Nothing(RemovalReason),
    /// This commit, serving.
    Commit {
        /// The commit.
        commit: CommitSha,
        /// What is to be done although this commit serves or has failed.
        again: Again,
    },
}

/// What is to be done again to a commit that serves or has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Again {
    /// Nothing.
    #[default]
    No,
    /// The attempt: a person asked, or what was in the way has passed.
    Attempt,
    /// The attempt, with an empty database: a person asked.
    FromNothing,
}

/// What there is of a deployment outside the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Slots whose container exists, up or not: the engine restarts what ends.
    pub slots: BTreeSet<Slot>,
    /// Whether its database's container exists.
    pub database: bool,
    /// Backing services beside the database whose container exists.
    pub extras: BTreeSet<Backing>,
    /// Services beside the app, of the repository's own Compose file, whose container exists.
    pub services: BTreeSet<OwnName>,
    /// Whether a one-off container of it exists: one that migrates, or fills a database.
    pub tasks: bool,
    /// Whether any other container of it exists.
    pub others: bool,
    /// Whether a volume of a database of ours exists.
    pub volumes: bool,
    /// Backing services beside the database of which a volume exists.
    pub extra_volumes: BTreeSet<Backing>,
    /// Whether a volume of the repository's own Compose file exists.
    pub own_volumes: bool,
    /// Whether a network of it exists.
    pub networks: bool,
    /// Commits of which an image exists.
    pub images: BTreeSet<CommitSha>,
    /// Whether its folder exists.
    pub folder: bool,
    /// Whether a commit's files are in it: they are there for a build only.
    pub checkout: bool,
    /// Whether the database's password, which lies in the folder, is known.
    pub password: bool,
    /// Where the router sends its visitors.
    pub route: Option<HostPort>,
}

impl Observed {
    /// Whether any container of it exists.
    pub fn containers(&self) -> bool {
        let beside = !self.extras.is_empty() || !self.services.is_empty();
        self.database || self.tasks || self.others || !self.slots.is_empty() || beside
    }

    /// Whether there is a database's volume that nobody can open any more: the password went with the folder, and no
    /// container knows it.
    fn locked_out(&self) -> bool {
        let data = self.volumes || !self.extra_volumes.is_empty();
        data && !self.password && !self.database && self.extras.is_empty()
    }

    /// Whether any volume exists.
    fn data(&self) -> bool {
        self.volumes || self.own_volumes || !self.extra_volumes.is_empty()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write down that it is going, and why.
    MarkRemoving(RemovalReason),
    /// Send visitors to where the ledger says, or to the page that says *gone*.
    SyncRoute,
    /// Stop and remove every container.
    RemoveContainers,
    /// Remove the volumes.
    RemoveVolumes,
    /// Remove a database that the version which serves doesn't want: its container and its volume, and then its port.
    RemoveDatabase,
    /// Remove a backing service beside it that the version which serves doesn't want: its container and its volume.
    RemoveExtra(Backing),
    /// Remove a service that the version which serves doesn't name.
    RemoveService(OwnName),
    /// Remove one-off containers that nobody waits for any more.
    RemoveTasks,
    /// Remove the network.
    RemoveNetworks,
    /// Remove the images, but for this commit's.
    RemoveImages {
        /// The commit whose image stays.
        keep: Option<CommitSha>,
    },
    /// Remove the folder.
    RemoveFolder,
    /// Say it in the comment, for the last time.
    LastWords(RemovalReason),
    /// Take the record and its ports out of the ledger.
    Forget,
    /// Write down that what served is no longer there, as [`Self::Retire`] does.
    Lost,
    /// Write down that nothing serves any more, because all of it is to begin anew. What served becomes the attempt, so that
    /// its port is given back when the next one begins: no sooner than its containers are gone.
    Retire,
    /// Wait for a place and write down the attempt, its slot and its port.
    Begin {
        /// The commit.
        commit: CommitSha,
        /// The slot.
        slot: Slot,
    },
    /// Remove what a slot holds.
    ClearSlot(Slot),
    /// Fetch the commit's files.
    Checkout,
    /// Read the configuration, find the framework, write the stack.
    Prepare,
    /// Build the image while the backing services start.
    Build,
    /// Bring the database to the form that the commit expects, in a container of its image, once.
    Migrate,
    /// Fill a new database.
    Seed,
    /// Start the slot.
    Start,
    /// Ask the app until it answers.
    AwaitHealth,
    /// Send visitors to the slot, and write down that it serves once the router does.
    Switch,
    /// Wait until the old slot has finished what it began.
    Drain(Slot, HostPort),
    /// Write down that the attempt is over and nothing of it is open.
    Settle,
    /// Give back the ports of an attempt that failed.
    Release,
}

impl Action {
    /// Whether a newer wish may cut it off. What takes something down, what moves visitors, and what changes a database is
    /// finished first: a migration that is cut off in the middle may leave one that no version can use.
    pub fn may_be_cut(&self) -> bool {
        matches!(
            self,
            Self::Begin { .. } | Self::Checkout | Self::Prepare | Self::Build | Self::Start | Self::AwaitHealth
        )
    }
}

/// Makes the plan.
pub fn plan(target: &Target, record: Option<&Deployment>, seen: &Observed) -> Vec<Action> {
    match (target, record) {
        (Target::Nothing(_), None) => sweep(seen),
        (Target::Nothing(reason), Some(record)) => remove(*reason, record, seen),
        (Target::Commit { .. }, Some(record)) if record.removing.is_some() => {
            remove(record.removing.unwrap_or(RemovalReason::Closed), record, seen)
        }
        (Target::Commit { commit, .. }, None) => {
            let mut actions = sweep(&Observed { folder: false, ..seen.clone() });
            actions.extend(bring_up(commit, Slot::A, None));
            actions
        }
        (Target::Commit { commit, again }, Some(record)) => keep(commit, *again, record, seen),
    }
}

/// Takes down what is there although nothing should be.
fn sweep(seen: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    if seen.route.is_some() {
        actions.push(Action::SyncRoute);
    }
    if seen.containers() {
        actions.push(Action::RemoveContainers);
    }
    if seen.data() {
        actions.push(Action::RemoveVolumes);
    }
    if seen.networks {
        actions.push(Action::RemoveNetworks);
    }
    if !seen.images.is_empty() {
        actions.push(Action::RemoveImages { keep: None });
    }
    if seen.folder {
        actions.push(Action::RemoveFolder);
    }
    actions
}

/// Route first, so that nobody meets a half-removed preview; the record last, so that nothing is forgotten. That no route is
/// seen proves nothing here: one killed between writing nginx's files and having them read leaves a route that no file shows.
fn remove(reason: RemovalReason, record: &Deployment, seen: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    if record.removing.is_none() {
        actions.push(Action::MarkRemoving(reason));
    }
    actions.push(Action::SyncRoute);
    actions.extend(sweep(&Observed { route: None, ..seen.clone() }));
    actions.extend([Action::LastWords(record.removing.unwrap_or(reason)), Action::Forget]);
    actions
}

/// Keeps a deployment at a commit, or brings it there.
fn keep(commit: &CommitSha, again: Again, record: &Deployment, seen: &Observed) -> Vec<Action> {
    if again == Again::FromNothing {
        // In the other slot, so that an older copy of the ledger doesn't take the new container for the one it knows.
        return begin_anew(Action::Retire, commit, record.idle_slot(), record, seen);
    }
    if record.data.reset_for.as_ref() == Some(commit) {
        return begin_anew(Action::Retire, commit, record.idle_slot(), record, seen);
    }
    let serving = record.serving.as_ref();
    let database_lost = record.db_type.is_some() && !seen.database;
    let service_lost = !record.services.is_subset(&seen.services) || !record.extras.is_subset(&seen.extras);
    if serving.is_some_and(|serving| database_lost || service_lost || !seen.slots.contains(&serving.slot)) {
        let volumes = seen.locked_out();
        let seen = Observed { volumes, own_volumes: false, extra_volumes: BTreeSet::new(), ..seen.clone() };
        return begin_anew(Action::Lost, commit, Slot::A, record, &seen);
    }
    let attempt = record.attempt.as_ref().filter(|attempt| attempt.commit == *commit);
    let failed = attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Failed(_)));
    if again == Again::No && !is_mixed(record) && serving.is_some_and(|serving| serving.commit_sha == *commit) {
        return settle(record, seen);
    }
    if again == Again::No && failed {
        return take_down_attempt(record, seen);
    }
    let mut actions = reroute(serving, seen);
    if serving.is_none() && seen.slots.contains(&record.idle_slot().other()) {
        // Of a new beginning that was cut off.
        actions.push(Action::ClearSlot(record.idle_slot().other()));
    }
    if seen.tasks && !record.data.is_migrating(commit) {
        actions.push(Action::RemoveTasks);
    }
    if serving.is_none() {
        // Of an attempt that was cut off, and perhaps of another commit: what is up is not made anew by a start.
        actions.extend(seen.services.iter().map(|name| Action::RemoveService(*name)));
    }
    // Of a seed that was cut off, or failed, nobody knows how much is in the database. No version with visitors has it.
    let half_filled = record.data.content == Content::Seeding && seen.volumes;
    if seen.locked_out() || half_filled {
        actions.push(Action::RemoveDatabase);
        actions.extend(seen.extra_volumes.iter().map(|extra| Action::RemoveExtra(*extra)));
    }
    let old = serving.map(|serving| (serving.slot, serving.app_port));
    actions.extend(bring_up(commit, record.idle_slot(), old));
    actions
}

/// Whether the services beside what serves may be those of another commit: its switch came to no end, and they are replaced in it.
fn is_mixed(record: &Deployment) -> bool {
    let Some((attempt, serving)) = record.attempt.as_ref().zip(record.serving.as_ref()) else { return false };
    let step = match &attempt.stage {
        Stage::Running(step) => Some(*step),
        Stage::Failed(failure) => Some(failure.step),
        Stage::Queued(_) | Stage::Done => None,
    };
    !record.services.is_empty() && attempt.commit != serving.commit_sha && step == Some(Step::Route)
}

/// Takes down all but the folder and brings the commit up: first the attempt, whose line in the ledger what serves now takes.
fn begin_anew(first: Action, commit: &CommitSha, slot: Slot, record: &Deployment, seen: &Observed) -> Vec<Action> {
    let beside = record.serving.as_ref().map(|serving| serving.slot.other()).filter(|slot| seen.slots.contains(slot));
    // A switch that was cut off sent visitors to the attempt.
    let there = record.serving.as_ref().filter(|serving| seen.slots.contains(&serving.slot));
    let mut actions = if there.is_some() { reroute(there, seen) } else { Vec::new() };
    actions.extend(beside.map(Action::ClearSlot));
    actions.push(first);
    actions.extend(sweep(&Observed { folder: false, ..seen.clone() }));
    actions.extend(bring_up(commit, slot, None));
    actions
}

/// The way of one commit to its visitors.
fn bring_up(commit: &CommitSha, slot: Slot, old: Option<(Slot, HostPort)>) -> Vec<Action> {
    let mut actions = vec![
        Action::Begin { commit: commit.clone(), slot },
        Action::ClearSlot(slot),
        Action::Checkout,
        Action::Prepare,
        Action::Build,
        Action::Migrate,
        Action::Seed,
        Action::Start,
        Action::AwaitHealth,
        Action::Switch,
    ];
    if let Some((slot, port)) = old {
        actions.extend([Action::Drain(slot, port), Action::ClearSlot(slot)]);
    }
    actions.extend([Action::RemoveImages { keep: Some(commit.clone()) }, Action::Settle]);
    actions
}

/// The commit serves: what is left over of an update goes, and the route is what the ledger says.
fn settle(record: &Deployment, seen: &Observed) -> Vec<Action> {
    let Some(serving) = &record.serving else { return Vec::new() };
    let mut actions = reroute(Some(serving), seen);
    actions.extend(leftovers_beside(serving, record, seen));
    let settled = record
        .attempt
        .as_ref()
        .is_some_and(|attempt| attempt.commit == serving.commit_sha && attempt.stage == Stage::Done);
    if !settled || seen.checkout {
        actions.push(Action::Settle);
    }
    actions
}

/// A failed attempt holds nothing: beside a version that serves its slot goes, else everything but the logs.
fn take_down_attempt(record: &Deployment, seen: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(serving) = &record.serving {
        actions.extend(reroute(Some(serving), seen));
        actions.extend(leftovers_beside(serving, record, seen));
    } else {
        actions.extend(sweep(&Observed { folder: false, ..seen.clone() }));
    }
    let holds_ports = record.attempt.as_ref().is_some_and(|attempt| attempt.app_port.is_some())
        || record.serving.is_none() && (record.db_port.is_some() || record.subnet.is_some());
    if holds_ports || seen.checkout {
        actions.push(Action::Release);
    }
    actions
}

/// Visitors go to what serves. A switch that was cut off sent them to the other slot, which finishes what it began before
/// anything happens to it.
fn reroute(serving: Option<&Serving>, seen: &Observed) -> Vec<Action> {
    if seen.route == serving.map(|serving| serving.app_port) {
        return Vec::new();
    }
    let other = serving.and_then(|serving| seen.route.map(|port| Action::Drain(serving.slot.other(), port)));
    [Action::SyncRoute].into_iter().chain(other).collect()
}

fn leftovers_beside(serving: &Serving, record: &Deployment, seen: &Observed) -> Vec<Action> {
    let mut actions = Vec::new();
    if seen.slots.contains(&serving.slot.other()) {
        actions.push(Action::ClearSlot(serving.slot.other()));
    }
    if seen.tasks {
        actions.push(Action::RemoveTasks);
    }
    if record.db_type.is_none() && (seen.database || seen.volumes || record.db_port.is_some()) {
        actions.push(Action::RemoveDatabase);
    }
    let extras = seen.extras.union(&seen.extra_volumes).filter(|extra| !record.extras.contains(extra));
    actions.extend(extras.map(|extra| Action::RemoveExtra(*extra)));
    actions.extend(seen.services.difference(&record.services).map(|name| Action::RemoveService(*name)));
    if seen.images.iter().any(|image| *image != serving.commit_sha) {
        actions.push(Action::RemoveImages { keep: Some(serving.commit_sha.clone()) });
    }
    actions
}

/// Whether a failed attempt is worth another try when the next resync comes by.
pub fn worth_retrying(record: &Deployment) -> bool {
    matches!(record.attempt.as_ref().map(|attempt| &attempt.stage), Some(Stage::Failed(failure)) if failure.blame == Blame::Passing)
}

#[cfg(test)]
mod tests;
