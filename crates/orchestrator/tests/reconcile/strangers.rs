//! Pull requests from forks: what runs of them, on whose word, and what it costs when there are many.

use preview_core::desired::{ForkPolicy, SetAsideReason, WaitReason};
use preview_core::ids::{CommitSha, PullKey};
use preview_core::trust::Trust;
use preview_orchestrator::ledger::{Mark, Reason};

use crate::check::Expect;
use crate::house::{House, UNAPPROVED, broken_build, good, hours, minutes};
use crate::world::App;
use crate::world::people::{MAINTAINER, STRANGER};
use crate::world::trouble::{Call, Trouble};

fn deploy(commit: &CommitSha) -> String {
    format!("/preview deploy {commit}")
}

/// What code of theirs has cost.
fn touched(house: &House) -> usize {
    let world = house.world();
    [Call::Checkout, Call::Build, Call::Start].map(|call| world.count(call)).iter().sum()
}

async fn approved(house: &mut House) -> (PullKey, CommitSha) {
    let pull = house.open_fork(good()).await;
    house.settle().await;
    let head = house.world().head(pull);
    house.say(pull, MAINTAINER, &deploy(&head));
    house.expect(pull, Expect::Serves(head.clone()));
    house.settle().await;
    (pull, head)
}

#[tokio::test(start_paused = true)]
async fn a_strangers_pull_request_makes_no_clone_build_or_container() {
    let mut house = House::new().await;
    house.world().mark();
    let pull = house.open_fork(good()).await;
    house.settle().await;
    house.pass(hours(3)).await;
    house.command(pull, Reason::Redeploy).await;
    house.settle().await;
    assert_eq!(touched(&house), 0);
    let thread = house.world().thread(pull).told.clone();
    assert_eq!(thread.len(), 1, "{thread:?}");
    assert!(thread[0].contains("What that means"), "{}", thread[0]);
}

#[tokio::test(start_paused = true)]
async fn an_approved_commit_runs_as_a_strangers_and_its_approver_is_named() {
    let mut house = House::new().await;
    let (pull, head) = approved(&mut house).await;
    assert_eq!(house.record(pull).unwrap().trust, Trust::Stranger);
    let comment = house.world().comment(pull);
    assert!(comment.contains("by `person-1`") && comment.contains(head.short()), "{comment}");
    house.restart().await;
    house.keep_watch(pull);
    house.settle().await;
    assert_eq!(house.world().builds.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn approval_for_one_commit_does_not_build_another() {
    let mut house = House::new().await;
    let (pull, old) = approved(&mut house).await;
    let new = house.world().push_to_fork(pull, good());
    house.expect(pull, UNAPPROVED);
    house.tell(pull, Reason::Pushed).await;
    house.settle().await;
    // The former commit is not the newest one any more, whoever names it.
    let stale = house.say(pull, MAINTAINER, &deploy(&old));
    house.until("it was heard", |house| house.has_heard(stale)).await;
    house.settle().await;
    assert_eq!(house.world().marks(stale), [Mark::Puzzled]);
    assert!(house.world().comment(pull).contains("not the newest commit"));
    house.say(pull, MAINTAINER, &deploy(&new));
    house.expect(pull, Expect::Serves(new));
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_push_between_approval_and_checkout_takes_the_approval_back() {
    // At each moment of the attempt, and the delivery of the push is lost: the next list finds it.
    for millis in (0..4000).step_by(200) {
        let mut house = House::new().await;
        let pull = house.open_fork(good()).await;
        house.settle().await;
        let head = house.world().head(pull);
        house.say(pull, MAINTAINER, &deploy(&head));
        house.pass(std::time::Duration::from_millis(millis)).await;
        house.world().push_to_fork(pull, good());
        house.settle().await;
        assert!(house.world().builds.iter().all(|(commit, _)| *commit == head));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_means_no_and_is_asked_again() {
    let mut house = House::new().await;
    let pull = house.open_fork(good()).await;
    house.settle().await;
    house.trouble(Call::Permission, 20, Trouble::FailsBefore);
    let head = house.world().head(pull);
    let comment = house.say(pull, MAINTAINER, &deploy(&head));
    house.world().mark();
    house.pass(minutes(4)).await;
    assert_eq!(touched(&house), 0);
    assert!(!house.has_heard(comment));
    house.expect(pull, Expect::Serves(head));
    house.settle().await;
    assert_eq!(house.world().marks(comment), [Mark::Done]);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_approves_nor_half_a_name_nor_an_edited_comment() {
    let mut house = House::new().await;
    let pull = house.open_fork(good()).await;
    house.settle().await;
    house.world().mark();
    let head = house.world().head(pull);
    let stranger = house.say(pull, STRANGER, &deploy(&head));
    let half = house.say(pull, MAINTAINER, &format!("/preview deploy {}", head.short()));
    let none = house.say(pull, MAINTAINER, "/preview deploy");
    let edited = house.world().say(pull, MAINTAINER, "looks good");
    house.world().edit(edited, &deploy(&head));
    house.reconciler().hint(pull.repo).unwrap();
    house.until("all was heard", |house| [stranger, half, none].iter().all(|said| house.has_heard(*said))).await;
    house.settle().await;
    assert_eq!(touched(&house), 0);
    let marks = [stranger, half, none, edited].map(|said| house.world().marks(said));
    assert_eq!(marks, [vec![Mark::Refused], vec![Mark::Puzzled], vec![Mark::Puzzled], vec![]]);
}

#[tokio::test(start_paused = true)]
async fn approval_whose_delivery_was_lost_is_found() {
    let mut house = House::new().await;
    let pull = house.open_fork(good()).await;
    house.settle().await;
    let head = house.world().head(pull);
    house.world().say(pull, MAINTAINER, &deploy(&head));
    house.expect(pull, Expect::Serves(head));
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn reopened_it_is_asked_for_again() {
    let mut house = House::new().await;
    let (pull, _) = approved(&mut house).await;
    house.close(pull).await;
    house.settle().await;
    house.reopen(pull).await;
    house.expect(pull, UNAPPROVED);
    house.settle().await;
}

#[tokio::test(start_paused = true)]
async fn denied_forks_have_no_comment_and_no_approval_and_allowed_ones_need_none() {
    let mut house = House::with(|config| config.policy.forks = ForkPolicy::Deny).await;
    house.world().people.policy = Some(ForkPolicy::Deny);
    let pull = house.open_fork(good()).await;
    let denied = Expect::Aside(SetAsideReason::Waiting(WaitReason::Fork));
    house.expect(pull, denied.clone());
    house.settle().await;
    assert!(house.world().thread(pull).told.is_empty());
    let head = house.world().head(pull);
    let said = house.say(pull, MAINTAINER, &deploy(&head));
    house.until("it was heard", |house| house.has_heard(said)).await;
    house.expect(pull, denied);
    house.settle().await;
    assert!(house.world().comment(pull).contains("no previews of forks"));
    // An attempt that fails is a stranger's too.
    let mut house = House::with(|config| config.policy.forks = ForkPolicy::Allow).await;
    house.world().people.policy = Some(ForkPolicy::Allow);
    let pull = house.open_fork(broken_build()).await;
    let head = house.world().head(pull);
    house.expect(pull, Expect::Failed(head));
    house.settle().await;
    assert_eq!(house.record(pull).unwrap().trust, Trust::Stranger);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_hostile_pull_requests_cost_bounded_work_and_bounded_comments() {
    let mut house = House::new().await;
    let friendly = house.open(good()).await;
    house.settle().await;
    house.world().mark();
    let mut hostile = Vec::new();
    for _ in 0..500 {
        hostile.push(house.open_fork(good()).await);
    }
    for pull in &hostile {
        house.tell(*pull, Reason::Pushed).await;
        house.say(*pull, STRANGER, "/preview deploy");
    }
    house.pass(minutes(30)).await;
    let comments = house.world().count(Call::Comment);
    assert!((20..=30).contains(&comments), "{comments} comments in half an hour");
    assert_eq!((touched(&house), house.world().people.marks.len()), (0, 1));
    assert!(house.world().count(Call::Permission) <= 3);
    // One question each for the opening and one for what came while it was being asked; later, lists alone.
    assert!(house.world().count(Call::Pull) <= 1500, "{}", house.world().count(Call::Pull));
    house.world().mark();
    house.pass(hours(1)).await;
    assert!(house.world().count(Call::Pull) <= 5, "{}", house.world().count(Call::Pull));
    assert!(house.world().count(Call::Comment) <= 31);
    // Meanwhile everybody else is served, and told.
    let head = house.push(friendly, good()).await;
    house.pass(minutes(2)).await;
    let id = house.id(friendly);
    assert_eq!(house.world().visit(&id), Some(head.clone()));
    assert!(house.world().comment(friendly).contains(head.short()));
}

/// An hour's questions are for those that were asked: GitHub's bad minutes use up none.
#[tokio::test(start_paused = true)]
async fn questions_that_github_did_not_take_are_not_counted() {
    let mut house = House::new().await;
    house.trouble(Call::Comment, 40, Trouble::FailsBefore);
    let mut pulls = Vec::new();
    for _ in 0..20 {
        pulls.push(house.open_fork(good()).await);
    }
    house.pass(minutes(20)).await;
    assert!(house.world().rules.iter().all(|rule| rule.left == 0));
    for pull in pulls {
        assert!(house.world().comment(pull).contains("/preview deploy"), "{pull}");
    }
}

/// A stranger's may add from no address at all, whoever wrote that down; a member's may.
#[tokio::test(start_paused = true)]
async fn an_image_that_adds_from_the_internet_is_for_members_alone() {
    let adds = || App { put_aside: Some("ADD https://files.example.com/tool /tool"), ..good() };
    let mut house = House::new().await;
    house.open(adds()).await;
    house.settle().await;
    assert_eq!(house.world().count(Call::Build), 1);
    let pull = house.open_fork(adds()).await;
    house.settle().await;
    let head = house.world().head(pull);
    house.say(pull, MAINTAINER, &deploy(&head));
    house
        .until("it is refused", |house| {
            house.world().comment(pull).contains("is only for people who can write to this repository")
        })
        .await;
    assert_eq!(house.world().count(Call::Build), 1);
}
