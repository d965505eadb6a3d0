//! Pull requests that are to have no preview: too old, stopped, drafts, bots, forks, without a label.

use jiff::SignedDuration;
use preview_core::desired::{ForkPolicy, SetAsideReason, WaitReason};
use preview_core::ids::RepoId;
use preview_orchestrator::ledger::Reason;
use preview_orchestrator::reconcile::Config;

use crate::check::Expect;
use crate::house::{House, good, hours, minutes};
use crate::world::trouble::Call;

const EXPIRED: Expect = Expect::Aside(SetAsideReason::Expired);
const STOPPED: Expect = Expect::Aside(SetAsideReason::Stopped);

fn waits(reason: WaitReason) -> Expect {
    Expect::Aside(SetAsideReason::Waiting(reason))
}

fn short_lived(config: &mut Config) {
    config.policy.ttl = SignedDuration::from_hours(3);
    config.cleanup_interval = minutes(20);
}

#[tokio::test(start_paused = true)]
async fn too_old_it_goes_after_two_sweeps_and_only_a_push_brings_it_back() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.pass(hours(3)).await;
    house.settle().await;
    house.expect(pull, EXPIRED);
    house.pass(minutes(45)).await;
    house.settle().await;
    house.world().mark();
    house.pass(hours(1)).await;
    house.tell(pull, Reason::Changed).await;
    house.restart().await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 0);
    house.push(pull, good()).await;
    house.settle().await;
    house.pass(hours(2)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_push_gives_it_a_full_life_again() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    for _ in 0..3 {
        house.pass(minutes(170)).await;
        house.push(pull, good()).await;
    }
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn too_old_it_goes_although_github_is_away_and_the_comment_follows() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    let id = house.id(pull);
    house.pass(hours(2)).await;
    house.world().hub.down = Some("500");
    house.pass(hours(2)).await;
    assert!(!house.world().engine.contains_key(&id));
    house.world().hub.down = None;
    house.expect(pull, EXPIRED);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn too_old_it_goes_although_github_has_not_answered_since_the_start() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    let id = house.id(pull);
    house.world().hub.down = Some("401");
    house.restart().await;
    house.pass(hours(2)).await;
    assert!(house.world().engine.contains_key(&id), "nothing else goes without GitHub's word");
    house.pass(hours(2)).await;
    assert!(!house.world().engine.contains_key(&id));
    house.world().hub.down = None;
    house.expect(pull, EXPIRED);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_there_and_back_expires_nothing() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.keep_watch(pull);
    for _ in 0..5 {
        house.world().skew = SignedDuration::from_hours(24 * 365);
        house.pass(minutes(15)).await;
        house.world().skew = SignedDuration::ZERO;
        house.pass(minutes(15)).await;
        house.tell(pull, Reason::Changed).await;
    }
    house.world().skew = -SignedDuration::from_hours(24 * 365);
    house.pass(minutes(100)).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_one_that_is_reopened_comes_back() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.expect(pull, EXPIRED);
    house.pass(hours(4)).await;
    house.settle().await;
    house.close(pull).await;
    house.settle().await;
    house.reopen(pull).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_one_that_is_closed_leaves_no_line_even_when_the_delivery_is_lost() {
    let mut house = House::with(short_lived).await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.expect(pull, EXPIRED);
    house.pass(hours(4)).await;
    house.settle().await;
    house.world().pull(pull).open = false;
    house.expect(pull, Expect::Gone);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn stopped_it_stays_away_until_a_push_or_a_command() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    for again in [false, true] {
        house.expect(pull, STOPPED);
        house.command(pull, Reason::Stop).await;
        house.settle().await;
        house.pass(minutes(20)).await;
        house.restart().await;
        house.settle().await;
        if again {
            let head = house.world().head(pull);
            house.expect(pull, Expect::Serves(head));
            house.command(pull, Reason::Redeploy).await;
        } else {
            house.push(pull, good()).await;
        }
        house.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_and_pushed_to_before_anybody_looked_it_serves_the_push() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.settle().await;
    house.command(pull, Reason::Stop).await;
    house.push(pull, good()).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn stopped_while_it_was_coming_up_it_goes() {
    let mut house = House::new().await;
    let pull = house.open(good()).await;
    house.until("it is being built", |house| house.world().builds.len() == 1).await;
    house.expect(pull, STOPPED);
    house.command(pull, Reason::Stop).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_draft_waits_until_it_is_ready_and_goes_when_it_is_one_again() {
    let mut house = House::with(|config| config.policy.drafts = false).await;
    let pull = house.open_silently(house.repo, good());
    let head = house.world().head(pull);
    for _ in 0..2 {
        house.world().pull(pull).draft = true;
        house.expect(pull, waits(WaitReason::Draft));
        house.tell(pull, Reason::Pushed).await;
        house.settle().await;
        assert_eq!(house.world().thread(pull).comments.len(), 1);
        house.world().pull(pull).draft = false;
        house.expect(pull, Expect::Serves(head.clone()));
        house.tell(pull, Reason::Changed).await;
        house.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bots_forks_and_missing_labels_wait_without_a_word() {
    let mut house = House::with(|config| {
        config.policy.forks = ForkPolicy::Deny;
        config.policy.require_label = Some("preview".into());
    })
    .await;
    let repo = house.repo;
    let pulls = [WaitReason::Bot, WaitReason::Fork, WaitReason::Label].map(|reason| {
        let pull = house.open_silently(repo, good());
        let mut world = house.world();
        let told = world.pull(pull);
        told.by_bot = reason == WaitReason::Bot;
        told.head_repo = Some(if reason == WaitReason::Fork { RepoId(99) } else { repo });
        told.labels = if reason == WaitReason::Label { vec![] } else { vec!["preview".into()] };
        drop(world);
        house.expect(pull, waits(reason));
        pull
    });
    for pull in pulls {
        house.tell(pull, Reason::Pushed).await;
    }
    house.settle().await;
    for pull in pulls {
        assert!(house.world().thread(pull).told.is_empty());
    }
    let labelled = pulls[2];
    house.world().pull(labelled).labels = vec!["Preview".into()];
    let head = house.world().head(labelled);
    house.expect(labelled, Expect::Serves(head));
    house.tell(labelled, Reason::Changed).await;
    house.settle().await;
    house.world().pull(labelled).labels.clear();
    house.expect(labelled, waits(WaitReason::Label));
    house.tell(labelled, Reason::Changed).await;
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_label_whose_delivery_was_lost_is_found() {
    let mut house = House::with(|config| config.policy.require_label = Some("preview".into())).await;
    let pull = house.open(good()).await;
    let head = house.world().head(pull);
    house.expect(pull, waits(WaitReason::Label));
    house.settle().await;
    house.world().pull(pull).labels = vec!["preview".into()];
    house.expect(pull, Expect::Serves(head));
    house.settle().await;
    house.world().pull(pull).labels.clear();
    house.expect(pull, waits(WaitReason::Label));
    house.settle().await;
}

/// Drafts and labels, whose deliveries may be lost like any others.
#[tokio::test(start_paused = true)]
async fn what_is_to_wait_from_now_on_is_found_by_the_next_listing() {
    for reason in [WaitReason::Draft, WaitReason::Label] {
        let mut house = House::with(|config| {
            config.policy.drafts = false;
            config.policy.require_label = Some("preview".into());
        })
        .await;
        let pull = house.open_silently(house.repo, good());
        house.world().pull(pull).labels = vec!["preview".into()];
        house.tell(pull, Reason::Pushed).await;
        house.settle().await;
        match reason {
            WaitReason::Draft => house.world().pull(pull).draft = true,
            _ => house.world().pull(pull).labels.clear(),
        }
        house.expect(pull, waits(reason));
        house.pass(minutes(6)).await;
        assert!(house.record(pull).is_none(), "{reason:?}");
        house.settle().await;
        house.kill().await;
    }
}
