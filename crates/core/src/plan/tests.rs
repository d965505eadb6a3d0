//! The plan against a model of everything that its actions touch.

use crate::compose::own::OwnName;

use super::*;
use crate::deployment::data::{Data, Migration};
use crate::deployment::{Attempt, Failure, Serving, Step};
use crate::ids::{BranchName, RepoId};
use jiff::Timestamp;
use proptest::prelude::*;

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
                    filled: false,
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
fn from_nothing_begins_with_an_empty_database_wherever_it_is_cut_off() {
    let target = Target::Commit { commit: sha('a'), again: Again::FromNothing };
    let (actions, usual) = (serving().plan(&target), commit('a'));
    let volumes = actions.iter().position(|action| *action == Action::RemoveVolumes).unwrap();
    assert!(volumes < actions.iter().position(|action| matches!(action, Action::Begin { .. })).unwrap());
    for cut in 0..=actions.len() {
        let mut world = serving();
        actions[..cut].iter().for_each(|action| _ = world.perform(action));
        // The wish is spent when its attempt has come to an end.
        let spent = cut > actions.iter().position(|action| *action == Action::Switch).unwrap();
        world.converge(if spent { &usual } else { &target });
        assert!(world.is_at(&sha('a')), "cut off after {cut}");
    }
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

fn place(plan: &[Action], wanted: &Action) -> usize {
    plan.iter().position(|action| action == wanted).unwrap_or_else(|| panic!("no {wanted:?} in {plan:?}"))
}

#[test]
fn what_changes_a_database_comes_before_the_start_and_is_not_cut_off() {
    let plan = serving().plan(&commit('b'));
    let order = [Action::Build, Action::Migrate, Action::Seed, Action::Start].map(|action| place(&plan, &action));
    assert!(order.is_sorted(), "{plan:?}");
    assert!(!Action::Migrate.may_be_cut() && !Action::Seed.may_be_cut());
}

#[test]
fn a_commit_that_is_to_begin_with_an_empty_database_takes_all_down_once_it_is_built() {
    let mut world = World { resets: true, ..serving() };
    world.converge(&commit('b'));
    assert!(world.is_at(&sha('b')));
    let data = world.record.as_ref().unwrap().data.clone();
    assert_eq!((data.begun_for, data.reset_for, data.content), (Some(sha('b')), None, Content::Used));
    // The same commit again keeps it.
    world.converge(&Target::Commit { commit: sha('b'), again: Again::Attempt });
    assert_eq!(world.record.unwrap().data.begun_for, Some(sha('b')));
}

#[test]
fn a_reset_is_begun_for_its_commit_alone_and_goes_with_the_volumes() {
    let mut world = serving();
    world.record.as_mut().unwrap().data.reset_for = Some(sha('b'));
    assert_eq!(world.plan(&commit('a')), [], "what serves goes on");
    assert_eq!(world.plan(&commit('c'))[0], Action::Begin { commit: sha('c'), slot: Slot::B });
    let plan = world.plan(&commit('b'));
    assert_eq!(plan[0], Action::Retire);
    for cut in 0..=plan.len() {
        let mut world = world.clone();
        plan[..cut].iter().for_each(|action| _ = world.perform(action));
        world.converge(&commit('b'));
        assert!(world.is_at(&sha('b')), "cut off after {cut}");
        assert_eq!(world.record.unwrap().data.begun_for, Some(sha('b')), "cut off after {cut}");
    }
}

#[test]
fn a_database_that_is_filled_by_half_is_made_anew() {
    let mut world = World::default();
    let plan = world.plan(&commit('a'));
    plan[..=place(&plan, &Action::Seed)].iter().for_each(|action| _ = world.perform(action));
    assert_eq!(world.record.as_ref().unwrap().data.content, Content::Seeding);
    let again = world.plan(&commit('a'));
    assert!(place(&again, &Action::RemoveDatabase) < place(&again, &Action::Build));
    world.converge(&commit('a'));
    assert!(world.is_at(&sha('a')) && !world.outage);
}

#[test]
fn a_one_off_container_that_is_left_over_is_waited_for_by_its_own_commit_alone() {
    let mut world = serving();
    world.seen.tasks = true;
    assert_eq!(world.plan(&commit('a')), [Action::RemoveTasks]);
    world.record.as_mut().unwrap().data.migration = Some(Migration { commit: sha('b'), done: false });
    assert!(!world.plan(&commit('b')).contains(&Action::RemoveTasks));
    assert_eq!(world.plan(&commit('c'))[0], Action::RemoveTasks);
    assert_eq!(world.plan(&commit('a')), [Action::RemoveTasks]);
}

/// A deployment whose version that serves has these services beside the app; so does the engine, with a volume of theirs.
fn serving_with(services: &[&str]) -> World {
    let mut world = serving();
    let names: BTreeSet<OwnName> = services.iter().map(|name| name.parse().unwrap()).collect();
    if let Some(record) = &mut world.record {
        record.services = names.clone();
    }
    (world.seen.services, world.seen.own_volumes) = (names, true);
    world
}

#[test]
fn a_service_that_the_version_which_serves_does_not_name_goes_and_volumes_stay() {
    let mut world = serving_with(&["cache"]);
    assert_eq!(world.plan(&commit('a')), []);
    world.seen.services.insert("worker".parse().unwrap());
    assert_eq!(world.plan(&commit('a')), [Action::RemoveService("worker".parse().unwrap())]);
    world.converge(&commit('a'));
    assert!(world.seen.own_volumes);
}

#[test]
fn a_service_that_somebody_removed_comes_back_with_the_whole_preview() {
    let mut world = serving_with(&["cache"]);
    world.seen.services.clear();
    let plan = world.plan(&commit('a'));
    assert_eq!(plan[0], Action::Lost);
    assert!(!plan.contains(&Action::RemoveVolumes), "{plan:?}");
    assert!(plan.contains(&Action::Build), "{plan:?}");
}

#[test]
fn a_removal_takes_services_and_their_volumes() {
    let mut world = serving_with(&["cache"]);
    world.converge(&CLOSED);
    assert!(world.seen.is_empty() && world.record.is_none());
}

/// A world in which commit `a` serves with these beside its database.
fn serving_beside(extras: &[Backing]) -> World {
    let mut world = World { wants: extras.iter().copied().collect(), ..World::default() };
    world.converge(&commit('a'));
    World { outage: false, ..world }
}

const MYSQL: Backing = Backing::Database(crate::backing::Database::Mysql);

#[test]
fn an_extra_service_stays_over_updates_and_goes_with_its_volume_when_it_is_no_longer_named() {
    let mut world = serving_beside(&[Backing::Redis, MYSQL]);
    let update = world.plan(&commit('b'));
    assert!(
        !update.iter().any(|action| matches!(action, Action::RemoveExtra(_) | Action::RemoveVolumes)),
        "{update:?}"
    );
    world.wants = [Backing::Redis].into();
    world.converge(&commit('b'));
    assert!(world.is_at(&sha('b')) && !world.outage);
    assert_eq!((&world.seen.extras, world.seen.extra_volumes.len()), (&world.wants, 0));
    assert!(world.seen.database && world.seen.password);
    world.converge(&CLOSED);
    assert!(world.seen.is_empty());
}

#[test]
fn a_failed_update_takes_the_extra_service_along_that_it_brought() {
    let mut world = World { broken: true, wants: [MYSQL].into(), ..serving() };
    world.converge(&commit('b'));
    assert!(world.is_at(&sha('a')) && !world.outage);
    assert!(world.seen.extras.is_empty() && world.seen.extra_volumes.is_empty());
}

#[test]
fn an_extra_service_that_somebody_removed_comes_back() {
    let mut world = serving_beside(&[MYSQL]);
    world.seen.extras.clear();
    let plan = world.plan(&commit('a'));
    assert!(plan[0] == Action::Lost && !plan.contains(&Action::RemoveVolumes), "{plan:?}");
    world.converge(&commit('a'));
    assert!(world.is_at(&sha('a')) && world.seen.extras == [MYSQL].into());
}

#[test]
fn data_that_nobody_can_open_any_more_goes_wherever_it_lies() {
    let mut world = serving_beside(&[MYSQL]);
    world.record.as_mut().unwrap().serving = None;
    world.seen = Observed { extra_volumes: [MYSQL].into(), ..Observed::default() };
    assert!(world.plan(&commit('a')).contains(&Action::RemoveExtra(MYSQL)));
    world.converge(&commit('a'));
    assert!(world.is_at(&sha('a')) && !world.outage);
}

#[test]
fn a_service_of_a_commit_that_never_served_does_not_stay_beside_the_next() {
    let mut world = serving_with(&["cache"]);
    world.record.as_mut().unwrap().serving = None;
    let plan = world.plan(&commit('b'));
    let place = |wanted: &Action| plan.iter().position(|action| action == wanted);
    let gone = place(&Action::RemoveService("cache".parse().unwrap()));
    assert!(gone.is_some() && gone < place(&Action::Checkout), "{plan:?}");
}
