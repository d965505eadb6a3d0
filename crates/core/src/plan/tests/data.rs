//! What becomes of a database: migrated once, filled when new, emptied when asked for.

use super::*;

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
