//! What runs beside an app and its main database comes and goes with the versions that name it.

use super::*;

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
