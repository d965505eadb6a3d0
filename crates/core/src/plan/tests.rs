//! The plan against a model of everything that its actions touch.

use crate::compose::own::OwnName;

use super::*;
use crate::deployment::data::{Data, Migration};
use crate::deployment::{Attempt, Failure, Serving, Step};
use crate::ids::{BranchName, RepoId};
use jiff::Timestamp;
use proptest::prelude::*;

mod data;
mod services;

/// A model of everything that actions touch: the record, and what is observed.
#[derive(Debug, Clone, Default)]
struct World {
    record: Option<Deployment>,
    seen: Observed,
    /// Whether the commit brought up is one that fails.
    broken: bool,
    /// The backing services beside the database that the commit brought up wants.
    wants: BTreeSet<Backing>,
    /// Whether each commit is to begin with an empty database.
    resets: bool,
    /// What visitors got at each moment: whether the routed slot existed.
    outage: bool,
}

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn port(slot: Slot) -> HostPort {
    HostPort::new(if slot == Slot::A { 8000 } else { 8001 }).unwrap()
}

fn record() -> Deployment {
    let id = "org-app-1".parse().unwrap();
    let repo = (RepoId(1), "org/app".parse().unwrap());
    Deployment::new(id, repo, BranchName::new("x"), sha('a'), Timestamp::UNIX_EPOCH)
}

impl World {
    fn attempt(&mut self) -> &mut Attempt {
        self.record.as_mut().unwrap().attempt.as_mut().unwrap()
    }

    fn routed(&self) -> Option<HostPort> {
        let record = self.record.as_ref()?;
        if record.removing.is_some() { None } else { record.serving.as_ref().map(|serving| serving.app_port) }
    }

    /// Carries an action out on the model. `false`: it failed, and the failure was written down.
    fn perform(&mut self, action: &Action) -> bool {
        let good = self.effect(action);
        let routed_to_nothing = self.seen.route.is_some_and(|to| !self.seen.slots.iter().any(|s| port(*s) == to));
        self.outage |= routed_to_nothing;
        good
    }

    fn effect(&mut self, action: &Action) -> bool {
        match action {
            Action::MarkRemoving(reason) => self.record.as_mut().unwrap().removing = Some(*reason),
            Action::SyncRoute => self.seen.route = self.routed(),
            Action::RemoveContainers => {
                self.seen.slots.clear();
                self.seen.services.clear();
                self.seen.extras.clear();
                (self.seen.database, self.seen.others, self.seen.tasks) = (false, false, false);
            }
            Action::RemoveVolumes => {
                (self.seen.volumes, self.seen.own_volumes, self.seen.password) = (false, false, false);
                self.seen.extra_volumes.clear();
                self.forget_data();
            }
            Action::RemoveExtra(extra) => {
                self.seen.extras.remove(extra);
                self.seen.extra_volumes.remove(extra);
            }
            Action::RemoveService(name) => drop(self.seen.services.remove(name)),
            Action::RemoveDatabase => {
                (self.seen.database, self.seen.volumes) = (false, false);
                self.record.as_mut().unwrap().db_port = None;
                self.forget_data();
            }
            Action::RemoveTasks => self.seen.tasks = false,
            Action::RemoveNetworks => self.seen.networks = false,
            Action::RemoveImages { keep } => self.seen.images.retain(|image| Some(image) == keep.as_ref()),
            Action::RemoveFolder => {
                (self.seen.folder, self.seen.checkout, self.seen.password) = (false, false, false);
            }
            Action::LastWords(_) | Action::Drain(..) => {}
            Action::Forget => self.record = None,
            Action::Lost | Action::Retire => {
                let record = self.record.as_mut().unwrap();
                if let Some(serving) = record.serving.take() {
                    record.attempt = Some(Attempt {
                        commit: serving.commit_sha,
                        slot: serving.slot,
                        app_port: Some(serving.app_port),
                        started_at: Timestamp::UNIX_EPOCH,
                        stage: Stage::Running(Step::Checkout),
                        in_place: false,
                    });
                }
            }
            Action::Begin { commit, slot } => {
                let record = self.record.get_or_insert_with(record);
                record.attempt = Some(Attempt {
                    commit: commit.clone(),
                    slot: *slot,
                    app_port: Some(port(*slot)),
                    started_at: Timestamp::UNIX_EPOCH,
                    stage: Stage::Running(Step::Checkout),
                    in_place: false,
                });
            }
            Action::ClearSlot(slot) => {
                self.seen.slots.remove(slot);
            }
            Action::Checkout => (self.seen.folder, self.seen.checkout) = (true, true),
            Action::Prepare => self.record.as_mut().unwrap().db_type = Some("postgres".into()),
            Action::Build => {
                // A database opens with the password that its volume was made with, or not at all.
                self.outage |= self.seen.locked_out();
                let had_volumes = self.seen.volumes;
                (self.seen.database, self.seen.volumes, self.seen.networks) = (true, true, true);
                self.seen.extras.extend(&self.wants);
                self.seen.extra_volumes.extend(self.wants.iter().filter(|extra| **extra != Backing::Redis));
                self.seen.password = true;
                let commit = self.attempt().commit.clone();
                if !had_volumes {
                    self.record.as_mut().unwrap().data = Data::new_for(&commit);
                }
                self.seen.images.insert(commit);
            }
            Action::Migrate => return self.migrate(),
            Action::Seed => {
                let data = &mut self.record.as_mut().unwrap().data;
                // One that was cut off in the middle is in by half: nothing is put on top of it.
                self.outage |= data.content == Content::Seeding;
                if data.content == Content::Empty {
                    data.content = Content::Seeding;
                }
            }
            Action::Start => {
                let commit = self.attempt().commit.clone();
                self.outage |= self.seen.tasks || !self.record.as_ref().unwrap().data.is_migrated(&commit);
                let slot = self.attempt().slot;
                self.seen.slots.insert(slot);
            }
            Action::AwaitHealth if self.broken => {
                let failure = Failure {
                    step: Step::Health,
                    cause: String::new(),
                    advice: None,
                    log_tail: Vec::new(),
                    blame: Blame::Author,
                };
                self.attempt().stage = Stage::Failed(failure);
                return false;
            }
            Action::AwaitHealth => {}
            Action::Switch => {
                let attempt = self.attempt().clone();
                self.seen.route = attempt.app_port;
                self.record.as_mut().unwrap().extras = self.wants.clone();
                self.record.as_mut().unwrap().data.content = Content::Used;
                self.record.as_mut().unwrap().serving = Some(Serving {
                    commit_sha: attempt.commit,
                    slot: attempt.slot,
                    app_port: attempt.app_port.unwrap(),
                    since: Timestamp::UNIX_EPOCH,
                    took_ms: 0,
                    down: false,
                    filled: None,
                });
            }
            Action::Settle => {
                self.seen.checkout = false;
                let record = self.record.as_mut().unwrap();
                let serving = record.serving.clone().unwrap();
                record.attempt = Some(Attempt {
                    commit: serving.commit_sha,
                    slot: serving.slot,
                    app_port: None,
                    started_at: Timestamp::UNIX_EPOCH,
                    stage: Stage::Done,
                    in_place: false,
                });
            }
            Action::Release => {
                self.seen.checkout = false;
                let record = self.record.as_mut().unwrap();
                record.attempt.as_mut().unwrap().app_port = None;
                if record.serving.is_none() {
                    (record.db_port, record.subnet) = (None, None);
                }
            }
        }
        true
    }

    fn forget_data(&mut self) {
        if let Some(record) = &mut self.record {
            record.data = Data::default();
        }
    }

    /// As the use-case does it: `false` where all is to begin anew, with an empty database.
    fn migrate(&mut self) -> bool {
        let (commit, resets) = (self.attempt().commit.clone(), self.resets);
        let data = &mut self.record.as_mut().unwrap().data;
        if resets && data.needs_reset(&commit) {
            data.reset_for = Some(commit);
            return false;
        }
        data.migration = Some(Migration { commit, done: true });
        self.seen.tasks = false;
        true
    }

    fn plan(&self, target: &Target) -> Vec<Action> {
        plan(target, self.record.as_ref(), &self.seen)
    }

    /// Plans and performs until nothing is left to do; gives the number of passes.
    fn converge(&mut self, target: &Target) -> usize {
        let mut target = target.clone();
        for pass in 0..6 {
            let actions = self.plan(&target);
            if actions.is_empty() {
                return pass;
            }
            for action in actions {
                if !self.perform(&action) {
                    break;
                }
                if let (Action::Begin { .. }, Target::Commit { again, .. }) = (&action, &mut target) {
                    *again = Again::No;
                }
            }
        }
        panic!("no fixed point: {self:?}");
    }

    fn is_at(&self, commit: &CommitSha) -> bool {
        let serving = self.record.as_ref().and_then(|record| record.serving.as_ref());
        serving.is_some_and(|serving| {
            serving.commit_sha == *commit
                && self.seen.route == Some(serving.app_port)
                && self.seen.slots == [serving.slot].into()
                && self.seen.images.iter().all(|image| image == commit)
        })
    }
}

fn commit(digit: char) -> Target {
    Target::Commit { commit: sha(digit), again: Again::No }
}

const CLOSED: Target = Target::Nothing(RemovalReason::Closed);

/// A world in which commit `a` serves.
fn serving() -> World {
    let mut world = World::default();
    world.converge(&commit('a'));
    assert!(world.is_at(&sha('a')));
    world.outage = false;
    world
}

#[test]
fn a_first_deployment_an_update_and_a_removal() {
    let mut world = serving();
    world.converge(&commit('b'));
    assert!(world.is_at(&sha('b')) && !world.outage);
    assert_eq!(world.record.as_ref().unwrap().serving.as_ref().unwrap().slot, Slot::B);
    world.converge(&CLOSED);
    assert!(world.record.is_none() && world.seen.is_empty() && !world.outage);
}

#[test]
fn a_broken_update_leaves_the_old_version_and_nothing_else() {
    let mut world = World { broken: true, ..serving() };
    world.converge(&commit('b'));
    assert!(world.is_at(&sha('a')) && !world.outage);
    let attempt = world.record.unwrap().attempt.unwrap();
    assert!(matches!(attempt.stage, Stage::Failed(_)) && attempt.app_port.is_none());
}

#[test]
fn a_broken_first_attempt_holds_nothing_but_its_folder() {
    let mut world = World { broken: true, ..World::default() };
    world.converge(&commit('a'));
    let folder_only = Observed { folder: true, ..Observed::default() };
    assert_eq!(world.seen, folder_only);
    assert_eq!(world.record.as_ref().unwrap().ports().count(), 0);
    assert!(!world.record.unwrap().holds_place());
}

#[test]
fn asking_again_builds_again_once() {
    let mut world = serving();
    world.converge(&Target::Commit { commit: sha('a'), again: Again::Attempt });
    assert!(world.is_at(&sha('a')) && !world.outage);
    assert_eq!(world.record.unwrap().serving.unwrap().slot, Slot::B);
}

#[test]
fn what_was_removed_by_hand_comes_back() {
    let world = serving();
    for damage in [
        |seen: &mut Observed| seen.slots.clear(),
        |seen: &mut Observed| seen.database = false,
        |seen: &mut Observed| seen.route = None,
        |seen: &mut Observed| seen.slots.extend([Slot::B]),
        |seen: &mut Observed| (seen.folder, seen.password, seen.database) = (false, false, false),
        |seen: &mut Observed| seen.checkout = true,
    ] {
        let mut world = world.clone();
        damage(&mut world.seen);
        world.converge(&commit('a'));
        assert!(world.is_at(&sha('a')) && world.seen.database, "{world:?}");
    }
}

#[test]
fn a_route_moves_only_to_what_is_up_and_goes_first_when_removed() {
    let update = serving().plan(&commit('b'));
    let place = |wanted: &Action| update.iter().position(|action| action == wanted).unwrap();
    assert!(place(&Action::AwaitHealth) < place(&Action::Switch));
    assert!(place(&Action::Switch) < place(&Action::ClearSlot(Slot::A)));
    let removal = serving().plan(&CLOSED);
    assert_eq!(removal[..2], [Action::MarkRemoving(RemovalReason::Closed), Action::SyncRoute]);
    assert_eq!(removal.last(), Some(&Action::Forget));
}

#[test]
fn after_a_switch_that_was_cut_off_visitors_go_back_before_the_slot_is_cleared() {
    let mut world = serving();
    world.seen.slots.insert(Slot::B);
    world.seen.route = Some(port(Slot::B));
    for wish in [commit('a'), commit('b')] {
        let mut world = world.clone();
        let back = [Action::SyncRoute, Action::Drain(Slot::B, port(Slot::B))];
        assert_eq!(world.plan(&wish)[..2], back);
        world.converge(&wish);
        assert!(!world.outage, "{world:?}");
    }
}

/// Cut off after (or before) every action of every plan, then wish for every target: it must converge all the same, and
/// never leave visitors without the version that served.
#[test]
fn every_cut_converges_to_every_wish() {
    let starts = [World::default(), serving()];
    for (start, first) in starts.iter().flat_map(|w| [commit('b'), CLOSED].map(|first| (w.clone(), first))) {
        let actions = start.plan(&first);
        for cut in 0..=actions.len() {
            for then in [commit('b'), commit('c'), commit('a'), CLOSED] {
                let mut world = start.clone();
                for action in &actions[..cut] {
                    world.perform(action);
                }
                world.converge(&then);
                match &then {
                    Target::Commit { commit, .. } => assert!(world.is_at(commit), "{cut} {then:?} {world:?}"),
                    Target::Nothing(_) => assert!(world.record.is_none() && world.seen.is_empty()),
                }
                assert!(!world.outage, "visitors met nothing: cut {cut} of {first:?}, then {then:?}");
            }
        }
    }
}

proptest! {
    /// Whatever is observed, the plan reaches a fixed point, and performing each action twice changes nothing.
    #[test]
    fn any_observation_converges(
        slots in proptest::collection::btree_set(prop_oneof![Just(Slot::A), Just(Slot::B)], 0..3),
        flags in proptest::array::uniform8(any::<bool>()),
        images in proptest::collection::btree_set(prop_oneof![Just(sha('a')), Just(sha('b')), Just(sha('d'))], 0..3),
        services in proptest::collection::btree_set(prop_oneof![Just("cache"), Just("worker")], 0..3),
        extras in proptest::array::uniform2(proptest::collection::btree_set(prop::sample::select(&Backing::ALL[..]), 0..3)),
        route in proptest::option::of(prop_oneof![Just(port(Slot::A)), Just(port(Slot::B))]),
        start_serving: bool,
        wish in prop_oneof![Just(commit('a')), Just(commit('b')), Just(CLOSED)],
    ) {
        let [database, tasks, others, volumes, networks, folder, checkout, password] = flags;
        let (checkout, password) = (checkout && folder, password && folder);
        let services = services.into_iter().map(|name| name.parse().unwrap()).collect();
        let own_volumes = !networks;
        let [extras, extra_volumes] = extras;
        let seen = Observed {
            slots, database, extras, services, tasks, others, volumes, extra_volumes, own_volumes, networks, images, folder, checkout, password, route,
        };
        let record = if start_serving { serving().record } else { None };
        let mut world = World { record, seen, ..World::default() };
        for action in world.plan(&wish) {
            world.perform(&action);
            world.perform(&action);
        }
        world.converge(&wish);
        match wish {
            Target::Commit { commit, .. } => prop_assert!(world.is_at(&commit)),
            Target::Nothing(_) => prop_assert!(world.record.is_none() && world.seen.is_empty()),
        }
    }
}
