//! More wishes than room.

use preview_core::backing::Backing;
use preview_core::capacity::Room;
use preview_core::deployment::{QueueReason, Stage};
use preview_core::ids::{HostPort, PullKey};
use preview_core::ports::Pool;

use crate::check::Expect;
use crate::house::{House, good, minutes, that_migrates, with_database, with_service};
use crate::world::trouble::{Call, Trouble};
use crate::world::{App, Migration};

fn waits_for(house: &House, pull: PullKey) -> Option<QueueReason> {
    match house.record(pull)?.attempt?.stage {
        Stage::Queued(reason) => Some(reason),
        _ => None,
    }
}

fn serving(house: &House) -> usize {
    house.read(|state| state.deployments.values().filter(|record| record.serving.is_some()).count())
}

#[tokio::test(start_paused = true)]
async fn beyond_the_places_the_rest_wait_in_order_and_say_so() {
    let mut house = House::with(|config| config.max_previews = 3).await;
    let mut pulls = Vec::new();
    for _ in 0..6 {
        pulls.push(house.open(good()).await);
    }
    house.until("three serve", |house| serving(house) == 3).await;
    house.pass(minutes(3)).await;
    assert_eq!(serving(&house), 3);
    let waiting = &pulls[3..];
    for (ahead, pull) in ["It is the next one", "One other", "2 others"].into_iter().zip(waiting) {
        assert_eq!(waits_for(&house, *pull), Some(QueueReason::Places));
        let comment = house.world().comment(*pull);
        assert!(comment.contains("queued") && comment.contains(ahead), "{comment}");
    }
    house.close(pulls[0]).await;
    house.until("the next one starts", |house| waits_for(house, pulls[3]).is_none()).await;
    house.until("and serves", |house| serving(house) == 3).await;
    assert_eq!(waits_for(&house, pulls[4]), Some(QueueReason::Places));
    house.pass(minutes(1)).await;
    let comment = house.world().comment(pulls[5]);
    assert!(comment.contains("One other"), "{comment}");
    house.close(pulls[1]).await;
    house.close(pulls[2]).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_keeps_the_place_in_the_queue_over_a_restart_and_may_leave_it() {
    let mut house = House::with(|config| config.max_previews = 1).await;
    let first = house.open(good()).await;
    house.settle().await;
    let second = house.open(good()).await;
    house.pass(minutes(1)).await;
    let third = house.open(good()).await;
    house
        .until("both wait", |house| {
            [second, third].iter().all(|pull| waits_for(house, *pull) == Some(QueueReason::Places))
        })
        .await;
    house.restart().await;
    house.pass(minutes(1)).await;
    house.push(second, good()).await;
    house.pass(minutes(1)).await;
    house.close(first).await;
    house.until("the second serves", |house| serving(house) == 1 && house.record(first).is_none()).await;
    assert_eq!(waits_for(&house, third), Some(QueueReason::Places));
    house.close(third).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn without_memory_the_first_attempt_waits_and_says_so() {
    let mut house = House::new().await;
    let plenty = house.world().room;
    house.world().room = Room { memory_available: 100 << 20, ..plenty };
    let pull = house.open(good()).await;
    house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Memory)).await;
    house.pass(minutes(20)).await;
    assert!(house.world().comment(pull).contains("too little free memory"));
    house.world().room = plenty;
    house.settle().await;
}

/// Whether anything of it is up.
fn is_up(house: &House, pull: PullKey) -> bool {
    let id = house.id(pull);
    let world = house.world();
    let stock = world.engine.get(&id);
    stock.is_some_and(|stock| !(stock.apps.is_empty() && stock.backing.is_empty() && stock.services.is_empty()))
}

const MB: u64 = 1 << 20;

#[tokio::test(start_paused = true)]
async fn all_that_is_to_start_needs_memory_and_not_the_app_alone() {
    let mut house = House::new().await;
    house.world().room.memory_available = 2 * 512 * MB - 1;
    let pull = house.open(with_service()).await;
    house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Memory)).await;
    house.pass(minutes(5)).await;
    assert!(!is_up(&house, pull), "for the app alone there is enough");
    assert!(house.world().comment(pull).contains("too little free memory"));
    house.world().room.memory_available = 2 * 512 * MB;
    house.settle().await;
    assert_eq!(serving(&house), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_app_needs_starts_with_it_where_it_has_no_memory_beside_the_build() {
    let mut house = House::new().await;
    house.world().room.memory_available = 1000 * MB;
    let pull = house.open(App { extras: [Backing::Redis].into(), ..that_migrates(Migration::Works) }).await;
    house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Memory)).await;
    assert_eq!(house.world().builds.len(), 1, "it is built meanwhile");
    assert!(!is_up(&house, pull));
    house.world().room.memory_available = 3 * 512 * MB;
    house.settle().await;
    // What is up already asks for nothing: the next version needs room for itself alone.
    house.world().room.memory_available = 512 * MB;
    house.keep_watch(pull);
    house.push(pull, App { extras: [Backing::Redis].into(), ..that_migrates(Migration::Works) }).await;
    house.settle().await;
    assert!(!house.world().comment(pull).contains("was away for a moment"));
}

#[tokio::test(start_paused = true)]
async fn two_that_look_at_the_same_memory_are_not_both_granted_it() {
    let mut house = House::with(|config| config.max_builds = 2).await;
    house.world().room.memory_available = 600 * MB;
    let pulls = [house.open(good()).await, house.open(good()).await];
    house
        .until("one waits", |house| pulls.iter().any(|pull| waits_for(house, *pull) == Some(QueueReason::Memory)))
        .await;
    let up = pulls.iter().filter(|pull| is_up(&house, **pull)).count();
    assert!(up <= 1, "both are up");
    house.settle().await;
    assert_eq!(serving(&house), 2, "what the first did not use is there for the second");
}

#[tokio::test(start_paused = true)]
async fn without_memory_for_two_an_update_replaces_in_place_after_ten_minutes() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.keep_watch(pull);
    let plenty = house.world().room;
    house.world().room = Room { memory_available: 100 << 20, ..plenty };
    house.push(pull, with_database()).await;
    house.pass(minutes(9)).await;
    assert!(house.record(pull).unwrap().serving.is_some());
    house.world().must_serve.clear();
    house.until("the old one has gone", |house| house.record(pull).is_some_and(|r| r.serving.is_none())).await;
    house.world().room = plenty;
    house.settle().await;
    assert!(house.world().comment(pull).contains("was away for a moment"));
}

#[tokio::test(start_paused = true)]
async fn replaced_in_place_the_services_beside_the_app_are_the_new_ones_too() {
    let mut house = House::new().await;
    let pull = house.open(with_service()).await;
    house.settle().await;
    house.push(pull, with_service()).await;
    house.until("it is built", |house| house.world().builds.len() == 4).await;
    let plenty = house.world().room;
    house.world().room.memory_available = 0;
    house.until("the old one has gone", |house| house.record(pull).is_some_and(|r| r.serving.is_none())).await;
    house.world().room = plenty;
    house.settle().await;
    assert!(house.world().comment(pull).contains("was away for a moment"));
}

/// The old version has the memory that the new one waits for: whatever fails while it goes, it goes.
#[tokio::test(start_paused = true)]
async fn replaced_in_place_the_old_version_goes_also_where_that_fails_at_first() {
    for call in [Call::Apply, Call::Drain, Call::RemovePart, Call::Store] {
        let mut house = House::new().await;
        let pull = house.open(with_service()).await;
        house.settle().await;
        house.world().fits = Some(1);
        house.push(pull, with_service()).await;
        house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Memory)).await;
        house.until("all is told", |house| house.reconciler().overview().reports == 0).await;
        house.trouble(call, 1, Trouble::FailsBefore);
        house.settle().await;
        assert!(house.world().comment(pull).contains("was away for a moment"), "{call:?}");
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_full_for_long_is_no_want_of_memory() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.push(pull, good()).await;
    house.until("it is being built", |house| house.world().builds.len() == 2).await;
    house.world().room.disk_free = 8 << 30;
    house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Disk)).await;
    house.pass(minutes(15)).await;
    house.world().room.disk_free = 80 << 30;
    house.world().fits = Some(1);
    house.until("it waits for memory", |house| waits_for(house, pull) == Some(QueueReason::Memory)).await;
    house.pass(minutes(8)).await;
    house.world().fits = None;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn replaced_in_place_and_failing_it_says_what_happened() {
    use crate::house::that_runs;
    use crate::world::Run;
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.world().room.memory_available = 0;
    let head = house.push(pull, that_runs(Run::Exits(1))).await;
    house.pass(minutes(11)).await;
    house.world().room.memory_available = 8 << 30;
    house.expect(pull, Expect::Failed(head));
    house.settle().await;
    assert!(house.world().comment(pull).contains("had been stopped"));
}

#[tokio::test(start_paused = true)]
async fn below_the_floor_of_the_disk_nothing_is_built() {
    let mut house = House::new().await;
    house.world().room.disk_free = 5 << 30;
    let pull = house.open(good()).await;
    house.until("it waits", |house| waits_for(house, pull) == Some(QueueReason::Disk)).await;
    house.pass(minutes(20)).await;
    assert!(house.world().comment(pull).contains("disk is almost full") && house.world().builds.is_empty());
    house.world().room.disk_free = 50 << 30;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_port_it_waits_until_one_has_rested() {
    // Two ports are left at the end of all numbers.
    let last = HostPort::new(65_534).unwrap();
    let mut house = House::with(|config| config.app_ports = Pool::from(last)).await;
    let first = house.open(good()).await;
    let second = house.open(good()).await;
    house.settle().await;
    let third = house.open(good()).await;
    house.until("it waits", |house| waits_for(house, third) == Some(QueueReason::Ports)).await;
    house.until("it says so", |house| house.world().comment(third).contains("no port or network left")).await;
    house.close(first).await;
    house.settle().await;
    house.close(second).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn one_network_for_two_is_one_too_few() {
    let mut house = House::with(|config| config.subnets = "10.222.0.0/28".parse().unwrap()).await;
    let first = house.open(good()).await;
    house.settle().await;
    let second = house.open(good()).await;
    house.until("it waits", |house| waits_for(house, second) == Some(QueueReason::Ports)).await;
    house.close(first).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn two_repositories_with_the_same_slug_stay_apart_for_good() {
    for names in [["my-org/app", "my/org-app"], ["my/org-app", "my-org/app"]] {
        let mut house = House::empty();
        let repos = [0, 1].map(|place: usize| house.world().add_repo(21 + place as u64, names[place]));
        house.config.allowed = names.map(|name| name.parse().unwrap()).to_vec();
        house.start();
        house.settle().await;
        let pulls = [house.open_in(repos[0], good()).await, house.open_in(repos[1], with_database()).await];
        house.settle().await;
        let ids = pulls.map(|pull| house.id(pull));
        assert_ne!(ids[0], ids[1]);
        house.close(pulls[0]).await;
        house.settle().await;
        house.restart().await;
        house.settle().await;
        house.reopen(pulls[0]).await;
        house.settle().await;
        assert_eq!(pulls.map(|pull| house.id(pull)), ids);
        house.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn forty_at_once_with_two_builds_at_a_time() {
    let mut house = House::with(|config| (config.max_previews, config.max_builds) = (40, 2)).await;
    let mut pulls = Vec::new();
    for _ in 0..40 {
        pulls.push(house.open(with_database()).await);
    }
    house.settle().await;
    for pull in pulls {
        house.close(pull).await;
    }
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn one_repositorys_twenty_builds_let_the_one_of_another_through() {
    let mut house = House::empty();
    let other = house.world().add_repo(8, "org/other");
    house.config.allowed.push("org/other".parse().unwrap());
    (house.config.max_previews, house.config.max_builds) = (21, 1);
    house.tell_limits();
    house.start();
    house.settle().await;
    for _ in 0..20 {
        house.open(good()).await;
    }
    let one = house.open_in(other, good()).await;
    let head = house.world().head(one);
    house.until("a second build has begun", |house| house.world().builds.len() == 2).await;
    assert_eq!(house.world().builds[1].0, head);
    house.settle().await;
}
