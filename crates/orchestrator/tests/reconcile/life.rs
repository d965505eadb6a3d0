//! A pull request's usual life.

use jiff::SignedDuration;
use preview_core::desired::SetAsideReason;
use preview_core::ids::Slot;
use preview_orchestrator::ledger::Reason;

use crate::check::Expect;
use crate::house::{House, good, hours, minutes, with_database};
use crate::world::engine::base_images;
use crate::world::trouble::Call;

#[tokio::test(start_paused = true)]
async fn opened_it_comes_up_and_says_where() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let record = house.record(pull).unwrap();
    assert_eq!((record.db_type.as_deref(), record.serving.unwrap().slot), (Some("postgres"), Slot::A));
    let comment = house.world().comment(pull);
    assert!(comment.contains("http://previews.test/org-app/pr-1/"), "{comment}");
    let told = house.world().thread(pull).told.clone();
    assert!(told.len() >= 2 && told[0].contains("on its way"), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_push_is_taken_over_without_a_gap_and_the_old_version_is_drained() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    let (id, first) = (house.id(pull), house.world().head(pull));
    house.keep_watch(pull);
    house.world().mark();
    let second = house.push(pull, with_database()).await;
    house.settle().await;
    assert_eq!(house.world().shown[&id], [first, second.clone()]);
    let record = house.record(pull).unwrap();
    assert_eq!((record.serving.unwrap().slot, record.base_images), (Slot::B, base_images(&second)));
    let world = house.world();
    let place = |call: Call| world.calls.iter().position(|made| *made == call).unwrap();
    assert!(place(Call::Probe) < place(Call::Apply) && place(Call::Apply) < place(Call::Drain));
    assert_eq!((world.count(Call::Drain), world.count(Call::Build)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn closed_nothing_is_left_and_the_comment_has_the_last_word() {
    let mut house = House::new().await;
    let pull = house.open(with_database()).await;
    house.settle().await;
    house.close(pull).await;
    house.settle().await;
    assert!(house.record(pull).is_none());
    assert!(house.folders().list().unwrap().is_empty());
    assert!(house.world().comment(pull).contains("Preview was removed"));
}

#[tokio::test(start_paused = true)]
async fn reopened_it_is_back_with_a_full_time_to_live_and_the_same_comment() {
    let mut house = House::with(|config| config.policy.ttl = SignedDuration::from_hours(6)).await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.pass(hours(5)).await;
    house.close(pull).await;
    house.settle().await;
    house.reopen(pull).await;
    house.settle().await;
    house.pass(hours(5)).await;
    house.settle().await;
    assert_eq!(house.world().thread(pull).comments.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_delivery_twice_changes_nothing() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.tell(pull, Reason::Pushed).await;
    house.settle().await;
    house.world().mark();
    house.tell(pull, Reason::Pushed).await;
    house.settle().await;
    let world = house.world();
    assert_eq!((world.count(Call::Build), world.count(Call::Comment)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn quiet_means_quiet() {
    let mut house = House::new().await;
    house.open(good()).await;
    house.settle().await;
    house.world().mark();
    house.pass(hours(2)).await;
    let looks = [Call::Observe, Call::ObserveAll, Call::ObserveRoutes, Call::OpenPulls, Call::Pull, Call::Probe];
    let housekeeping = [Call::Remarks, Call::Room, Call::DiskUse, Call::Tidy, Call::TidyMirrors];
    let looks = [&looks[..], &housekeeping].concat();
    let others: Vec<Call> = house.world().calls.iter().filter(|call| !looks.contains(call)).copied().collect();
    assert_eq!(others, []);
    assert_eq!(house.read(|state| state.repairs), 0);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_have_it_built_anew_and_may_stop_it_until_the_next_push() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    house.world().mark();
    house.command(pull, Reason::Redeploy).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 1);
    let id = house.id(pull);
    house.world().must_serve.clear();
    house.expect(pull, Expect::Aside(SetAsideReason::Stopped));
    house.command(pull, Reason::Stop).await;
    house.settle().await;
    house.pass(minutes(20)).await;
    house.settle().await;
    assert!(house.world().visit(&id).is_none());
    house.push(pull, good()).await;
    house.settle().await;
}
